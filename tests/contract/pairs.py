"""What the tests of the graph on two embedded servers share: their home, and the pair opened at a pace."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event, Thread

from resources.embedded import EmbeddedStores
from resources.graph_drivers import PairDrivers
from resources.graph_manifests import FolderManifests
from resources.graph_pair import GraphPair, LoadPace
from resources.query_observer import QueryObserver
from resources.settings import Settings, load_settings
from resources.stores import BATCH
from terag_pipelines.errors import StoreError
from terag_pipelines.graph.load_plan import LoadPlan, build_load_plan
from tests.contract.graphs import tables_of

OVER_BOLT = LoadPace()
BY_IMPORTER = LoadPace(import_start_s=-1.0)
"""As if the importer took no time: it is then the better way for any load that changes anything."""
PACES = {"bolt": OVER_BOLT, "importer": BY_IMPORTER}
ALL = 100_000

# A process of its own that loads one batch and may promote it.
LOADER = """
import sys
from resources.embedded import EmbeddedStores
from tests.contract.pairs import PACES, graph_settings, load_and_promote, named_plan, opened
home, cache, pace, batch, n, promotes = sys.argv[1:]
plan = named_plan(batch, int(n))
with opened(EmbeddedStores(graph_settings(home, cache)), PACES[pace]) as graph:
    print("loading", flush=True)
    load_and_promote(graph, plan, promotes == "promotes")
"""


def graph_settings(home: Path, cache: Path) -> Settings:
    """A home without documents."""
    return load_settings(home=home, cache=cache, mongo_uri="mongodb://127.0.0.1:9")


@contextmanager
def running_home(home: Path, cache: Path) -> Iterator[Settings]:
    """A home whose servers may be killed; they are stopped at the end."""
    settings = graph_settings(home, cache)
    yield settings
    EmbeddedStores(settings).stop()


@contextmanager
def opened(stores: EmbeddedStores, pace: LoadPace = OVER_BOLT) -> Iterator[GraphPair]:
    """The graph, as a process of its own would open it."""
    folder = stores.settings.graph_loads_folder
    with PairDrivers(stores, BATCH) as drivers:
        yield GraphPair(
            stores, drivers, QueryObserver(), lambda name: FolderManifests(folder / name), pace=pace
        )


def named_plan(batch_id: str, n_entities: int) -> LoadPlan:
    """Most ids are those of every such plan; every other name tells the batch."""
    names = [f"{batch_id}|{n}" if n % 2 else f"Family{n}" for n in range(n_entities)]
    return build_load_plan(batch_id, tables_of(n_entities, names=names))


def load_and_promote(graph: GraphPair, plan: LoadPlan, promotes: bool = True) -> None:
    """Loads a plan; once more where another loader's import took its place before it was promoted."""
    graph.load(plan)
    while promotes:
        try:
            graph.promote(plan.batch_id)
            break
        except StoreError:
            if graph.held(plan.batch_id) is not None:
                raise
            graph.load(plan)


def start_loader(
    settings: Settings, pace: str, batch: str, n: int, promotes: bool
) -> subprocess.Popen[bytes]:
    """The loader as a process, which has its plan and begins."""
    told = [str(settings.home), str(settings.cache_folder), pace, batch, str(n)]
    command = [sys.executable, "-c", LOADER, *told, "promotes" if promotes else ""]
    loader = subprocess.Popen(command, stdout=subprocess.PIPE)
    assert loader.stdout is not None
    assert loader.stdout.readline() == b"loading\n"
    return loader


class Reader(Thread):
    """Asks for all entities, over and over; `seen` is the batches that each answer was of, and its size."""

    def __init__(self, stores: EmbeddedStores) -> None:
        super().__init__()
        self.seen: set[tuple[frozenset[str], int]] = set()
        self.is_over = Event()
        self._stores = stores

    def run(self) -> None:
        while not self.is_over.is_set():
            with suppress(StoreError), opened(self._stores) as reader:
                while not self.is_over.is_set():
                    names = [hit.display_name or "" for hit in reader.find_by_name("", limit=ALL)]
                    batches = frozenset(name.partition("|")[0] for name in names if "|" in name)
                    self.seen.add((batches, len(names)))


@contextmanager
def reading(stores: EmbeddedStores) -> Iterator[Reader]:
    """A reader that polls all the while."""
    reader = Reader(stores)
    reader.start()
    try:
        yield reader
    finally:
        reader.is_over.set()
        reader.join()
