"""Loaders and servers of the graph killed at any moment: the next load makes it good, no reader sees it."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
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

pytestmark = pytest.mark.stores

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
    [(killed_loader, "importer", 1), (killed_loader, "bolt", 1), (killed_server, "bolt", 1), *AT_FULL_COUNT],
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


# Promotes a batch, and is killed when all is done but sending readers to the server that shows it.
KILLED_PROMOTER = """
import os, signal, sys
from resources.embedded import EmbeddedStores
from resources.store_state import StoreFolder
from tests.contract.pairs import graph_settings, opened
StoreFolder.send_readers_to = lambda *_given: os.kill(os.getpid(), signal.SIGKILL)
home, cache, batch = sys.argv[1:]
with opened(EmbeddedStores(graph_settings(home, cache))) as graph:
    graph.promote(batch)
"""


@pytest.mark.parametrize("next_one", ["the same batch", "another batch"])
def test_a_promotion_killed_before_readers_are_sent_is_as_if_it_had_not_begun(
    stores: EmbeddedStores, next_one: str
) -> None:
    """The server that nobody reads shows the batch already; the next promotion completes it, or another."""
    old, new, other = (named_plan(f"{name}, then {next_one}", 300) for name in ("old", "new", "other"))
    with opened(stores) as graph:
        load_and_promote(graph, old)
        with reading(stores) as reader:
            graph.load(new)
            killed_promoter(stores, new.batch_id)
            assert graph.promoted_batch() == old.batch_id
            assert [server.batch_id for server in graph.servers()] == [old.batch_id, new.batch_id]
            assert new.batch_id not in {load.batch_id for load in graph.loads() if load.was_shown}
            following = new if next_one == "the same batch" else other
            load_and_promote(graph, following)
        assert graph.batch_before() == old.batch_id
        assert graph.digest(following.batch_id) == following.digest()
        assert graph.promoted_batch() == following.batch_id
        assert [server.drift for server in graph.servers()] == [(), ()]
        graph.promote(old.batch_id)
        assert graph.digest(old.batch_id) == old.digest()
    assert reader.seen <= {(frozenset({plan.batch_id}), 300) for plan in (old, following)}


def killed_promoter(stores: EmbeddedStores, batch: str) -> None:
    given = [str(stores.settings.home), str(stores.settings.cache_folder), batch]
    killed = subprocess.run([sys.executable, "-c", KILLED_PROMOTER, *given], check=False)
    assert killed.returncode == -signal.SIGKILL
