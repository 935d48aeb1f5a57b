"""`terag link` on small files: what it writes, what it says, and what it refuses."""

from __future__ import annotations

import gzip
import json
import stat
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result

from resources.linked_folder import read_linked_folder
from terag_pipelines.cli import main as cli
from terag_pipelines.entities.identifiers import check_digits
from terag_pipelines.linking.explanation_pairs import explain_pair
from tests.unit.cli.consoles import listening_console

ROWS = """\
id;фамилия;имя;дата рождения;телефон
1;Серіков;Нұрлан;14.06.1988;8 701 123 45 67
2;Сериков;Нурлан;14.06.1988;+7 701 123-45-67
3;Ким;Лев;01.05.1979;8 702 765 43 21
4;Иванова;Ольга;31.02.1990;8 707 765 43 21
"""
DATED = """\
id;фамилия;имя;телефон;телефон с;телефон по
1;Серіков;Нұрлан;8 701 123 45 67;;{until}
2;;Нұрлан;8 701 123 45 67;{since};
3;Ким;Лев;8 702 765 43 21;;
"""
OUTPUTS = {"entities", "links", "records", "pair_scores", "link_model", "quarantine"}


def link(*arguments: object) -> Result:
    return CliRunner().invoke(cli.main, ["link", *map(str, arguments)], terminal_width=200)


def refused(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> str:
    console, heard = listening_console()
    monkeypatch.setattr(cli, "console", console)
    assert link(*arguments).exit_code == 1
    return heard.getvalue()


@pytest.fixture
def clients(tmp_path: Path) -> Path:
    path = tmp_path / "clients.csv"
    path.write_text(ROWS, encoding="utf-8")
    return path


def test_files_and_summary(clients: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    told = link(clients, "--out", out, "--json")
    assert told.exit_code == 0, told.output
    summary = json.loads(told.stdout)
    assert summary == json.loads((out / "summary.json").read_text(encoding="utf-8"))
    assert {path.stem for path in out.glob("*.parquet")} == OUTPUTS
    report = (out / "report.html").read_text(encoding="utf-8")
    assert "фамилия" in report
    assert "<script src" not in report
    entities = pq.read_table(out / "entities.parquet").to_pylist()
    assert [row["record_id"] for row in entities] == [f"clients:{n}" for n in (1, 2, 3, 4)]
    assert entities[0]["entity_id"] == entities[1]["entity_id"]
    assert len({row["entity_id"] for row in entities}) == 3
    assert summary["lost_values"] == [
        {"file": "clients.csv", "field": "birth_date", "reason": "is no date that exists", "n": 1}
    ]
    readings = {column["column"]: column["field"] for column in summary["sources"][0]["columns"]}
    names = ("id", "фамилия", "имя", "дата рождения", "телефон")
    fields = ("id", "family_name", "given_name", "birth_date", "phone")
    assert readings == dict(zip(names, fields, strict=True))


def test_results_are_the_owners_alone_and_the_same_bytes_each_time(clients: Path, tmp_path: Path) -> None:
    outs = [tmp_path / "one", tmp_path / "two"]
    for out in outs:
        assert link(clients, "--out", out).exit_code == 0
    files = [{path.name: path.read_bytes() for path in out.iterdir()} for out in outs]
    assert files[0] == files[1]
    assert stat.S_IMODE(outs[0].stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in outs[0].iterdir()} == {0o600}


def test_earlier_results_are_replaced_but_no_other_folder(
    clients: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    for _ in range(2):
        assert link(clients, "--out", out).exit_code == 0
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []
    assert "holds other files" in refused(monkeypatch, clients, "--out", tmp_path)
    assert "is a file" in refused(monkeypatch, clients, "--out", clients)
    assert clients.read_text(encoding="utf-8") == ROWS


def test_a_person_reads_how_columns_were_read(clients: Path, tmp_path: Path) -> None:
    told = link(clients, "--out", tmp_path / "out", "--field", "телефон=ignore").stdout
    assert "family_name" in told
    assert "as you said" in told
    assert "4 records" in told


def test_two_files_are_linked_to_each_other(clients: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.jsonl.gz"
    row = {
        "person": {"surname": "Serikov", "first_name": "Nurlan"},
        "dob": "1988-06-14",
        "tel": ["+77011234567"],
    }
    other.write_bytes(gzip.compress(json.dumps(row).encode()))
    out = tmp_path / "out"
    assert link("--left", clients, "--right", other, "--out", out).exit_code == 0
    links = pq.read_table(out / "links.parquet").to_pylist()
    assert [(row["left_id"], row["right_id"]) for row in links] == [
        ("clients:1", "other:1"),
        ("clients:2", "other:1"),
    ]
    assert link("--left", clients, "--right", other, "--one-to-one", "--out", out).exit_code == 0
    [kept] = pq.read_table(out / "links.parquet").to_pylist()
    assert len(set(pq.read_table(out / "entities.parquet")["entity_id"].to_pylist())) == 4
    [lost] = {"clients:1", "clients:2"} - {kept["left_id"]}
    told = explain_pair(read_linked_folder(out), lost, "other:1")
    assert told.decision == "better_match"


def test_a_source_folder_is_read_by_its_manifest(clients: Path, tmp_path: Path) -> None:
    (tmp_path / "source.yaml").write_text(
        "name: s\nfiles:\n- {name: p, path: clients.csv, holds: people, csv: {delimiter: ';'},"
        " fields: {id: id, family_name: фамилия}}\nlinking: {threshold: 0.9}\n",
        encoding="utf-8",
    )
    out = tmp_path / "out"
    assert link(tmp_path, "--out", out).exit_code == 0
    assert pq.read_table(out / "records.parquet")["record_id"].to_pylist() == ["p:1", "p:2", "p:3", "p:4"]
    assert json.loads((out / "summary.json").read_text(encoding="utf-8"))["threshold_probability"] == 0.9


def test_labels_and_decisions_are_files(
    clients: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pairs = tmp_path / "pairs.csv"
    pairs.write_text("left,right\n1,2\n")
    out = tmp_path / "out"
    assert link(clients, "--out", out, "--cannot-link", pairs).exit_code == 0
    assert len(set(pq.read_table(out / "entities.parquet")["entity_id"].to_pylist())) == 4
    labels = tmp_path / "labels.csv"
    labels.write_text("record_id,entity\n1,x\n2,x\n3,y\n")
    summary = json.loads(link(clients, "--out", out, "--labels", labels, "--json").stdout)
    assert summary["quality_by_labels"]["f1"] == 1.0
    assert "not calibrated" in summary["warnings"][-1]
    labels.write_text("record_id,entity\n1,x\n9,x\n")
    assert "labels.csv, row 2, column 'record_id'" in refused(
        monkeypatch, clients, "--out", out, "--labels", labels
    )


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "the file is empty"),
        (b"\n\n", "no header"),
        (b"name,name\nA B,C D\n", "more than once"),
        (b"a,b\n1,2\n", "none of its 2 columns"),
        (b"name,dob\n,\n,\n", "none of its 2 columns"),
        ("фио,телефон\n".encode() + "Ким Лев,1\n".encode("cp1251") * 50, "cannot be used"),
        (b"PAR1xxxx", "Parquet"),
    ],
)
def test_files_that_cannot_be_used_are_named(
    content: bytes, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "people.csv"
    path.write_bytes(content)
    told = refused(monkeypatch, path, "--out", tmp_path / "out")
    assert said in told
    assert "people.csv" in told
    assert not (tmp_path / "out").exists()


def test_missing_files_folders_and_requests_without_sense(
    clients: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    assert "there is no such file" in refused(monkeypatch, tmp_path / "no.csv", "--out", out)
    assert "without source.yaml" in refused(monkeypatch, tmp_path, "--out", out)
    assert "go together" in refused(monkeypatch, "--left", clients, "--out", out)
    assert "goes with --left" in refused(monkeypatch, clients, "--one-to-one", "--out", out)
    assert "either files" in refused(monkeypatch, "--out", out)
    assert "COLUMN=FIELD" in refused(monkeypatch, clients, "--out", out, "--field", "имя")
    assert "no column 'nom'" in refused(monkeypatch, clients, "--out", out, "--field", "nom=phone")


def test_one_unreadable_row_costs_no_other(clients: Path, tmp_path: Path) -> None:
    clients.write_bytes(ROWS.encode() + b"5;a;b\n")
    summary = json.loads(link(clients, "--out", tmp_path / "out", "--json", "--max-bad-share", "0.5").stdout)
    assert summary["n_records"] == 4
    assert any("1 rows could not be used" in warning for warning in summary["warnings"])
    quarantine = pq.read_table(tmp_path / "out" / "quarantine.parquet").to_pylist()
    assert (5, "has 3 fields where the header has 5") in [(row["row"], row["reason"]) for row in quarantine]


def test_a_batch_goes_onto_an_earlier_result_and_ids_stay(clients: Path, tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    assert link(clients, "--out", first).exit_code == 0
    header, _, _, _, olga = ROWS.splitlines()
    late = "5;Сериков;Н.;14.06.1988;8 701 123 45 67"
    clients.write_text("\n".join((header, olga.replace("31.02.1990", "21.02.1990"), late)), encoding="utf-8")
    told = link(clients, "--previous", first, "--partial", "--out", second, "--json")
    assert told.exit_code == 0, told.output
    before, after = (
        {row["record_id"]: row["entity_id"] for row in pq.read_table(out / "entities.parquet").to_pylist()}
        for out in (first, second)
    )
    assert set(after) == {f"clients:{n}" for n in range(1, 6)}
    assert all(after[record] == entity for record, entity in before.items())
    assert after["clients:5"] == after["clients:1"]
    changes = {row["entity_id"]: row for row in pq.read_table(second / "changes.parquet").to_pylist()}
    assert {entity: row["change"] for entity, row in changes.items()} == {before["clients:1"]: "grew"}
    summary = json.loads(told.stdout)
    assert summary["changes"] == [{"change": "grew", "cause": "new record", "n": 1}]
    assert summary["n_pairs_reused"] == 1


def test_a_corrected_interval_is_seen_also_by_a_run_onto_an_older_result(tmp_path: Path) -> None:
    path, first, second = tmp_path / "clients.csv", tmp_path / "first", tmp_path / "second"
    text = DATED.format(until="", since="")
    path.write_text(text, encoding="utf-8")
    assert link(path, "--out", first).exit_code == 0
    records = pq.read_table(first / "records.parquet")  # made into what a version without intervals wrote
    older = records.drop_columns([name for name in records.column_names if name.endswith(("_from", "_to"))])
    pq.write_table(older, first / "records.parquet")
    path.write_text(DATED.format(until="31.12.2015", since="05.06.2016"), encoding="utf-8")
    assert link(path, "--previous", first, "--out", second).exit_code == 0
    n_entities = [len(set(pq.read_table(out / "entities.parquet")["entity_id"])) for out in (first, second)]
    assert n_entities == [2, 3]
    told = CliRunner().invoke(cli.main, ["explain", "pair", "clients:1", "clients:2", "--dir", str(second)])
    assert "the numbers were theirs at other times" in told.output


FAMILY_MATTERS = """\
id;ФИО;прежняя фамилия;наименование организации;дата рождения;пол;ИИН;телефон;город;улица;дом
w1;Ахметова Айгуль Болатовна;;;14.06.1988;ж;{iins[0]};8 701 111 22 33;Алматы;Абая;1
w2;Ким Айгуль Болатовна;;;14.06.1988;ж;{iins[0]};8 701 111 22 34;Алматы;Абая;1
v1;Иванова Ольга Петровна;;;05.01.1990;ж;;8 701 555 22 33;Астана;Мира;5
v2;Ли Ольга Петровна;Иванова;;05.01.1990;ж;;;Астана;Победы;9
m1;Жумабаев Канат Ермекович;;;02.03.1979;м;{iins[1]};8 705 123 00 11;Тараз;Толе би;7
m2;;;ИП Жумабаев Канат Ермекович;;;{iins[1]};8 705 123 00 11;Тараз;Толе би;7
z1;Смагулова Динара Маратовна;;;20.02.1990;ж;{iins[2]};8 707 999 88 77;Павлодар;Абая;3
z2;Смагулова Динара Маратовна;;;17.11.1985;ж;{iins[2]};;Павлодар;;
"""


def make_iin(digits: str) -> str:
    check = int(check_digits(np.array([[int(digit) for digit in digits]]))[0])
    assert check >= 0
    return f"{digits}{check}"


def test_married_names_sole_traders_and_doubtful_birth_dates(tmp_path: Path) -> None:
    path, out = tmp_path / "clients.csv", tmp_path / "out"
    iins = [make_iin("88061440012"), make_iin("79030230012"), make_iin("90022040012")]
    path.write_text(FAMILY_MATTERS.format(iins=iins), encoding="utf-8")
    assert link(path, "--out", out).exit_code == 0
    members = pq.read_table(out / "entities.parquet").to_pylist()
    entity = {row["native_id"]: row["entity_id"] for row in members}
    assert entity["w1"] == entity["w2"]
    assert entity["v1"] == entity["v2"]
    assert entity["z1"] == entity["z2"]
    assert len(set(entity.values())) == 5
    (role,) = pq.read_table(out / "roles.parquet").to_pylist()
    assert (role["entity_id"], role["object_entity_id"]) == (entity["m2"], entity["m1"])
    assert (role["role"], role["basis"]) == ("sole_trader_of", "iin")
    records = pq.read_table(out / "records.parquet")
    flags = dict(zip(records["native_id"].to_pylist(), records["quality_flags"].to_pylist(), strict=True))
    assert [name for name, found in flags.items() if "iin_birth_date_mismatch" in found] == ["z2"]


def test_the_whole_source_again_ends_what_is_gone(clients: Path, tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    assert link(clients, "--out", first).exit_code == 0
    clients.write_text("\n".join(ROWS.splitlines()[:3]), encoding="utf-8")
    assert link(clients, "--previous", first, "--out", second).exit_code == 0
    changes = pq.read_table(second / "changes.parquet").to_pylist()
    assert [(row["change"], row["cause"]) for row in changes] == [("ended", "removed record")] * 2


def test_decisions_alone_are_told_as_the_cause_of_changes(clients: Path, tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    assert link(clients, "--out", first).exit_code == 0
    pairs = tmp_path / "pairs.csv"
    pairs.write_text("left,right\n3,4\n")
    told = link(clients, "--previous", first, "--must-link", pairs, "--out", second, "--json")
    assert json.loads(told.stdout)["changes"] == [
        {"change": "merged", "cause": "decision", "n": 1},
        {"change": "taken over", "cause": "decision", "n": 1},
    ]


def test_partial_needs_something_to_go_onto(
    clients: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "--partial goes with --previous" in refused(
        monkeypatch, clients, "--partial", "--out", tmp_path / "o"
    )
    missing = refused(monkeypatch, clients, "--previous", tmp_path / "none", "--out", tmp_path / "o")
    assert "has no entities.parquet" in missing or "has no records.parquet" in missing


def test_a_file_named_as_a_numbered_one_keeps_its_own_dataset(clients: Path, tmp_path: Path) -> None:
    others = [tmp_path / "clients-2.csv", tmp_path / "more" / "clients.csv"]
    others[1].parent.mkdir()
    for other in others:
        other.write_text(ROWS, encoding="utf-8")
    out = tmp_path / "out"
    assert link(clients, *others, "--out", out).exit_code == 0
    found = pq.read_table(out / "entities.parquet")["dataset"].value_counts().to_pylist()
    assert {one["values"]: one["counts"] for one in found} == {"clients": 4, "clients-2": 4, "clients-3": 4}


def test_one_file_given_twice_is_refused(
    clients: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    same = clients.parent / "." / "sub" / ".." / clients.name
    (clients.parent / "sub").mkdir()
    for arguments in ((clients, same), ("--left", clients, "--right", clients)):
        told = refused(monkeypatch, *arguments, "--out", tmp_path / "out")
        assert "clients.csv: is given more than once" in told


def test_a_threshold_that_is_no_number_is_refused(
    clients: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = refused(monkeypatch, clients, "--threshold", "nan", "--out", tmp_path / "out")
    assert "--threshold: is a probability between 0 and 1" in told
