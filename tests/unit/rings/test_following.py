"""A small change of the input changes little: communities are followed, and never against a fresh run."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from sklearn.metrics import adjusted_rand_score

from terag_pipelines.rings.communities import CommunityParams
from terag_pipelines.rings.detection import score_rings
from terag_pipelines.rings.following import (
    EarlierPartition,
    FollowedPartition,
    FollowParams,
    Search,
    follow_partition,
)
from terag_pipelines.rings.leiden import LeidenParams, find_partition, potts_quality
from terag_pipelines.rings.lineage import EarlierRings, communities_of, trace_rings
from terag_pipelines.rings.tie_graph import TieGraph, tie_graph
from terag_pipelines.tables import digest
from tests.unit.rings.disturbing import (
    Ties,
    disturb_tables,
    disturb_ties,
    make_town,
    name_calibrated,
    place_labels,
    plant_ties,
)
from tests.unit.rings.test_lineage import as_members, events_of, leave

AT = CommunityParams(resolution=0.1)


def graph_of(ties: Ties) -> TieGraph:
    return tie_graph(len(ties.ids), *(ties.edges[name].to_numpy() for name in ("left", "right", "weight")))


@pytest.mark.parametrize(("n_outside", "seed"), [(1.0, 1), (1.0, 2), (2.0, 3)])
def test_rings_keep_their_ids_when_some_nodes_change(n_outside: float, seed: int) -> None:
    """1.5% of nodes: 95% of ids or more are kept; the partition is as good as a fresh one, and like it."""
    before = plant_ties(3_000, 12, seed, n_outside)
    first = before.communities(AT)
    rings = trace_rings(as_members(before.groups(first)), "one")
    after = disturb_ties(before, seed)
    followed = after.communities(AT, place_labels(after, before, first))
    now = trace_rings(as_members(after.groups(followed)), "two", leave(rings))
    kept = set(rings.ids.values()) & set(now.ids.values())
    assert len(kept) >= 0.95 * len(rings.ids) >= 200
    assert followed.followed is not None
    assert followed.followed.way == "everywhere"
    fresh = after.communities(AT)
    assert adjusted_rand_score(fresh.membership, followed.membership) >= 0.95
    graph = graph_of(after)
    worth, of_fresh = (potts_quality(graph, one.membership, 0.1) for one in (followed, fresh))
    assert worth >= 0.999 * of_fresh
    assert adjusted_rand_score(*_of_both(before, first.membership, after, followed.membership)) >= 0.95


def _of_both(
    before: Ties, label: np.ndarray, after: Ties, label_after: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The labels of the nodes that are in both graphs."""
    _, one, other = np.intersect1d(before.ids, after.ids, return_indices=True)
    return label[one], label_after[other]


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_rings_of_a_bank_keep_their_ids_when_some_clients_change(seed: int) -> None:
    """1.5% of a bank's accounts: its communities are hardly clear, and 95% of its rings keep their ids."""
    tables = make_town(3_000, 30).tables()
    detection = score_rings(tables)
    named = name_calibrated(detection, tables)
    rings = trace_rings(named.members, "one")
    earlier = EarlierRings(communities_of(detection.scores), rings.traces, rings.history)
    later = disturb_tables(tables, seed)
    again = score_rings(later, earlier=earlier)
    now = trace_rings(name_calibrated(again, later).members, "two", earlier)
    kept = set(rings.ids.values()) & set(now.ids.values())
    assert len(kept) >= 0.95 * len(rings.ids) >= 28
    assert again.report.agreement_with_fresh >= 0.95
    assert again.report.quality_beside_fresh >= 0.999


def test_the_same_bank_again_gives_the_same_communities_and_only_continued_rings() -> None:
    tables = make_town(3_000, 30).tables()
    detection = score_rings(tables)
    rings = trace_rings(name_calibrated(detection, tables).members, "one")
    earlier = EarlierRings(communities_of(detection.scores), rings.traces, rings.history)
    again = score_rings(tables, earlier=earlier)
    assert digest(communities_of(again.scores)) == digest(earlier.communities)
    now = trace_rings(name_calibrated(again, tables).members, "two", earlier)
    assert set(events_of(now).values()) == {"continued"}
    assert now.ids == rings.ids


def test_a_partition_that_has_become_stale_is_not_kept() -> None:
    """Half of two communities has changed sides: the fresh communities are found from the old ones."""
    old, new = np.arange(40) // 20, (np.arange(40) + 10) % 40 // 20
    left, right = np.triu_indices(40, k=1)
    inside = new[left] == new[right]
    graph = tie_graph(40, left[inside], right[inside])
    found = follow(graph, EarlierPartition(old, np.zeros(40, dtype=bool)))
    assert adjusted_rand_score(found.label, new) == 1.0


def test_what_a_fresh_run_contradicts_is_not_followed() -> None:
    """All in one community to begin with and no iteration to leave it: the fresh run is taken."""
    ties = plant_ties(240, 12, 4)
    stale = EarlierPartition(np.zeros(240, dtype=np.int64), np.ones(240, dtype=bool))
    fresh = find_partition(graph_of(ties), LeidenParams("CPM", 0.1, 4))
    stuck = Search(graph_of(ties), LeidenParams("CPM", 0.1, 0))
    taken = follow_partition(stuck, fresh, stale)
    assert (taken.way, taken.agreement, taken.quality) == ("not at all", 1.0, 1.0)
    assert np.array_equal(taken.label, fresh)
    careless = follow_partition(stuck, fresh, stale, FollowParams(-1.0, -1e9))
    assert careless.way == "everywhere"
    assert len(np.unique(careless.label)) == 1


def test_where_communities_are_not_clear_only_those_of_rings_are_followed() -> None:
    """Ties at random: two runs hardly agree, but the communities of a few nodes can be held."""
    rng = np.random.default_rng(5)
    ties = Ties(np.array([f"e:{one:04d}" for one in range(1_500)]), rng.integers(0, 1_500, (3_000, 2)))
    graph = graph_of(ties)
    earlier, fresh = (find_partition(graph, LeidenParams("CPM", 0.05, -1, seed)) for seed in (1, 2))
    in_ring = np.isin(earlier, rng.permutation(earlier.max())[:3])
    search = Search(graph, LeidenParams("CPM", 0.05, -1, 2))
    found = follow_partition(search, fresh, EarlierPartition(earlier.astype(np.int64), in_ring))
    assert adjusted_rand_score(earlier, fresh) < 0.9
    assert found.way == "around rings"
    assert found.agreement >= 0.95
    inside = adjusted_rand_score(earlier[in_ring], found.label[in_ring])
    assert inside > adjusted_rand_score(earlier[in_ring], fresh[in_ring])


def test_nothing_earlier_leaves_the_fresh_partition() -> None:
    ties = plant_ties(240, 12, 6)
    unknown = EarlierPartition(np.full(240, -1), np.zeros(240, dtype=bool))
    found = ties.communities(AT, unknown)
    assert found.followed is not None
    assert found.followed.way == "not at all"
    assert np.array_equal(found.membership, ties.communities(AT).membership)


def test_modularity_is_followed_too() -> None:
    before = plant_ties(600, 12, 7)
    params = CommunityParams(objective="modularity", usual_resolution=1.0)
    first = before.communities(params)
    after = disturb_ties(before, 7)
    found = after.communities(params, place_labels(after, before, first))
    assert found.followed is not None
    assert found.followed.quality >= 0.999


def test_an_empty_bank_follows_nothing() -> None:
    empty = pa.table({"ring_id": pa.array([], pa.string()), "entity_id": pa.array([], pa.string())})
    rings = trace_rings(empty, "one")
    earlier = EarlierRings(communities_of(score_rings({}).scores), rings.traces, rings.history)
    assert score_rings({}, earlier=earlier).report.followed == "nothing earlier"


def follow(graph: TieGraph, earlier: EarlierPartition) -> FollowedPartition:
    params = LeidenParams("CPM", 0.1, 4)
    return follow_partition(Search(graph, params), find_partition(graph, params), earlier)


def test_a_fresh_run_that_is_worth_nothing_is_compared_all_the_same() -> None:
    """Two triangles in one community have a modularity of nought."""
    graph = tie_graph(6, *np.array([(0, 1), (1, 2), (0, 2), (3, 4), (4, 5), (3, 5)]).T, np.ones(6))
    search = Search(graph, LeidenParams(resolution=1.0, objective="modularity"))
    earlier = EarlierPartition(np.repeat(np.arange(2), 3), np.ones(6, dtype=bool))
    one = np.zeros(6, dtype=np.int64)
    followed = follow_partition(search, one, earlier, FollowParams(least_agreement=-1.0))
    assert followed.label.tolist() == [0, 0, 0, 1, 1, 1]
    assert follow_partition(search, one, earlier).way == "not at all"
