"""What levels alone do not tell: how rare an agreed value is, how many share it, names wholly unlike.

Term frequencies after Winkler (2000), "Frequency-based matching in Fellegi-Sunter model": the u of an exact
agreement is the frequency of the value it agrees on instead of the mean over all values.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType

import numpy as np
import numpy.typing as npt
import pyarrow.compute as pc

from terag_pipelines.linking.blocks import Codes
from terag_pipelines.linking.encoding import EncodedRecords
from terag_pipelines.linking.levels import Compared, rank
from terag_pipelines.linking.namesakes import are_between_namesakes
from terag_pipelines.side_by_side import run_side_by_side

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
JOINT = ("names", "family", "nameless", "names_alone", "one_word", "namesakes")
PERSON_NAMES = ("given_name", "family_name", "full_name")
NAME_COLUMNS: Mapping[str, str] = MappingProxyType(
    {
        "given_name": "given_key",
        "family_name": "family_key",
        "full_name": "name_key",
        "organisation_name": "organisation_key",
    }
)
NAMED_BY = ("given_key", "family_key", "name_key", "alias_keys")
SHARED_COLUMNS: Mapping[str, str] = MappingProxyType(
    {"phone": "phones", "email": "emails", "identifiers": "identifiers"}
)


@dataclass(frozen=True)
class AdjustmentParams:
    """`strength` scales the adjustment by term frequency, `max_weight` bounds it (bits).

    A contact or document held by more than `usual_holders` records loses one bit with every doubling.
    `other_name_weight` (bits) goes to pairs whose given and family names both differ: two slips are not
    independent, and borrowed documents or a shared telephone must not make one person of two.

    `family_weight` goes to pairs of one family name whom the generation, two well known given names, or an
    initial and the birth date tell apart, and once more for each of address, telephone and e-mail that they
    share: relatives have these in common. `nameless_weight` goes to pairs at one address of which one record
    has no name, with no birth date or document that agrees, and to a record without a birth date that fits
    two namesakes at its address; `names_alone_weight` to pairs of which nothing but names is known, and these
    agree in part only; `one_word_weight` to pairs of which nothing but a name of one word is known.
    """

    strength: float = 1.0
    max_weight: float = 6.0
    usual_holders: int = 5
    other_name_weight: float = -5.0
    family_weight: float = -3.5
    nameless_weight: float = -8.0
    names_alone_weight: float = -2.0
    one_word_weight: float = -8.0


def adjustment_parts(
    records: EncodedRecords, left: Codes, right: Codes, compared: Compared, params: AdjustmentParams
) -> dict[str, Floats]:
    """The adjustment of each pair by the field that it comes from, in bits, each of shape (n_pairs,).

    Those of JOINT are no fields: what fields together tell otherwise than each by itself.
    """
    pairs = (left, right)
    tasks: dict[str, Callable[[], Floats]] = {}
    for field, name in NAME_COLUMNS.items():
        if field in compared and (agree := compared[field] == rank(field, "exact")).any():
            tasks[field] = partial(_name_adjustment, records, name, *pairs, agree, params)
    if "address" in compared and "locality" in records.columns:
        agree = compared["address"] == rank("address", "area")
        tasks["address"] = partial(_name_adjustment, records, "locality", *pairs, agree, params)
    for field, name in SHARED_COLUMNS.items():
        if field in compared and name in records.columns:
            tasks[field] = partial(_crowd_penalty, records, name, *pairs, compared[field] == 1, params)
    parts = dict(zip(tasks, run_side_by_side(tasks.values()), strict=True))
    joint = _joint_parts(compared, params)
    between = are_between_namesakes(records, left, right, compared)
    joint["namesakes"] = np.where(between, params.nameless_weight, 0.0)
    if not any(name in records.columns for name in NAMED_BY):
        return parts | joint | {"nameless": np.zeros(1)}
    names_alone = np.flatnonzero(~_is_any_known(compared, _beside_names(compared)) & np.ones(len(left), bool))
    joint["one_word"] = np.zeros(len(left))
    lone = _have_one_word(records, left[names_alone], right[names_alone])
    joint["one_word"][names_alone[lone]] = params.one_word_weight
    return parts | joint


def _joint_parts(compared: Compared, params: AdjustmentParams) -> dict[str, Floats]:
    at_home = _at_levels(compared, "address", "whole", "most")
    contacts = [_at_levels(compared, field, "shared") for field in ("phone", "email")]
    n_shared = np.asarray(sum((mask.astype(np.int64) for mask in contacts), at_home.astype(np.int64)))
    found: dict[str, tuple[Mask, npt.ArrayLike]] = {
        "names": (_are_other_names(compared), params.other_name_weight),
        "family": (_are_relatives(compared), np.float64(params.family_weight) * (1 + n_shared)),
        "nameless": (_are_nameless(compared) & at_home, params.nameless_weight),
        "names_alone": (_are_names_alone(compared), params.names_alone_weight),
    }
    return {name: np.where(mask, weight, 0.0) for name, (mask, weight) in found.items()}


def _at_levels(compared: Compared, field: str, *levels: str) -> Mask:
    """Where a field is at one of the levels; nowhere where the records lack it."""
    if field not in compared:
        return np.zeros(1, bool)
    found = np.zeros(len(compared[field]), bool)
    for level in levels:
        found |= compared[field] == rank(field, level)
    return found


def _are_other_names(compared: Compared) -> Mask:
    other_given = _at_levels(compared, "given_name", "different", "other")
    return other_given & _at_levels(compared, "family_name", "different")


def _are_relatives(compared: Compared) -> Mask:
    told_apart = _at_levels(compared, "generation", "different") | _at_levels(compared, "given_name", "other")
    initial = _at_levels(compared, "given_name", "initial")
    told_apart = told_apart | (initial & _at_levels(compared, "birth_date", "different"))
    return _at_levels(compared, "family_name", "exact", "close") & told_apart


def _is_any_known(compared: Compared, fields: Iterable[str]) -> Mask:
    return np.asarray(sum((compared[name] > 0 for name in fields if name in compared), np.zeros(1, bool)))


def _are_nameless(compared: Compared) -> Mask:
    """Pairs in which no name can be compared, and no birth date or document agrees either."""
    agree = _is_any_known(compared, (*PERSON_NAMES, "organisation_name", "description"))
    agree = agree | _at_levels(compared, "birth_date", "exact", "swapped", "typo")
    agree = agree | _at_levels(compared, "iin", "same", "typo")
    agree = agree | _at_levels(compared, "identifiers", "shared", "typo")
    return np.asarray(~agree)


def _are_names_alone(compared: Compared) -> Mask:
    in_part = _at_levels(compared, "given_name", "nickname", "initial", "similar")
    in_part = in_part | _at_levels(compared, "family_name", "initial", "similar")
    return in_part & ~_is_any_known(compared, _beside_names(compared))


def _beside_names(compared: Compared) -> list[str]:
    return [name for name in compared if name not in PERSON_NAMES]


def _have_one_word(records: EncodedRecords, left: Codes, right: Codes) -> Mask:
    """Pairs of which one side has no name of two words."""
    names, one, other = records.over_pairs("any_name", left, right)
    has_more = names.flag(pc.match_substring(names.values, " "))
    several = [has_more[names.codes[side]].any(axis=1) for side in (one, other)]
    return np.asarray(~(several[0] & several[1]), np.bool_)


def _name_adjustment(
    records: EncodedRecords, name: str, left: Codes, right: Codes, agree: Mask, params: AdjustmentParams
) -> Floats:
    adjustment, at = np.zeros(len(left)), np.flatnonzero(agree)
    if len(at) == 0:
        return adjustment
    counts = records.count_holders(name).astype(np.float64)
    shares = counts / max(counts.sum(), 1)
    bits = np.log2(max(float((shares**2).sum()), 1e-12) / np.maximum(shares, 1e-12))
    bits = np.clip(params.strength * bits, -params.max_weight, params.max_weight)
    codes = records.columns[name].first
    one, other = codes[left[at]], codes[right[at]]
    adjustment[at] = np.where((one == other) & (one >= 0), bits[one], 0.0)
    return adjustment


def _crowd_penalty(
    records: EncodedRecords, name: str, left: Codes, right: Codes, agree: Mask, params: AdjustmentParams
) -> Floats:
    """Of the least crowded value that a pair shares."""
    codes, at = records.columns[name].codes, np.flatnonzero(agree)
    holders = np.append(records.count_holders(name), 1).astype(np.float64)
    crowded = -np.log2(np.maximum(holders / params.usual_holders, 1.0))
    penalty = np.full(len(at), -np.inf)
    for i in range(codes.shape[1]):
        for j in range(codes.shape[1]):
            one, other = codes[left[at], i], codes[right[at], j]
            same = (one == other) & (one >= 0)
            penalty = np.where(same, np.maximum(penalty, crowded[one]), penalty)
    found = np.zeros(len(left))
    found[at] = np.where(np.isfinite(penalty), penalty, 0.0)
    return found
