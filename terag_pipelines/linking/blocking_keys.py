"""Blocking keys: what two records must share to be compared, as integer codes per record.

Keys are exact values, prefixes, sounds, parts of dates, and the rarest words of longer texts; all are made of
the transliterated values of the records, so that spellings in Kazakh, Russian and Latin letters meet.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from terag_pipelines.linking.blocks import Codes
from terag_pipelines.linking.encoding import MISSING, EncodedRecords, compact
from terag_pipelines.linking.sounds import fold_sounds
from terag_pipelines.linking.text_keys import drawn_words, rarest_words

Key = Callable[[EncodedRecords], Codes | None]


def build_key(records: EncodedRecords, name: str) -> Codes | None:
    """Codes (n_records, n_slots) of a key named in BLOCKING_KEYS; None where the records lack its columns."""
    return BLOCKING_KEYS[name](records)


def _whole(field: str) -> Key:
    return lambda records: records.columns[field].codes if field in records.columns else None


def _derived(field: str, what: str, make: Callable[[pa.Array], pa.Array]) -> Key:
    """A key computed on the distinct values of a field, once for `what`; a null result is missing."""

    def build(records: EncodedRecords) -> Codes | None:
        column = records.columns.get(field)
        if column is None:
            return None
        return column.once(f"key {what}", lambda: column.regroup(make(column.values)))[column.codes]

    return build


def _prefix(field: str, length: int) -> Key:
    def cut(values: pa.Array) -> pa.Array:
        long_enough = pc.greater_equal(pc.utf8_length(values), length)
        return pc.if_else(
            long_enough, pc.utf8_slice_codeunits(values, 0, length), pa.scalar(None, pa.string())
        )

    return _derived(field, f"prefix {length}", cut)


def _slice(field: str, start: int, stop: int) -> Key:
    what = f"slice {start}:{stop}"
    return _derived(field, what, lambda values: pc.utf8_slice_codeunits(values, start, stop))


def mailbox_names(addresses: pa.Array) -> pa.Array:
    """What stands before the @."""
    return pc.struct_field(pc.extract_regex(addresses, "^(?P<name>[^@]*)"), 0)


def _local_part(values: pa.Array) -> pa.Array:
    local = mailbox_names(values)
    return pc.if_else(pc.greater_equal(pc.utf8_length(local), 5), local, pa.scalar(None, pa.string()))


def _last_digits(values: pa.Array) -> pa.Array:
    """The last nine digits, which are the same with and without the country's code."""
    return pc.utf8_slice_codeunits(values, -9)


def _unordered(left: Key, right: Key) -> Key:
    """A pair of keys in either order; both must be there."""

    def build(records: EncodedRecords) -> Codes | None:
        one, other = left(records), right(records)
        if one is None or other is None:
            return None
        low, high = np.minimum(one, other), np.maximum(one, other)
        joint = low.astype(np.int64) * (int(high.max(initial=0)) + 1) + high
        return compact(np.where(low >= 0, joint, MISSING))

    return build


def _names_beyond_parts(records: EncodedRecords) -> Codes | None:
    """Whole names, where some record has a further name or one that is not in parts; else the parts do."""
    names = [records.columns.get(name) for name in ("given_key", "family_key")]
    in_parts = [name.first >= 0 for name in names if name is not None]
    if in_parts and "alias_keys" not in records.columns:
        rows = np.flatnonzero(~np.logical_or.reduce(in_parts))
        if not len(records.columns.over("name_key", rows).values):
            return None
    return _whole("any_name")(records)


def _address_without_parts(records: EncodedRecords) -> Codes | None:
    """Whole addresses, where they are not in parts."""
    return None if "street" in records.columns else _whole("address_key")(records)


def _joint_prefix(length: int) -> Key:
    """Prefixes of given and family name in one vocabulary, in either order."""

    def part(field: str) -> Key:
        return _prefix(field, length)

    return _unordered(part("given_key"), part("family_key"))


BLOCKING_KEYS: Mapping[str, Key] = MappingProxyType(
    {
        "iin": _whole("iin"),
        "bin": _whole("bin"),
        "identifier": _whole("identifiers"),
        "phone": _derived("phones", "last digits", _last_digits),
        "email": _whole("emails"),
        "email_local": _derived("emails", "local part", _local_part),
        "name": _names_beyond_parts,
        "given": _whole("given_key"),
        "family": _whole("family_key"),
        "given_initial": _prefix("given_key", 1),
        "given_start": _prefix("given_key", 3),
        "given_sound": _derived("given_key", "sound", fold_sounds),
        "family_initial": _prefix("family_key", 1),
        "family_start": _prefix("family_key", 4),
        "family_sound": _derived("family_key", "sound", fold_sounds),
        "swappable_names": _unordered(_whole("given_key"), _whole("family_key")),
        "swappable_starts": _joint_prefix(3),
        "birth_date": _whole("birth_date"),
        "birth_year": _slice("birth_date", 0, 4),
        "birth_day": _slice("birth_date", 4, 8),
        "postcode": _whole("postcode"),
        "locality": _whole("locality"),
        "street": _whole("street"),
        "house": _whole("house"),
        "address": _address_without_parts,
        "organisation": _whole("organisation_key"),
        "organisation_start": _prefix("organisation_key", 6),
        "organisation_word": rarest_words("organisation_key"),
        "organisation_sound": _derived("organisation_key", "sound", fold_sounds),
        "description_word": rarest_words("description", codes_first=True),
        "description_likeness": drawn_words("description", 24, 2),
        "description_closeness": drawn_words("description", 32, 3),
        "description_sameness": drawn_words("description", 32, 4),
    }
)
