"""`terag ring`: the rings of the promoted batch, and the case of one: as text, as JSON or as a page."""

from __future__ import annotations

import json
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import click
import pyarrow as pa
from rich.console import Console
from rich.table import Table

from resources.batch_identity import code_digest
from resources.owner_files import write_private_file
from resources.parquet_lake import ParquetLake
from resources.promoted_tables import PromotedTables
from resources.settings import load_settings
from terag_pipelines.cli.printing import printable
from terag_pipelines.entities.model import ACCOUNTS, ENTITY_RECORDS, RELATIONSHIPS, TRANSFERS
from terag_pipelines.errors import NotFoundError
from terag_pipelines.linking.model import ENTITIES, ENTITY_MEMBERS
from terag_pipelines.rings.case_files import CaseFile, Provenance, open_case
from terag_pipelines.rings.case_pages import render_case
from terag_pipelines.rings.lineage_words import LINEAGE, lineage_sections
from terag_pipelines.rings.model import (
    FRAUD_RINGS,
    RING_DOUBT,
    RING_EVENTS,
    RING_FEATURES,
    RING_HISTORY,
    RING_INTERDICTIONS,
    RING_MEMBER_DOUBT,
    RING_MEMBERS,
    RING_SCORES,
    RING_WINDOWS,
)
from terag_pipelines.rings.scenes import sum_money
from terag_pipelines.rings.sections import Section, Told
from terag_pipelines.rings.windows import say_windows
from terag_pipelines.rings.words import (
    plain_kind,
    risk_of,
    say_amount,
    say_count,
    say_instant,
    say_probability,
    say_risk,
    say_sums,
)
from terag_pipelines.tables import TableSchema

CASE_TABLES = (
    FRAUD_RINGS,
    RING_MEMBERS,
    RING_SCORES,
    ENTITIES,
    ENTITY_MEMBERS,
    ENTITY_RECORDS,
    ACCOUNTS,
    TRANSFERS,
    RELATIONSHIPS,
)
FURTHER_TABLES = (RING_WINDOWS, RING_FEATURES, RING_DOUBT, RING_MEMBER_DOUBT, RING_INTERDICTIONS)
N_CODE_DIGITS = 16
N_MEMBERS = 15  # in the terminal


def list_rings(least_risk: float, as_json: bool, console: Console) -> None:
    """Prints the rings of at least that risk, the riskiest first. Raises: IncompleteBatchError."""
    rings = sorted(_rings(), key=lambda ring: (-risk_of(ring), ring["ring_id"]))
    shown = [ring for ring in rings if risk_of(ring) >= least_risk]
    if as_json:
        _print_json({"n_rings": len(shown), "rings": shown})
        return
    head = ("ring", "event", "severity", "risk", "kind", "members", "amount", "last transfer")
    table = Table(*head, show_edge=False)
    for ring in shown:
        table.add_row(*(printable(cell) for cell in _ring_row(ring)))
    console.print(table)
    console.print(_say_list(len(shown), len(rings)), markup=False)


def show_ring(ring_id: str, page: Path | None, as_json: bool, console: Console) -> None:
    """Writes or prints the case of a ring. Raises: NotFoundError, IncompleteBatchError."""
    case = read_case(ring_id)
    if page is not None:
        write_private_file(page, render_case(case))
    if as_json:
        _print_json(case.as_json())
    elif page is not None:
        click.echo(f"written: {page}")
    else:
        _print_case(case, console)


def read_case(ring_id: str) -> CaseFile:
    """The case of a ring of the promoted batch. Raises: NotFoundError, IncompleteBatchError."""
    lake = _open_lake()
    shelf = PromotedTables(lake).shelf()
    rings = lake.read(shelf, FRAUD_RINGS)
    if ring_id not in rings["ring_id"].to_pylist():
        raise NotFoundError(
            f"there is no ring {ring_id[:40]} in the promoted batch; those there are: terag ring list"
        )
    digests = lake.digests(shelf)
    there = [
        schema for schema in FURTHER_TABLES if schema.name in digests
    ]  # not in a batch of an earlier version
    tables = {schema.name: lake.read(shelf, schema) for schema in (*CASE_TABLES, *there)}
    code = f"terag-pipelines {version('terag-pipelines')}, code {code_digest()[:N_CODE_DIGITS]}"
    window = say_windows(tables[RING_WINDOWS.name]) if RING_WINDOWS.name in tables else ""
    history = _find(lake, shelf, RING_HISTORY)
    provenance = Provenance(shelf, digests, code, window)
    return open_case(ring_id, tables, provenance, lineage_sections(ring_id, history))


def _find(lake: ParquetLake, shelf: str, schema: TableSchema) -> pa.Table:
    """The rows of a table; none where an earlier version made the batch without it."""
    return lake.read(shelf, schema) if lake.stored(shelf, schema.name) else schema.empty()


def _open_lake() -> ParquetLake:
    return ParquetLake(load_settings().lake_folder)


def _rings() -> list[dict[str, Any]]:
    """The rows of FRAUD_RINGS, each with its event and stability; null where those are not known."""
    lake = _open_lake()
    shelf = PromotedTables(lake).shelf()
    events = {row["ring_id"]: row for row in _find(lake, shelf, RING_EVENTS).to_pylist()}
    return [
        ring | {name: events.get(ring["ring_id"], {}).get(name) for name in ("event", "stability")}
        for ring in lake.read(shelf, FRAUD_RINGS).to_pylist()
    ]


def _ring_row(ring: dict[str, Any]) -> tuple[str, ...]:
    risk = say_probability(risk_of(ring)) if ring["is_calibrated"] else f"{risk_of(ring):.2f} uncalibrated"
    amount = say_amount(ring["amount_minor"], ring["currency"] or "")
    kind, last = plain_kind(ring["kind"]), say_instant(ring["last_at"])
    event = ring["event"] or "-"
    return ring["ring_id"], event, ring["severity"], risk, kind, str(ring["n_members"]), amount, last


def _say_list(n_shown: int, n_all: int) -> str:
    told = say_count(n_all, "ring") if n_shown == n_all else f"{n_shown:,} of {say_count(n_all, 'ring')}"
    return f"{told}; the case of one: terag ring show RING --html FILE"


def _print_case(case: CaseFile, console: Console) -> None:
    ring = case.ring
    amount = say_sums(sum_money(case.scene.transfers))
    told = [
        f"{ring['ring_id']}: {plain_kind(ring['kind'])}, severity {ring['severity']}",
        f"risk      {say_risk(ring)}",
        f"members   {len(case.scene.members):,}, {ring['n_watchlist'] or 'none'} on a watchlist",
        f"moved     {amount} between members, in {say_count(ring['n_transfers'], 'transfer')}",
        f"from      {say_instant(ring['first_at'])} to {say_instant(ring['last_at'])} UTC",
        *(f"because   {reason}" for reason in ring["reasons"]),
        *_say_lineage(case),
        *_say_sections(case),
    ]
    for line in told:
        console.print(printable(line), soft_wrap=True)
    console.print(_members_table(case))
    left_out = len(case.scene.members) - N_MEMBERS
    if left_out > 0:
        console.print(f"and {left_out:,} more; all with --json")
    console.print(f"the whole case: terag ring show {ring['ring_id']} --html FILE", markup=False)


def _say_lineage(case: CaseFile) -> list[str]:
    first = [section.blocks[0] for section in case.further if section.title == LINEAGE]
    return [f"lineage   {block.text}" for block in first if isinstance(block, Told)]


def _say_sections(case: CaseFile) -> list[str]:
    return [f"see also  {section.title} (--html){_say_first(section)}" for section in case.further]


def _say_first(section: Section) -> str:
    first = section.blocks[0] if section.blocks else None
    return f": {first.text}" if isinstance(first, Told) else ""


def _members_table(case: CaseFile) -> Table:
    table = Table("", "member", "name", "role", "score", "got", "paid", show_edge=False)
    currency = case.ring["currency"] or ""
    for member in case.scene.members[:N_MEMBERS]:
        cells = (
            member.number,
            member.entity_id,
            case.people[member.number].name + (" (watchlist)" if member.is_watchlist else ""),
            plain_kind(member.role),
            f"{member.score:.2f}",
            say_amount(member.in_amount_minor, currency),
            say_amount(member.out_amount_minor, currency),
        )
        table.add_row(*(printable(str(cell)) for cell in cells))
    return table


def _print_json(content: object) -> None:
    click.echo(json.dumps(content, default=_as_text, indent=2, ensure_ascii=False))


def _as_text(value: datetime) -> str:
    return value.isoformat()
