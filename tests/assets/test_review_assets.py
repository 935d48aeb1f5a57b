"""Decisions reach the batch: they name it, hold the same for all of it, and are what the queue leaves out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar

import dagster as dg
import pyarrow as pa
import pytest

from assets import calibration, checks, ingestion, linking, reviews, ring_cases, rings
from resources import bindings
from resources.bindings import LakeIOManager, LakeResource, ReviewResource, SourceResource
from terag_pipelines.entities.model import ENTITY_RECORDS
from terag_pipelines.linking.decisions import decide_pair, undo_decision, write_decision
from terag_pipelines.linking.model import ENTITY_CHANGES, ENTITY_MEMBERS, PAIR_DECISIONS, REVIEW_QUEUE
from tests.unit.linking.memory_reviews import MemoryReviews

NOON = datetime(2026, 11, 3, 12, tzinfo=UTC)
NAMES = ["Айгүл Сәрсенова", "Нұрлан Ахметов", "Ольга Ким", "Ерлан Байжанов", "Лев Чернов", "Сауле Ибраева"]
MANIFEST = """\
name: tiny
country: KZ
currency: KZT
files:
  - {name: people, path: people.csv, holds: people, fields: {id: id, full_name: name, birth_date: born}}
"""
PAIR = ("people:0", "people:100")


class _InMemory(ReviewResource):
    log: ClassVar = MemoryReviews()

    @contextmanager
    def open(self) -> Iterator[Any]:
        yield self.log


@pytest.fixture
def lake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LakeResource]:
    monkeypatch.setenv("TERAG_HOME", str(tmp_path / "home"))
    bindings.settings.cache_clear()
    _InMemory.log = MemoryReviews()
    yield LakeResource()
    bindings.settings.cache_clear()


@pytest.fixture
def source(tmp_path: Path) -> SourceResource:
    """Each name twice, a hundred apart; the second time without a birth date or with quite another."""
    folder = tmp_path / "source"
    folder.mkdir()
    rows = [f"{n},{name},{1970 + n}-03-{11 + n}" for n, name in enumerate(NAMES)]
    rows += [f"{100 + n},{name},{'1989-09-01' if n % 2 else ''}" for n, name in enumerate(NAMES)]
    (folder / "people.csv").write_text("\n".join(["id,name,born", *rows]) + "\n")
    (folder / "source.yaml").write_text(MANIFEST)
    return SourceResource(folder=str(folder))


def run(
    source: SourceResource, lake: LakeResource, selection: Sequence[str] | None = None
) -> dg.ExecuteInProcessResult:
    resources = {
        "source": source,
        "lake": lake,
        "reviews": _InMemory(),
        "io_manager": LakeIOManager(source=source, lake=lake),
    }
    modules = dg.load_assets_from_modules([reviews, ingestion, linking, rings, ring_cases])
    assets = [
        *modules,
        calibration.link_calibrators,
        calibration.ring_calibrators,
        *dg.load_asset_checks_from_modules([checks]),
    ]
    with dg.DagsterInstance.ephemeral() as instance:
        return dg.materialize(
            assets, resources=resources, instance=instance, selection=selection, raise_on_error=False
        )


def shelf_of(source: SourceResource, lake: LakeResource) -> dict[str, str]:
    return lake.open().digests(source.batch_shelf())


def metadata_of(result: dg.ExecuteInProcessResult, asset: str) -> dict[str, Any]:
    [event] = [e for e in result.get_asset_materialization_events() if e.asset_key == dg.AssetKey(asset)]
    return {name: value.value for name, value in event.materialization.metadata.items()}


def test_without_decisions_a_batch_is_that_of_its_source(source: SourceResource, lake: LakeResource) -> None:
    before = source.batch_id()
    assert run(source, lake).success
    assert source.batch_id() == before == source.version()
    assert lake.open().read(source.batch_shelf(), PAIR_DECISIONS).num_rows == 0
    assert "why_empty" not in metadata_of(run(source, lake), "pair_decisions")


def test_a_decision_makes_a_new_batch_and_leaves_the_one_that_is_read_alone(
    source: SourceResource, lake: LakeResource
) -> None:
    run(source, lake)
    old_shelf, old, version = source.batch_shelf(), shelf_of(source, lake), source.version()
    [first, *_] = lake.open().read(old_shelf, REVIEW_QUEUE).to_pylist()
    pair = (first["left_id"], first["right_id"])
    decide_pair(_InMemory.log, write_decision("1", pair, False, "Anna", NOON))
    assert source.batch_shelf() == old_shelf  # nothing moves until a refresh begins

    assert run(source, lake).success
    assert source.batch_shelf() != old_shelf
    assert source.version() == version  # a decision is no new source: it starts no run of its own
    assert lake.open().digests(old_shelf) == old
    queue = lake.open().read(source.batch_shelf(), REVIEW_QUEUE)
    assert pair not in set(zip(queue["left_id"].to_pylist(), queue["right_id"].to_pylist(), strict=True))
    assert lake.open().read(source.batch_shelf(), PAIR_DECISIONS)["decided_by"].to_pylist() == ["Anna"]

    undo_decision(_InMemory.log, "1", "Anna", NOON)
    run(source, lake)
    assert (source.batch_shelf(), shelf_of(source, lake)) == (old_shelf, old)


def serve(source: SourceResource, lake: LakeResource) -> None:
    """Notes the batch as its promotion does."""
    tables = (lake.open().read(source.batch_shelf(), schema) for schema in (ENTITY_RECORDS, ENTITY_MEMBERS))
    source.registry().note(source.settled_digest(), *tables)


def test_what_was_decided_alone_is_a_change_of_entities(source: SourceResource, lake: LakeResource) -> None:
    run(source, lake)
    serve(source, lake)
    before = lake.open().read(source.batch_shelf(), ENTITY_MEMBERS)
    decide_pair(_InMemory.log, write_decision("1", ("people:0", "people:1"), True, "Anna", NOON))
    for _ in range(2):  # repeated, it is the same batch
        run(source, lake)
        changes = lake.open().read(source.batch_shelf(), ENTITY_CHANGES).to_pylist()
        assert {row["change"]: row["cause"] for row in changes} == {
            "merged": "decision",
            "taken over": "decision",
        }
        serve(source, lake)
    undo_decision(_InMemory.log, "1", "Anna", NOON)
    run(source, lake)
    assert lake.open().read(source.batch_shelf(), ENTITY_MEMBERS).equals(before)
    [split] = [r for r in lake.open().read(source.batch_shelf(), ENTITY_CHANGES).to_pylist()
               if r["change"] == "split"]  # fmt: skip
    assert split["cause"] == "evidence or decision"


def test_the_same_decisions_are_the_same_content(source: SourceResource, lake: LakeResource) -> None:
    decide_pair(_InMemory.log, write_decision("1", PAIR, True, "Anna", NOON))
    run(source, lake)
    first = source.batch_shelf(), shelf_of(source, lake)
    run(source, lake)
    assert (source.batch_shelf(), shelf_of(source, lake)) == first


def test_an_asset_made_again_later_uses_the_decisions_of_its_batch(
    source: SourceResource, lake: LakeResource
) -> None:
    run(source, lake)
    before = shelf_of(source, lake)
    decide_pair(_InMemory.log, write_decision("1", PAIR, True, "Anna", NOON))
    assert run(
        source, lake, ["links", "entities", "entity_members", "entity_changes", "review_queue"]
    ).success
    assert shelf_of(source, lake) == before


def test_decisions_on_records_that_are_gone_are_told_and_not_fatal(
    source: SourceResource, lake: LakeResource
) -> None:
    decide_pair(_InMemory.log, write_decision("1", ("people:0", "people:gone"), True, "Anna", NOON))
    result = run(source, lake)
    assert result.success
    assert metadata_of(result, "entities")["decisions"].startswith("0 hold, 1 name records that are gone")


def test_a_contradiction_is_told_and_does_not_stop_the_batch(
    source: SourceResource, lake: LakeResource
) -> None:
    for number, one, other, is_match in (("1", 0, 1, True), ("2", 1, 2, True), ("3", 0, 2, False)):
        entry = write_decision(number, (f"people:{one}", f"people:{other}"), is_match, "Anna", NOON)
        _InMemory.log.append(entry)  # as in a race, past the check
    result = run(source, lake)
    assert result.success
    [check] = [c for c in result.get_asset_check_evaluations() if c.check_name == "decisions_agree"]
    assert (check.passed, check.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert "people:0 and people:2 are decided different" in (check.description or "")


def test_decisions_are_labels_of_the_calibrator(source: SourceResource, lake: LakeResource) -> None:
    run(source, lake)
    [first, *_] = lake.open().read(source.batch_shelf(), REVIEW_QUEUE).to_pylist()
    decide_pair(_InMemory.log, write_decision("1", (first["left_id"], first["right_id"]), True, "Anna", NOON))
    assert metadata_of(run(source, lake), "link_calibrators")["score"].count("1 label") == 1


def test_the_queue_shows_what_to_look_at_first_and_no_name(
    source: SourceResource, lake: LakeResource
) -> None:
    shown = metadata_of(run(source, lake), "review_queue")
    assert "worth a person's look" in shown["note"]
    assert "people:" in shown["first"]
    assert not [name for name in NAMES if any(word in str(shown) for word in name.split())]


def test_the_table_of_decisions_has_no_note(source: SourceResource, lake: LakeResource) -> None:
    decide_pair(_InMemory.log, write_decision("1", PAIR, True, "Anna", NOON, "a neighbour said so"))
    table: pa.Table = (run(source, lake), lake.open().read(source.batch_shelf(), PAIR_DECISIONS))[1]
    assert "neighbour" not in str(table.to_pylist())
