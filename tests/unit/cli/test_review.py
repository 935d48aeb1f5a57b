"""`terag review` over a promoted lake and a log in memory: what is printed, stored and refused."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from resources.parquet_lake import ParquetLake
from terag_pipelines.cli import main as cli
from terag_pipelines.cli import review
from terag_pipelines.entities.model import ENTITY_RECORDS
from terag_pipelines.linking.decisions import standing_decisions, write_decision
from terag_pipelines.linking.model import ENTITY_MEMBERS, PAIR_SCORES, REVIEW_QUEUE
from tests.unit.cli.consoles import listening_console
from tests.unit.linking.memory_reviews import MemoryReviews
from tests.unit.linking.records import make_records, make_scores

NOON = datetime(2026, 11, 3, 12, tzinfo=UTC)
PEOPLE = [
    {"record_id": "crm:1", "display_name": "Айгүл [red]Сәрсенова", "birth_date": date(1990, 5, 17)},
    {"record_id": "crm:2", "display_name": "Aigul\x1b[2J", "birth_date": date(1990, 5, 17)},
    {"record_id": "crm:3", "display_name": "Ольга Ким", "phones": ["+77010000001", "+77010000002"]},
]


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MemoryReviews:
    lake, log = ParquetLake(tmp_path / "lake"), MemoryReviews()
    tables = {
        ENTITY_RECORDS: make_records(PEOPLE),
        ENTITY_MEMBERS: ENTITY_MEMBERS.from_columns(
            record_id=["crm:1", "crm:2", "crm:3"], entity_id=["ent_1", "ent_1", "ent_3"]
        ),
        PAIR_SCORES: make_scores(
            ("crm:1", "crm:2", 3.0), ("crm:2", "crm:3", -1.0), pattern="birth_date:exact"
        ),
        REVIEW_QUEUE: REVIEW_QUEUE.from_columns(
            left_id=["crm:1", "crm:2"],
            right_id=["crm:2", "crm:3"],
            rank=[2, 1],
            link_probability=[0.9, 0.3],
            impact=[1, 2],
            reason=["90% likely to match", "30% likely to match"],
        ),
    }
    for schema, table in tables.items():
        lake.write("batch-1", schema, table)
    lake.promote("batch-1", [])

    @contextmanager
    def opened() -> Iterator[MemoryReviews]:
        yield log

    monkeypatch.setenv("TERAG_HOME", str(tmp_path))
    monkeypatch.setattr(review, "_opened_log", opened)
    return log


def ask(*arguments: str) -> Result:
    return CliRunner().invoke(cli.main, ["review", *arguments])


def told(*arguments: str) -> Any:
    done = ask(*arguments, "--json")
    assert done.exit_code == 0, done.output
    return json.loads(done.output)


def refused(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> str:
    console, heard = listening_console()
    monkeypatch.setattr(cli, "console", console)
    assert ask(*arguments).exit_code == 1
    return heard.getvalue()


def test_a_decision_leaves_the_list_and_an_undo_brings_it_back(log: MemoryReviews) -> None:
    assert [row["left_id"] for row in told("list")["reviews"]] == ["crm:2", "crm:1"]
    decided = told("decide", "crm:3", "crm:2", "--different", "--by", "Anna", "--note", "sisters")
    assert (decided["left_id"], decided["is_match"], decided["decided_by"]) == ("crm:2", False, "Anna")
    assert told("list")["n_reviews"] == 1
    assert told("show", "crm:2", "crm:3")["decision"]["decided_by"] == "Anna"
    assert told("undo", "crm:2", "crm:3", "--by", "Bolat")["undoes"] == decided["decision_id"]
    assert told("list")["n_reviews"] == 2
    assert standing_decisions(log.entries()).num_rows == 0
    assert [row["decided_by"] for row in told("history", "crm:3", "crm:2")["entries"]] == ["Bolat", "Anna"]


def test_the_list_says_how_much_of_it_is_shown(log: MemoryReviews) -> None:
    shown = ask("list", "--limit", "1").output
    assert "1 of 2 open questions" in shown
    assert "30% likely" in shown
    assert "90% likely" not in shown


def test_two_records_stand_side_by_side_and_cannot_steer_the_terminal(log: MemoryReviews) -> None:
    log.append(write_decision("1", ("crm:1", "crm:2"), True, "Anna", NOON, "[bold]really"))
    shown = ask("show", "crm:2", "crm:1").output
    assert "Айгүл [red]Сәрсенова" in shown
    assert "Aigul·[2J" in shown
    assert "\x1b" not in shown
    assert "birth date:exact" in shown
    assert "[bold]really" in shown
    [birth] = [line for line in shown.splitlines() if "birth date " in line]
    assert birth.count("1990-05-17") == 2
    assert "=" in birth


def test_a_pair_never_compared_is_shown_as_such(log: MemoryReviews) -> None:
    shown = told("show", "crm:1", "crm:3")
    assert (shown["score"], shown["review"], shown["decision"]) == (None, None, None)
    assert shown["right"]["phones"] == ["+77010000001", "+77010000002"]
    assert "never compared" in ask("show", "crm:1", "crm:3").output


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("decide", "crm:1", "crm:9", "--same", "--by", "Anna"), "no record crm:9"),
        (("decide", "crm:1", "crm:1", "--same", "--by", "Anna"), "two different records"),
        (("decide", "crm:1", "crm:2", "--same", "--by", "key:0123"), "a person's name"),
        (("undo", "crm:1", "crm:2", "--by", "Anna"), "no decision stands"),
        (("show", "crm:1", "crm:9"), "no record crm:9"),
    ],
)
def test_what_cannot_be_is_one_sentence(
    log: MemoryReviews, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], why: str
) -> None:
    heard = refused(monkeypatch, *arguments)
    assert why in heard
    assert heard.count("\n") == 1
    assert log.entries().num_rows == 0


def test_a_contradiction_is_told_with_the_decisions(
    log: MemoryReviews, monkeypatch: pytest.MonkeyPatch
) -> None:
    told("decide", "crm:1", "crm:2", "--same", "--by", "Anna")
    told("decide", "crm:2", "crm:3", "--same", "--by", "Anna")
    heard = refused(monkeypatch, "decide", "crm:1", "crm:3", "--different", "--by", "Bolat")
    assert "crm:1 = crm:2, crm:2 = crm:3" in heard


def test_neither_the_same_nor_different_is_no_decision(log: MemoryReviews) -> None:
    assert ask("decide", "crm:1", "crm:2", "--by", "Anna").exit_code == 2
    assert ask("history", "crm:1").exit_code == 2
