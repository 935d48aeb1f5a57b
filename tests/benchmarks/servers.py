"""What the graph's servers and the importer cost, beside what the client itself does."""

from __future__ import annotations

import resource
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import psutil

from resources.embedded import EmbeddedStores

Result = TypeVar("Result")
MB = 1 << 20


@dataclass(frozen=True)
class ServerCost:
    """CPU seconds of servers and importers during a piece of work, and the most memory that one has held."""

    server_cpu_s: float
    server_peak_rss_mb: int


def measured_servers(stores: EmbeddedStores, work: Callable[[], Result]) -> tuple[Result, ServerCost]:
    """What the work returns, and what it cost the servers of a home; one that it replaced is not in it."""
    before, importer_before = _cpu_by_server(stores), _importer_cpu_s()
    result = work()
    after = _cpu_by_server(stores)
    cpu_s = sum(seconds - before.get(process, 0.0) for process, seconds in after.items())
    peak = max((_peak_rss_mb(process.pid) for process in after), default=0)
    importers_mb = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024 // MB
    return result, ServerCost(cpu_s + _importer_cpu_s() - importer_before, max(peak, importers_mb))


def _cpu_by_server(stores: EmbeddedStores) -> dict[psutil.Process, float]:
    found = {}
    for store in stores.status():
        with suppress(psutil.NoSuchProcess):
            if store.pid is not None:
                process = psutil.Process(store.pid)
                times = process.cpu_times()
                found[process] = times.user + times.system
    return found


def _importer_cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _peak_rss_mb(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    return next((int(line.split()[1]) // 1024 for line in lines if line.startswith("VmHWM:")), 0)
