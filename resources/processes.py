"""Child processes and locks of the embedded stores: who is alive, whose it is, and how it ends."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from terag_pipelines.errors import EmbeddedStoreError

ON_LINUX = bool(sys.platform == "linux")  # elsewhere psutil is asked
POLL_S = 0.05
KILL_WAIT_S = 10.0

ENDING = (signal.SIGINT, signal.SIGTERM)
LISTEN = f"""
import os, signal, sys
for number in {tuple(map(int, (*ENDING, signal.SIGPIPE, signal.SIGXFSZ)))}:
    signal.signal(number, signal.SIG_DFL)
os.execvp(sys.argv[1], sys.argv[1:])
"""

# Popen objects are kept so that a child that ended is reaped, and not taken for alive.
_spawned: dict[int, subprocess.Popen[bytes]] = {}


@dataclass(frozen=True)
class ProcessMark:
    """A process, told from a later one of the same number by a token of when it started."""

    pid: int
    started: str

    @classmethod
    def of(cls, pid: int) -> ProcessMark | None:
        """The mark of a running process; None when there is none of this number."""
        started = _read_start_token(pid)
        return None if started is None else cls(pid, started)

    def is_alive(self) -> bool:
        """Whether this very process still runs; one that ended and waits for its parent does not."""
        child = _spawned.get(self.pid)
        if child is not None and child.poll() is not None:
            del _spawned[self.pid]
        return _read_start_token(self.pid) == self.started

    def has_argument(self, argument: str) -> bool:
        """Whether the process was started with this exact argument."""
        return argument in _read_arguments(self.pid)

    def send(self, number: signal.Signals) -> None:
        """Sends a signal, if the process still runs."""
        if self.is_alive():
            try:
                os.kill(self.pid, number)
            except ProcessLookupError:
                return


def spawn(
    command: Sequence[str], log: Path, environment: Mapping[str, str | None] | None = None, nice: int = 0
) -> ProcessMark:
    """Starts a process in a session of its own, so that a Ctrl-C at the terminal does not reach it.

    It ends when asked (see `listening`). Its output is appended to the log. ``environment`` is laid over the
    caller's own; None removes a variable.

    Raises:
        EmbeddedStoreError: there is no such program, or it may not be run.
    """
    prefix = ["nice", "-n", str(nice)] if nice else []
    try:
        with log.open("ab") as output:
            child = subprocess.Popen(
                listening([*prefix, *command]),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=lay_over_environment(environment or {}),
                start_new_session=True,
            )
    except OSError as error:
        raise EmbeddedStoreError(f"{command[0]} could not be started: {error.strerror}") from error
    _spawned[child.pid] = child
    while child.poll() is None and not _runs_program(child.pid):
        time.sleep(0.001)
    return ProcessMark.of(child.pid) or ProcessMark(child.pid, "ended")


def listening(command: Sequence[str]) -> list[str]:
    """The command, to be run so that it ends when asked, also where this process ignores such signals.

    What a process ignores its children ignore. A shell's background job ignores SIGINT, and Dagster then
    makes it ignore SIGTERM too: Java keeps to that, and the store would have to be killed.
    """
    is_deaf = any(signal.getsignal(number) is signal.SIG_IGN for number in ENDING)
    if not is_deaf or shutil.which(command[0]) is None:  # what is no program fails as it does without
        return list(command)
    return [sys.executable, "-I", "-S", "-c", LISTEN, *command]


def _runs_program(pid: int) -> bool:
    """Whether a child is the program it was started for; at first the kernel does not show a command line."""
    arguments = _read_arguments(pid)
    return any(arguments) and LISTEN not in arguments


def lay_over_environment(changes: Mapping[str, str | None]) -> dict[str, str]:
    """The environment of a child: this process's own with changes, of which None removes a variable."""
    return {name: value for name, value in {**os.environ, **changes}.items() if value is not None}


def spawn_python(
    module: str,
    arguments: Sequence[str],
    log: Path,
    nice: int = 0,
    environment: Mapping[str, str | None] | None = None,
) -> ProcessMark:
    """Starts a module of this installation with this Python. Raises: EmbeddedStoreError."""
    packages = str(Path(__file__).parents[1])
    command = [sys.executable, "-P", "-m", module, *arguments]
    return spawn(command, log, {**(environment or {}), "PYTHONPATH": packages}, nice)


def stop_process(mark: ProcessMark, wait_s: float) -> bool:
    """Asks the process to end, kills it after ``wait_s`` seconds; whether it ended by itself."""
    mark.send(signal.SIGTERM)
    if wait_for_end(mark, wait_s):
        return True
    mark.send(signal.SIGKILL)
    wait_for_end(mark, KILL_WAIT_S)
    return False


def wait_for_end(mark: ProcessMark, wait_s: float) -> bool:
    """Whether the process has ended within ``wait_s`` seconds."""
    deadline = time.monotonic() + wait_s
    while mark.is_alive():
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_S)
    return True


def find_processes(argument: str) -> list[ProcessMark]:
    """The running processes that were started with this exact argument."""
    marks = (ProcessMark.of(pid) for pid in _list_pids() if argument in _read_arguments(pid))
    return [mark for mark in marks if mark is not None]


def choose_port(wished: int | None = None) -> int:
    """A free port on loopback: the wished one if it is free."""
    for port in (wished, 0):
        if port is not None:
            with socket.socket() as probe:
                probe.setsockopt(
                    socket.SOL_SOCKET, socket.SO_REUSEADDR, 1
                )  # past TIME_WAIT of a store just stopped
                try:
                    probe.bind(("127.0.0.1", port))
                    return int(probe.getsockname()[1])
                except OSError:
                    continue
    raise EmbeddedStoreError("there is no free port on 127.0.0.1")


@contextmanager
def hold_lock(path: Path, wait_s: float) -> Iterator[None]:
    """Holds a lock file for the block; the system frees it when the process ends, however it ends.

    Raises:
        EmbeddedStoreError: another process held it for all of ``wait_s`` seconds.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        _wait_for_lock(descriptor, path, wait_s)
        yield
    finally:
        os.close(descriptor)


def _wait_for_lock(descriptor: int, path: Path, wait_s: float) -> None:
    deadline = time.monotonic() + wait_s
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise EmbeddedStoreError(f"another process has held {path} for {wait_s:.0f} s") from None
            time.sleep(POLL_S)


def _read_start_token(pid: int) -> str | None:
    """The kernel's own start time in ticks since boot, which does not move when the clock is set."""
    if not ON_LINUX:
        return _read_start_time(pid)
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else f"{_read_boot_id()}:{fields[19]}"


def _read_boot_id() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return "?"


def _read_start_time(pid: int) -> str | None:
    import psutil

    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else f"{process.create_time():.2f}"
    except psutil.Error:
        return None


def _list_pids() -> list[int]:
    if not ON_LINUX:
        return _ask_pids()
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]


def _ask_pids() -> list[int]:
    import psutil

    return list(psutil.pids())


def _read_arguments(pid: int) -> list[str]:
    if not ON_LINUX:
        return _ask_arguments(pid)
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return []


def _ask_arguments(pid: int) -> list[str]:
    import psutil

    try:
        return list(psutil.Process(pid).cmdline())
    except psutil.Error:
        return []
