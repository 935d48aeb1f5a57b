"""`terag link` on files that are hardly fit to be linked: what it makes of them, it says."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from tests.unit.cli.test_link import link, refused

HEADER = "id,given_name,family_name,birth_date,phone,address"


def strangers(n: int, **same: str) -> Iterator[str]:
    """Rows of people of whom no two are one; `same` holds what all have in common."""
    rng = random.Random(7)
    syllables = [f"{one}{other}" for one in "bdgklmnprst" for other in "aeiou"]
    for number in range(n):
        row = {
            "id": str(number),
            "given_name": "".join(rng.choices(syllables, k=3)),
            "family_name": "".join(rng.choices(syllables, k=4)),
            "birth_date": f"{rng.randint(1940, 2004)}-{rng.randint(1, 12):02}-{rng.randint(1, 28):02}",
            "phone": f"+7701{rng.randrange(10**7):07}",
            "address": f"{''.join(rng.choices(syllables, k=4))} {rng.randint(1, 90)}",
        }
        yield ",".join((row | same).values())


def write(path: Path, *lines: str) -> Path:
    path.write_text("\n".join((HEADER, *lines)) + "\n", encoding="utf-8")
    return path


def summary_of(path: Path, out: Path) -> dict[str, Any]:
    told = link(path, "--out", out, "--json")
    assert told.exit_code == 0, told.output
    summary: dict[str, Any] = json.loads(told.stdout)
    return summary


def test_columns_without_any_value_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    empty = write(tmp_path / "empty.csv", *(f"{n},,,,," for n in range(500)))
    told = refused(monkeypatch, empty, "--out", tmp_path / "out")
    assert "none of its 6 columns (5 of them empty) is recognised" in told
    one = write(tmp_path / "one.csv", *strangers(500, phone=""))
    [source] = summary_of(one, tmp_path / "out")["sources"]
    assert {column["column"]: column["reason"] for column in source["columns"]}[
        "phone"
    ] == "not used: it is empty"


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("phone", "+77010000000"),
        ("family_name", "kim"),
        ("birth_date", "1900-01-01"),
        ("address", "abai 1"),
    ],
)
def test_a_value_that_all_have_makes_nobody_one(tmp_path: Path, column: str, value: str) -> None:
    same = write(tmp_path / "same.csv", *strangers(6_000, **{column: value}))
    summary = summary_of(same, tmp_path / "out")
    [source] = summary["sources"]
    reasons = {column["column"]: column["reason"] for column in source["columns"]}
    assert reasons[column] == "by its name; it has one value everywhere"
    assert summary["n_candidate_pairs"] <= 100_000 + 8 * 6_000
    assert summary["largest_entity"] <= 3
    assert summary["n_entities"] > 0.98 * 6_000


def test_a_name_of_a_million_letters_is_a_name_and_makes_no_large_page(tmp_path: Path) -> None:
    long = "".join(random.Random(2).choices("abcdefgh ", k=1_000_000))
    rows = [*strangers(300), *(f"long{n},anna,{long},1980-01-01,+77017654321,abai 1" for n in range(2))]
    out = tmp_path / "out"
    summary_of(write(tmp_path / "long.csv", *rows), out)
    entity_of = {
        row["native_id"]: row["entity_id"] for row in pq.read_table(out / "entities.parquet").to_pylist()
    }
    assert entity_of["long0"] == entity_of["long1"]
    assert (out / "report.html").stat().st_size < 1_000_000
    assert (out / "summary.json").stat().st_size < 100_000


@pytest.mark.parametrize("n_foreign", [8, 200])
def test_lines_in_another_encoding_are_counted_or_too_many(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, n_foreign: int
) -> None:
    path, rows = tmp_path / "mixed.csv", [*strangers(400, given_name="Айгүл", family_name="Ким")]
    encodings = ["cp1251" if n < n_foreign else "utf-8" for n in range(400)]
    lines = [row.encode(how, "replace") for row, how in zip(rows, encodings, strict=True)]
    path.write_bytes(b"\n".join((HEADER.encode(), *lines)))
    if n_foreign > 0.05 * 400:
        told = refused(monkeypatch, path, "--out", tmp_path / "out")
        assert "200 of 400 rows (50.0%) cannot be used" in told
        assert "is not valid utf-8 (200)" in told
        assert not (tmp_path / "out").exists()
        return
    summary = summary_of(path, tmp_path / "out")
    assert summary["n_records"] == 392
    assert summary["lost_values"] == [
        {"file": "mixed.csv", "field": "", "reason": "is not valid utf-8", "n": 8}
    ]
    assert "8 rows could not be used at all" in " ".join(summary["warnings"])


def test_an_em_that_finds_no_two_classes_is_not_believed(tmp_path: Path) -> None:
    summary = summary_of(write(tmp_path / "strangers.csv", *strangers(2_000)), tmp_path / "out")
    assert [warning for warning in summary["warnings"] if warning.startswith("person: defaults were used")]
    assert summary["n_links"] == 0
