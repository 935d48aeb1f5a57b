"""Graphs with known communities: LFR, from the public set and by networkit, and planted groups at size."""

from __future__ import annotations

import gzip
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
NODE, EDGE = re.compile(r"node\s*\[(.*?)\]", re.DOTALL), re.compile(r"source (\d+)\s+target (\d+)")


@dataclass(frozen=True)
class PlantedGraph:
    """`edges`: m x 2 node numbers from 0, each pair once; `truth`: the community of each node."""

    name: str
    mixing: float
    edges: Ints
    truth: Ints

    def save(self, folder: Path) -> Path:
        """Writes it as one file."""
        path = folder / f"{self.name}.npz"
        np.savez(path, edges=self.edges.astype(np.int32), truth=self.truth, mixing=self.mixing)
        return path

    @classmethod
    def read(cls, path: Path) -> PlantedGraph:
        """What `save` wrote."""
        with np.load(path) as held:
            return cls(path.stem, float(held["mixing"]), held["edges"], held["truth"])


def read_lfr(folder: Path, tenths: int) -> PlantedGraph:
    """One of the four public LFR graphs of 1,000 nodes; each node lists all members of its community."""
    text = gzip.decompress((folder / "lfr_gml" / f"mu-0.{tenths}.gml.gz").read_bytes()).decode()
    nodes = [[int(number) for number in re.findall(r"\d+", block)] for block in NODE.findall(text)]
    truth = np.zeros(len(nodes), dtype=np.int64)
    for block in NODE.findall(text):
        truth[int(re.search(r"\bid (\d+)", block)[1])] = min(map(int, re.findall(r"community (\d+)", block)))  # type: ignore[index]
    edges = np.array([(int(one), int(other)) for one, other in EDGE.findall(text)])
    return PlantedGraph(f"lfr public {tenths}", tenths / 10, edges, truth)


def make_lfr(n_nodes: int, mixing: float, seed: int = 1) -> PlantedGraph:
    """An LFR graph by networkit: degrees 20 to 50, communities of 20 to 100 (Lancichinetti, Fortunato,
    Radicchi 2008).
    """
    import networkit

    networkit.setSeed(seed, False)
    networkit.setNumberOfThreads(1)
    generator = networkit.generators.LFRGenerator(n_nodes)
    generator.generatePowerlawDegreeSequence(20, 50, -2)
    generator.generatePowerlawCommunitySizeSequence(20, 100, -1)
    generator.setMu(mixing)
    generator.run()
    edges = np.array(list(generator.getGraph().iterEdges()))
    name = f"lfr {n_nodes} {round(10 * mixing)}"
    return PlantedGraph(name, mixing, edges, np.array(generator.getPartition().getVector()))


def plant_groups(n_nodes: int, n_edges: int, mixing: float = 0.3, seed: int = 3) -> PlantedGraph:
    """Groups of 20 to 1,000, evenly spread in the logarithm; `mixing` of the edges lead anywhere."""
    rng = np.random.default_rng(seed)
    sizes = np.exp(rng.uniform(np.log(20), np.log(1000), n_nodes // 20)).astype(np.int64)
    sizes = sizes[: int(np.searchsorted(np.cumsum(sizes), n_nodes)) + 1]
    sizes[-1] -= sizes.sum() - n_nodes
    truth, first = np.repeat(np.arange(len(sizes)), sizes), np.r_[0, np.cumsum(sizes)[:-1]]
    n_drawn = int(n_edges * 1.03)  # some are there twice, or lead to where they start
    n_inner = int(n_drawn * (1 - mixing))
    inner = rng.integers(0, n_nodes, n_inner)
    partner = first[truth[inner]] + (rng.random(n_inner) * sizes[truth[inner]]).astype(np.int64)
    outer = rng.integers(0, n_nodes, (2, n_drawn - n_inner))
    ends = np.sort(np.c_[np.r_[inner, outer[0]], np.r_[partner, outer[1]]], axis=1)
    distinct = np.unique(ends[ends[:, 0] != ends[:, 1]], axis=0)
    return PlantedGraph(
        f"planted {n_edges}", mixing, distinct[rng.permutation(len(distinct))[:n_edges]], truth
    )
