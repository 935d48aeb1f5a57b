"""Doubt and blocks of rings as Dagster makes them: after the rings, and before the review queue."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import dagster as dg
import pyarrow as pa

from assets import reviews, ring_cases
from assets.promotion import upstream_keys
from resources.bindings import SourceResource
from terag_pipelines.calibration.model import CALIBRATORS
from terag_pipelines.definitions import defs
from terag_pipelines.linking.model import LINK_MODEL, LINKS, PAIR_DECISIONS, PAIR_SCORES
from terag_pipelines.rings.model import RING_DOUBT, RING_INTERDICTIONS, RING_MEMBER_DOUBT, RING_WINDOWS
from tests.unit.rings.test_doubt import Case, hanging
from tests.unit.rings.worlds import World

DOUBT = ("ring_doubt", "ring_member_doubt")


Doubted = tuple[dg.Output[pa.Table], dg.Output[pa.Table]]


def tables_of(case: Case, names: Sequence[str]) -> dict[str, pa.Table]:
    return {name: case.tables.get(name, RING_WINDOWS.empty()) for name in names}


def doubted(
    case: Case, decisions: pa.Table, source: SourceResource
) -> tuple[dg.Output[pa.Table], dg.Output[pa.Table]]:
    rings, members = ring_cases.doubted_rings(
        source=source,
        fraud_rings=case.named.rings,
        ring_members=case.named.members,
        ring_calibrators=CALIBRATORS.empty(),
        links=case.links,
        pair_decisions=decisions,
        **tables_of(case, ring_cases.SCORED),
    )
    return rings, members


def test_the_doubt_of_a_batch_is_told_without_record_ids(source: SourceResource) -> None:
    rings, members = doubted(hanging(), PAIR_DECISIONS.empty(), source)
    assert RING_DOUBT.conform(rings.value).equals(rings.value)
    assert RING_MEMBER_DOUBT.conform(members.value).num_rows == 3
    shown = {name: str(value.value) for name, value in rings.metadata.items()}
    assert "fall apart without one of them: 1" in shown["note"]
    assert str(rings.value["ring_id"][0]) in shown["most_fragile"]
    assert "p:1" not in str(shown)
    assert rings.value["n_worlds"].to_pylist() == [2]


def test_what_people_decided_is_certain(source: SourceResource) -> None:
    same = PAIR_DECISIONS.from_columns(left_id=["p:1"], right_id=["p:2"], is_match=[True])
    rings, _ = doubted(hanging(), same, source)
    assert rings.value["n_uncertain_links"].to_pylist() == [0]


def test_blocks_are_planned_and_told() -> None:
    world = World(12)
    for mule in (1, 2, 3):
        world.pay(mule, 0, 1_000_000, mule)
    case = Case(world, [], [0, 1, 2, 3])
    planned = ring_cases.ring_interdictions(
        case.named.rings, case.named.members, **tables_of(case, ring_cases.TABLES)
    )
    assert RING_INTERDICTIONS.conform(planned.value)["account_id"].to_pylist() == ["a0"]
    assert "accounts to block: 1, in 1 of 1 ring" in str(planned.metadata["note"].value)


def test_the_link_that_a_ring_hangs_on_is_first_in_the_queue(source: SourceResource) -> None:
    """A pair of more bits and more impact waits behind it."""
    case = hanging(0.97)
    doubt, _ = doubted(case, PAIR_DECISIONS.empty(), source)
    pairs: dict[str, Any] = {"left_id": ["p:1", "p:4"], "right_id": ["p:2", "p:5"]}
    scores = PAIR_SCORES.from_columns(**pairs, match_weight=[5.0, 0.0], match_probability=[0.97, 0.5])
    given = (case.tables["entity_records"], scores, LINK_MODEL.empty(), LINKS.conform(case.links))
    decided, calibrators = PAIR_DECISIONS.empty(), CALIBRATORS.empty()
    queue = reviews.review_queue(
        *given, case.tables["entity_members"], decided, calibrators, case.named.rings, doubt.value
    ).value
    first, second = sorted(queue.to_pylist(), key=lambda row: int(row["rank"]))
    assert (first["left_id"], second["left_id"]) == ("p:1", "p:4")
    assert first["priority"] < second["priority"]
    ring_id = case.named.rings["ring_id"][0].as_py()
    assert first["reason"].startswith(f"{ring_id} falls apart without it; 97% likely")


def test_the_queue_comes_after_the_rings_and_all_of_it_before_promotion() -> None:
    graph = defs.resolve_asset_graph()
    above = {key.path[-1] for key in graph.get(dg.AssetKey("review_queue")).parent_keys}
    assert {"ring_doubt", "fraud_rings"} <= above
    made = {key.path[-1] for key in upstream_keys()}
    assert {*DOUBT, "ring_interdictions", "review_queue"} <= made
