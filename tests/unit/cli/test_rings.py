"""`terag rings` on small files: what it writes, what it says, and what it refuses."""

from __future__ import annotations

import csv
import json
import stat
from pathlib import Path

import polars as pl
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result

from terag_pipelines.cli import main as cli
from tests.unit.cli.consoles import listening_console
from tests.unit.rings.edge_worlds import listed_people, node, plain_ties, transfers, world_with_rings

FILES = {"memberships.parquet", "rings.parquet", "report.html", "quarantine.csv", "summary.json"}
SMALL = "from;to;amount;date\nАйгүл;Лев;1 500,50;01.02.2026\nЛев;Ольга;1400;02.02.2026\n"


def rings(*arguments: object) -> Result:
    return CliRunner().invoke(cli.main, ["rings", *map(str, arguments)], terminal_width=200)


def refused(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> str:
    console, heard = listening_console()
    monkeypatch.setattr(cli, "console", console)
    assert rings(*arguments).exit_code == 1
    return heard.getvalue()


@pytest.fixture
def small(tmp_path: Path) -> Path:
    path = tmp_path / "edges.csv"
    path.write_text(SMALL, encoding="utf-8")
    return path


def test_files_and_summary(tmp_path: Path) -> None:
    edges, people, out = tmp_path / "edges.csv", tmp_path / "people.parquet", tmp_path / "out"
    pa_csv.write_csv(transfers(world_with_rings()), edges)
    pq.write_table(listed_people(), people)
    told = rings(edges, "--nodes", people, "--out", out, "--currency", "kzt", "--json")
    assert told.exit_code == 0, told.output
    summary = json.loads(told.stdout)
    assert summary == json.loads((out / "summary.json").read_text(encoding="utf-8"))
    assert {path.name for path in out.iterdir()} == FILES
    assert {ring["kind"] for ring in summary["rings"]} == {"cycle", "fan_in"}
    assert summary["n_rings"] == pq.read_table(out / "rings.parquet").num_rows
    memberships = pl.read_parquet(out / "memberships.parquet")
    assert memberships.columns[:3] == ["node", "community", "ring"]
    assert memberships["ring"].drop_nulls().n_unique() == summary["n_rings"]
    assert set(pq.read_table(out / "rings.parquet")["currency"].to_pylist()) == {"KZT"}
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "Fraud rings in edges.csv" in page
    assert all(ring["ring"] in page for ring in summary["rings"])


def test_parquet_and_jsonl_are_read_too(tmp_path: Path) -> None:
    table = plain_ties()
    path, lines, out = tmp_path / "edges.parquet", tmp_path / "edges.jsonl", tmp_path / "out"
    pq.write_table(table, path)
    pl.DataFrame(table).write_ndjson(lines)
    found = [json.loads(rings(file, "--out", out, "--json").stdout)["rings"] for file in (path, lines)]
    assert found[0] == found[1]
    assert [ring["kind"] for ring in found[0]] == ["dense_group"]


def test_results_are_the_owners_alone_and_the_same_bytes_for_any_order_of_rows(tmp_path: Path) -> None:
    outs = []
    for seed in (None, 1):
        folder = tmp_path / str(seed)
        folder.mkdir()
        pa_csv.write_csv(transfers(world_with_rings(), seed), folder / "edges.csv")
        assert rings(folder / "edges.csv", "--out", folder / "out").exit_code == 0
        outs.append(folder / "out")
    names = FILES - {"quarantine.csv"}  # which names rows
    files = [{name: (out / name).read_bytes() for name in names} for out in outs]
    assert files[0] == files[1]
    assert stat.S_IMODE(outs[0].stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in outs[0].iterdir()} == {0o600}


def test_earlier_results_are_replaced_but_no_other_folder(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    for _ in range(2):
        assert rings(small, "--out", out).exit_code == 0
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []
    assert "holds other files" in refused(monkeypatch, small, "--out", tmp_path)
    assert "is a file" in refused(monkeypatch, small, "--out", small)
    assert "is a file" in refused(monkeypatch, small, "--out", small / "found")
    assert small.read_text(encoding="utf-8") == SMALL


def test_a_person_reads_what_was_read_left_out_and_found(small: Path, tmp_path: Path) -> None:
    with small.open("a", encoding="utf-8") as file:
        file.write("Ольга;Ольга;5;03.02.2026\nОльга;Лев;-5;03.02.2026\n")
    told = rings(small, "--out", tmp_path / "out").stdout
    assert "edges.csv: edges, 4 rows, 2 in quarantine" in told
    assert "edges.csv: 1 row in quarantine: amount is negative" in told
    assert "3 nodes, 2 transfers, 0 plain ties" in told
    assert "risk: the stated anomaly score: there are no labels" in told
    assert "there is no ring" in told


def test_names_of_columns_and_nodes_steer_no_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    edges = tmp_path / "edges.csv"
    rows = [f"n{at},SHOP\x1b[2J\u202e[bold],5,x" for at in range(8)]
    edges.write_text("\n".join(["from,to,amount,\x1b[31mred", *rows]) + "\n", encoding="utf-8")
    told = rings(edges, "--max-partners", "5", "--out", tmp_path / "out").stdout
    assert "SHOP\ufffd[2J\ufffd[bold] (8)" in told
    assert "\ufffd[31mred" in told
    assert not {"\x1b", "\u202e"} & set(told)
    edges.write_text("\x1b[31mred,b,c\n1,2,3\n", encoding="utf-8")
    assert "\x1b" not in refused(monkeypatch, edges, "--out", tmp_path / "other")


def test_the_money_of_a_ring_is_written_as_in_its_reasons(tmp_path: Path) -> None:
    edges = tmp_path / "edges.csv"
    pa_csv.write_csv(transfers(world_with_rings()), edges)
    told = rings(edges, "--out", tmp_path / "out", "--currency", "kzt").stdout
    [total] = {
        reason.partition(": ")[2]
        for reason in pq.read_table(tmp_path / "out/rings.parquet")["reasons"].to_pylist()[0]
        if "transfers between members" in reason
    }
    assert total.replace("\xa0", " ") in told.replace("\xa0", " ")


def test_the_quarantine_names_file_row_field_and_reason(small: Path, tmp_path: Path) -> None:
    with small.open("a", encoding="utf-8") as file:
        file.write("Ольга;Ольга;5;03.02.2026\n;Лев;5;03.02.2026\nОльга;Лев;5\nОльга;Лев;x;03.02.2026\n")
    labels, out = tmp_path / "labels.csv", tmp_path / "out"
    labels.write_text("node,fraud\nЛев,1\nnobody,1\n", encoding="utf-8")
    assert rings(small, "--labels", labels, "--out", out).exit_code == 0
    with (out / "quarantine.csv").open(encoding="utf-8", newline="") as file:
        assert list(csv.reader(file)) == [
            ["file", "row", "field", "reason"],
            ["edges.csv", "3", "target", "is the source itself"],
            ["edges.csv", "4", "source", "is missing"],
            ["edges.csv", "5", "", "has 3 fields where the header has 4"],
            ["edges.csv", "6", "amount", "is no amount"],
            ["labels.csv", "2", "node", "is no node of the edges"],
        ]
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "has 3 fields where the header has 4" in page


def test_a_file_without_a_usable_row_is_refused_and_its_quarantine_kept_beside_earlier_results(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, bad = tmp_path / "out", tmp_path / "bad.csv"
    assert rings(small, "--out", out).exit_code == 0
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    bad.write_text("source,target,amount\na,a,5\nb,c,-5\n")
    told = " ".join(refused(monkeypatch, bad, "--out", out).split())
    assert "RingError: bad.csv: no row can be used; 2 rows in quarantine: amount is negative (1)" in told
    assert "out-quarantine.csv" in told
    assert (tmp_path / "out-quarantine.csv").read_text().splitlines()[1:] == [
        "bad.csv,1,target,is the source itself",
        "bad.csv,2,amount,is negative",
    ]
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before


def test_a_window_and_an_empty_one(small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "out"
    summary = json.loads(rings(small, "--until", "2026-02-01", "--out", out, "--json").stdout)
    assert (summary["n_transfers"], summary["files"][0]["n_outside"]) == (1, 1)
    assert summary["window"] == "before 2026-02-02 00:00 UTC"
    told = " ".join(refused(monkeypatch, small, "--since", "2027-01-01", "--out", out).split())
    assert "none of 2 rows lies in the window (from 2027-01-01 00:00 UTC)" in told
    assert "its times go from 2026-02-01 00:00 to 2026-02-02 00:00" in told


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "the file is empty"),
        (b"\n\n", "no header"),
        (b"source,target\n", "has a header and no rows"),
        (b"source,source\na,b\n", "more than once"),
        (b"one,two,three\na,b,c\n", "Say which it is: COLUMN=source"),
        (b"from#to\na#b\n", "parted by a comma, a semicolon, a tab or |"),
        (b"17,42\n17,43\n", "looks like data"),
        (b"PAR1xxxx", "Parquet"),
    ],
)
def test_files_that_cannot_be_used_are_named(
    content: bytes, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "edges.csv"
    path.write_bytes(content)
    told = " ".join(refused(monkeypatch, path, "--out", tmp_path / "out").split())
    assert said in told
    assert "edges.csv" in told
    assert not (tmp_path / "out").exists()


def test_requests_without_sense(small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "out"
    assert "there is no such file" in refused(monkeypatch, tmp_path / "no.csv", "--out", out)
    assert "is given more than once" in refused(monkeypatch, small, "--nodes", small, "--out", out)
    assert "COLUMN=FIELD" in refused(monkeypatch, small, "--field", "amount", "--out", out)
    assert "no column 'x'" in refused(monkeypatch, small, "--field", "x=amount", "--out", out)
    assert "no field 'price'" in refused(monkeypatch, small, "--field", "amount=price", "--out", out)
    assert "no currency code" in refused(monkeypatch, small, "--currency", "tenge", "--out", out)
    assert "since 'soon': is no time" in refused(monkeypatch, small, "--since", "soon", "--out", out)
    assert "'klingon': is not known" in refused(monkeypatch, small, "--encoding", "klingon", "--out", out)
    assert "a number above 0" in refused(monkeypatch, small, "--resolution", "inf", "--out", out)
    assert rings(small, "--resolution", "0", "--out", out).exit_code == 2
    assert not out.exists()


def test_options_reach_the_search(tmp_path: Path) -> None:
    edges, out = tmp_path / "edges.csv", tmp_path / "out"
    pa_csv.write_csv(plain_ties(), edges)
    told = rings(edges, "--resolution", "0.5", "--max-partners", "6", "--out", out, "--json")
    summary = json.loads(told.stdout)
    assert summary["resolution"] == 0.5
    assert summary["n_hubs"] > 0
    assert all(hub["n_partners"] > 6 for hub in summary["hubs"])
    plain = json.loads(rings(edges, "--out", out, "--json").stdout)
    assert plain["n_hubs"] == 0
    swapped = rings(edges, "--field", "u=target", "--field", "v=source", "--out", out, "--json")
    columns = json.loads(swapped.stdout)["files"][0]["columns"]
    assert {one["column"]: one["field"] for one in columns} == {"u": "target", "v": "source"}
    assert node(22) in pl.read_parquet(out / "memberships.parquet")["node"]
