"""A whole graph written as the files of a Neo4j store by its own offline importer; no server may have it.

The importer is given node numbers of our own making, not keys (``--id-type=actual``): finding nodes by their
keys is a third of its work, and a join does it in a second. It checks no keys then, so they are checked here.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

import polars as pl
import pyarrow as pa

from resources.disks import disk_errors
from resources.embedded_neo4j import WITHOUT_JAVA_OPTIONS, EmbeddedNeo4j, JavaCommand, claim_for_release
from resources.owner_files import make_owner_folder, write_owner_file
from resources.processes import find_processes, lay_over_environment, stop_process
from resources.settings import Neo4jRelease
from terag_pipelines.errors import EmbeddedStoreError, StorageFullError, StoreError
from terag_pipelines.graph.model import EDGES, ENDS

MAIN_CLASS = "org.neo4j.cli.AdminTool"  # Neo4jAdminCommand would lose Java's flags
SUBCOMMAND = ("database", "import", "full")
SCRATCH = "import"
NODE_NUMBER, START_NUMBER, END_NUMBER = ":ID", ":START_ID", ":END_ID"
LABELS = {spec.type: (spec.start.label, spec.end.label) for spec in EDGES}
FULL_DISK = ("No space left on device", "Disk quota exceeded", "File too large")
NO_ROOM_BYTES = 1 << 20
OUT_OF_MEMORY_EXIT = 3
POLL_S = 0.02
STOP_WAIT_S = 2.0

TYPES: Mapping[Any, str] = {
    pl.String: "string",
    pl.Boolean: "boolean",
    pl.Int64: "long",
    pl.Float64: "double",
}
"""No instants: the importer takes ten times as long to read those."""


@dataclass(frozen=True)
class ImportOutcome:
    """What was imported, and the seconds that our files and Neo4j's importer, with its start, took."""

    n_nodes: int
    n_edges: int
    files_s: float
    importer_s: float


@dataclass(frozen=True)
class OfflineImporter:
    """Neo4j's importer of one release, for one database; it may take ``memory_mb``, half of it as heap."""

    java: JavaCommand
    release: Neo4jRelease
    database: str
    memory_mb: int

    @classmethod
    def of(cls, server: EmbeddedNeo4j) -> OfflineImporter:
        """The importer of a server's release and database. Raises: EmbeddedStoreError without jars, Java."""
        settings = server.settings
        return cls(
            server.java_command(MAIN_CLASS),
            settings.neo4j_release,
            settings.neo4j_database,
            settings.neo4j_import_mb,
        )

    def build(
        self, home: Path, nodes: Mapping[str, pa.Table], edges: Mapping[str, pa.Table]
    ) -> ImportOutcome:
        """Writes the database of a Neo4j home that has none; without any row it writes nothing.

        Rows come as they are written over Bolt: a null is no property. The rows in between lie in a folder of
        the home for the owner only, and are removed, whatever happens.

        Args:
            home: the home; no server may run on it.
            nodes: by label: properties, `key` among them, unique within the label.
            edges: by type: start_row, end_row (of the nodes of the type's labels), then properties.

        Raises:
            StoreError: a key is missing or there twice, an end is not there, a column has no type in Neo4j.
            StorageFullError: the disk is full.
            EmbeddedStoreError: the importer could not be started, failed or was killed; the message has no
                values. The home is then unfit for a server.
        """
        started = time.perf_counter()
        with _scratch_folder(home) as scratch:
            files = _write_tables(scratch, nodes, edges)
            written = time.perf_counter()
            if files.arguments:
                claim_for_release(home, self.release)
                self._run(home, scratch, files)
        now = time.perf_counter()
        return ImportOutcome(files.n_nodes, files.n_edges, written - started, now - written)

    def _run(self, home: Path, scratch: Path, files: _Files) -> None:
        lines = (f"server.directories.logs={scratch / 'logs'}", "db.tx_log.preallocate=false")  # 256 MB
        write_owner_file(scratch / "neo4j.conf", "\n".join(lines) + "\n")
        own = {"NEO4J_HOME": str(home), "NEO4J_CONF": str(scratch)}
        environment = lay_over_environment({**WITHOUT_JAVA_OPTIONS, **own})
        log = scratch / "output"
        exit_code = _run_to_end(self._command(home, scratch, files), scratch, environment, log)
        said = log.read_text(encoding="utf-8", errors="replace")
        if exit_code:
            raise _explain_failure(exit_code, said, shutil.disk_usage(home).free)
        if (counted := _read_counts(said)) != (files.n_nodes, files.n_edges):
            raise EmbeddedStoreError(
                f"Neo4j's importer wrote {counted[0]} nodes and {counted[1]} relationships instead of "
                f"{files.n_nodes} and {files.n_edges}"
            )

    def _command(self, home: Path, scratch: Path, files: _Files) -> list[str]:
        heap_mb = self.memory_mb // 2
        java = replace(self.java, heap_mb=heap_mb)
        return [
            *java.arguments(scratch, f"-Xms{heap_mb}m", *java.start_cache_flags(), _identity(home)),
            java.main_class,
            *SUBCOMMAND,
            self.database,
            "--id-type=actual",
            f"--max-off-heap-memory={self.memory_mb - heap_mb}m",
            "--report-file=./report",
            *(("--multiline-fields=true",) if files.has_line_breaks else ()),
            *files.arguments,
        ]


def end_import(home: Path) -> None:
    """Ends an importer that still writes into a home, left by a process that was killed."""
    for mark in find_processes(_identity(home)):
        stop_process(mark, STOP_WAIT_S)


def _identity(home: Path) -> str:
    """The argument that only the importer of this home has."""
    return f"-Dterag.import={home}"


@contextmanager
def _scratch_folder(home: Path) -> Iterator[Path]:
    scratch = home / SCRATCH
    try:
        with disk_errors(f"the disk of {home} is full: the graph could not be imported"):
            make_owner_folder(home)
            shutil.rmtree(scratch, ignore_errors=True)
            yield make_owner_folder(scratch)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _run_to_end(command: list[str], folder: Path, environment: Mapping[str, str], log: Path) -> int:
    """Its exit code; it does not outlive an interrupted caller."""
    try:
        with _open_for_owner(log) as output:
            process = subprocess.Popen(
                command,
                cwd=folder,  # file names are relative: in a path, commas and brackets would have a meaning
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=environment,
                start_new_session=True,
            )
    except PermissionError as error:
        raise EmbeddedStoreError(f"{command[0]} could not be started: {error.strerror}") from error
    except FileNotFoundError as error:
        raise EmbeddedStoreError(f"{command[0]} could not be started: there is no such program") from error
    try:
        return process.wait()
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def _explain_failure(exit_code: int, said: str, free_bytes: int) -> StoreError | StorageFullError:
    """By what kind of error it was; the importer's own words may quote rows, or not fit on the disk."""
    if free_bytes < NO_ROOM_BYTES or any(text in said for text in FULL_DISK):
        return StorageFullError("the disk is full: the graph could not be imported, what was there stays")
    if exit_code < 0:
        return EmbeddedStoreError(f"Neo4j's importer was killed ({signal.Signals(-exit_code).name})")
    if exit_code == OUT_OF_MEMORY_EXIT or "OutOfMemoryError" in said:
        return EmbeddedStoreError("Neo4j's importer has too little memory: raise TERAG_NEO4J_IMPORT_MB")
    kinds = re.findall(
        r"^(?:Caused by: ?|ERROR in input ?)?(?:[a-z]\w*\.)+(\w+(?:Exception|Error))\b", said, re.MULTILINE
    )
    return EmbeddedStoreError(
        f"Neo4j's importer failed ({kinds[-1] if kinds else f'exit code {exit_code}'}); what was there stays"
    )


def _read_counts(said: str) -> tuple[int, int]:
    """Nodes and relationships, as the importer says at its end."""
    n_nodes, n_edges = (
        re.search(rf"^\s+(\d+) {name}$", said, re.MULTILINE) for name in ("nodes", "relationships")
    )
    return int(n_nodes[1]) if n_nodes else 0, int(n_edges[1]) if n_edges else 0


# --- the files


@dataclass(frozen=True)
class _Files:
    """The importer's arguments for the files, and what is in them."""

    arguments: tuple[str, ...]
    n_nodes: int
    n_edges: int
    has_line_breaks: bool


def _write_tables(scratch: Path, nodes: Mapping[str, pa.Table], edges: Mapping[str, pa.Table]) -> _Files:
    arguments, has_line_breaks = [], False
    first = _first_numbers(nodes)
    for label, table in _with_rows(nodes).items():
        frame = _frame(table)
        numbers = pl.int_range(first[label], first[label] + len(frame), eager=True).alias(NODE_NUMBER)
        has_line_breaks |= _write_frame(scratch / f"{label}.csv", frame.select(numbers, pl.all()))
        arguments.append(f"--nodes={label}=./{label}.csv")
    for kind, table in _with_rows(edges).items():
        frame = _with_numbers(kind, _frame(table), nodes, first)
        has_line_breaks |= _write_frame(scratch / f"{kind}.csv", frame)
        arguments.append(f"--relationships={kind}=./{kind}.csv")
    n_nodes, n_edges = (sum(table.num_rows for table in tables.values()) for tables in (nodes, edges))
    return _Files(tuple(arguments), n_nodes, n_edges, has_line_breaks)


def _with_rows(tables: Mapping[str, pa.Table]) -> dict[str, pa.Table]:
    return {name: table for name, table in tables.items() if table.num_rows}


def _first_numbers(nodes: Mapping[str, pa.Table]) -> dict[str, int]:
    """The number of the first node of each label: they go from 0 on, over all labels."""
    first, n_before = {}, 0
    for label, table in nodes.items():
        keys = _frame(table.select(["key"]))["key"]
        if keys.null_count() or keys.n_unique() != len(keys):
            raise StoreError(f"a node of {label} has no key, or one that another has")
        first[label] = n_before
        n_before += len(keys)
    return first


def _with_numbers(
    kind: str, edges: pl.DataFrame, nodes: Mapping[str, pa.Table], first: Mapping[str, int]
) -> pl.DataFrame:
    """The relationships with the numbers of their ends instead of rows."""
    numbers = []
    for name, number, label in zip(ENDS, (START_NUMBER, END_NUMBER), LABELS[kind], strict=True):
        rows = edges[name].cast(pl.Int64)
        n_nodes = nodes[label].num_rows if label in nodes else 0
        if rows.null_count() or not rows.is_between(0, n_nodes - 1).all():
            raise StoreError(f"a relationship {kind} has an end that is not among the nodes of {label}")
        numbers.append((rows + first[label]).alias(number))
    return edges.select(*numbers, pl.exclude(ENDS))


def _write_frame(path: Path, frame: pl.DataFrame) -> bool:
    """Writes the rows as CSV; whether any text in it has a line break.

    Texts are in quotes and nulls are not, so that an empty text stays one.
    """
    header = [
        name if name[0] == ":" else f"{name}:{_type_of(name, kind)}" for name, kind in frame.schema.items()
    ]
    with _open_for_owner(path) as file:
        file.write((",".join(header) + "\n").encode())
        frame.with_columns(_spelt_doubles(frame)).write_csv(
            file, include_header=False, quote_style="non_numeric"
        )
    texts = frame.select(pl.col(pl.String))
    return any(column.str.contains(end, literal=True).any() for column in texts for end in ("\n", "\r"))


def _type_of(name: str, kind: pl.DataType) -> str:
    if type(kind) not in TYPES:
        raise StoreError(f"the column {name} is of a type that a store of Neo4j does not take: {kind}")
    return TYPES[type(kind)]


def _spelt_doubles(frame: pl.DataFrame) -> list[pl.Expr]:
    """Infinity as Java spells it, in the columns that have it."""
    columns = [
        name for name, kind in frame.schema.items() if kind == pl.Float64 and frame[name].is_infinite().any()
    ]
    return [pl.col(name).cast(pl.String).str.replace("inf", "Infinity", literal=True) for name in columns]


def _open_for_owner(path: Path) -> BinaryIO:
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "wb")


def _frame(table: pa.Table) -> pl.DataFrame:
    frame: Any = pl.from_arrow(table)
    return frame  # type: ignore[no-any-return]
