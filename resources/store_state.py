"""What is kept on disk about a running pair of embedded stores: who runs, on which port, and for whom.

Kept light (standard library only), since the guard process imports nothing else.

    <home>/stores/
        lock            held while a pair is started or stopped
        state.json      the processes: number, start token, port
        users/          one empty file a process that uses the pair, named by its number and start token
        kept            there while the pair is to outlive its users (`terag up`)
        mongo/ neo4j/   data; neo4j-second/ that of the graph's second server
        primary-graph   which of the two servers of the graph readers are sent to
        graph-load.lock held while the graph is loaded, promoted or cleared
        mongo-is-being-founded  there until mongo/ has its replica set and user
        secrets/        passwords and the replica set's key, mode 0600
        logs/
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from resources.owner_files import make_owner_folder, write_owner_file
from resources.processes import ProcessMark, find_processes, hold_lock, stop_process, wait_for_end

MONGO, NEO4J, NEO4J_SECOND, GUARD, TRAINING = "mongo", "neo4j", "neo4j-second", "guard", "training"
GRAPHS = (NEO4J, NEO4J_SECOND)
STORES = (MONGO, *GRAPHS)
LOCK_WAIT_S = 300.0
STOP_WAIT_S = {MONGO: 20.0, NEO4J: 20.0, NEO4J_SECOND: 20.0}
LOG_LIMIT = 16 << 20


@dataclass(frozen=True)
class RunningStore:
    """A store's process and the port on loopback that it answers on (0 for a process without one)."""

    mark: ProcessMark
    port: int = 0


@dataclass(frozen=True)
class StoreFolder:
    """The folder of one pair of embedded stores; its path is resolved, since processes are found by it."""

    path: Path

    def data_folder(self, name: str) -> Path:
        """Where a store keeps its data."""
        return self.path / name

    def secret_file(self, name: str) -> Path:
        """A file that only the owner reads."""
        return self.path / "secrets" / name

    def log_file(self, name: str) -> Path:
        """Where a process writes its log; one that has grown past 16 MB was put aside first."""
        log = make_owner_folder(self.path / "logs") / f"{name}.log"
        if log.exists() and log.stat().st_size > LOG_LIMIT:
            log.replace(log.with_suffix(".log.old"))
        return log

    def identity(self, name: str) -> str:
        """The command-line argument that only this folder's own process of that name has."""
        option = "--dbpath" if name == MONGO else "--home-dir"
        return f"{option}={self.data_folder(name)}"

    @property
    def state_file(self) -> Path:
        """Where the processes stand."""
        return self.path / "state.json"

    @property
    def primary_file(self) -> Path:
        """Where the name of the graph's primary server stands; the first server is, until it is there."""
        return self.path / "primary-graph"

    def primary_graph(self) -> str:
        """The server of the graph that readers are sent to."""
        try:
            name = self.primary_file.read_text(encoding="utf-8").strip()
        except (FileNotFoundError, NotADirectoryError):
            return NEO4J
        return name if name in GRAPHS else NEO4J

    def standby_graph(self) -> str:
        """The other one: it takes the next load."""
        return NEO4J_SECOND if self.primary_graph() == NEO4J else NEO4J

    def send_readers_to(self, name: str) -> None:
        """Makes a server of the graph the primary, at once for all processes."""
        write_owner_file(self.primary_file, name + "\n")

    @contextmanager
    def held(self) -> Iterator[None]:
        """Holds the folder's lock: one process at a time starts or stops the pair."""
        with hold_lock(make_owner_folder(self.path) / "lock", LOCK_WAIT_S):
            yield

    def read_state(self) -> dict[str, RunningStore]:
        """The processes as last written; empty when there are none, or the file is not readable as such."""
        try:
            entries = json.loads(self.state_file.read_text(encoding="utf-8"))
            return {
                n: RunningStore(ProcessMark(**entry["mark"]), entry["port"]) for n, entry in entries.items()
            }
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            return {}

    def write_state(self, state: Mapping[str, RunningStore]) -> None:
        """Replaces what is known about the processes."""
        entries = {name: asdict(running) for name, running in sorted(state.items())}
        write_owner_file(self.state_file, json.dumps(entries, indent=1) + "\n")

    def register_user(self, mark: ProcessMark) -> bool:
        """Notes that a process uses the pair; whether that is new."""
        file = make_owner_folder(self.path / "users") / _user_name(mark)
        is_new = not file.exists()
        file.touch(mode=0o600)
        return is_new

    def forget_user(self, mark: ProcessMark) -> None:
        """Notes that a process uses the pair no more."""
        (self.path / "users" / _user_name(mark)).unlink(missing_ok=True)

    def live_users(self) -> list[ProcessMark]:
        """The processes that use the pair and run; those that ended without a word are forgotten."""
        try:
            files = sorted((self.path / "users").iterdir())
        except OSError:
            return []
        marks = [_parse_user_name(file.name) for file in files]
        for file, mark in zip(files, marks, strict=True):
            if not mark.is_alive():
                file.unlink(missing_ok=True)
        return [mark for mark in marks if mark.is_alive()]

    def is_kept(self) -> bool:
        """Whether the pair outlives its users."""
        return (self.path / "kept").exists()

    def keep(self, is_kept: bool) -> None:
        """Says whether the pair outlives its users."""
        if is_kept:
            (self.path / "kept").touch(mode=0o600)
        else:
            (self.path / "kept").unlink(missing_ok=True)

    def is_in_use(self) -> bool:
        """Whether anyone needs the pair to run."""
        return self.is_kept() or bool(self.live_users())


def stop_pair(folder: StoreFolder, known: Mapping[str, RunningStore] | None = None) -> None:
    """Ends all of the folder's processes but the guard, and waits for it; call it with the lock held.

    Only processes that have this folder's own argument on their command line are touched.
    """
    state = {**(known or {}), **folder.read_state()}
    stop_training(state)
    asked = [(name, mark) for name in STORES for mark in find_own_processes(folder, name, state)]
    for _, mark in asked:
        mark.send(signal.SIGTERM)  # both at once, then wait for each
    for name, mark in asked:
        stop_process(mark, STOP_WAIT_S[name])
    if folder.path.is_dir():
        folder.keep(False)
        kept = {
            name: RunningStore(_ended(r.mark), r.port) for name, r in state.items() if name in STOP_WAIT_S
        }
        guard = {GUARD: state[GUARD]} if GUARD in state else {}
        with contextlib.suppress(OSError):  # of a full disk: that they have ended is seen without it
            folder.write_state({**kept, **guard})  # ports are kept: the next start tries them again


def find_own_processes(
    folder: StoreFolder, name: str, state: Mapping[str, RunningStore]
) -> list[ProcessMark]:
    """The running processes of one store of this folder, whether the state names them or not."""
    identity = folder.identity(name)
    known = state.get(name)
    if known is not None and known.mark.is_alive() and known.mark.has_argument(identity):
        return [known.mark]
    return find_processes(identity)


def stop_training(state: Mapping[str, RunningStore]) -> None:
    """Ends the process that makes Neo4j's start-up cache, with its Java; another time it goes on."""
    training = state.get(TRAINING)
    if training is not None and training.mark.is_alive():
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(training.mark.pid, signal.SIGKILL)  # spawn() made it the leader of its group
        wait_for_end(training.mark, 5.0)


def _ended(mark: ProcessMark) -> ProcessMark:
    return ProcessMark(mark.pid, "ended")


def _user_name(mark: ProcessMark) -> str:
    return f"{mark.pid}_{mark.started}"


def _parse_user_name(name: str) -> ProcessMark:
    pid, _, started = name.partition("_")
    return ProcessMark(int(pid) if pid.isdigit() else -1, started)
