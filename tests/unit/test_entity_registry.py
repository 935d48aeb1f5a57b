"""What a batch takes over from the last one of its source, and that repeating it changes nothing."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

import pytest

from resources import parquet_lake
from resources.entity_registry import EntityRegistry
from resources.parquet_lake import ParquetLake
from terag_pipelines.linking.clusters import resolve_entities
from terag_pipelines.linking.pipeline import link_records
from terag_pipelines.rings.lineage import EarlierRings
from terag_pipelines.rings.model import RING_COMMUNITIES, RING_HISTORY, RING_TRACES
from tests.unit.linking.records import make_records

ANNA = {"given_key": "anna", "family_key": "kim", "phones": ["+77010000001"], "emails": ["a.kim@mail.kz"]}


def serve(registry: EntityRegistry, content: str, rows: list[dict[str, object]]) -> list[str]:
    """One batch from its beginning to its promotion; gives the entity of each record."""
    registry.begin(content)
    records, earlier = make_records(rows), registry.earlier()
    linked = link_records(records)
    resolved = resolve_entities(records, linked.links, linked.scores.scores, earlier=earlier)
    registry.note(content, records, resolved.members)
    ids: list[str] = resolved.members["entity_id"].to_pylist()
    return ids


def test_a_first_batch_takes_over_nothing(tmp_path: Path) -> None:
    registry = EntityRegistry(ParquetLake(tmp_path), "bank")
    registry.begin("one")
    assert registry.earlier() is None
    assert registry.digest() == ""


def test_the_next_content_takes_over_the_last_entities(tmp_path: Path) -> None:
    registry = EntityRegistry(ParquetLake(tmp_path), "bank")
    first = serve(registry, "one", [{}, ANNA, ANNA])
    second = serve(registry, "two", [ANNA, ANNA, ANNA])
    assert second == [first[0]] * 3


def test_the_same_content_again_takes_over_the_same(tmp_path: Path) -> None:
    registry = EntityRegistry(ParquetLake(tmp_path), "bank")
    serve(registry, "one", [{}, ANNA, ANNA])
    second, digest = serve(registry, "two", [ANNA, ANNA, ANNA]), registry.digest()
    assert serve(registry, "two", [ANNA, ANNA, ANNA]) == second
    assert registry.digest() == digest != ""


def test_a_batch_that_was_never_served_is_not_taken_over(tmp_path: Path) -> None:
    registry = EntityRegistry(ParquetLake(tmp_path), "bank")
    first = serve(registry, "one", [ANNA, ANNA])
    registry.begin("two")
    digest = registry.digest()
    registry.begin("two")
    assert registry.digest() == digest
    registry.begin("three")
    earlier = registry.earlier()
    assert earlier is not None
    assert earlier.members["entity_id"].to_pylist() == first


def test_sources_do_not_take_over_from_each_other(tmp_path: Path) -> None:
    lake = ParquetLake(tmp_path)
    serve(EntityRegistry(lake, "bank"), "one", [ANNA, ANNA])
    other = EntityRegistry(lake, "telecom")
    other.begin("two")
    assert other.earlier() is None


def test_rings_are_taken_over_with_the_entities_and_are_part_of_the_digest(tmp_path: Path) -> None:
    registry, records = EntityRegistry(ParquetLake(tmp_path), "bank"), make_records([ANNA, ANNA])
    members, digests = link_records(records).members, set()
    for number, ring in enumerate((None, "ring_a", "ring_b")):
        left = EarlierRings(
            RING_COMMUNITIES.from_columns(entity_id=["e"], community_id=["e"]),
            RING_TRACES.from_columns(ring_id=[ring], entity_id=["e"], batch_number=[1]) if ring else None,
            RING_HISTORY.empty(),
        )
        registry.note(f"content {number}", records, members, left if ring else None)
        registry.begin(f"after {number}")
        found = registry.earlier_rings()
        assert (found.traces["ring_id"].to_pylist() if found else None) == ([ring] if ring else None)
        digests.add(registry.digest())
    assert len(digests) == 3


class Killed(BaseException):
    """Ends a writer in the middle, as a kill does."""


@pytest.mark.parametrize("step", range(1, 12))
def test_a_killed_writer_leaves_the_old_entities_or_the_new_and_no_rubbish(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    """Ends the writer before the nth time that something is forced to disk; the last is not reached."""
    registry = EntityRegistry(ParquetLake(tmp_path), "bank")
    first, second = serve(registry, "one", [ANNA, ANNA]), make_records([ANNA, ANNA, ANNA])
    after = link_records(second).members
    n_left = step

    def fsync(descriptor: int, force: object = os.fsync) -> None:
        nonlocal n_left
        n_left -= 1
        if n_left == 0:
            raise Killed
        force(descriptor)  # type: ignore[operator]

    with monkeypatch.context() as patch:
        patch.setattr(parquet_lake.os, "fsync", fsync)
        with suppress(Killed):
            registry.note("two", second, after)
    registry.begin("three")
    earlier = registry.earlier()
    assert earlier is not None
    found = earlier.members["entity_id"].to_pylist()
    assert found in (first, after["entity_id"].to_pylist())
    assert earlier.records.num_rows == earlier.members.num_rows == len(found)
    serve(registry, "four", [ANNA, ANNA, ANNA])
    assert len(list(tmp_path.glob("entities-*/"))) <= 3


def test_entities_that_nobody_reads_any_more_are_removed(tmp_path: Path) -> None:
    registry = EntityRegistry(ParquetLake(tmp_path), "bank")
    for number in range(6):
        serve(registry, f"content {number}", [ANNA] * (number + 1))
    assert len(list(tmp_path.glob("entities-*/"))) == 2
