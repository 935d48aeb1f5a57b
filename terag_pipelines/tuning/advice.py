"""Which index an executed plan asks for: a scan of a label whose rows a later filter throws away."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from terag_pipelines.tuning.ports import AUTO_PREFIX, IndexSpec, PlanOperator, PlanProfile

NOT_INDEXED = frozenset({"batch_id", "key", "row_hash", "valid_from", "valid_to"})
"""Bookkeeping of the loader: nearly all rows share an interval, and keys have a constraint."""

_NAME = r"[A-Za-z_][A-Za-z0-9_]*"
_CACHED = re.compile(r"cache[A-Z]*\[([^\]]*)\]")
_SCANNED = re.compile(rf"(?P<variable>{_NAME}):(?P<label>{_NAME})\Z")
_LABELLED = re.compile(rf"(?<![.\w$])(?P<variable>{_NAME}):(?P<label>{_NAME})")
_PREDICATE = re.compile(
    rf"(?<!\w\()(?<!NOT \()(?<![\w.])(?P<variable>{_NAME})\.(?P<property>{_NAME})\s*"  # of no function
    r"(?P<operator>>=|<=|=|<|>|STARTS WITH\b|ENDS WITH\b|CONTAINS\b|IN\b)"
)
_TEXT_OPERATORS = frozenset({"ENDS WITH", "CONTAINS"})


@dataclass(frozen=True)
class Candidate:
    """An index that executed plans ask for.

    `saved_hits` is the most that it can save of the `all_hits` of those plans: reading and then filtering out
    the rows that an index would not have touched.
    """

    index: IndexSpec
    saved_hits: float
    all_hits: int

    def __add__(self, other: Candidate) -> Candidate:
        """The same index asked for by more plans."""
        return Candidate(self.index, self.saved_hits + other.saved_hits, self.all_hits + other.all_hits)

    @property
    def saving_share(self) -> float:
        """The most that the index can save, as a share of the plans' db hits."""
        return self.saved_hits / max(1, self.all_hits)


def auto_index(label: str, property_name: str, kind: str) -> IndexSpec:
    """The index as tuning would name it."""
    suffix = "" if kind == "range" else f"_{kind}"
    return IndexSpec(f"{AUTO_PREFIX}{label}_{property_name}{suffix}".lower(), kind, label, (property_name,))


def advise(profiles: Iterable[PlanProfile]) -> tuple[Candidate, ...]:
    """The indexes that these plans ask for, the one that may save most first."""
    found: dict[IndexSpec, Candidate] = {}
    for profile in profiles:
        of_plan = {candidate.index: candidate for candidate in _candidates(profile)}
        for index, candidate in of_plan.items():
            found[index] = found[index] + candidate if index in found else candidate
    return tuple(sorted(found.values(), key=lambda candidate: (-candidate.saved_hits, candidate.index.name)))


def used_indexes(profiles: Iterable[PlanProfile], indexes: Iterable[IndexSpec]) -> tuple[IndexSpec, ...]:
    """The indexes that the plans look things up in, by the label and property that their operators name."""
    seeks = [o.details for profile in profiles for o in profile.operators if "Index" in o.name]
    return tuple(index for index in indexes if any(_serves(index, details) for details in seeks))


def _serves(index: IndexSpec, details: str) -> bool:
    return f":{index.label}({', '.join(index.properties)})" in details


@dataclass(frozen=True)
class _Scan:
    label: str
    n_rows: int
    db_hits: int


def _candidates(profile: PlanProfile) -> Iterator[Candidate]:
    scans = _scans(profile)
    for operator in profile.operators:
        if operator.name != "Filter":
            continue
        for found in _PREDICATE.finditer(_CACHED.sub(r"\1", operator.details)):
            scan = scans.get(found["variable"])
            if scan and found["property"] not in NOT_INDEXED:
                kind = "text" if found["operator"] in _TEXT_OPERATORS else "range"
                dropped = max(0.0, 1 - operator.n_rows / max(1, scan.n_rows))
                saved = dropped * (scan.db_hits + operator.db_hits)
                yield Candidate(auto_index(scan.label, found["property"], kind), saved, profile.db_hits)


def _scans(profile: PlanProfile) -> Mapping[str, _Scan]:
    """Variables that a label scan, or an all-node scan with a label in a filter, fills."""
    scans: dict[str, _Scan] = {}
    for operator in profile.operators:
        if operator.name == "NodeByLabelScan" and (found := _SCANNED.match(operator.details)):
            scans[found["variable"]] = _Scan(found["label"], operator.n_rows, operator.db_hits)
        if operator.name == "AllNodesScan":
            scans |= _labelled(profile.operators, operator)
    return scans


def _labelled(operators: Iterable[PlanOperator], scan: PlanOperator) -> dict[str, _Scan]:
    filters = (operator.details for operator in operators if operator.name == "Filter")
    found = (match for details in filters for match in _LABELLED.finditer(details))
    labels = {match["variable"]: match["label"] for match in found if match["variable"] == scan.details}
    return {variable: _Scan(label, scan.n_rows, scan.db_hits) for variable, label in labels.items()}
