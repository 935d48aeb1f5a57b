"""Starts and stops the embedded stores: real MongoDB and real Neo4j as child processes on loopback.

The graph may have a second server, which takes the next load and is the backup between loads.
One pair belongs to one TERAG_HOME and is shared by all processes that ask for it. It runs as long as one of
them does, or, where it was started to be kept, until it is stopped; a guard process sees to that when a user
is killed. A store whose address is configured (TERAG_NEO4J_URI, TERAG_MONGO_URI) is not started.
"""

from __future__ import annotations

import os
import shutil
import socket
import time
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from pydantic import SecretStr

from resources.disks import disk_errors
from resources.embedded_mongo import EmbeddedMongo
from resources.embedded_neo4j import USER, EmbeddedNeo4j, bolt_uri
from resources.graph_homes import has_home, replace_home
from resources.neo4j_training import start_training, trained_commands
from resources.processes import ProcessMark, choose_port, spawn_python, stop_process, wait_for_end
from resources.settings import Settings
from resources.store_state import (
    GRAPHS,
    GUARD,
    MONGO,
    STOP_WAIT_S,
    TRAINING,
    RunningStore,
    StoreFolder,
    find_own_processes,
    stop_pair,
)
from resources.stores import StoreAddresses, configured_addresses
from terag_pipelines.errors import EmbeddedStoreError, StorageFullError

START_WAIT_S = 180.0
HUNG_AFTER_S = 30.0
DOCUMENTS, PRIMARY, STANDBY = "documents", "primary", "standby"
"""What a caller needs: the documents, the server of the graph that readers are sent to, the other one."""
LAUNCH_ATTEMPTS = 3
POLL_S = 0.05
LEAST_FREE_BYTES = 400 << 20
"""For a start, or a load."""


class _EmbeddedStore(Protocol):
    """What mongod and Neo4j have in common for whoever starts them."""

    @property
    def name(self) -> str: ...

    def launch(self, port: int) -> ProcessMark: ...

    def answers(self, port: int) -> bool: ...

    def has_failed(self, port: int) -> bool: ...

    def mend(self) -> None: ...


@dataclass(frozen=True)
class StoreStatus:
    """One store as it is now: configured elsewhere, or embedded and running or not."""

    name: str
    is_embedded: bool
    is_running: bool
    pid: int | None
    port: int | None


class EmbeddedStores:
    """The pair of embedded stores of one home.

    As a context manager it starts them and lets go at the end; they then stop, unless another process uses
    them, they are kept, or this process had asked for them before.
    """

    def __init__(self, settings: Settings, report: Callable[[str], None] | None = None) -> None:
        self.settings = settings
        self.folder = StoreFolder(settings.home.resolve() / "stores")
        self._report = report or (lambda _line: None)
        self._has_registered = False

    def start(self, keep: bool = False, needs: Collection[str] = (DOCUMENTS, PRIMARY)) -> StoreAddresses:
        """Addresses of stores that answer: starts what is not configured and does not run yet.

        Args:
            keep: let them run on after this process, until ``stop()``.
            needs: which of DOCUMENTS, PRIMARY, STANDBY, or one server of the graph by its name, whatever
                readers are sent to when its turn to start comes; at another's address nothing may answer.

        Raises:
            EmbeddedStoreError: a store could not be installed or started; the message says what to do.
            StorageFullError: the disk is full.
        """
        if not self._servers(needs):
            return self.known_addresses()
        with self._named_disk_errors():
            self.require_disk(LEAST_FREE_BYTES)
            with self.folder.held():
                was_registered = self._has_registered
                try:
                    return self._start_held(self._servers(needs), keep)
                except BaseException:
                    if not was_registered:  # what this process uses already goes on
                        self._release_held()
                    raise

    def _start_held(self, servers: list[_EmbeddedStore], keep: bool) -> StoreAddresses:
        self._has_registered |= self.folder.register_user(_own_mark())
        self._ensure_guard()
        before = self.folder.read_state()
        state = self._bring_up_all(servers, before)
        if keep:
            self.folder.keep(True)
        if any(state.get(name) != before.get(name) for name in GRAPHS):
            self._train_if_useful(servers, state)
        return self._addresses(state)

    def release(self) -> None:
        """This process uses the pair no more; the last one stops it."""
        if self._has_registered and self.folder.path.is_dir():
            with self.folder.held():
                self._release_held()

    def _release_held(self) -> None:
        if self._has_registered:
            self._has_registered = False
            self.folder.forget_user(_own_mark())
            if not self.folder.is_in_use():
                self._stop_held()

    def stop(self) -> None:
        """Stops the pair, whoever uses it; does nothing where none runs."""
        if self.folder.path.is_dir():
            with self.folder.held():
                self.folder.forget_user(_own_mark())
                self._has_registered = False
                self._stop_held()

    def _stop_held(self) -> None:
        guard = self.folder.read_state().get(GUARD)
        if guard is not None:
            stop_process(guard.mark, wait_s=2.0)
        stop_pair(self.folder)
        with suppress(OSError):  # of a full disk
            self.folder.write_state({n: r for n, r in self.folder.read_state().items() if n != GUARD})

    def status(self) -> tuple[StoreStatus, ...]:
        """The stores as they are now, by their processes; nothing is started or asked.

        The graph's other server is among them once it has data.
        """
        state = self.folder.read_state()
        names = [MONGO, self.folder.primary_graph()]
        if self.has_standby():
            names.append(self.folder.standby_graph())
        embedded = {server.name for server in self._servers((DOCUMENTS, PRIMARY, STANDBY))}
        return tuple(self._status_of(name, name in embedded, state) for name in names)

    def has_standby(self) -> bool:
        """Whether the graph's second server has data."""
        return self.settings.neo4j_uri is None and has_home(
            self.folder.data_folder(self.folder.standby_graph())
        )

    def is_running(self, name: str) -> bool:
        """Whether a store runs where it is known to answer; one that is being started does not yet."""
        known = self.folder.read_state().get(name)
        return known is not None and known.mark.is_alive()

    def server_of(self, name: str) -> EmbeddedNeo4j:
        """One of the two servers of the graph."""
        return EmbeddedNeo4j(self.folder, self.settings, self._report_fetch, name)

    def replace_standby(self, home: Path) -> None:
        """Stops the standby, puts a home that was made for it in place of its own, and starts it again.

        Raises: EmbeddedStoreError where it does not come up; StorageFullError.
        """
        name = self.folder.standby_graph()
        with self._named_disk_errors():
            with self.folder.held():
                for mark in find_own_processes(self.folder, name, self.folder.read_state()):
                    stop_process(mark, STOP_WAIT_S[name])
                replace_home(self.folder.data_folder(name), home)
            self.start(needs=[STANDBY])

    def require_disk(self, n_bytes: int) -> None:
        """Raises: StorageFullError where less is free: a store that finds its disk full fails for good."""
        existing = next(p for p in (self.folder.path, *self.folder.path.parents) if p.exists())
        if shutil.disk_usage(existing).free < n_bytes:
            raise StorageFullError(
                f"the disk of {existing} has less than {n_bytes >> 20} MB free: the stores would fail"
            )

    def _status_of(self, name: str, is_embedded: bool, state: Mapping[str, RunningStore]) -> StoreStatus:
        marks = find_own_processes(self.folder, name, state) if is_embedded else []
        if not marks:
            return StoreStatus(name, is_embedded, is_running=False, pid=None, port=None)
        return StoreStatus(name, is_embedded, True, marks[0].pid, state[name].port if name in state else None)

    def known_addresses(self, graph: str | None = None) -> StoreAddresses:
        """The addresses as configured or last started, whether anything runs there or not; starts nothing.

        An embedded store that never ran has port 0 and no password. `graph`: a server of the graph other than
        the primary one.
        """
        return self._addresses(self.folder.read_state(), graph)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def _servers(self, needs: Collection[str]) -> list[_EmbeddedStore]:
        servers: list[_EmbeddedStore] = []
        if self.settings.mongo_uri is None and DOCUMENTS in needs:
            servers.append(EmbeddedMongo(self.folder, self.settings.mongo_cache_mb))
        if self.settings.neo4j_uri is None:
            named = {PRIMARY: self.folder.primary_graph(), STANDBY: self.folder.standby_graph()}
            servers += [self.server_of(name) for role, name in named.items() if {role, name} & {*needs}]
        return servers

    def _report_fetch(self, n_done: int, n_all: int) -> None:
        self._report(f"fetching Neo4j's jars, {n_done} of {n_all}")

    def _named_disk_errors(self) -> AbstractContextManager[None]:
        folder = self.folder.path
        return disk_errors(
            f"the disk of {folder} is full",
            lambda reason: EmbeddedStoreError(
                f"the stores cannot be kept in {folder}: {reason}. "
                "Set TERAG_HOME to a folder that may be written"
            ),
        )

    def _ensure_guard(self) -> None:
        state = self.folder.read_state()
        if GUARD not in state or not state[GUARD].mark.is_alive():
            guard = spawn_python(
                "resources.store_guard", [str(self.folder.path)], self.folder.log_file(GUARD)
            )
            self.folder.write_state({**state, GUARD: RunningStore(guard)})

    def _bring_up_all(
        self, servers: list[_EmbeddedStore], before: Mapping[str, RunningStore]
    ) -> dict[str, RunningStore]:
        with ThreadPoolExecutor(len(servers)) as pool:
            running = list(
                pool.map(lambda server: _bring_up(self.folder, server, before, self._report), servers)
            )
        state = {**before, **{server.name: store for server, store in zip(servers, running, strict=True)}}
        self.folder.write_state(state)
        return state

    def _train_if_useful(self, servers: list[_EmbeddedStore], state: dict[str, RunningStore]) -> None:
        """Makes Neo4j's start-up caches in the background where they are not, at low priority."""
        training = state.get(TRAINING)
        if training is not None and training.mark.is_alive():
            return
        graphs = [server for server in servers if isinstance(server, EmbeddedNeo4j)][:1]
        commands = [command for server in graphs for command in trained_commands(server)]
        if not all(command.has_sound_cache() for command in commands):
            mark = start_training(commands, self.folder.log_file(TRAINING))
            self.folder.write_state({**state, TRAINING: RunningStore(mark)})

    def _addresses(self, state: Mapping[str, RunningStore], graph: str | None = None) -> StoreAddresses:
        name = graph or self.folder.primary_graph()
        return configured_addresses(
            self.settings,
            embedded_neo4j=lambda: self._login_to_neo4j(state.get(name)),
            embedded_mongo=lambda: self._login_to_mongo(state.get(MONGO)),
        )

    def _login_to_neo4j(self, running: RunningStore | None) -> tuple[str, str, SecretStr]:
        password = EmbeddedNeo4j(self.folder, self.settings).password() if running else ""
        return bolt_uri(running.port if running else 0), USER, SecretStr(password)

    def _login_to_mongo(self, running: RunningStore | None) -> SecretStr:
        mongo = EmbeddedMongo(self.folder, self.settings.mongo_cache_mb)
        return SecretStr(mongo.uri(running.port) if running else "mongodb://127.0.0.1:0")


def _own_mark() -> ProcessMark:
    mark = ProcessMark.of(os.getpid())
    if mark is None:
        raise EmbeddedStoreError("this process cannot see itself in the list of processes: is /proc mounted?")
    return mark


def _bring_up(
    folder: StoreFolder,
    server: _EmbeddedStore,
    state: Mapping[str, RunningStore],
    report: Callable[[str], None],
) -> RunningStore:
    """The store, answering: the one that runs already if it does answer, else a new one."""
    known = state.get(server.name)
    for mark in find_own_processes(folder, server.name, state):
        if known is not None and mark == known.mark and _await_answer(server, mark, known.port, HUNG_AFTER_S):
            return known
        stop_process(
            mark, STOP_WAIT_S[server.name]
        )  # ours by its data folder, but hung or on an unknown port
    report(f"starting {server.name}")
    for _ in range(LAUNCH_ATTEMPTS):
        port = choose_port(known.port if known else None)
        mark = server.launch(port)
        if _await_answer(server, mark, port, START_WAIT_S):
            return RunningStore(mark, port)
        has_ended = wait_for_end(mark, 0.0)
        stop_process(mark, STOP_WAIT_S[server.name])
        if not has_ended:
            break
        server.mend()  # it ended by itself: what can be put aside is, before it is tried again
    raise EmbeddedStoreError(_explain_failure(folder, server.name))


def _await_answer(server: _EmbeddedStore, mark: ProcessMark, port: int, wait_s: float) -> bool:
    """Whether it answers within the time; False at once when the process ends or says that it cannot."""
    deadline = time.monotonic() + wait_s
    while mark.is_alive():
        if _is_listening(port) and server.answers(port):
            return True
        if time.monotonic() > deadline or (_is_listening(port) and server.has_failed(port)):
            return False
        time.sleep(POLL_S)
    return False


def _is_listening(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1.0)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _explain_failure(folder: StoreFolder, name: str) -> str:
    log = folder.log_file(name)
    return f"{name} did not come up: the reason is at the end of {log}"
