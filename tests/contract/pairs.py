"""What the tests of the graph on two embedded servers share: their home, and the pair opened at a pace."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from resources.embedded import EmbeddedStores
from resources.graph_drivers import PairDrivers
from resources.graph_manifests import FolderManifests
from resources.graph_pair import GraphPair, LoadPace
from resources.query_observer import QueryObserver
from resources.settings import Settings, load_settings
from resources.stores import BATCH

OVER_BOLT = LoadPace()
BY_IMPORTER = LoadPace(import_start_s=-1.0)
"""As if the importer took no time: it is then the better way for any load that changes anything."""
PACES = {"bolt": OVER_BOLT, "importer": BY_IMPORTER}


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
