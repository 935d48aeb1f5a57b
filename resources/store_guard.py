"""A small process beside a pair of embedded stores: it stops them when nobody is left who uses them.

However the last user of a pair ends, by kill -9 too, the pair does not outlive it, unless it is kept (as
``terag up`` does).
Run as ``python -m resources.store_guard FOLDER``.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from resources.store_state import GUARD, STORES, StoreFolder, find_own_processes, stop_pair

POLL_S = 0.5


def guard_pair(folder: StoreFolder, poll_s: float = POLL_S) -> None:
    """Watches until the pair has no user left, stops it, and returns."""
    known = folder.read_state()
    while True:
        time.sleep(poll_s)
        if not folder.path.is_dir():  # the home was deleted under the running pair
            stop_pair(folder, known)
            return
        known = folder.read_state() or known
        if not folder.is_in_use() and _finish(folder):
            return


def _finish(folder: StoreFolder) -> bool:
    """Stops the pair unless someone came meanwhile; whether the guard has nothing left to watch."""
    with folder.held():
        if folder.is_in_use():
            return False
        state = folder.read_state()
        if any(find_own_processes(folder, name, state) for name in STORES):
            stop_pair(folder)
        folder.write_state({name: running for name, running in folder.read_state().items() if name != GUARD})
        return True


if __name__ == "__main__":
    guard_pair(StoreFolder(Path(sys.argv[1])))
