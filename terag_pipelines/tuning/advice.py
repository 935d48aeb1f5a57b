"""Which indexes executed plans ask for: rows that are read and then thrown away by a filter."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from math import prod

from terag_pipelines.tuning import plans
from terag_pipelines.tuning.plans import FilteredSource, Predicate, filtered_sources
from terag_pipelines.tuning.ports import AUTO_PREFIX, NODE, IndexSpec, PlanProfile

NOT_INDEXED = frozenset({"batch_id", "key", "row_hash", "valid_from", "valid_to"})
"""Bookkeeping of the loader: nearly all rows share an interval, and keys have a constraint."""
RANGE_SHARE = 1 / 3
"""Rows that an interval is thought to leave where nothing is known of it (Selinger et al. 1979)."""
WIDTH_COST = 0.02
"""Each further property must save this share more: an index of more properties serves fewer queries."""
HITS_PER_WRITE = 2
"""Db hits that keeping an entry costs when its row is written, and one more for each property."""
FULL_TEXT = "full-text"

Distinct = Callable[[IndexSpec], int]
"""How many values the properties of an index have, at least one."""


@dataclass(frozen=True)
class ShapePlans:
    """Plans of a shape's sampled calls, and how often it was called in all."""

    n_calls: int
    profiles: tuple[PlanProfile, ...]


@dataclass(frozen=True)
class Candidate:
    """An index that executed plans ask for.

    `saved_hits`: db hits that it is thought to save of the `all_hits` of those shapes' calls.
    `most_share`: the largest share of a plan's db hits that it can save. `n_entries`: rows that it would
    hold. `shapes`: ids of those that ask for it.
    """

    index: IndexSpec
    saved_hits: float
    most_share: float
    all_hits: float
    n_entries: int
    shapes: tuple[str, ...]

    def __add__(self, other: Candidate) -> Candidate:
        """The same index asked for by another shape."""
        return Candidate(
            self.index,
            self.saved_hits + other.saved_hits,
            max(self.most_share, other.most_share),
            self.all_hits + other.all_hits,
            max(self.n_entries, other.n_entries),
            self.shapes + other.shapes,
        )

    def write_hits(self, written_share: float) -> float:
        """Db hits that keeping it costs when this share of its rows is written."""
        return self.n_entries * written_share * (HITS_PER_WRITE + len(self.index.properties))

    def worth(self, written_share: float) -> float:
        """Db hits saved less those of keeping it, for as many calls as were seen between two loads."""
        width = 1 - WIDTH_COST * (len(self.index.properties) - 1)
        return self.saved_hits * width - self.write_hits(written_share)


def auto_index(
    token: str, properties: str | Sequence[str], kind: str = "range", element: str = NODE
) -> IndexSpec:
    """The index as tuning would name it."""
    names = (properties,) if isinstance(properties, str) else tuple(properties)
    suffix = "" if kind == "range" else f"_{kind}"
    return IndexSpec(
        f"{AUTO_PREFIX}{token}_{'_'.join(names)}{suffix}".lower(), kind, token, names, element=element
    )


def advise(
    shapes: Mapping[str, ShapePlans], n_distinct: Distinct, written_share: float
) -> tuple[Candidate, ...]:
    """The indexes that these shapes ask for, by shape_id; the one of most worth for all of them first."""
    found: dict[IndexSpec, Candidate] = {}
    for candidate in chain.from_iterable(_of_shape(shape, shapes[shape], n_distinct) for shape in shapes):
        known = found.get(candidate.index)
        found[candidate.index] = known + candidate if known else candidate
    return tuple(sorted(found.values(), key=lambda c: (-c.worth(written_share), c.index.name)))


def full_text_advice(profiles: Iterable[PlanProfile]) -> tuple[IndexSpec, ...]:
    """Texts that plans ask through a function or pattern: only a full-text index, asked by name, serves them.

    No trial can show it, as the query itself must be written otherwise.
    """
    asked = {
        auto_index(found.source.token, predicate.property_name, FULL_TEXT, found.source.element)
        for profile in profiles
        for found in filtered_sources(profile)
        for predicate in found.predicates
        if predicate.kind == plans.FUNCTION
    }
    return tuple(sorted(asked, key=lambda index: index.name))


def used_indexes(profiles: Iterable[PlanProfile], indexes: Iterable[IndexSpec]) -> tuple[IndexSpec, ...]:
    """The indexes that the plans look things up in, by what their operators name."""
    seeks = [o.details for profile in profiles for o in profile.operators if "Index" in o.name]
    return tuple(index for index in indexes if any(_serves(index, details) for details in seeks))


def _serves(index: IndexSpec, details: str) -> bool:
    named = f":{index.label}({', '.join(index.properties)})" in details
    return named and (details.startswith(index.kind.upper()) or index.is_constraint)


def _of_shape(shape: str, given: ShapePlans, n_distinct: Distinct) -> Iterator[Candidate]:
    """Its candidates, for all its calls: as the sampled ones, on average."""
    found: dict[IndexSpec, Candidate] = {}
    for profile in given.profiles:
        of_plan = {c.index: c for source in filtered_sources(profile) for c in _of_source(source, n_distinct)}
        for index, candidate in of_plan.items():
            at_most = candidate.saved_hits / max(1, profile.db_hits)
            in_plan = replace(candidate, most_share=max(candidate.most_share, at_most))
            found[index] = found[index] + in_plan if index in found else in_plan
    calls = given.n_calls / max(1, len(given.profiles))
    all_hits = calls * sum(profile.db_hits for profile in given.profiles)
    for candidate in found.values():
        saved = calls * candidate.saved_hits
        yield replace(candidate, saved_hits=saved, all_hits=all_hits, shapes=(shape,))


def _of_source(found: FilteredSource, n_distinct: Distinct) -> Iterator[Candidate]:
    """Indexes that would serve a filter over a source, one property at a time and together."""
    asked = _distinct_properties(found.predicates)
    for predicate in asked:
        if predicate.kind in (plans.TEXT, plans.POINT):
            yield _candidate(found, _index(found, [predicate], predicate.kind), found.kept_share)
    in_order = [p for p in asked if p.kind in (plans.EQUAL, plans.RANGE)]
    if not found.source.sought:
        for predicate in in_order:
            yield _estimated(found, [predicate], len(in_order), n_distinct)
    together = _composite(_distinct_properties((*found.source.sought, *in_order)))
    is_new = len(together) > max(1, len(found.source.sought)) and in_order
    if is_new and all(p in together for p in found.source.sought):
        yield _estimated(found, together, len(together), n_distinct)


def _estimated(
    found: FilteredSource, predicates: Sequence[Predicate], n_asked: int, n_distinct: Distinct
) -> Candidate:
    """With what all predicates were seen to keep; with what one of several is thought to keep."""
    index = _index(found, predicates, "range")
    if len(predicates) == n_asked:
        return _candidate(found, index, found.kept_share)
    thought = prod(
        1 / n_distinct(_index(found, [p], "range")) if p.kind == plans.EQUAL else RANGE_SHARE
        for p in predicates
    )
    return _candidate(found, index, max(found.kept_share, thought))


def _candidate(found: FilteredSource, index: IndexSpec, kept_share: float) -> Candidate:
    saved = (1 - kept_share) * found.db_hits
    return Candidate(index, saved, 0.0, 0.0, found.source.n_rows, ())


def _index(found: FilteredSource, predicates: Sequence[Predicate], kind: str) -> IndexSpec:
    names = [predicate.property_name for predicate in predicates]
    return auto_index(found.source.token, names, kind, found.source.element)


def _composite(predicates: Sequence[Predicate]) -> list[Predicate]:
    """Equalities first, then one interval: an index goes no further behind one."""
    equal = sorted((p for p in predicates if p.kind == plans.EQUAL), key=lambda p: p.property_name)
    return [*equal, *[p for p in predicates if p.kind == plans.RANGE][:1]]


def _distinct_properties(predicates: Sequence[Predicate]) -> list[Predicate]:
    """One predicate for each property that may be indexed; two ends of an interval are one."""
    by_name = {p.property_name: p for p in reversed(predicates) if p.kind != plans.FUNCTION}
    return [p for name, p in sorted(by_name.items()) if name not in NOT_INDEXED]
