"""Makes the caches from which Java starts Neo4j in half the time (ahead-of-time cache, JEP 483, 514, 515).

A throwaway Neo4j with its own empty data is started to record which classes are loaded and linked and how
often methods run, asked a few queries and stopped; Java then writes the cache. So for its importer, over
made-up rows. It runs beside the real pair at low priority and is cut short when the pair stops: the next one
goes on from the record.
Run as ``python -m resources.neo4j_training JSON``.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from neo4j.exceptions import DriverError, Neo4jError

from resources.embedded_neo4j import (
    WITHOUT_JAVA_OPTIONS,
    EmbeddedNeo4j,
    JavaCommand,
    run_probe,
    write_configuration,
    write_first_password,
)
from resources.neo4j_import import MAIN_CLASS as IMPORTER
from resources.neo4j_import import OfflineImporter
from resources.processes import ProcessMark, choose_port, hold_lock, spawn_python
from resources.settings import Neo4jRelease
from terag_pipelines.errors import EmbeddedStoreError

LOW_PRIORITY = 15
START_WAIT_S = 180.0
RECORD = "classes"
N_NODES = 50_000
IMPORT_MB = 512
NOTED_RELEASE: Neo4jRelease = "2026.08.1"  # in a home that is thrown away
PASSWORD = "only-for-an-empty-store"  # noqa: S105

# What the platform asks most: their parsing, planning and running is then in the cache.
QUERIES = (
    "CREATE CONSTRAINT training_key IF NOT EXISTS FOR (n:Training) REQUIRE n.key IS UNIQUE",
    "UNWIND range(1, 200) AS i MERGE (n:Training {key: i}) SET n += {batch_id: 'b', name: toString(i)}",
    """UNWIND range(1, 199) AS i MATCH (a:Training {key: i}), (b:Training {key: i + 1})
    MERGE (a)-[r:NEXT]->(b) SET r.amount_minor = i""",
    "PROFILE MATCH (a:Training {key: 7})-[:NEXT*1..2]-(b) RETURN count(DISTINCT b)",
    "MATCH (n:Training) WHERE n.batch_id = 'b' RETURN count(n), sum(n.key)",
    "MATCH (:Training)-[r:NEXT]->() RETURN type(r), count(r), sum(r.amount_minor)",
    "SHOW INDEXES YIELD *",
    "CREATE INDEX training_name IF NOT EXISTS FOR (n:Training) ON (n.name)",
    "MATCH (n:Training) CALL (n) { DETACH DELETE n } IN TRANSACTIONS OF 100 ROWS",
)


def trained_commands(server: EmbeddedNeo4j) -> tuple[JavaCommand, ...]:
    """Those of a server and of its importer. Raises: EmbeddedStoreError without jars or Java."""
    return server.java_command(), server.java_command(IMPORTER)


def start_training(commands: Sequence[JavaCommand], log: Path) -> ProcessMark:
    """Starts making their caches in the background, one after the other."""
    arguments = [json.dumps(asdict(command), default=str) for command in commands]
    return spawn_python("resources.neo4j_training", arguments, log, LOW_PRIORITY, WITHOUT_JAVA_OPTIONS)


def make_start_cache(command: JavaCommand) -> None:
    """Writes the cache of the command, whole or not at all; does nothing where there is a sound one.

    Raises:
        EmbeddedStoreError: another process is making it, or Java could not.
    """
    with hold_lock(command.cache_folder / "training.lock", wait_s=0.0):
        if command.has_sound_cache():
            return
        for left in command.cache_folder.glob("training-*"):  # of a training that was cut short
            shutil.rmtree(left, ignore_errors=True)
        with tempfile.TemporaryDirectory(dir=command.cache_folder, prefix="training-") as folder:
            classes = command.cache_file.with_suffix(".classes")
            if not classes.exists():
                record = _record_import if command.main_class == IMPORTER else _record_server
                record(command, Path(folder))
                (Path(folder) / RECORD).replace(classes)
            try:
                _assemble(command, Path(folder), classes)
            finally:
                classes.unlink()


def _recording(folder: Path) -> tuple[str, ...]:
    return "-XX:AOTMode=record", f"-XX:AOTConfiguration={folder / RECORD}"


def _record_import(command: JavaCommand, folder: Path) -> None:
    recording = replace(command, flags=(*command.flags, *_recording(folder)))
    nodes, edges = _made_up_rows(N_NODES)
    OfflineImporter(recording, NOTED_RELEASE, "neo4j", IMPORT_MB).build(folder / "home", nodes, edges)


def _made_up_rows(n: int) -> tuple[dict[str, pa.Table], dict[str, pa.Table]]:
    """A node and three relationships for each of n numbers, with properties of the kinds that loads have."""
    rows = np.arange(n)
    texts = pa.array(rows).cast(pa.string())
    nodes = pa.table({"key": texts, "row_hash": rows << 31, "account_id": texts, "is_outside": rows % 2 == 0})
    starts = np.repeat(rows, 3)
    ends = starts * 7919 % n
    held = {"start_row": starts, "end_row": ends, "row_hash": starts << 31, "valid_from": starts * 0 + 1}
    return {"Account": nodes}, {"TRANSFERRED": pa.table({**held, "currency": texts.take(pa.array(ends))})}


def _record_server(command: JavaCommand, folder: Path) -> None:
    home, port = folder / "neo4j", choose_port()
    write_configuration(home, port, 64, "neo4j")
    write_first_password(home, PASSWORD)
    main = [command.main_class, f"--home-dir={home}", f"--config-dir={home / 'conf'}"]
    with subprocess.Popen(
        [*command.arguments(home, *_recording(folder)), *main], stdin=subprocess.DEVNULL
    ) as java:
        try:
            _ask(port, java)
        finally:
            java.send_signal(signal.SIGTERM)
            java.wait(START_WAIT_S)


def _ask(port: int, java: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_WAIT_S
    while time.monotonic() < deadline and java.poll() is None:
        with contextlib.suppress(DriverError, Neo4jError, OSError):
            run_probe(port, PASSWORD, queries=QUERIES)
            return
        time.sleep(0.5)
    raise EmbeddedStoreError("Neo4j did not answer while its start-up cache was recorded")


def _assemble(command: JavaCommand, folder: Path, classes: Path) -> None:
    made = folder / "cache"
    modes = ("-XX:AOTMode=create", f"-XX:AOTConfiguration={classes}", f"-XX:AOTCache={made}")
    result = subprocess.run(command.arguments(folder, *modes), stdin=subprocess.DEVNULL, check=False)
    if result.returncode or not made.exists():
        raise EmbeddedStoreError(f"Java could not write Neo4j's start-up cache (exit {result.returncode})")
    with made.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    command.cache_file.with_suffix(".sha256").write_text(digest + "\n", encoding="utf-8")
    made.replace(command.cache_file)


def main(arguments: Sequence[str]) -> None:
    """Makes the caches that the JSON in each argument describes."""
    for argument in arguments:
        make_start_cache(_read_command(json.loads(argument)))


def _read_command(order: dict[str, Any]) -> JavaCommand:
    order["flags"] = tuple(order["flags"])
    order["class_path"] = tuple(Path(path) for path in order["class_path"])
    return JavaCommand(**{**order, **{k: Path(order[k]) for k in ("java", "cache_folder")}})


if __name__ == "__main__":
    main(sys.argv[1:])
