"""`terag link`: files in, entities out; no store, no orchestrator, and no manifest where names tell."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, count
from pathlib import Path
from typing import Any

import pyarrow as pa
from rich.console import Console
from rich.table import Table

from resources.linked_folder import read_earlier_run
from resources.loose_files import read_loose_file
from resources.result_folders import MARK, check_result_folder, write_result_folder
from resources.source_files import MANIFEST_NAME, SourceFolder
from terag_pipelines.cli.printing import printable
from terag_pipelines.entities.column_types import ReadingParams
from terag_pipelines.entities.ingestion import ingest
from terag_pipelines.entities.model import ENTITY_RECORDS, QUARANTINED_ROWS
from terag_pipelines.entities.vocabulary import PARTY_HOLDS
from terag_pipelines.errors import ConfigurationError, ManifestError
from terag_pipelines.linking.auto_linker import (
    AutoLinked,
    AutoLinker,
    AutoLinkParams,
    GivenPairs,
    SourceRecords,
    keep_others,
)
from terag_pipelines.linking.links import LinkParams
from terag_pipelines.linking.pipeline import LinkingParams
from terag_pipelines.linking.spec import read_linking

REPORT = "report.html"


@dataclass(frozen=True)
class LinkRequest:
    """What the command line asked for; None and empty mean that it did not say."""

    sources: tuple[Path, ...]
    left: Path | None
    right: Path | None
    out: Path
    labels: Path | None = None
    must_link: Path | None = None
    cannot_link: Path | None = None
    threshold: float | None = None
    one_to_one: bool = False
    previous: Path | None = None
    partial: bool = False
    encoding: str = "utf-8"
    reading: ReadingParams = field(default_factory=ReadingParams)


def link_files(request: LinkRequest) -> AutoLinked:
    """Reads, links and writes the results.

    Raises: ConfigurationError for a request that makes no sense, SourceError and LinkingError for what was
    handed in, StorageFullError.
    """
    _check(request)
    linker = AutoLinker(AutoLinkParams(reading=request.reading, linking=_linking_params(request)))
    given = _given(request)
    earlier = None if request.previous is None else read_earlier_run(request.previous)
    across = None
    if request.left is not None and request.right is not None:
        names = _dataset_names([request.left, request.right])
        source, across = _read_loose(linker, names, request), (names[0][0], names[1][0])
    else:
        source = _read_sources(linker, request)
    if earlier is not None and request.partial:
        source = keep_others(source, earlier.records)
    linked = linker.link_records(source, given, across, earlier)
    write_result_folder(request.out, _tables(linked), {MARK: as_json(linked) + "\n", REPORT: linked.report()})
    return linked


def parse_fields(texts: Sequence[str]) -> dict[str, str]:
    """Columns with their fields out of texts such as "born=birth_date".

    Raises: ConfigurationError where one has another form, or a column two fields.
    """
    fields: dict[str, str] = {}
    for text in texts:
        column, sign, name = text.rpartition("=")
        if not (sign and column and name) or column in fields:
            raise ConfigurationError(f"--field {text!r}: must be COLUMN=FIELD, each column once")
        fields[column] = name
    return fields


def as_json(linked: AutoLinked) -> str:
    """The summary as JSON text."""
    return json.dumps(linked.summary(), indent=2, sort_keys=True, ensure_ascii=False)


def print_summary(linked: AutoLinked, out: Path, console: Console) -> None:
    """How columns were read, what was found and what to look at, for a person."""
    summary = linked.summary()
    for source in summary["sources"]:
        console.print(f"[bold]{printable(source['dataset'])}[/]: {source['holds']}, {source['holds_reason']}")
        if source["columns"]:
            console.print(_columns_table(source["columns"]))
    for note in [*summary["notes"], *summary["warnings"]]:
        console.print(f"- {printable(note)}")
    for lost in summary["lost_values"]:
        what = f"field {lost['field']} {lost['reason']}" if lost["field"] else lost["reason"]
        console.print(f"- {printable(lost['file'])}: {lost['n']:,} rows in quarantine: {printable(what)}")
    console.print(_counts(summary))
    console.print(f"results: {printable(str(out))}", soft_wrap=True)


def _counts(summary: Mapping[str, Any]) -> str:
    told = (
        f"{summary['n_records']:,} records, {summary['n_candidate_pairs']:,} pairs compared, "
        f"{summary['n_links']:,} links, {summary['n_entities']:,} entities "
        f"({summary['n_entities_of_several_records']:,} of several records, the largest of "
        f"{summary['largest_entity']:,})"
    )
    if summary["changes"] is not None:
        told += f"; {summary['n_pairs_reused']:,} pairs were known; {_changes(summary['changes'])}"
    kind = "calibrated" if summary["is_calibrated"] else "not calibrated"
    how = ", one to one" if summary["one_to_one"] else ""
    told += f"; probabilities are {kind}, links from {summary['threshold_probability']} on{how}"
    if quality := summary["quality_by_labels"]:
        figures = ", ".join(f"{name} {quality[name]:.3f}" for name in ("precision", "recall", "f1"))
        told += f"\nby {quality['n_labels']:,} labels: {figures}"
    return told


def _changes(changes: Sequence[Mapping[str, Any]]) -> str:
    told = ", ".join(f"{change['n']:,} {change['change']} ({change['cause']})" for change in changes)
    return f"entities: {told}" if told else "no entity changed"


def _columns_table(columns: Sequence[Mapping[str, str | None]]) -> Table:
    table = Table(show_edge=False, pad_edge=False)
    for title in ("column", "read as", "why"):
        table.add_column(title, overflow="fold")
    for column in columns:
        table.add_row(*(printable(column[key] or "-") for key in ("column", "field", "reason")))
    return table


def _check(request: LinkRequest) -> None:
    check_result_folder(request.out)
    if (request.left is None) != (request.right is None):
        raise ConfigurationError("--left and --right go together")
    if request.one_to_one and request.left is None:
        raise ConfigurationError(
            "--one-to-one goes with --left and --right; of a folder its manifest says so, linking.one_to_one"
        )
    if request.partial and request.previous is None:
        raise ConfigurationError("--partial goes with --previous")
    if (request.left is None) == (not request.sources):
        raise ConfigurationError("say either files (or one source folder), or --left and --right")
    files = [path for path in (*request.sources, request.left, request.right) if path is not None]
    if repeated := [path for path, n in Counter(path.resolve() for path in files).items() if n > 1]:
        raise ConfigurationError(f"{repeated[0].name}: is given more than once")
    if request.threshold is not None and not 0 <= request.threshold <= 1:
        raise ConfigurationError("--threshold: is a probability between 0 and 1")


def _linking_params(request: LinkRequest) -> LinkingParams:
    """What the manifest says where there is one; --threshold goes before it."""
    folder = _source_folder(request)
    params = LinkingParams() if folder is None else read_linking(SourceFolder(folder).manifest())
    threshold = params.links.threshold_probability if request.threshold is None else request.threshold
    return replace(params, links=LinkParams(threshold, request.one_to_one or params.links.one_to_one))


def _source_folder(request: LinkRequest) -> Path | None:
    """The folder with a manifest that was asked for, if one was."""
    is_one = len(request.sources) == 1 and (request.sources[0] / MANIFEST_NAME).is_file()
    return request.sources[0] if is_one else None


def _read_sources(linker: AutoLinker, request: LinkRequest) -> SourceRecords:
    folder = _source_folder(request)
    if folder is not None:
        if request.reading.fields:
            raise ConfigurationError(
                f"{folder}: its manifest says what columns are; --field goes without one"
            )
        return _read_manifest(folder)
    return _read_loose(linker, _dataset_names(request.sources), request)


def _read_manifest(folder: Path) -> SourceRecords:
    """The records of a source folder's party files; its other files are not read."""
    source = SourceFolder(folder)
    manifest = source.manifest()
    if not manifest.parties:
        raise ManifestError(
            f"{folder / MANIFEST_NAME}: no file holds {', '.join(PARTY_HOLDS)}: nothing to link"
        )
    tables = ingest(replace(manifest, files=manifest.parties), lambda spec: source.read(manifest, spec))
    return SourceRecords(
        tables.tables[ENTITY_RECORDS.name], tables.tables[QUARANTINED_ROWS.name], tables.file_counts
    )


def _read_loose(linker: AutoLinker, names: Sequence[tuple[str, Path]], request: LinkRequest) -> SourceRecords:
    raws = {name: read_loose_file(path, request.encoding) for name, path in names}
    return linker.read_sources(raws, {name: path.name for name, path in names})


def _dataset_names(paths: Sequence[Path]) -> list[tuple[str, Path]]:
    """A dataset name for each file: its name without suffixes, numbered where two are the same."""
    named: dict[str, Path] = {}
    for path in sorted(paths):
        stem = re.sub(r"[^\w-]+", "_", path.name.split(".")[0]) or "file"
        numbered = (f"{stem}-{number}" for number in count(2))
        named[next(name for name in chain([stem], numbered) if name not in named)] = path
    by_path = {path: name for name, path in named.items()}
    return [(by_path[path], path) for path in paths]


def _given(request: LinkRequest) -> GivenPairs:
    defaults = GivenPairs().names
    paths = (request.labels, request.must_link, request.cannot_link)
    labels, must, cannot = (None if path is None else _read_table(path, request.encoding) for path in paths)
    labels_name, must_name, cannot_name = (
        path.name if path else default for path, default in zip(paths, defaults, strict=True)
    )
    return GivenPairs(labels, must, cannot, (labels_name, must_name, cannot_name))


def _read_table(path: Path, encoding: str) -> pa.Table:
    """A small file of pairs. Raises: UnreadableFileError; ConfigurationError where a row cannot be read."""
    raw = read_loose_file(path, encoding)
    if raw.bad_rows:
        raise ConfigurationError(f"{path.name}, row {raw.bad_rows[0].row}: {raw.bad_rows[0].reason}")
    return raw.table


def _tables(linked: AutoLinked) -> dict[str, pa.Table]:
    decisions, calibration = linked.linked.decisions, linked.calibration
    given = {} if decisions is None or not decisions.num_rows else {"pair_decisions": decisions}
    learned = {"calibrators": calibration.row} if calibration else {}
    return {
        **given,
        **learned,
        **({"roles": linked.roles} if linked.roles.num_rows else {}),
        "entities": linked.members,
        "links": linked.links,
        "records": linked.records,
        "pair_scores": linked.scores.scores,
        "link_model": linked.scores.model,
        "quarantine": linked.source.quarantine,
    } | ({} if linked.linked.earlier is None else {"changes": linked.changes})
