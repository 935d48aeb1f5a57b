"""Processes and owner-only files: a foreign process is left alone, and a secret stays one."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from resources.owner_files import read_or_make_secret, write_owner_file
from resources.processes import ProcessMark, choose_port, find_processes, hold_lock, spawn, stop_process
from resources.store_state import MONGO, NEO4J, RunningStore, StoreFolder, stop_pair
from terag_pipelines.errors import EmbeddedStoreError

SLEEP = [sys.executable, "-S", "-c", "import time; time.sleep(600)"]


@pytest.fixture
def bystander() -> Iterator[subprocess.Popen[bytes]]:
    """A process that has nothing to do with the stores."""
    with subprocess.Popen(SLEEP) as process:
        yield process
        process.kill()


def test_a_process_is_known_by_its_start_and_not_by_its_number(tmp_path: Path) -> None:
    mark = spawn([*SLEEP, "own-argument"], tmp_path / "log")
    later = ProcessMark(mark.pid, "another start")
    assert mark.is_alive()
    assert mark.has_argument("own-argument")
    assert not later.is_alive()
    stop_process(later, wait_s=1)
    assert mark.is_alive()
    assert stop_process(mark, wait_s=60)
    assert not mark.is_alive()


@pytest.fixture
def deaf() -> Iterator[None]:
    """This process ignores what asks it to end, as Dagster has a shell's background job do."""
    before = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("nice", [0, 5])
def test_a_process_ends_when_asked_also_where_its_parent_would_not(
    tmp_path: Path, deaf: None, nice: int
) -> None:
    mark = spawn([*SLEEP, "own-argument"], tmp_path / "log", nice=nice)
    assert find_processes("own-argument") == [mark]
    assert stop_process(mark, wait_s=60)


def test_a_job_of_dagster_in_the_background_leaves_children_that_end_when_asked(tmp_path: Path) -> None:
    script = """
import signal, sys
from pathlib import Path
import dagster as dg
from resources.processes import spawn, stop_process
dg.materialize([dg.asset(lambda: 1, name="one")], instance=dg.DagsterInstance.ephemeral())
mark = spawn([sys.executable, "-S", "-c", "import time; time.sleep(600)"], Path(sys.argv[1]))
sys.exit(not stop_process(mark, wait_s=30))
"""
    background = ["sh", "-c", '"$@" & wait $!', "sh", sys.executable, "-c", script, str(tmp_path / "log")]
    subprocess.run(background, check=True, capture_output=True)


def test_a_process_that_does_not_end_is_killed(tmp_path: Path) -> None:
    deaf = "import signal as s, time; s.signal(s.SIGTERM, s.SIG_IGN); print(1, flush=True); time.sleep(60)"
    log = tmp_path / "log"
    mark = spawn([sys.executable, "-S", "-c", deaf], log)
    while not log.read_text():
        time.sleep(0.02)
    assert not stop_process(mark, wait_s=0.3)
    assert not mark.is_alive()


def test_a_program_that_does_not_exist_is_named(tmp_path: Path) -> None:
    with pytest.raises(EmbeddedStoreError, match="no-such-program could not be started"):
        spawn(["no-such-program"], tmp_path / "log")


def test_processes_are_found_by_an_exact_argument(tmp_path: Path) -> None:
    argument = f"--home-dir={tmp_path}"
    mark = spawn([*SLEEP, argument], tmp_path / "log")
    other = spawn([*SLEEP, argument + "-of-another"], tmp_path / "log")
    assert find_processes(argument) == [mark]
    stop_process(mark, 5)
    stop_process(other, 5)


def test_a_stale_state_never_ends_a_foreign_process(
    tmp_path: Path, bystander: subprocess.Popen[bytes]
) -> None:
    folder = StoreFolder(tmp_path)
    foreign = ProcessMark.of(bystander.pid)
    assert foreign
    folder.write_state({MONGO: RunningStore(foreign, 1), NEO4J: RunningStore(ProcessMark(1, "x"), 2)})
    stop_pair(folder)
    assert bystander.poll() is None


def test_an_unreadable_state_counts_as_none(tmp_path: Path) -> None:
    (tmp_path / "state.json").write_text('{"mongo": {"mark"')
    assert StoreFolder(tmp_path).read_state() == {}
    (tmp_path / "state.json").write_text('["mongo"]')
    assert StoreFolder(tmp_path).read_state() == {}


def test_users_that_ended_are_forgotten(tmp_path: Path, bystander: subprocess.Popen[bytes]) -> None:
    folder = StoreFolder(tmp_path)
    mark = ProcessMark.of(bystander.pid)
    assert mark
    assert folder.register_user(mark)
    assert not folder.register_user(mark)
    assert folder.is_in_use()
    bystander.kill()
    bystander.wait()
    assert not folder.is_in_use()


def test_a_lock_keeps_others_out_and_says_so(tmp_path: Path) -> None:
    with (
        hold_lock(tmp_path / "lock", 1),
        pytest.raises(EmbeddedStoreError, match="another process has held"),
        hold_lock(tmp_path / "lock", 0.1),
    ):
        pass
    with hold_lock(tmp_path / "lock", 0.1):
        pass


def test_a_port_in_use_is_not_chosen() -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as server:
        taken = server.getsockname()[1]
        assert choose_port(taken) != taken
    assert choose_port(taken) == taken


def test_owner_files_are_for_their_owner_and_replaced_whole(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        write_owner_file(tmp_path / "secrets" / "one", "first")
        write_owner_file(tmp_path / "secrets" / "one", "second")
    finally:
        os.umask(before)
    assert (tmp_path / "secrets" / "one").read_text() == "second"
    assert stat.S_IMODE((tmp_path / "secrets" / "one").stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "secrets").stat().st_mode) == 0o700
    assert [file.name for file in (tmp_path / "secrets").iterdir()] == ["one"]


def test_first_uses_at_once_get_the_same_secret(tmp_path: Path) -> None:
    with ThreadPoolExecutor(16) as pool:
        found = set(pool.map(lambda _: read_or_make_secret(tmp_path / "secret"), range(64)))
    assert len(found) == 1
    assert len(found.pop()) >= 43
    assert [file.name for file in tmp_path.iterdir()] == ["secret"]
