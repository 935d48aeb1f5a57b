"""What levels alone do not tell: how rare an agreed value is, how many share it, names wholly unlike.

Term frequencies after Winkler (2000), "Frequency-based matching in Fellegi-Sunter model": the u of an exact
agreement is the frequency of the value it agrees on instead of the mean over all values.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from terag_pipelines.linking.encoding import Codes, Column, EncodedRecords
from terag_pipelines.linking.levels import Compared, rank

Floats = npt.NDArray[np.float64]
NAME_COLUMNS: Mapping[str, str] = MappingProxyType(
    {
        "given_name": "given_key",
        "family_name": "family_key",
        "full_name": "name_key",
        "organisation_name": "organisation_key",
    }
)
SHARED_COLUMNS: Mapping[str, str] = MappingProxyType(
    {"phone": "phones", "email": "emails", "identifiers": "identifiers"}
)


@dataclass(frozen=True)
class AdjustmentParams:
    """`strength` scales the adjustment by term frequency, `max_weight` bounds it (bits).

    A contact or document held by more than `usual_holders` records loses one bit with every doubling.
    `other_name_weight` (bits) goes to pairs whose given and family names both differ: two slips are not
    independent, and borrowed documents or a shared telephone must not make one person of two.
    """

    strength: float = 1.0
    max_weight: float = 6.0
    usual_holders: int = 5
    other_name_weight: float = -5.0


def adjust_weights(
    records: EncodedRecords, left: Codes, right: Codes, compared: Compared, params: AdjustmentParams
) -> Floats:
    """What each pair's match weight gains or loses beyond its levels, in bits, shape (n_pairs,)."""
    parts = adjustment_parts(records, left, right, compared, params)
    return np.asarray(sum(parts.values()) + np.zeros(len(left)))


def adjustment_parts(
    records: EncodedRecords, left: Codes, right: Codes, compared: Compared, params: AdjustmentParams
) -> dict[str, Floats]:
    """The adjustment of each pair by the field that it comes from, in bits, each of shape (n_pairs,).

    "names" is no field: it holds what pairs lose whose given and family names both differ.
    """
    parts: dict[str, Floats] = {}
    for field, name in NAME_COLUMNS.items():
        if field in compared and name in records.columns:
            agree = compared[field] == rank(field, "exact")
            parts[field] = _name_adjustment(records.columns[name], left, right, agree, params)
    if "address" in compared and "locality" in records.columns:
        agree = compared["address"] == rank("address", "area")
        parts["address"] = _name_adjustment(records.columns["locality"], left, right, agree, params)
    for field, name in SHARED_COLUMNS.items():
        if field in compared and name in records.columns:
            agree = compared[field] == 1
            parts[field] = _crowd_penalty(records.columns[name], left, right, agree, params)
    parts["names"] = np.where(_are_other_names(compared), params.other_name_weight, 0.0)
    return parts


def _are_other_names(compared: Compared) -> npt.NDArray[np.bool_]:
    parts = [
        compared[name] == rank(name, "different")
        for name in ("given_name", "family_name")
        if name in compared
    ]
    return parts[0] & parts[1] if len(parts) == 2 else np.zeros(1, bool)


def _name_adjustment(
    column: Column, left: Codes, right: Codes, agree: npt.NDArray[np.bool_], params: AdjustmentParams
) -> Floats:
    counts = column.counts().astype(np.float64)
    shares = counts / max(counts.sum(), 1)
    bits = np.log2(max(float((shares**2).sum()), 1e-12) / np.maximum(shares, 1e-12))
    bits = np.clip(params.strength * bits, -params.max_weight, params.max_weight)
    one, other = column.first[left], column.first[right]
    return np.asarray(np.where(agree & (one == other) & (one >= 0), bits[one], 0.0), np.float64)


def _crowd_penalty(
    column: Column, left: Codes, right: Codes, agree: npt.NDArray[np.bool_], params: AdjustmentParams
) -> Floats:
    """Of the least crowded value that a pair shares."""
    holders = np.append(column.counts(), 1).astype(np.float64)
    penalty = np.full(len(left), -np.inf)
    for i in range(column.codes.shape[1]):
        for j in range(column.codes.shape[1]):
            one, other = column.codes[left, i], column.codes[right, j]
            same = (one == other) & (one >= 0)
            bits = -np.log2(np.maximum(holders[one] / params.usual_holders, 1.0))
            penalty = np.where(same, np.maximum(penalty, bits), penalty)
    return np.where(agree & np.isfinite(penalty), penalty, 0.0)
