"""Reads executed plans: where rows come from, and what a later filter asks of them.

The store gives each operator's work as text (`a.bank = $bank AND ...`), which is all that Neo4j Community
tells of it. What is not understood is left out: then nothing is advised, never something wrong.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from terag_pipelines.tuning.ports import NODE, RELATIONSHIP, PlanOperator, PlanProfile

EQUAL, RANGE, TEXT, POINT, FUNCTION = "equal", "range", "text", "point", "function"
"""What a predicate asks: one of some values, an interval, a part of a text, a place, a function's result."""

_NAME = r"[A-Za-z_][A-Za-z0-9_]*"
_CACHED = re.compile(r"cache[A-Za-z]*\[([^\]]*)\]")
_COMPARED = re.compile(
    rf"(?P<variable>{_NAME})\.(?P<property>{_NAME})\s*"
    r"(?P<operator>>=|<=|=(?!~)|<|>|STARTS WITH\b|ENDS WITH\b|CONTAINS\b|IN\b)\s*(?P<value>.+)\Z",
    re.DOTALL,
)
_PLACED = re.compile(rf"point\.(?:distance|withinBBox)\((?P<variable>{_NAME})\.(?P<property>{_NAME}),")
_COMPUTED = re.compile(
    rf"(?:(?:toLower|toUpper|trim)\()?(?P<variable>{_NAME})\.(?P<property>{_NAME})\)?\s*"
    r"(?:=~|=|STARTS WITH\b|ENDS WITH\b|CONTAINS\b|IN\b)"
)
_NODE_SCAN = re.compile(rf"(?P<variable>{_NAME}):(?P<token>{_NAME})\Z")
_LABELLED = re.compile(rf"(?P<variable>{_NAME}):(?P<token>{_NAME})\Z")
_RELATIONSHIP = re.compile(
    rf"\([^)]*\)<?-\[(?P<variable>{_NAME}):(?P<token>{_NAME})(?:\((?P<properties>[^)]*)\))?\]->?\("
)
_NODE_SEEK = re.compile(rf"RANGE INDEX (?P<variable>{_NAME}):(?P<token>{_NAME})\((?P<properties>[^)]*)\)")
_SOUGHT = re.compile(rf"(?P<property>{_NAME})\s*(?P<operator>>=|<=|=|<|>|STARTS WITH\b|IN\b)")
_KINDS = {"=": EQUAL, "IN": EQUAL, "ENDS WITH": TEXT, "CONTAINS": TEXT}
_RELATIONSHIP_SCANS = frozenset(
    {"DirectedRelationshipTypeScan", "UndirectedRelationshipTypeScan", "Expand(All)"}
)


@dataclass(frozen=True)
class Predicate:
    """What a filter asks of one property of a variable."""

    variable: str
    property_name: str
    kind: str


@dataclass(frozen=True)
class Source:
    """Where a variable's rows come from: all of a label or type (`token`), or a range index's `sought`."""

    element: str
    token: str
    n_rows: int
    db_hits: int
    sought: tuple[Predicate, ...] = ()


@dataclass(frozen=True)
class FilteredSource:
    """Rows of one source of which a filter lets `kept_share` through; `db_hits`: what both cost."""

    source: Source
    predicates: tuple[Predicate, ...]
    kept_share: float
    db_hits: int


def filtered_sources(profile: PlanProfile) -> Iterator[FilteredSource]:
    """Each filter of the plan with each source whose rows it looks at."""
    found = _sources(profile)
    for operator in profile.operators:
        if operator.name == "Filter":
            yield from _filtered(operator, found)


def _filtered(operator: PlanOperator, found: dict[str, Source]) -> Iterator[FilteredSource]:
    asked = [p for text in conjuncts(operator.details) if (p := predicate_of(text)) is not None]
    for variable in sorted({p.variable for p in asked} & found.keys()):
        source = found[variable]
        kept = min(1.0, operator.n_rows / max(1, source.n_rows))
        of_variable = tuple(p for p in asked if p.variable == variable)
        yield FilteredSource(source, of_variable, kept, source.db_hits + operator.db_hits)


def conjuncts(details: str) -> list[str]:
    """The parts of a condition that must all hold, without the parentheses around them."""
    text = _without_parentheses(_CACHED.sub(r"\1", details).strip())
    parts = _split(text, " AND ")
    is_whole = len(parts) == 1 or len(_split(text, " OR ")) > 1  # OR binds less than AND
    return [text] if is_whole else [inner for part in parts for inner in conjuncts(part)]


def predicate_of(text: str) -> Predicate | None:
    """What one condition asks of one property; None for what no index could serve, not even another query's.

    A property that is compared with another of the same variable is not looked up in an index.
    """
    if len(_split(text, " OR ")) > 1:
        return None
    if found := _COMPARED.match(text):
        if re.search(rf"\b{found['variable']}\.", found["value"]):
            return None
        return Predicate(found["variable"], found["property"], _KINDS.get(found["operator"], RANGE))
    if found := _PLACED.match(text):
        return Predicate(found["variable"], found["property"], POINT)
    if found := _COMPUTED.match(text):
        return Predicate(found["variable"], found["property"], FUNCTION)
    return None


def _sources(profile: PlanProfile) -> dict[str, Source]:
    """By variable."""
    found: dict[str, Source] = {}
    for operator in profile.operators:
        if operator.name == "AllNodesScan":
            found |= _labelled(profile, operator)
        elif (source := _source(operator)) is not None:
            found[source[0]] = source[1]
    return found


def _source(operator: PlanOperator) -> tuple[str, Source] | None:
    cost = (operator.n_rows, operator.db_hits)
    if operator.name.endswith("NodeByLabelScan") and (found := _NODE_SCAN.match(operator.details)):
        return found["variable"], Source(NODE, found["token"], *cost)
    if operator.name in _RELATIONSHIP_SCANS and (found := _RELATIONSHIP.match(operator.details)):
        return found["variable"], Source(RELATIONSHIP, found["token"], *cost)
    if operator.name.startswith("NodeIndexSeek") and (found := _NODE_SEEK.match(operator.details)):
        return found["variable"], Source(NODE, found["token"], *cost, sought=_sought(operator, found))
    text = operator.details.removeprefix("RANGE INDEX ")
    if "RelationshipIndexSeek" in operator.name and (found := _RELATIONSHIP.match(text)):
        return found["variable"], Source(RELATIONSHIP, found["token"], *cost, sought=_sought(operator, found))
    return None


def _sought(operator: PlanOperator, index: re.Match[str]) -> tuple[Predicate, ...]:
    """How the properties of an index are looked up."""
    _, _, condition = operator.details.partition(" WHERE ")
    kinds = {p["property"]: _KINDS.get(p["operator"], RANGE) for p in _SOUGHT.finditer(condition)}
    names = [name.strip() for name in index["properties"].split(",")]
    return tuple(Predicate(index["variable"], name, kinds.get(name, RANGE)) for name in names)


def _labelled(profile: PlanProfile, scan: PlanOperator) -> dict[str, Source]:
    """An all-node scan with a label in a filter."""
    filters = (operator.details for operator in profile.operators if operator.name == "Filter")
    found = (_LABELLED.match(text) for details in filters for text in conjuncts(details))
    return {
        match["variable"]: Source(NODE, match["token"], scan.n_rows, scan.db_hits)
        for match in found
        if match and match["variable"] == scan.details
    }


def _without_parentheses(text: str) -> str:
    while text.startswith("(") and _closing(text) == len(text) - 1:
        text = text[1:-1].strip()
    return text


def _closing(text: str) -> int:
    """Where the parenthesis that the text starts with is closed."""
    depth = 0
    for place, character in enumerate(text):
        depth += (character in "([{") - (character in ")]}")
        if depth == 0:
            return place
    return -1


def _split(text: str, separator: str) -> list[str]:
    """The parts between separators that stand in no parentheses."""
    parts, depth, start = [], 0, 0
    for place, character in enumerate(text):
        depth += (character in "([{") - (character in ")]}")
        if depth == 0 and text.startswith(separator, place):
            parts.append(text[start:place])
            start = place + len(separator)
    return [*parts, text[start:]]
