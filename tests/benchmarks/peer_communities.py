"""Communities beside leidenalg, igraph and networkit: LFR graphs against their truth, and 5,000,000 edges.

    python -m tests.benchmarks.peer_communities --data DIR [--sizes 1000,10000,100000] [--edges 5000000]

Ours knows no resolution; "best in hindsight" searches one with the truth in hand. Each way runs in a process
of its own, graph build included; cold means that nothing was compiled before.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.benchmarks.planted_graphs import PlantedGraph, make_lfr, plant_groups, read_lfr

ON_TRUTH = (
    "chosen resolution",
    "best resolution in hindsight",
    "modularity by leidenalg",
    "modularity by igraph",
    "modularity by networkit",
)
AT_SIZE = (
    "modularity, cold",
    "modularity, warm",
    "modularity, warm, two threads",
    "modularity by igraph",
    "modularity by networkit",
)
MIXINGS = {1_000: (0.3, 0.4, 0.5, 0.6), 10_000: (0.3, 0.5, 0.7), 100_000: (0.3, 0.5)}


def main() -> None:
    """Prints one JSON line for each graph and way."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--sizes", default="1000,10000,100000")
    parser.add_argument("--edges", type=int, default=5_000_000)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for graph in _lfr_graphs(given.data, [int(size) for size in given.sizes.split(",") if size]):
            _run_all(graph, ON_TRUTH, Path(folder))
        if given.edges:
            _run_all(plant_groups(given.edges // 5, given.edges), AT_SIZE, Path(folder))


def _lfr_graphs(data: Path, sizes: list[int]) -> Iterator[PlantedGraph]:
    yield from (read_lfr(data, tenths) for tenths in (1, 2, 3, 4))
    for size in sizes:
        yield from (make_lfr(size, mixing) for mixing in MIXINGS[size])


def _run_all(graph: PlantedGraph, ways: tuple[str, ...], folder: Path) -> None:
    path = graph.save(folder)
    for way in ways:
        cache = {"NUMBA_CACHE_DIR": str(folder / "compiled")} if "cold" in way else {}
        command = [sys.executable, "-m", "tests.benchmarks.community_run", str(path), way]
        subprocess.run(command, env=os.environ | cache, check=True)


if __name__ == "__main__":
    main()
