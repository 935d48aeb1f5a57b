"""Loaders and servers of the graph killed at any moment: the next load makes it good, no reader sees it."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import product
from pathlib import Path
from threading import Thread

import pytest

from resources.embedded import STANDBY, EmbeddedStores
from resources.settings import Settings
from terag_pipelines.errors import TeragError
from tests.contract.pairs import (
    PACES,
    load_and_promote,
    named_plan,
    opened,
    reading,
    running_home,
    start_loader,
)

pytestmark = [pytest.mark.stores, pytest.mark.xdist_group("graph-kills")]

N_KILLS = 13
"""Of each of the four kinds at full count: 52."""
FEWEST = 400


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


def serve(stores: EmbeddedStores, pace: str, batch: str, n: int) -> float:
    """Loads and promotes a batch, whatever is left of an earlier try; seconds that it took."""
    started = time.monotonic()
    stores.start()
    with opened(stores, PACES[pace]) as graph:
        load_and_promote(graph, named_plan(batch, n))
    return time.monotonic() - started


def killed_loader(stores: EmbeddedStores, pace: str, batch: str, n: int, after_s: float) -> None:
    loader = start_loader(stores.settings, pace, batch, n, promotes=True)
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
    allowed = {(frozenset({f"first {first}"}), first)}
    with reading(stores) as reader:
        for n in range(first + 1, first + 1 + n_kills):
            batch, after_s = f"batch {n}", random.uniform(0, duration_s)
            kill(stores, pace, batch, n, after_s)
            serve(stores, pace, batch, n)
            allowed.add((frozenset({batch}), n))
            plan = named_plan(batch, n)
            with opened(stores) as graph:
                told = f"killed {after_s:.2f} s after the start"
                assert (graph.digest(batch), graph.counts(batch)) == (plan.digest(), plan.counts()), told
                assert [server.drift for server in graph.servers()] == [(), ()], told
                assert graph.load(plan).was_complete, told
    assert reader.seen <= allowed
    assert reader.seen
