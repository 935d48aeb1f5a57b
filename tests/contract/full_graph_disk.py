"""What happens to a graph on two servers whose disk fills up; run on a small one by on_small_disk.py.

python -m tests.contract.full_graph_disk HOME CACHE CASE...   prints JSON: what came of it, by case
"""

from __future__ import annotations

import errno
import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

from resources import embedded, graph_pair
from resources.embedded import EmbeddedStores
from resources.graph_pair import GraphPair
from resources.neo4j_import import OfflineImporter
from resources.neo4j_loads import LoadWriter
from terag_pipelines.errors import TeragError
from terag_pipelines.graph.load_plan import LoadPlan
from tests.contract.pairs import PACES, graph_settings, load_and_promote, named_plan, opened

WRITTEN: dict[str, tuple[str, Any, str, int]] = {
    "the copy for the backup": ("importer", graph_pair, "copy_home", 1 << 20),
    "our files": ("importer", OfflineImporter, "build", 60_000),
    "the importer's files": ("importer", OfflineImporter, "_run", 1 << 20),
    "rows over Bolt": ("bolt", LoadWriter, "apply", 0),
}
"""By what is being written: the pace, the function before which the disk is filled, the bytes left then."""


def main() -> None:
    """Each load fails on a full disk, and succeeds once room was made; they follow each other."""
    home, cache, cases = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:]
    for module in (embedded, graph_pair):  # on a disk as small as this one they would not begin
        module.LEAST_FREE_BYTES = 32 << 20  # type: ignore[attr-defined]
    stores = EmbeddedStores(graph_settings(home, cache))
    stores.start()
    try:
        told = {
            what: _on_full_disk(stores, what, named_plan(what, 2_000 + number))
            for number, what in enumerate(one for one in WRITTEN if one in cases)  # a copy is made once
        }
    finally:
        stores.stop()
    sys.stdout.write(json.dumps(told) + "\n")


def _on_full_disk(stores: EmbeddedStores, what: str, plan: LoadPlan) -> dict[str, Any]:
    pace, owner, name, room = WRITTEN[what]
    filler = stores.settings.home / "filler"
    with opened(stores, PACES[pace]) as graph:
        served = _served(graph)
        with _called_first(owner, name, partial(_fill, filler, room)):
            failed = _failure_of(partial(graph.load, plan))
        when_full = {
            "served": served,
            "failed": failed,
            "promotion_failed": _failure_of(partial(graph.promote, str(served[0]))),
            "served_when_full": _served(graph),
            "left_over": [path.name for path in stores.folder.path.iterdir() if path.suffix != ".json"],
        }
        filler.unlink()
        load_and_promote(graph, plan)
        is_right = graph.digest(plan.batch_id) == plan.digest()
        drift = [server.drift for server in graph.servers()]
        return {**when_full, "is_right": is_right, "served_after": _served(graph), "drift": drift}


@contextmanager
def _called_first(owner: Any, name: str, action: Callable[[], None]) -> Iterator[None]:
    """Calls the action before the function, each time."""
    function = getattr(owner, name)

    def call(*given: Any, **named: Any) -> Any:
        action()
        return function(*given, **named)

    with patch.object(owner, name, call):
        yield


def _failure_of(write: Callable[[], object]) -> list[str]:
    """The kind of the error, and what it says; none where nothing failed."""
    try:
        write()
    except TeragError as error:
        return [type(error).__name__, str(error)]
    return []


def _served(graph: GraphPair) -> list[Any]:
    """The batch that readers see, and how many entities it has for them."""
    return [graph.promoted_batch(), len(graph.find_by_name("", limit=10_000))]


def _fill(filler: Path, room: int) -> None:
    """Takes all space but `room`; who else writes meanwhile may take some of it first."""
    with filler.open("wb") as file:
        while (n_bytes := _free_bytes(filler) - room) > 0:
            try:
                os.posix_fallocate(file.fileno(), 0, n_bytes)
                return
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise


def _free_bytes(file: Path) -> int:
    disk = os.statvfs(file.parent)
    return disk.f_bavail * disk.f_frsize


if __name__ == "__main__":
    main()
