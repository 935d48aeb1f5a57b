"""Sixteen loaders of overlapping batches at once on the graph's two servers, threads and processes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from resources.embedded import STANDBY, EmbeddedStores
from resources.open_graph import open_graph
from resources.settings import Settings
from terag_pipelines.graph.load_plan import LoadPlan
from tests.contract.graphs import at_once, duplicates_in
from tests.contract.pairs import (
    load_and_promote,
    named_plan,
    opened,
    reading,
    running_home,
    start_loader,
)

pytestmark = pytest.mark.stores

FIRST = named_plan("first", 350)
PLANS = [named_plan(f"crowd{n}", 400 + n) for n in range(5)]
N_LOADERS = 16


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory, cache_folder: Path) -> Iterator[Settings]:
    """A home of this module's own."""
    with running_home(tmp_path_factory.mktemp("crowd") / "home", cache_folder) as settings:
        yield settings


def loader(settings: Settings, number: int) -> Callable[[], None]:
    """Every fourth one is a process, and one of those imports; every other one promotes its batch."""
    plan, promotes = PLANS[number % len(PLANS)], number % 2 == 0

    def load_here() -> None:
        with open_graph(settings) as graph:
            load_and_promote(graph, plan, promotes)

    def load_in_process() -> None:
        pace, n = "importer" if number == 8 else "bolt", plan.counts()["Entity"]
        process = start_loader(settings, pace, plan.batch_id, n, promotes)
        process.communicate()
        assert process.returncode == 0

    return load_here if number % 4 else load_in_process


def test_sixteen_loaders_of_overlapping_batches_make_no_duplicates(settings: Settings) -> None:
    """What is held is whole, wherever; readers saw one whole batch at a time."""
    stores, plans = EmbeddedStores(settings), {plan.batch_id: plan for plan in [FIRST, *PLANS]}
    stores.start()
    stores.start(needs=[STANDBY])
    with opened(stores) as graph:
        load_and_promote(graph, FIRST)
        with reading(stores) as reader:
            at_once([loader(settings, number) for number in range(N_LOADERS)])
        shown = graph.promoted_batch()
        assert graph.digest(shown) == plans[shown].digest()
        primary, backup = graph.servers()
        assert (primary.batch_id, primary.drift) == (shown, ())
        assert backup.is_reachable
        assert not backup.drift  # None, where the last load waits for its promotion: it shows nothing then
        for server in graph._graphs().values():
            assert_whole(server, plans)
    allowed = {(frozenset({name}), plan.counts()["Entity"]) for name, plan in plans.items()}
    assert (frozenset({"first"}), 350) in reader.seen <= allowed


def assert_whole(server, plans: dict[str, LoadPlan]) -> None:
    """Each load of a server is what its plan says; no loader left one begun."""
    for load in server.loads():
        plan = plans[load.batch_id]
        assert (load.is_whole, load.digest) == (True, plan.digest())
        assert server._loads.sums(load.load) == plan.sums()
        assert duplicates_in(server, load.load) == {}
