"""`terag explain` over what `terag link` wrote."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

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


ANNAS = "".join(f"{n},Anna,Brown,1985-01-01,+77011234567\n" for n in range(4))
CLIENTS = f"id,first_name,surname,dob,phone\n{ANNAS}7,Boris,Fox,1970-02-02,\n8,Clara,Evans,1961-11-13,\n"


def link_files(folder: Path, *options: str, **given: str) -> Path:
    """What `terag link` wrote; `given` are the texts of the files that options name by {name}."""
    for name, text in {"clients": CLIENTS, **given}.items():
        (folder / f"{name}.csv").write_text(text, encoding="utf-8")
    named = {name: folder / f"{name}.csv" for name in ("clients", *given)}
    out = folder / "out"
    asked = [option.format(**named) for option in options]
    told = CliRunner().invoke(main, ["link", *asked, "--out", str(out)])
    assert told.exit_code == 0, told.output
    return out


def pair_of(folder: Path, left: str, right: str) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(call(folder, "pair", left, right, "--json").output)
    return told


def test_pairs_decided_by_file_are_told_so(tmp_path: Path) -> None:
    options = ("{clients}", "--must-link", "{must}", "--cannot-link", "{cannot}")
    out = link_files(tmp_path, *options, must="left,right\n7,8\n", cannot="left,right\n0,1\n")
    assert pair_of(out, "clients:7", "clients:8")["decision"] == "decided_same"
    assert pair_of(out, "clients:0", "clients:1")["decision"] == "decided_different"


def test_the_threshold_is_that_of_the_linking(tmp_path: Path) -> None:
    out = link_files(tmp_path, "{clients}", "--threshold", "0.9999999")
    told = pair_of(out, "clients:0", "clients:1")
    assert (told["decision"], told["threshold_probability"]) == ("below_threshold", 0.9999999)


def test_probabilities_are_calibrated_as_the_links_were(tmp_path: Path) -> None:
    rows = [(n, n % 9, 1 + n % 7) for n in range(120)]
    known = (f"{n},{'ABCDEFGHI'[a]}nna,Brown,1985-01-0{b},\n" for n, a, b in rows)
    people = "id,first_name,surname,dob,phone\n" + "".join(known)
    pairs = [(one, other) for one in rows for other in rows if one[0] < other[0]]
    labels = "left,right,is_match\n" + "".join(
        f"{one[0]},{other[0]},{int(one[1:] == other[1:])}\n" for one, other in pairs
    )
    out = link_files(tmp_path, "{people}", "--labels", "{labels}", people=people, labels=labels)
    scored = pq.read_table(out / "pair_scores.parquet").to_pylist()
    assert pair_of(out, scored[0]["left_id"], scored[0]["right_id"])["is_calibrated"]
    links = {(row["left_id"], row["right_id"]) for row in pq.read_table(out / "links.parquet").to_pylist()}
    unlinked = next(row for row in scored if (row["left_id"], row["right_id"]) not in links)
    told = pair_of(out, unlinked["left_id"], unlinked["right_id"])
    assert told["is_calibrated"]
    assert told["link_probability"] < told["threshold_probability"]


def test_two_records_of_one_side_were_never_to_be_compared(tmp_path: Path) -> None:
    out = link_files(
        tmp_path, "--left", "{clients}", "--right", "{others}", others=CLIENTS.replace("Fox", "Cox")
    )
    for other in ("clients:1", "clients:7"):
        told = pair_of(out, "clients:0", other)
        assert not told["may_be_compared"]
        assert told["near_rules"] == []
    assert "both records are of one side" in told["sentence"]
    assert pair_of(out, "clients:0", "others:1")["may_be_compared"]


def test_only_rules_that_took_part_are_said_to_have_come_near(tmp_path: Path) -> None:
    fields = "{id: id, given_name: first_name, family_name: surname, birth_date: dob, phone: phone}"
    files = f"[{{name: clients, path: clients.csv, holds: people, fields: {fields}}}]"
    (tmp_path / "source.yaml").write_text(
        f"name: s\ncountry: KZ\ncurrency: KZT\nfiles: {files}\nlinking: {{blocking: [phone]}}\n"
    )
    clients = CLIENTS + "9,Clara,Evans,1961-11-13,\n"
    out = link_files(tmp_path, str(tmp_path), clients=clients)
    told = pair_of(out, "clients:8", "clients:9")
    assert (told["decision"], told["near_rules"]) == ("never_compared", [])
