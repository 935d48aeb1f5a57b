"""Loaders and servers of the graph killed at any moment: the next load makes it good, no reader sees it."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import product
from pathlib import Path
from threading import Event, Thread

import pytest

from resources.embedded import STANDBY, EmbeddedStores
from resources.settings import Settings
from terag_pipelines.errors import StoreError, TeragError
from tests.contract.graphs import plan_of
from tests.contract.pairs import PACES, opened, running_home

pytestmark = [pytest.mark.stores, pytest.mark.xdist_group("graph-kills")]

N_KILLS = 13
"""Of each of the four kinds at full count: 52."""
FEWEST = 400

# A process of its own that loads one batch and promotes it.
LOADER = """
import sys
from resources.embedded import EmbeddedStores
from tests.contract.graphs import plan_of
from tests.contract.pairs import PACES, graph_settings, opened
home, cache, pace, batch, n = sys.argv[1:]
settings = graph_settings(home, cache)
plan = plan_of(batch, int(n))
with opened(EmbeddedStores(settings), PACES[pace]) as graph:
    print("loading", flush=True)
    graph.load(plan)
    graph.promote(batch)
"""


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory, cache_folder: Path) -> Iterator[Settings]:
    """A home of this module's own, whose servers are killed."""
    with running_home(tmp_path_factory.mktemp("kills") / "home", cache_folder) as settings:
        yield settings


@pytest.fixture
def stores(settings: Settings) -> EmbeddedStores:
    stores = EmbeddedStores(settings)
    stores.start()
    stores.start(needs=[STANDBY])
    return stores


class Reader(Thread):
    """Asks for all entities, over and over; `sizes` is how many there were each time."""

    def __init__(self, stores: EmbeddedStores) -> None:
        super().__init__()
        self.sizes: set[int] = set()
        self.is_over = Event()
        self._stores = stores

    def run(self) -> None:
        while not self.is_over.is_set():
            with suppress(StoreError), opened(self._stores) as reader:
                while not self.is_over.is_set():
                    self.sizes.add(len(reader.find_by_name("", limit=100_000)))


@contextmanager
def reading(stores: EmbeddedStores) -> Iterator[Reader]:
    reader = Reader(stores)
    reader.start()
    try:
        yield reader
    finally:
        reader.is_over.set()
        reader.join()


def serve(stores: EmbeddedStores, pace: str, batch: str, n: int) -> float:
    """Loads and promotes a batch, whatever is left of an earlier try; seconds that it took."""
    started = time.monotonic()
    stores.start()
    with opened(stores, PACES[pace]) as graph:
        graph.load(plan_of(batch, n))
        graph.promote(batch)
    return time.monotonic() - started


def killed_loader(stores: EmbeddedStores, pace: str, batch: str, n: int, after_s: float) -> None:
    given = [str(stores.settings.home), str(stores.settings.cache_folder), pace, batch, str(n)]
    loader = subprocess.Popen([sys.executable, "-c", LOADER, *given], stdout=subprocess.PIPE)
    assert loader.stdout is not None
    assert loader.stdout.readline() == b"loading\n"
    time.sleep(after_s)
    loader.kill()
    loader.communicate()


def killed_server(stores: EmbeddedStores, pace: str, batch: str, n: int, after_s: float) -> None:
    name = random.choice([stores.folder.primary_graph(), stores.folder.standby_graph()])

    def load() -> None:
        with suppress(TeragError):
            serve(stores, pace, batch, n)

    loader = Thread(target=load)
    loader.start()
    time.sleep(after_s)
    if stores.is_running(name):
        os.kill(stores.folder.read_state()[name].mark.pid, signal.SIGKILL)
    loader.join()


AT_FULL_COUNT = [
    pytest.param(kill, pace, N_KILLS, marks=pytest.mark.torture)
    for kill, pace in product([killed_loader, killed_server], PACES)
]


@pytest.mark.parametrize(
    ("kill", "pace", "n_kills"),
    [(killed_loader, "importer", 1), (killed_server, "bolt", 1), *AT_FULL_COUNT],
)
def test_what_is_killed_anywhere_is_made_good_and_readers_see_whole_batches(
    stores: EmbeddedStores, kill: Callable[..., None], pace: str, n_kills: int
) -> None:
    first = FEWEST + random.randrange(1000)
    duration_s = serve(stores, pace, f"first {first}", first)
    allowed = {first}
    with reading(stores) as reader:
        for n in range(first + 1, first + 1 + n_kills):
            batch, after_s = f"batch {n}", random.uniform(0, duration_s)
            kill(stores, pace, batch, n, after_s)
            serve(stores, pace, batch, n)
            allowed.add(n)
            plan = plan_of(batch, n)
            with opened(stores) as graph:
                told = f"killed {after_s:.2f} s after the start"
                assert (graph.digest(batch), graph.counts(batch)) == (plan.digest(), plan.counts()), told
                assert [server.drift for server in graph.servers()] == [(), ()], told
                assert graph.load(plan).was_complete, told
    assert reader.sizes <= allowed
    assert reader.sizes
