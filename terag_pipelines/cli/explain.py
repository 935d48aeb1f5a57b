"""`terag explain`: why a pair, an entity or a record is as it is: in the terminal, as JSON or as a page."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Protocol

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from resources.linked_folder import read_linked_folder
from resources.owner_files import write_private_file
from resources.parquet_lake import ParquetLake
from resources.promoted_tables import PromotedTables
from resources.settings import load_settings
from terag_pipelines.calibration.fit import load_calibrator
from terag_pipelines.calibration.model import CALIBRATORS
from terag_pipelines.entities.model import ENTITY_RECORDS
from terag_pipelines.linking.explanation import ExplanationParams, LinkedBatch, WeighedPair, infer_threshold
from terag_pipelines.linking.explanation_entities import EntityExplanation, explain_entity
from terag_pipelines.linking.explanation_pairs import PairExplanation, explain_pair, say_blocking
from terag_pipelines.linking.explanation_pictures import (
    reasons_line,
    render_entity,
    render_pair,
    render_record,
)
from terag_pipelines.linking.explanation_records import RecordExplanation, explain_record
from terag_pipelines.linking.explanation_words import say_bits, say_weight, title_field
from terag_pipelines.linking.links import LinkParams
from terag_pipelines.linking.model import (
    CANDIDATE_PAIRS,
    ENTITY_MEMBERS,
    LINK_MODEL,
    LINKS,
    PAIR_DECISIONS,
    PAIR_SCORES,
)

N_REASONS = 3
MAX_INDENT = 12  # steps of a tree in the terminal


class Explanation(Protocol):
    """What can be shown as JSON: explanations of pairs, entities and records."""

    def as_json(self) -> dict[str, object]:
        """The explanation for machines."""


def open_batch(folder: Path | None) -> LinkedBatch:
    """What `terag link` wrote into the folder; without one, the promoted batch.

    Raises: IncompleteBatchError where a table is missing or nothing has been promoted.
    """
    if folder is not None:
        return read_linked_folder(folder)
    lake = ParquetLake(load_settings().lake_folder)
    promoted = PromotedTables(lake)
    schemas = (ENTITY_RECORDS, PAIR_SCORES, LINK_MODEL, LINKS, ENTITY_MEMBERS, CANDIDATE_PAIRS, CALIBRATORS)
    records, scores, model, links, members, candidates, calibrators = promoted.tables(*schemas)
    shelf = lake.promoted()
    is_reviewed = shelf is not None and PAIR_DECISIONS.name in shelf.digests
    calibrator = load_calibrator(calibrators, "links")
    return LinkedBatch(
        records,
        scores,
        model,
        links,
        members,
        candidates,
        decisions=promoted.tables(PAIR_DECISIONS)[0] if is_reviewed else None,
        calibrator=calibrator,
        params=ExplanationParams(links=LinkParams(infer_threshold(scores, links, calibrator))),
    )


def show_pair(left: str, right: str, folder: Path | None, as_json: bool, page: Path | None) -> None:
    """Explains two records. Raises: NotFoundError, LinkingError, IncompleteBatchError."""
    told = explain_pair(open_batch(folder), left, right)
    if not _hand_over(told, as_json, page, render_pair(told)):
        _print_pair(told, _output())


def show_entity(entity_id: str, folder: Path | None, as_json: bool, page: Path | None) -> None:
    """Explains an entity. Raises: NotFoundError, IncompleteBatchError."""
    told = explain_entity(open_batch(folder), entity_id)
    if not _hand_over(told, as_json, page, render_entity(told)):
        _print_entity(told, _output())


def show_record(record_id: str, folder: Path | None, as_json: bool, page: Path | None) -> None:
    """Explains a record. Raises: NotFoundError, IncompleteBatchError."""
    told = explain_record(open_batch(folder), record_id)
    if not _hand_over(told, as_json, page, render_record(told)):
        _print_record(told, _output())


def _hand_over(told: Explanation, as_json: bool, page: Path | None, html: str) -> bool:
    """Writes the page, prints the JSON; whether there is nothing left to print."""
    if page is not None:
        write_private_file(page, html)
    if as_json:
        click.echo(json.dumps(told.as_json(), ensure_ascii=False, indent=2))
    elif page is not None:
        click.echo(f"written: {page}")
    return as_json or page is not None


def _output() -> Console:
    out = Console(highlight=False)
    return out if out.is_terminal else Console(highlight=False, width=132)


def _say(out: Console, told: str) -> None:
    out.print(_printable(told), soft_wrap=True)


def _printable(told: str) -> str:
    """Text that cannot steer the terminal."""
    return escape("".join(c if c.isprintable() or c == "\n" else "\ufffd" for c in told))


def _print_pair(told: PairExplanation, out: Console) -> None:
    _say(out, told.sentence)
    out.print(_waterfall(told.weighed))
    _say(out, say_blocking(told))
    for rule in told.near_rules:
        _say(out, f"  came near: {rule.sentence}")


def _waterfall(pair: WeighedPair) -> Table:
    table = Table(show_edge=False, pad_edge=False)
    for title in ("what", pair.left_id, pair.right_id, "how far it agrees"):
        table.add_column(_printable(title), overflow="fold")
    table.add_column("bits", justify="right", no_wrap=True)
    table.add_row("prior", "", "", pair.prior_account, say_bits(pair.prior_weight))
    for part in (*pair.known, *pair.at_other_times):
        sides = ("\n".join(map(_printable, side)) for side in (part.left, part.right))
        table.add_row(title_field(part.field), *sides, part.account, say_bits(part.weight))
    if pair.unexplained_weight:
        table.add_row("not explained", "", "", "", say_bits(pair.unexplained_weight))
    table.add_row("together", "", "", "", say_bits(pair.match_weight), style="bold")
    return table


def _print_entity(told: EntityExplanation, out: Console) -> None:
    _say(out, told.sentence)
    table = Table("record", "name", "born", "numbers", "links", show_edge=False, pad_edge=False)
    for member in told.members:
        cells = (member.record_id, member.name, member.birth_date, "\n".join(member.numbers), member.degree)
        table.add_row(*(_printable(str(cell)) for cell in cells))
    out.print(table)
    for edge in told.tree:
        indent = "  " * min(edge.depth, MAX_INDENT)
        _say(out, f"{indent}{edge.child_id} to {edge.parent_id} {say_weight(edge.weight)}")
        _say(out, f"{indent}  {reasons_line(edge.pair, N_REASONS)}")
    if told.weakest:
        _say(out, "What would split it:")
    for weak in told.weakest:
        _say(out, weak.sentence)
    for sentence in [*([told.cut.sentence] if told.cut else []), *told.pillar_sentences]:
        _say(out, sentence)


def _print_record(told: RecordExplanation, out: Console) -> None:
    _say(out, told.sentence)
    for title, pairs in (("linked with", told.linked), ("nearest of the others", told.nearest)):
        for pair in pairs:
            _say(out, f"\n{title}: {told.other_id(pair)}. {pair.sentence}")
            _say(out, f"  {reasons_line(pair, N_REASONS)}")
            for rule in pair.near_rules:
                _say(out, f"  came near: {rule.sentence}")
