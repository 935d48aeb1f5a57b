"""`terag review`: the questions of the promoted batch, and people's decisions on them."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime
from typing import Any

import click
import pyarrow as pa
import pyarrow.compute as pc
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from resources.embedded import DOCUMENTS, EmbeddedStores
from resources.mongo_reviews import MongoReviews
from resources.parquet_lake import ParquetLake
from resources.promoted_tables import PromotedTables
from resources.settings import load_settings
from resources.stores import connect_documents
from terag_pipelines.entities.model import ENTITY_RECORDS
from terag_pipelines.errors import DecisionError, NotFoundError
from terag_pipelines.linking.decisions import (
    decide_pair,
    entities_of_pair,
    order_pair,
    row_of_pair,
    standing_decisions,
    standing_entry,
    tabulate_entries,
    undo_decision,
    write_decision,
)
from terag_pipelines.linking.model import ENTITY_MEMBERS, PAIR_SCORES, REVIEW_QUEUE
from terag_pipelines.linking.ports import Pair, ReviewEntry
from terag_pipelines.linking.reviews import list_pairs, open_questions

FIELDS = (
    "dataset",
    "party_type",
    "display_name",
    "birth_date",
    "sex",
    "iin",
    "bin",
    "legal_form",
    "identifiers",
    "phones",
    "emails",
    "street",
    "house",
    "locality",
    "region",
    "postcode",
    "country",
    "quality_flags",
)
OUTCOMES = {True: "the same", False: "different", None: "undone"}
KEY_PREFIX = "key:"


def print_queue(limit: int, as_json: bool, console: Console) -> None:
    """Prints the open questions by rank."""
    (queue,) = _promoted().tables(REVIEW_QUEUE)
    found = open_questions(queue, standing_decisions(_entries(list_pairs(queue))))
    rows = found.slice(0, limit).to_pylist()
    if as_json:
        _print_json({"n_reviews": found.num_rows, "reviews": rows})
        return
    table = Table("#", "left", "right", "probability", "impact", "why", show_edge=False)
    for row in rows:
        probability = f"{row['link_probability']:.0%}"
        shown = (row["rank"], row["left_id"], row["right_id"], probability, row["impact"], row["reason"])
        table.add_row(*_texts(shown))
    console.print(table)
    console.print(f"{len(rows):,} of {found.num_rows:,} open questions", markup=False)


def print_pair(pair: Pair, as_json: bool, console: Console) -> None:
    """Prints two records side by side, with how they compare and what was decided. Raises: NotFoundError."""
    pair = order_pair(*pair)
    shown = _describe_pair(pair)
    if as_json:
        _print_json(shown)
        return
    table = Table("", *_texts(pair), "", show_edge=False)
    for field in ("entity_id", *FIELDS):
        values = [_text_of(shown[side].get(field)) for side in ("left", "right")]
        if any(values):
            sign = "[green]=[/]" if values[0] == values[1] else "[yellow]≠[/]" if all(values) else ""
            table.add_row(field.replace("_", " "), *_texts(values), sign)
    console.print(table)
    _print_findings(shown, console)


def decide(pair: Pair, is_match: bool, by: str, note: str | None, as_json: bool, console: Console) -> None:
    """Stores a decision on a pair of the promoted batch. Raises: NotFoundError, DecisionClashError."""
    _require_own_name(by)
    decision = write_decision(uuid.uuid4().hex, pair, is_match, by, datetime.now(UTC), note)
    (members,) = _promoted().tables(ENTITY_MEMBERS)
    entities_of_pair(members, decision.pair)
    with _opened_log() as log:
        stored = decide_pair(log, decision)
    _print_entry(stored, as_json, console)


def undo(pair: Pair, by: str, as_json: bool, console: Console) -> None:
    """Takes back the decision that stands on a pair. Raises: NotFoundError."""
    _require_own_name(by)
    pair = order_pair(*pair)
    with _opened_log() as log:
        standing = standing_entry(log, pair)
        if standing is None:
            raise NotFoundError(f"no decision stands on the pair {pair[0]} and {pair[1]}")
        stored = undo_decision(log, standing.decision_id, by, datetime.now(UTC))
    _print_entry(stored, as_json, console)


def print_history(pair: Pair | None, limit: int, as_json: bool, console: Console) -> None:
    """Prints the log, the last entry first."""
    entries = _entries(None if pair is None else [order_pair(*pair)])
    found = entries.sort_by([("decided_at", "descending"), ("position", "descending")])
    rows = found.slice(0, limit).to_pylist()
    if as_json:
        _print_json({"n_entries": found.num_rows, "entries": rows})
        return
    console.print(_history_table(rows))
    console.print(f"{len(rows):,} of {found.num_rows:,} entries", markup=False)


def _describe_pair(pair: Pair) -> dict[str, Any]:
    schemas = (ENTITY_RECORDS, ENTITY_MEMBERS, PAIR_SCORES, REVIEW_QUEUE)
    records, members, scores, queue = _promoted().tables(*schemas)
    entity_ids = entities_of_pair(members, pair)
    found = records.filter(pc.is_in(records["record_id"], value_set=pa.array(pair))).to_pylist()
    left, right = (
        {"record_id": row["record_id"], "entity_id": entity_id} | {name: row[name] for name in FIELDS}
        for row, entity_id in zip(found, entity_ids, strict=True)
    )
    entries = _entries([pair])
    return {
        "left": left,
        "right": right,
        "score": row_of_pair(scores, pair),
        "review": row_of_pair(queue, pair),
        "decision": row_of_pair(standing_decisions(entries), pair),
        "history": entries.to_pylist(),
    }


def _print_findings(shown: Mapping[str, Any], console: Console) -> None:
    """How the pair compares, why it is asked about, and what was decided on it."""
    score, question = shown["score"], shown["review"]
    if score is None:
        console.print("\nthe two were never compared: no blocking rule brought them together")
    else:
        levels = (score["pattern"] or "").replace("|", ", ").replace("_", " ")
        weight = f"{score['match_weight']:+.1f} bits, {score['match_probability']:.1%}"
        console.print(f"\ncompared: {levels}\nweight:   {weight}", markup=False, soft_wrap=True)
    if question is not None:
        console.print(f"asked:    {question['reason']}", markup=False, soft_wrap=True)
    if shown["history"]:
        console.print(_history_table(shown["history"][::-1]))


def _history_table(rows: Sequence[Mapping[str, Any]]) -> Table:
    table = Table("when", "left", "right", "decided", "by", "note", show_edge=False)
    for row in rows:
        when = f"{row['decided_at']:%Y-%m-%d %H:%M} UTC"
        outcome = OUTCOMES[row["is_match"]]
        shown = (when, row["left_id"], row["right_id"], outcome, row["decided_by"], row["note"] or "")
        table.add_row(*_texts(shown))
    return table


def _print_entry(entry: ReviewEntry, as_json: bool, console: Console) -> None:
    if as_json:
        _print_json(tabulate_entries([entry]).to_pylist()[0])
        return
    told = f"{entry.left_id} and {entry.right_id}: {OUTCOMES[entry.is_match]}, by {entry.decided_by}"
    console.print(f"{told}; it takes effect with the next run", markup=False, soft_wrap=True)


def _require_own_name(by: str) -> None:
    """A name given on site is never taken for an API key. Raises: DecisionError."""
    if by.startswith(KEY_PREFIX):
        raise DecisionError(f"--by is a person's name; {KEY_PREFIX}... stands for a key of the REST service")


def _promoted() -> PromotedTables:
    return PromotedTables(ParquetLake(load_settings().lake_folder))


@contextmanager
def _opened_log() -> Iterator[MongoReviews]:
    settings = load_settings()
    database = connect_documents(settings, EmbeddedStores(settings).start(needs=[DOCUMENTS]))
    try:
        yield MongoReviews(database)
    finally:
        database.client.close()


def _entries(pairs: Sequence[Pair] | None) -> pa.Table:
    with _opened_log() as log:
        return log.entries(pairs)


def _texts(values: Sequence[object]) -> list[str]:
    """Texts for the terminal; a control character of a source must not steer it."""
    return [escape("".join(c if c.isprintable() else "·" for c in str(value))) for value in values]


def _text_of(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(value)
    return "" if value is None else str(value)


def _print_json(content: object) -> None:
    click.echo(json.dumps(content, default=_as_text, indent=2, ensure_ascii=False))


def _as_text(value: date | datetime) -> str:
    return value.isoformat()
