"""`terag ring` over a promoted lake: the list, the case as text, as JSON and as a page."""

from __future__ import annotations

import json
import shutil
import stat
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from click.testing import CliRunner, Result

from resources.parquet_lake import ParquetLake
from resources.table_registry import TABLES
from terag_pipelines.cli.main import main
from terag_pipelines.cli.ring import CASE_TABLES, FURTHER_TABLES
from terag_pipelines.linking.model import ENTITIES, LINKS
from terag_pipelines.rings.detection import score_rings
from terag_pipelines.rings.doubt import doubt_rings
from terag_pipelines.rings.interdiction import plan_interdictions
from terag_pipelines.rings.lineage import EarlierRings, trace_rings
from terag_pipelines.rings.model import FRAUD_RINGS, RING_EVENTS, RING_HISTORY, RING_MEMBERS
from terag_pipelines.rings.naming import name_rings
from terag_pipelines.rings.projection import ProjectionParams, project_entities
from terag_pipelines.rings.ring_features import measure_rings
from terag_pipelines.rings.windows import RingSpec, place_windows
from tests.unit.rings.worlds import CYCLE, planted_world

STEER = "Айгүл\x1b[2J[bold]<script>"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("home")
    tables = planted_world().tables()
    scores = score_rings(tables).scores
    named = name_rings(scores, tables)
    tables |= {"ring_scores": scores, "fraud_rings": named.rings, "ring_members": named.members}
    tables["entities"] = ENTITIES.from_columns(
        entity_id=[f"e:{person:03d}" for person in CYCLE], display_name=[STEER] * len(CYCLE)
    )
    doubts = doubt_rings(named.rings, named.members, tables, LINKS.empty())
    tables |= {"ring_doubt": doubts.rings, "ring_member_doubt": doubts.members}
    tables["ring_interdictions"] = plan_interdictions(named.rings, named.members, tables)
    tables["ring_windows"] = place_windows(tables, RingSpec(365))
    tables["ring_features"] = measure_rings(
        named.members, project_entities(tables, ProjectionParams()), tables
    )
    lake = ParquetLake(home / "lake")
    for schema in (*CASE_TABLES, *FURTHER_TABLES):
        lake.write("batch-1", TABLES[schema.name], tables[schema.name])
    lake.promote("batch-1", [schema.name for schema in CASE_TABLES])
    return home


@pytest.fixture(autouse=True)
def at_home(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERAG_HOME", str(home))


def call(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["ring", *map(str, arguments)])


def rings(*arguments: object) -> list[dict[str, object]]:
    told = json.loads(call("list", "--json", *arguments).output)
    assert told["n_rings"] == len(told["rings"])
    return list(told["rings"])


def ring_of_kind(kind: str) -> str:
    return str(next(ring["ring_id"] for ring in rings() if ring["kind"] == kind))


def test_rings_are_listed_the_riskiest_first() -> None:
    risks = [float(str(ring["risk_score"])) for ring in rings()]
    assert len(risks) >= 3
    assert risks == sorted(risks, reverse=True)
    assert [float(str(ring["risk_score"])) for ring in rings("--least-risk", risks[1])] == risks[:2]
    told = call("list", "--least-risk", risks[1]).output
    assert f"2 of {len(risks)} rings" in told
    assert all(str(ring["ring_id"]) in told for ring in rings()[:2])


def test_a_case_is_told_in_the_terminal_and_steers_it_not() -> None:
    ring_id = ring_of_kind("cycle")
    told = call("show", ring_id).output
    for part in (
        ring_id,
        "uncalibrated",
        "pass money round in a circle",
        "e:040",
        f"show {ring_id} --html FILE",
    ):
        assert part in told
    assert "Айгүл" in told
    assert "\x1b" not in told


def test_a_case_is_a_page_for_its_owner_alone(tmp_path: Path) -> None:
    page = tmp_path / "case.html"
    ring_id = ring_of_kind("fan_in")
    assert call("show", ring_id, "--html", page).output == f"written: {page}\n"
    assert stat.S_IMODE(page.stat().st_mode) == 0o600
    first = page.read_bytes()
    assert f"Case file: {ring_id}".encode() in first
    assert b"Batch batch-1" in first
    assert "digest of its content" in first.decode()
    call("show", ring_id, "--html", page)
    assert page.read_bytes() == first


def test_a_case_as_json_holds_every_transfer_and_its_ends() -> None:
    told = json.loads(call("show", ring_of_kind("cycle"), "--json").output)
    assert len(told["transfers"]) == told["ring"]["n_transfers"]
    entity_of = {member["number"]: member["entity_id"] for member in told["members"]}
    assert set(entity_of.values()) >= {f"e:{person:03d}" for person in CYCLE}
    assert all(one["payer_entity_id"] == entity_of[one["payer"]] for one in told["transfers"])
    assert sum(one["amount_minor"] for one in told["transfers"]) == told["ring"]["amount_minor"]
    assert told["batch"] == "batch-1"
    assert told["tables"].keys() == {schema.name for schema in (*CASE_TABLES, *FURTHER_TABLES)}


def test_a_case_says_how_sure_it_is_and_what_a_block_would_stop(tmp_path: Path) -> None:
    ring_id = ring_of_kind("fan_in")
    printed = call("show", ring_id).output
    assert "Doubt (--html): No link between records of its members is uncertain" in printed
    assert "What a block would stop (--html): Blocking 1 account would have stopped" in printed
    told = json.loads(call("show", ring_id, "--json").output)
    titles = [section["title"] for section in told["sections"]]
    assert titles == ["Doubt", "What a block would stop", "How this ring compares"]
    assert told["ring_doubt"][0]["n_members_low"] == told["ring"]["n_members"]
    assert {row["membership_probability"] for row in told["ring_member_doubt"]} == {1.0}
    assert {row["entity_id"] for row in told["ring_interdictions"]} == {"e:015"}
    page = tmp_path / "case.html"
    call("show", ring_id, "--html", page)
    assert "What a block would stop" in page.read_text()


def test_a_batch_of_an_earlier_version_has_a_case_without_them(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake = ParquetLake(tmp_path / "lake")
    for schema in CASE_TABLES:
        lake.write("batch-0", schema, ParquetLake(home / "lake").read("batch-1", schema))
    lake.promote("batch-0", [schema.name for schema in CASE_TABLES])
    monkeypatch.setenv("TERAG_HOME", str(tmp_path))
    told = json.loads(call("show", ring_of_kind("fan_in"), "--json").output)
    assert told["sections"] == []
    assert "ring_doubt" not in told


def test_a_batch_of_an_earlier_version_has_no_lineage() -> None:
    assert {ring["event"] for ring in rings()} == {None}
    assert "lineage" not in call("show", ring_of_kind("cycle")).output


def test_what_became_of_a_ring_is_listed_and_its_lineage_is_in_its_case(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ring_id = ring_of_kind("cycle")
    shutil.copytree(home / "lake", tmp_path / "lake")
    monkeypatch.setenv("TERAG_HOME", str(tmp_path))
    lake = ParquetLake(tmp_path / "lake")
    members = lake.read("batch-1", RING_MEMBERS)
    smaller = members.filter(pc.not_equal(members["entity_id"], f"e:{CYCLE[0]:03d}"))
    first = trace_rings(smaller, "batch-0")
    second = trace_rings(members, "batch-1", EarlierRings(first.events, first.traces, first.history))
    lasting = second.ids[ring_id]
    for schema in (FRAUD_RINGS, RING_MEMBERS):
        table = lake.read("batch-1", schema)
        ids = pa.array([second.ids[one] for one in table["ring_id"].to_pylist()])
        lake.write("batch-1", schema, table.set_column(0, "ring_id", ids))
    lake.write("batch-1", RING_EVENTS, second.events)
    lake.write("batch-1", RING_HISTORY, second.history)
    assert {ring["ring_id"]: ring["event"] for ring in rings()}[lasting] == "grew"
    assert "grew" in call("list").output
    told = call("show", lasting).output
    assert "lineage   born in batch 1, there in 2 batches; stability 80%" in told
    assert "at last grew from 4 to 5 members, 4 stayed." in told
    sections = json.loads(call("show", lasting, "--json").output)["sections"]
    assert [section["title"] for section in sections][-1] == "Lineage"
    call("show", lasting, "--html", tmp_path / "case.html")
    page = (tmp_path / "case.html").read_text(encoding="utf-8")
    assert "born with 4 members" in page
    assert "batch-0" in page


def test_a_ring_that_is_not_there_is_an_error_that_names_the_list() -> None:
    failed = call("show", "ring_none")
    assert failed.exit_code == 1
    assert "terag ring list" in failed.stderr
    assert "ring_none" in failed.stderr


def test_before_the_first_run_the_error_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERAG_HOME", str(tmp_path))
    for failed in (call("list"), call("show", "ring_1")):
        assert failed.exit_code == 1
        assert "terag run" in failed.stderr


def test_no_rings_are_an_empty_list(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERAG_HOME", str(tmp_path))
    lake = ParquetLake(tmp_path / "lake")
    empty: pa.Table = TABLES["fraud_rings"].empty()
    lake.write("batch-2", TABLES["fraud_rings"], empty)
    lake.promote("batch-2", ["fraud_rings"])
    assert rings() == []
    assert "0 rings" in call("list").output
