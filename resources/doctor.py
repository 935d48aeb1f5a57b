"""What `terag doctor` finds: what is configured, what can be reached, and what to do about the rest."""

from __future__ import annotations

import ctypes.util
import os
import platform
import shutil
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from resources.embedded import EmbeddedStores
from resources.embedded_mongo import find_mongod
from resources.embedded_neo4j import EmbeddedNeo4j, find_java
from resources.neo4j_jars import find_faulty_jars, jar_cache_folder, lock_of, provide_jars
from resources.settings import Settings
from resources.stores import (
    SERVING,
    StoreAddresses,
    connect_documents,
    connect_graph,
    document_errors,
    graph_errors,
)
from terag_pipelines.errors import TeragError

DAGSTER_HOST = "127.0.0.1"
"""Where Dagster's web server listens, wherever the API does: it has no login."""

LEAST_FREE_GB, WISHED_FREE_GB = 1, 5
OLDEST_NEO4J, OLDEST_MONGO = (5, 26), (6, 0)

# What is loaded at run time, by the package that has it on Debian and Ubuntu.
SYSTEM_LIBRARIES = {
    "pango-1.0": "libpango-1.0-0",
    "pangoft2-1.0": "libpangoft2-1.0-0",
    "harfbuzz-subset": "libharfbuzz-subset0",
    "curl": "libcurl4",
}
LOADED_NAMES = {
    "pango-1.0": "libpango-1.0.so.0",
    "pangoft2-1.0": "libpangoft2-1.0.so.0",
    "harfbuzz-subset": "libharfbuzz-subset.so.0",
    "curl": "libcurl.so.4",
}

State = Literal["ok", "warning", "failed"]


@dataclass(frozen=True)
class Finding:
    """One thing looked at: how it is, and what to do where it is not well. No secret is in it."""

    subject: str
    state: State
    detail: str
    remedy: str = ""


def examine(settings: Settings) -> list[Finding]:
    """All findings, in the order in which one would mend them; starts nothing and changes nothing.

    An examination that fails in a way nobody thought of is a finding too.
    """
    looks: tuple[tuple[str, Callable[[Settings], Iterator[Finding]]], ...] = (
        ("Python", _examine_python),
        ("system libraries", _examine_libraries),
        ("home", _examine_home),
        ("disk", _examine_disk),
        ("Java", _examine_java),
        ("Neo4j's jars", _examine_jars),
        ("mongod", _examine_mongod),
        ("Neo4j", _examine_graph),
        ("MongoDB", _examine_documents),
        ("Dagster", _examine_dagster),
        ("ports", examine_ports),
        ("source", _examine_source),
        ("Telegram", _examine_telegram),
    )
    return [finding for subject, look in looks for finding in _look(subject, look, settings)]


def _look(subject: str, look: Callable[[Settings], Iterator[Finding]], settings: Settings) -> list[Finding]:
    try:
        return list(look(settings))
    except (TeragError, OSError) as error:
        text = str(error) if isinstance(error, TeragError) else f"{type(error).__name__}: {error.strerror}"
        return [Finding(subject, "failed", text, "see the message")]


def _examine_python(_settings: Settings) -> Iterator[Finding]:
    detail = f"{platform.python_version()} at {sys.executable}"
    if (3, 11) <= sys.version_info[:2] < (3, 13):
        yield Finding("Python", "ok", detail)
    else:
        yield Finding("Python", "failed", detail, "use Python 3.11 or 3.12")


def _examine_libraries(settings: Settings) -> Iterator[Finding]:
    wanted = dict(SYSTEM_LIBRARIES)
    if settings.mongo_uri is not None:
        del wanted["curl"]
    missing = [package for name, package in wanted.items() if not _is_loadable(name)]
    if missing:
        command = f"apt-get update && apt-get install --no-install-recommends {' '.join(missing)}"
        yield Finding("system libraries", "failed", f"missing: {', '.join(missing)}", command)
    else:
        yield Finding("system libraries", "ok", ", ".join(wanted.values()))


def _is_loadable(name: str) -> bool:
    with suppress(OSError):
        ctypes.CDLL(LOADED_NAMES[name])
        return True
    return ctypes.util.find_library(name) is not None


def _examine_home(settings: Settings) -> Iterator[Finding]:
    existing = _nearest_existing(settings.home)
    if not existing.is_dir():
        yield Finding("home", "failed", f"{existing} is no folder", "set TERAG_HOME to a folder")
    elif not os.access(existing, os.W_OK | os.X_OK):
        remedy = "give this user the right to write there, or set TERAG_HOME to another folder"
        yield Finding("home", "failed", f"{settings.home}: {existing} cannot be written to", remedy)
    else:
        made = "" if settings.home.exists() else " (not made yet)"
        yield Finding("home", "ok", f"{settings.home}{made}")


def _examine_disk(settings: Settings) -> Iterator[Finding]:
    free = shutil.disk_usage(_nearest_existing(settings.home)).free / (1 << 30)
    state: State = "failed" if free < LEAST_FREE_GB else "warning" if free < WISHED_FREE_GB else "ok"
    remedy = "" if state == "ok" else "free some space, or set TERAG_HOME to a larger disk"
    yield Finding("disk", state, f"{free:.1f} GB free", remedy)


def _nearest_existing(path: Path) -> Path:
    return next(place for place in (path, *path.parents) if place.exists())


def _examine_java(settings: Settings) -> Iterator[Finding]:
    if settings.neo4j_uri is None:
        yield Finding("Java", "ok", str(find_java()))


def _examine_jars(settings: Settings) -> Iterator[Finding]:
    if settings.neo4j_uri is not None:
        return
    lock = lock_of(settings)
    if settings.neo4j_jars is not None:
        provide_jars(settings, lock)  # from a folder: only looks
        yield Finding("Neo4j's jars", "ok", f"{len(lock.jars)} verified in {settings.neo4j_jars}")
        return
    folder = jar_cache_folder(settings, lock) / "lib"
    n_wanted = len(find_faulty_jars(lock, folder))
    if n_wanted:
        detail = f"{n_wanted} of {len(lock.jars)} are not in {folder} yet"
        remedy = "the first start fetches them; without network set TERAG_NEO4J_JARS or TERAG_NEO4J_URI"
        yield Finding("Neo4j's jars", "warning", detail, remedy)
    else:
        has_cache = EmbeddedNeo4j(EmbeddedStores(settings).folder, settings).java_command().has_sound_cache()
        fast = "with the start-up cache" if has_cache else "the start-up cache is not made yet"
        yield Finding("Neo4j's jars", "ok", f"{len(lock.jars)} verified in {folder}, {fast}")


def _examine_mongod(settings: Settings) -> Iterator[Finding]:
    if settings.mongo_uri is None:
        yield Finding("mongod", "ok", str(find_mongod()))


def _examine_graph(settings: Settings) -> Iterator[Finding]:
    addresses = _find_addresses(settings, "neo4j")
    if addresses is None:
        yield Finding("Neo4j", "ok", "embedded, does not run now", "`terag run` and `terag up` start it")
        return
    kind = "embedded" if addresses.is_neo4j_embedded else "server of TERAG_NEO4J_URI"
    try:
        with connect_graph(settings, addresses, SERVING) as driver, graph_errors(addresses.neo4j_uri):
            rows = driver.execute_query(
                "CALL dbms.components() YIELD versions, edition", database_="system"
            ).records
    except TeragError as error:
        yield Finding("Neo4j", "failed", f"{kind}: {error}", "start the server, or correct TERAG_NEO4J_...")
        return
    version, edition = rows[0]["versions"][0], rows[0]["edition"]
    detail = f"{kind} at {addresses.neo4j_uri}, {version} {edition}"
    yield _judge_version("Neo4j", detail, version, OLDEST_NEO4J)


def _examine_documents(settings: Settings) -> Iterator[Finding]:
    addresses = _find_addresses(settings, "mongo")
    if addresses is None:
        yield Finding("MongoDB", "ok", "embedded, does not run now", "`terag run` and `terag up` start it")
        return
    kind = "embedded" if addresses.is_mongo_embedded else "server of TERAG_MONGO_URI"
    try:
        version, is_replica_set = _ask_mongo(settings, addresses)
    except TeragError as error:
        yield Finding("MongoDB", "failed", f"{kind}: {error}", "start the server, or correct TERAG_MONGO_URI")
        return
    if is_replica_set:
        yield _judge_version("MongoDB", f"{kind}, {version}", version, OLDEST_MONGO)
    else:
        remedy = "make it a replica set (one member is enough): invoicing needs transactions"
        yield Finding("MongoDB", "failed", f"{kind}, {version}, stands alone", remedy)


def _ask_mongo(settings: Settings, addresses: StoreAddresses) -> tuple[str, bool]:
    documents = connect_documents(settings, addresses, SERVING)
    try:
        with document_errors():
            answer: dict[str, Any] = documents.client.admin.command("hello")
            is_shared = "setName" in answer or answer.get("msg") == "isdbgrid"
            return str(documents.client.server_info()["version"]), is_shared
    finally:
        documents.client.close()


def _judge_version(subject: str, detail: str, version: str, oldest: tuple[int, int]) -> Finding:
    found = tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
    if found < oldest:
        return Finding(subject, "failed", detail, f"{oldest[0]}.{oldest[1]} or later is needed")
    return Finding(subject, "ok", detail)


def _find_addresses(settings: Settings, name: str) -> StoreAddresses | None:
    """The addresses to examine one store by; None where it is embedded and does not run."""
    stores = EmbeddedStores(settings)
    status = next(status for status in stores.status() if status.name == name)
    if status.is_embedded and not status.is_running:
        return None
    return stores.known_addresses()


def _examine_dagster(settings: Settings) -> Iterator[Finding]:
    made = "" if settings.dagster_folder.is_dir() else " (not made yet)"
    yield Finding("Dagster", "ok", f"{settings.dagster_folder}{made}")


def examine_ports(settings: Settings) -> Iterator[Finding]:
    """Whether the API and Dagster's web server find their ports free."""
    yield _examine_port("API port", settings.api_host, settings.api_port, "TERAG_API_PORT")
    yield _examine_port("Dagster port", DAGSTER_HOST, settings.dagster_port, "TERAG_DAGSTER_PORT")


def _examine_port(subject: str, host: str, port: int, variable: str) -> Finding:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            remedy = f"`terag up` may run already; else set {variable} to a free port"
            return Finding(subject, "warning", f"{host}:{port}: {error.strerror}", remedy)
    return Finding(subject, "ok", f"{host}:{port} is free")


def _examine_source(settings: Settings) -> Iterator[Finding]:
    if settings.source is None:
        yield Finding(
            "source", "ok", "none set: the demo bank is made", "TERAG_SOURCE names a folder of yours"
        )
    elif (settings.source / "source.yaml").is_file():
        yield Finding("source", "ok", str(settings.source))
    else:
        remedy = "write one: docs/how-to/sources.md"
        yield Finding("source", "failed", f"{settings.source} has no source.yaml", remedy)


def _examine_telegram(settings: Settings) -> Iterator[Finding]:
    if settings.telegram_token is None:
        detail, remedy = (
            "not set: alerts wait in the queue (terag alerts) unless another sender is set",
            "set TERAG_TELEGRAM_TOKEN and _CHAT_ID",
        )
        yield Finding("Telegram", "ok", detail, remedy)
    else:
        yield Finding("Telegram", "ok", "token and chat are set")
