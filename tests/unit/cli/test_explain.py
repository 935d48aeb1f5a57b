"""`terag explain` over what `terag link` wrote."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result

from resources.parquet_lake import ParquetLake
from resources.settings import load_settings
from terag_pipelines.calibration.model import CALIBRATORS
from terag_pipelines.cli.main import main
from terag_pipelines.entities.model import ENTITY_RECORDS
from terag_pipelines.linking.model import (
    CANDIDATE_PAIRS,
    ENTITY_MEMBERS,
    LINK_MODEL,
    LINKS,
    PAIR_DECISIONS,
    PAIR_SCORES,
)
from terag_pipelines.linking.pipeline import link_records
from tests.unit.linking.records import make_population

STEER = "\x1b[2J[bold]Anna"


@pytest.fixture(scope="module")
def linked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("linked")
    records = make_population(300, seed=5)[0]
    found = link_records(records)
    names = records["display_name"].to_pylist()
    at = records.column_names.index("display_name")
    pq.write_table(records.set_column(at, "display_name", [[STEER, *names[1:]]]), folder / "records.parquet")
    pq.write_table(found.scores.scores, folder / "pair_scores.parquet")
    pq.write_table(found.scores.model, folder / "link_model.parquet")
    pq.write_table(found.resolved.members, folder / "entities.parquet")
    short = {"left_id": "left", "right_id": "right", "link_probability": "probability"}
    links = found.links.drop_columns(["pattern"])
    pq.write_table(
        links.rename_columns([short.get(name, name) for name in links.column_names]), folder / "links.parquet"
    )
    return folder


def call(folder: Path, *arguments: object) -> Result:
    return CliRunner().invoke(main, ["explain", *map(str, arguments), "--dir", str(folder)])


def first_link(folder: Path) -> tuple[str, str]:
    row = pq.read_table(folder / "links.parquet").slice(0, 1).to_pylist()[0]
    return row["left"], row["right"]


def test_a_pair_as_json_adds_up(linked: Path) -> None:
    told = json.loads(call(linked, "pair", *first_link(linked), "--json").output)
    waterfall = told["waterfall"]
    total = waterfall["prior_weight"] + sum(part["weight"] for part in waterfall["evidence"])
    assert told["decision"] == "linked"
    assert total == pytest.approx(waterfall["match_weight"])


def test_blocking_rules_are_named_where_they_are_known(linked: Path, tmp_path: Path) -> None:
    pair = first_link(linked)
    assert json.loads(call(linked, "pair", *pair, "--json").output)["rules"] is None
    pairs = link_records(make_population(300, seed=5)[0]).pairs.table
    for file in linked.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    pq.write_table(pairs, tmp_path / "candidate_pairs.parquet")
    assert json.loads(call(tmp_path, "pair", *pair, "--json").output)["rules"]


@pytest.mark.parametrize("what", ["pair", "entity", "record"])
def test_everything_is_told_to_a_person_too(linked: Path, what: str) -> None:
    left, right = first_link(linked)
    entities = pq.read_table(linked / "entities.parquet").to_pylist()
    entity = next(row["entity_id"] for row in entities if row["record_id"] == left)
    shown = call(linked, what, *{"pair": (left, right), "entity": (entity,), "record": (left,)}[what])
    assert shown.exit_code == 0, shown.output
    assert "bits" in shown.output


def test_values_do_not_steer_the_terminal(linked: Path) -> None:
    members = pq.read_table(linked / "entities.parquet").to_pylist()
    shown = call(linked, "entity", next(r["entity_id"] for r in members if r["record_id"] == "r:000000"))
    assert "\x1b" not in shown.output
    assert "[bold]Anna" in shown.output


def test_a_page_is_its_owners_only(linked: Path, tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    page, before = tmp_path / "why.html", tmp_path.stat().st_mode
    assert call(linked, "pair", *first_link(linked), "--html", page).exit_code == 0
    assert page.stat().st_mode & 0o077 == 0
    assert tmp_path.stat().st_mode == before
    assert page.read_text().startswith("<!doctype html>")


def test_an_unknown_record_is_one_sentence(linked: Path) -> None:
    shown = call(linked, "record", "nobody")
    assert shown.exit_code == 1
    assert "Traceback" not in shown.output


def test_a_folder_that_is_no_result_is_one_sentence(tmp_path: Path) -> None:
    assert call(tmp_path, "record", "r:1").exit_code == 1


def test_the_promoted_batch_is_explained_with_what_people_decided(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERAG_HOME", str(tmp_path))
    found = link_records(make_population(200, seed=6)[0])
    left, right = (found.links[side][0].as_py() for side in ("left_id", "right_id"))
    decided = PAIR_DECISIONS.from_columns(
        left_id=[left], right_id=[right], is_match=[True], decided_by=["a"], decided_at=[0]
    )
    lake = ParquetLake(load_settings().lake_folder)
    tables = {
        ENTITY_RECORDS: found.ordered,
        PAIR_SCORES: found.scores.scores,
        LINK_MODEL: found.scores.model,
        LINKS: found.links,
        ENTITY_MEMBERS: found.members,
        CANDIDATE_PAIRS: found.pairs.table,
        CALIBRATORS: CALIBRATORS.empty(),
        PAIR_DECISIONS: decided,
    }
    for schema, table in tables.items():
        lake.write("batch-1", schema, table)
    lake.promote("batch-1", [schema.name for schema in tables])
    told = json.loads(CliRunner().invoke(main, ["explain", "pair", right, left, "--json"]).output)
    assert told["decision"] == "decided_same"
    assert told["rules"]


def test_before_anything_is_promoted_that_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERAG_HOME", str(tmp_path))
    assert CliRunner().invoke(main, ["explain", "record", "r:1"]).exit_code == 1
