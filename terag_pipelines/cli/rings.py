"""`terag rings`: a file of edges in, communities and rings out; no store, no orchestrator, no manifest."""

from __future__ import annotations

import csv
import io
import json
import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
from rich.console import Console
from rich.table import Table

from resources.loose_files import read_loose_file
from resources.owner_files import write_private_file
from resources.result_folders import MARK, check_result_folder, write_result_folder
from terag_pipelines.cli.link import parse_fields
from terag_pipelines.cli.printing import printable
from terag_pipelines.errors import ConfigurationError, RingError
from terag_pipelines.money import OWN_UNITS
from terag_pipelines.rings.edge_reading import EdgeParams, GivenFile, GivenGraph
from terag_pipelines.rings.findings import DetectorParams
from terag_pipelines.rings.found_tables import MEMBERSHIPS, RINGS
from terag_pipelines.rings.ring_detector import FoundRings, FraudRingDetector
from terag_pipelines.rings.words import plain_kind, say_count

REPORT, QUARANTINE = "report.html", "quarantine.csv"
N_RINGS = 15  # in the terminal
_QUARANTINE_COLUMNS = ("file", "row", "field", "reason")


@dataclass(frozen=True)
class RingsRequest:
    """What the command line asked for."""

    edges: Path
    out: Path
    nodes: Path | None = None
    labels: Path | None = None
    encoding: str = "utf-8"
    params: DetectorParams = field(default_factory=DetectorParams)


def params_of(
    fields: Sequence[str],
    currency: str | None,
    max_partners: int,
    resolution: float | None,
    **edges: Any,
) -> DetectorParams:
    """The parameters of a search out of the options of the command. Raises: ConfigurationError."""
    if currency is not None and not re.fullmatch(r"[A-Za-z]{3}", currency):
        raise ConfigurationError(f"--currency {currency!r}: is no currency code of three letters")
    if resolution is not None and not math.isfinite(resolution):
        raise ConfigurationError("--resolution: is a number above 0")
    plain = DetectorParams()
    rings = replace(
        plain.rings,
        projection=replace(plain.rings.projection, max_counterparties=max_partners),
        communities=replace(plain.rings.communities, resolution=resolution),
    )
    told = EdgeParams(parse_fields(fields), currency.upper() if currency else OWN_UNITS, **edges)
    return DetectorParams(told, rings)


def find_rings(request: RingsRequest) -> FoundRings:
    """Reads, finds and writes the results.

    Raises: ConfigurationError for a request that makes no sense, SourceError and RingError for what was
    handed in, StorageFullError. Where no row can be used the quarantine is written beside the folder, whose
    earlier results stay.
    """
    check_result_folder(request.out)
    _refuse_repeats(request)
    detector = FraudRingDetector(request.params)
    given = detector.read(*(_read(path, request.encoding) for path in _paths(request)))  # type: ignore[arg-type]
    if not given.n_edges and given.quarantine.num_rows:
        _write_quarantine_alone(request, detector, given)
    found = detector.find_in(given)
    texts = {
        MARK: as_json(found) + "\n",
        REPORT: found.report_html(),
        QUARANTINE: quarantine_csv(found.quarantine),
    }
    tables = {MEMBERSHIPS.name: found.memberships, RINGS.name: found.rings}
    write_result_folder(request.out, tables, texts)
    return found


def as_json(found: FoundRings) -> str:
    """The summary as JSON text."""
    return json.dumps(found.summary(), indent=2, sort_keys=True, ensure_ascii=False)


def quarantine_csv(quarantine: pa.Table) -> str:
    """file, row, field, reason of what could not be used; row 1 is the first row of data."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_QUARANTINE_COLUMNS)
    writer.writerows(zip(*(quarantine[name].to_pylist() for name in _QUARANTINE_COLUMNS), strict=True))
    return text.getvalue()


def print_summary(found: FoundRings, out: Path, console: Console) -> None:
    """How columns were read, what was left out, and the riskiest rings, for a person."""
    summary = found.summary()
    for file in summary["files"]:
        console.print(f"[bold]{printable(file['file'])}[/]: {_say_file(file)}")
        console.print(_columns_table(file["columns"]))
    for note in summary["notes"]:
        console.print(f"- {printable(note)}")
    for lost in summary["quarantine"]:
        what = f"{lost['field']} {lost['reason']}".strip()
        told = f"{lost['file']}: {say_count(lost['n'], 'row')} in quarantine: {what}"
        console.print(f"- {printable(told)}")
    console.print(_say_counts(summary))
    if summary["rings"]:
        console.print(_rings_table(summary["rings"]))
    console.print(f"results: {printable(str(out))}", soft_wrap=True)


def _paths(request: RingsRequest) -> tuple[Path | None, ...]:
    return request.edges, request.nodes, request.labels


def _refuse_repeats(request: RingsRequest) -> None:
    times = Counter(path.resolve() for path in _paths(request) if path is not None)
    if repeated := [path for path, n in times.items() if n > 1]:
        raise ConfigurationError(f"{repeated[0].name}: is given more than once")


def _read(path: Path | None, encoding: str) -> GivenFile | None:
    return None if path is None else GivenFile(path.name, read_loose_file(path, encoding))


def _write_quarantine_alone(request: RingsRequest, detector: FraudRingDetector, given: GivenGraph) -> None:
    """Names each row of a file of which none can be used. Raises: RingError."""
    path = request.out.with_name(f"{request.out.name}-{QUARANTINE}")
    try:
        detector.find_in(given)
    except RingError as error:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_private_file(path, quarantine_csv(given.quarantine))
        raise RingError(f"{error}; each row is named in {path}") from None


def _say_file(file: Mapping[str, Any]) -> str:
    told = f"{file['role']}, {say_count(file['n_rows'], 'row')}"
    counts = {
        "in quarantine": file["n_quarantined"],
        "outside the window": file["n_outside"],
        "repeated": file["n_repeated"],
    }
    return ", ".join([told, *(f"{n:,} {what}" for what, n in counts.items() if n)])


def _columns_table(columns: list[Mapping[str, str | None]]) -> Table:
    table = Table(show_edge=False, pad_edge=False)
    for title in ("column", "read as", "why"):
        table.add_column(title, overflow="fold")
    for column in columns:
        table.add_row(*(printable(column[key] or "-") for key in ("column", "field", "reason")))
    return table


def _say_counts(summary: Mapping[str, Any]) -> str:
    clear = "read off the graph" if summary["is_resolution_clear"] else "not read off the graph"
    return (
        f"{say_count(summary['n_nodes'], 'node')}, {say_count(summary['n_transfers'], 'transfer')}, "
        f"{say_count(summary['n_plain_ties'], 'plain tie')}; "
        f"{say_count(summary['n_communities'], 'community', 'communities')} at the resolution "
        f"{summary['resolution']:.3g} ({clear}), the largest of {summary['largest_community']:,}; "
        f"{say_count(summary['n_rings'], 'ring')} of {say_count(summary['n_nodes_in_rings'], 'node')}\n"
        f"risk: {summary['risk']}"
    )


def _rings_table(rings: list[Mapping[str, Any]]) -> Table:
    table = Table("ring", "kind", "severity", "risk", "members", "moved", "why", show_edge=False)
    for ring in rings[:N_RINGS]:
        cells = (ring["ring"], plain_kind(ring["kind"]), ring["severity"], f"{ring['risk']:.2f}")
        why = ring["reasons"][0] if ring["reasons"] else "-"
        table.add_row(*cells, str(ring["n_members"]), printable(_say_moved(ring)), printable(why))
    return table


def _say_moved(ring: Mapping[str, Any]) -> str:
    if not ring["amount"]:
        return "-"
    return f"{Decimal(ring['amount']):,} {ring['currency'] or ''}".replace(",", " ").strip()
