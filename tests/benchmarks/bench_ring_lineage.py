"""Rings over time: planted months replayed, and ids kept when 1.5% of nodes change; plain overlap beside it.

python -m tests.benchmarks.bench_ring_lineage [nodes]: a planted graph of 100,000 nodes by default.

The peer finds communities afresh each time, and a ring takes the id of the earlier one it has most members in
common with; of several rings that want one id the first gets it. It knows births, deaths and sizes, but no
mergers and no splits: of the events of the replay only the others can be right.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable

import pyarrow as pa
from sklearn.metrics import adjusted_rand_score

from terag_pipelines.rings.communities import Communities, CommunityParams
from terag_pipelines.rings.detection import score_rings
from terag_pipelines.rings.leiden import potts_quality
from terag_pipelines.rings.lineage import EarlierRings, communities_of, trace_rings
from terag_pipelines.rings.model import RING_COMMUNITIES
from terag_pipelines.rings.portraits import identify_ring
from terag_pipelines.rings.tie_graph import tie_graph
from tests.benchmarks.measuring import Cost, measured, tell, total
from tests.unit.rings.disturbing import (
    Ties,
    disturb_tables,
    disturb_ties,
    make_town,
    name_calibrated,
    place_labels,
    plant_ties,
)
from tests.unit.rings.ring_months import Event, Town, find_rings

PACKAGES = ("numba", "numpy", "polars", "scikit-learn")
AT = CommunityParams(resolution=0.1)
SEEDS = (1, 2, 3)
N_TOWNS = 10
Rings = dict[str, set[str]]
Told = Callable[[list[list[str]]], tuple[Rings, dict[str, tuple[str, frozenset[str]]]]]


class OurIds:
    """Ids and events by `trace_rings`, one window after the other."""

    def __init__(self) -> None:
        self.earlier: EarlierRings | None = None

    def __call__(self, groups: list[list[str]]) -> tuple[Rings, dict[str, tuple[str, frozenset[str]]]]:
        lineage = trace_rings(as_table(groups), "batch", self.earlier)
        self.earlier = EarlierRings(RING_COMMUNITIES.empty(), lineage.traces, lineage.history)
        events = {
            row["ring_id"]: (row["event"], frozenset(row["other_ring_ids"]))
            for row in lineage.events.to_pylist()
        }
        return {lineage.ids[identify_ring(group)]: set(group) for group in groups}, events


class PlainIds:
    """Ids by the largest overlap with the window before, and what can be told of that alone."""

    def __init__(self) -> None:
        self.before: Rings = {}

    def __call__(self, groups: list[list[str]]) -> tuple[Rings, dict[str, tuple[str, frozenset[str]]]]:
        ring_of = {one: ring for ring, members in self.before.items() for one in members}
        now: Rings = {}
        for group in sorted(groups):
            common = Counter(ring_of[one] for one in group if one in ring_of)
            wanted = max(common, key=lambda ring: (common[ring], ring)) if common else ""
            now[wanted if wanted and wanted not in now else identify_ring(group)] = set(group)
        events = {
            ring: (self._event(ring, now), frozenset[str]()) for ring in now.keys() | self.before.keys()
        }
        self.before = now
        return now, events

    def _event(self, ring: str, now: Rings) -> str:
        n_then, n_now = len(self.before.get(ring, ())), len(now.get(ring, ()))
        if not n_then or not n_now:
            return "died" if n_then else "born"
        return "grew" if n_now > 1.1 * n_then else "shrank" if n_now < 0.9 * n_then else "continued"


def as_table(groups: list[list[str]]) -> pa.Table:
    """ring_id and entity_id of rings by their members."""
    rows = [(identify_ring(group), one) for group in groups for one in group]
    return pa.table({"ring_id": [row[0] for row in rows], "entity_id": [row[1] for row in rows]})


def replay(peer: str, make: Callable[[], Told], is_followed: bool) -> None:
    """Twelve months of several towns: how many events, and ids of rings, are those of the truth."""
    n_events = n_right = n_rings = n_same = 0
    costs: list[Cost] = []
    for seed in range(N_TOWNS):
        naming, name_of = make(), dict[str, str]()
        for month in find_rings(Town(3_000, seed), is_followed=is_followed):
            (rings, events), cost = measured(lambda: naming(month.found))  # noqa: B023 - run at once
            costs.append(cost)
            named = {frozenset(f"e:{one:05d}" for one in who): name for name, who in month.rings.items()}
            for ring, members in rings.items():
                planted = named.get(frozenset(members), "")
                n_same += name_of.setdefault(ring, planted) == planted
            n_rings += len(month.rings)
            told = {
                (name_of[ring], event, frozenset(name_of[other] for other in others))
                for ring, (event, others) in events.items()
            }
            n_right += len(told & _truth(month.truth))
            n_events += len(month.truth)
    figures = {"n_events": n_events, "n_events_right": n_right, "n_rings": n_rings, "n_ids_right": n_same}
    tell("ring lineage", "12 months replayed", total(costs), PACKAGES, peer, n_towns=N_TOWNS, **figures)


def _truth(events: list[Event]) -> set[tuple[str, str, frozenset[str]]]:
    return {(name, event, others) for name, event, _, others in events}


def disturb_graph(n_nodes: int) -> None:
    """Every community of a planted graph is a ring: ids kept, and how the partitions compare."""
    for seed in SEEDS:
        before = plant_ties(n_nodes, 12, seed, 2.0)
        after, first = disturb_ties(before, seed), before.communities(AT)
        earlier = place_labels(after, before, first)
        fresh, fresh_cost = measured(lambda: after.communities(AT))  # noqa: B023 - run at once
        followed, cost = measured(lambda: after.communities(AT, earlier))  # noqa: B023 - run at once
        ways = (("terag", followed, cost, OurIds()), ("plain best overlap", fresh, fresh_cost, PlainIds()))
        for peer, found, seconds, naming in ways:
            figures = compare_ids(naming, before.groups(first), after.groups(found))
            compared = {"ari_with_fresh": adjusted_rand_score(fresh.membership, found.membership)}
            compared["quality_of_fresh"] = worth(after, found) / worth(after, fresh)
            sizes = {"n_nodes": n_nodes, "seed": seed}
            tell(
                "ring lineage",
                "1.5% of nodes change",
                seconds,
                PACKAGES,
                peer,
                **sizes,
                **figures,
                **compared,
            )


def compare_ids(naming: Told, then: list[list[str]], now: list[list[str]]) -> dict[str, float]:
    """How many ids are kept, and how much those rings have in common with what they were."""
    before, after = naming(then)[0], naming(now)[0]
    kept = before.keys() & after.keys()
    overlaps = [len(before[one] & after[one]) / len(before[one] | after[one]) for one in kept]
    same = sum(overlap == 1 for overlap in overlaps)
    return {
        "n_rings": len(before),
        "kept_share": len(kept) / len(before),
        "unchanged_share": same / len(before),
        "mean_overlap": sum(overlaps) / max(1, len(overlaps)),
    }


def worth(ties: Ties, found: Communities) -> float:
    """The quality of a partition under the constant Potts model."""
    ends = (ties.edges[name].to_numpy() for name in ("left", "right", "weight"))
    return potts_quality(tie_graph(len(ties.ids), *ends), found.membership, found.resolution)


def disturb_bank(n_people: int, n_rings: int) -> None:
    """Rings as the product names them, from the tables of a bank some of whose clients change."""
    tables = make_town(n_people, n_rings).tables()
    detection = score_rings(tables)
    then = members_of(name_calibrated(detection, tables).members)
    lineage = trace_rings(as_table(then), "batch")
    earlier = EarlierRings(communities_of(detection.scores), lineage.traces, lineage.history)
    for seed in SEEDS:
        later = disturb_tables(tables, seed)
        for peer, past, naming in (("terag", earlier, OurIds()), ("plain best overlap", None, PlainIds())):
            found, cost = measured(lambda: score_rings(later, earlier=past))  # noqa: B023 - run at once
            now = members_of(name_calibrated(found, later).members)
            report, figures = found.report, compare_ids(naming, then, now)
            compared = {
                "followed": report.followed,
                "ari_with_fresh": report.agreement_with_fresh if past else 1.0,
            }
            sizes = {"n_people": n_people, "seed": seed}
            tell(
                "ring lineage",
                "1.5% of accounts change",
                cost,
                PACKAGES,
                peer,
                **sizes,
                **figures,
                **compared,
            )


def members_of(ring_members: pa.Table) -> list[list[str]]:
    """The rings of RING_MEMBERS by their members."""
    rings: dict[str, list[str]] = {}
    for row in ring_members.to_pylist():
        rings.setdefault(row["ring_id"], []).append(row["entity_id"])
    return list(rings.values())


def main(n_nodes: int) -> None:
    """Replays months, then disturbs a graph and a bank."""
    replay("terag", OurIds, is_followed=True)
    replay("plain best overlap", PlainIds, is_followed=False)
    disturb_graph(n_nodes)
    disturb_bank(6_000, 60)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000)
