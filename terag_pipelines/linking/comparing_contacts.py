"""Comparison of where someone is reached: telephones, e-mail, addresses."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from terag_pipelines.linking.blocking_keys import mailbox_names
from terag_pipelines.linking.blocks import Codes
from terag_pipelines.linking.encoding import Column, EncodedRecords
from terag_pipelines.linking.levels import Levels, grade, rank
from terag_pipelines.linking.similarity import (
    Similarity,
    Texts,
    best_over_slots,
    closeness_of,
    contains,
    edit_distance,
    jaro_winkler,
    token_set,
    where_both,
)
from terag_pipelines.linking.validity import hide_apart

ROLE_MAILBOXES = (
    "admin",
    "billing",
    "contact",
    "hello",
    "help",
    "hr",
    "info",
    "jobs",
    "mail",
    "office",
    "sales",
    "support",
)


def compare_phones(records: EncodedRecords, left: Codes, right: Codes) -> dict[str, Levels]:
    """Telephone numbers: any one shared (with or without the country's code), or one mistyped.

    Numbers that were theirs at different times say nothing.
    """
    column = records.columns.get("phones")
    if column is None:
        return {}
    texts = column.once("last digits", lambda: _last_digits(column))

    def closeness(one: Codes, other: Codes) -> Similarity:
        return closeness_of(edit_distance(one, other, texts))

    best = best_over_slots(column, left, right, closeness)
    levels = grade("phone", best, ("shared", 10.0), ("typo", 8.0))
    return {"phone": hide_apart(records, "phone", left, right, levels)}


def _last_digits(column: Column) -> Texts:
    """What is the same with and without the country's code."""
    ends = pc.utf8_slice_codeunits(column.values, -9)
    return np.asarray(ends.to_numpy(zero_copy_only=False), dtype=object)


def compare_emails(records: EncodedRecords, left: Codes, right: Codes) -> dict[str, Levels]:
    """E-mail addresses: any one shared, the same name at another host, or nearly the same.

    Mailboxes of a role, such as info@, belong to no one in particular and are no evidence.
    """
    column = records.columns.get("emails")
    if column is None:
        return {}
    texts = column.texts
    local, own = column.once("mailboxes", lambda: _mailboxes(column))

    def closeness(left_codes: Codes, right_codes: Codes) -> Similarity:
        one, other = where_both(own[left_codes] & own[right_codes], left_codes, right_codes)
        alike = jaro_winkler(one, other, texts)
        same_local = (one >= 0) & (other >= 0) & (one != other) & (local[one] == local[other])
        return np.where(same_local, 0.999, np.where(alike < 1, alike * 0.99, alike)).astype(np.float32)

    best = best_over_slots(column, left, right, closeness)
    levels = grade("email", best, ("shared", 1.0), ("same_local", 0.9985), ("similar", 0.92 * 0.99))
    return {"email": levels}


def _mailboxes(column: Column) -> tuple[Codes, npt.NDArray[np.bool_]]:
    """By code: what stands before the @, as a code of its own, and whether it belongs to someone."""
    names = mailbox_names(column.values)
    role = pc.is_in(names, value_set=pa.array(ROLE_MAILBOXES))
    return column.regroup(names), column.flag(pc.invert(role))


# Address


def compare_addresses(records: EncodedRecords, left: Codes, right: Codes) -> dict[str, Levels]:
    """The address as one piece of evidence: its parts go together in households and removals.

    whole: street, house and area agree; most: two of them; area: one part alone is known of both, mostly the
    area, and agrees; part: one of several agrees. The area is the postcode or, failing it, the locality.
    Without parts, the words of the address. Where they lived at different times says nothing.
    """
    found = _compare_address_parts(records, left, right)
    return {name: hide_apart(records, "address", left, right, levels) for name, levels in found.items()}


def _compare_address_parts(records: EncodedRecords, left: Codes, right: Codes) -> dict[str, Levels]:
    parts = [part for part in _address_parts(records, left, right) if part is not None]
    if not parts:
        return _compare_address_words(records, left, right)
    levels, n_known = _grade_address(parts)
    poor = np.flatnonzero(n_known < 2)
    words = _compare_address_words(records, left[poor], right[poor]).get("address")
    if words is not None:
        levels[poor] = np.where(words > 0, words, levels[poor])
    return {"address": levels}


def _grade_address(parts: list[Levels]) -> tuple[Levels, Levels]:
    """Levels by the parts that agree, and how many parts are known on both sides."""
    known = sum((part >= 0).astype(np.int8) for part in parts)
    agree = sum((part == 1).astype(np.int8) for part in parts)
    names = ["missing", "whole", "whole", "most", "area", "part"]
    cases = [
        known == 0,
        (agree == 3),
        (known == 2) & (agree == 2),
        agree == 2,
        (known == 1) & (agree == 1),
        agree == 1,
    ]
    ranks = [0 if name == "missing" else rank("address", name) for name in names]
    return np.select(cases, ranks, rank("address", "different")).astype(np.int8), np.asarray(known, np.int8)


def _address_parts(records: EncodedRecords, left: Codes, right: Codes) -> list[Levels | None]:
    """Agreement of area, street and house: 1, 0, or -1 where unknown."""
    street = _street_agreement(records, left, right)
    house = _house_agreement(records, left, right)
    postcode = _agreement(records, "postcode", left, right, 1.0, edits=1)
    locality = _agreement(records, "locality", left, right, 0.88)
    if postcode is None or locality is None:
        area = locality if postcode is None else postcode
    else:
        area = np.where(postcode >= 0, postcode, locality).astype(np.int8)
    return [area, street, house]


def _street_agreement(records: EncodedRecords, left: Codes, right: Codes) -> Levels | None:
    """Streets spelled nearly the same, or one written with a further word, such as its city."""
    column = records.columns.get("street")
    if column is None:
        return None
    one, other, texts = column.first[left], column.first[right], column.texts
    alike = jaro_winkler(one, other, texts)
    n_words = column.once("n_words", lambda: column.regroup(pc.count_substring(column.values, " ")))
    long = column.once("long", lambda: column.flag(pc.greater_equal(pc.utf8_length(column.values), 5)))
    longer = (alike >= 0) & (alike < 0.88) & (n_words[one] != n_words[other])
    at = np.flatnonzero(longer & long[one] & long[other])
    alike[at] = np.where(contains(one[at], other[at], texts) >= 0.92, 1.0, alike[at])
    return np.where(alike < 0, -1, alike >= 0.88).astype(np.int8)


def _house_agreement(records: EncodedRecords, left: Codes, right: Codes) -> Levels | None:
    """The same house; a flat that only one of the two has does not part them."""
    column = records.columns.get("house")
    if column is None:
        return None
    one, other = column.first[left], column.first[right]
    houses = column.regroup(pc.replace_substring_regex(column.values, pattern=" .*$", replacement=""))
    flatless = column.flag(pc.invert(pc.match_substring(column.values, " ")))
    same = (one == other) | ((houses[one] == houses[other]) & (flatless[one] | flatless[other]))
    return np.where((one < 0) | (other < 0), -1, same).astype(np.int8)


def _agreement(
    records: EncodedRecords, name: str, left: Codes, right: Codes, least: float = 0.0, edits: int = 0
) -> Levels | None:
    """Whether values are as similar as `least`, or, with `edits`, within so many edits."""
    column = records.columns.get(name)
    if column is None:
        return None
    one, other, texts = column.first[left], column.first[right], column.texts
    if edits:
        distance = edit_distance(one, other, texts)
        return np.where(distance < 0, -1, distance <= edits).astype(np.int8)
    alike = jaro_winkler(one, other, texts)
    return np.where(alike < 0, -1, alike >= least).astype(np.int8)


def _compare_address_words(records: EncodedRecords, left: Codes, right: Codes) -> dict[str, Levels]:
    column, left, right = records.over_pairs("address_key", left, right)
    if not len(column.values):
        return {}
    long = column.flag(pc.greater_equal(pc.count_substring(column.values, " "), 2))
    one, other = column.first[left], column.first[right]
    alike = token_set(*where_both(long[one] & long[other], one, other), column.texts)
    return {"address": grade("address", alike, ("whole", 0.90), ("most", 0.75), ("part", 0.6))}
