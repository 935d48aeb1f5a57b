"""Communities that stay from run to run: Leiden begins with the earlier partition, and a fresh run judges it.

Many partitions of a graph are worth nearly the same; a fresh run after a small change may find another one of
them. Begun with the earlier partition the algorithm moves only what gains by moving. Source: Aynaud and
Guillaume, Static community detection algorithms for evolving networks (2010), for Louvain; the refinement of
Leiden parts an earlier community that has come apart.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt
from sklearn.metrics import adjusted_rand_score

from terag_pipelines.rings.leiden import (
    Keys,
    LeidenParams,
    Mask,
    find_partition,
    modularity,
    potts_quality,
)
from terag_pipelines.rings.tie_graph import Floats, Nodes, TieGraph

Way = Literal["everywhere", "around rings", "not at all"]
SMALLEST = float(np.finfo(np.float64).tiny)
"""Stands for a quality of nought, of which nothing is a share."""


@dataclass(frozen=True)
class FollowParams:
    """When a followed partition is taken: its adjusted Rand index with a fresh run is `least_agreement` or
    more, and it is worth `least_quality` of the fresh one or more.
    """

    least_agreement: float = 0.95
    least_quality: float = 0.999


@dataclass(frozen=True)
class EarlierPartition:
    """`label`: the earlier community of each node, -1 where it is not known. `in_ring`: nodes that were in a
    ring, around which the partition is followed where it cannot be everywhere.
    """

    label: npt.NDArray[np.int64]
    in_ring: Mask


@dataclass(frozen=True)
class FollowedPartition:
    """`agreement`: the adjusted Rand index with the fresh run; `quality`: what it is worth, as a share of
    the fresh one. Both are 1 where the fresh run was taken.
    """

    label: Nodes
    way: Way
    agreement: float
    quality: float


@dataclass(frozen=True)
class Search:
    """What partitions are sought in: as `find_partition` takes them."""

    graph: TieGraph
    params: LeidenParams
    sizes: Floats | None = None
    keys: Keys | None = None
    n_threads: int = 1

    def begin_with(self, label: npt.NDArray[np.int64]) -> Nodes:
        """The partition that the algorithm comes to from these labels, of any numbers."""
        start = np.unique(label, return_inverse=True)[1]
        return find_partition(
            self.graph,
            self.params,
            sizes=self.sizes,
            keys=self.keys,
            start=start,
            n_threads=self.n_threads,
        )

    def worth(self, label: Nodes) -> float:
        """The quality of a partition under the search's objective."""
        resolution = self.params.resolution
        if self.params.objective == "CPM":
            return potts_quality(self.graph, label, resolution, self.sizes)
        return modularity(self.graph, label, resolution)


def follow_partition(
    search: Search, fresh: Nodes, earlier: EarlierPartition, params: FollowParams | None = None
) -> FollowedPartition:
    """The partition found from the earlier one, or `fresh` where no way of following it holds.

    First all nodes begin where they were, new ones alone. Where the result agrees too little with the fresh
    run, as it does where the graph has no clear communities, or is worth too little, only the communities
    that held a member of a ring begin as they were, all other nodes as the fresh run has them.
    """
    chosen = params or FollowParams()
    is_known = earlier.label >= 0
    held_ring = is_known & np.isin(earlier.label, earlier.label[is_known & earlier.in_ring])
    alone = np.arange(len(fresh), dtype=np.int64)
    ways: tuple[tuple[Way, Mask, npt.NDArray[np.int64]], ...] = (
        ("everywhere", is_known, alone),
        ("around rings", held_ring, fresh.astype(np.int64)),
    )
    for way, kept, others in ways:
        if kept.any():
            label = search.begin_with(np.where(kept, earlier.label, -1 - others))
            found = _compare(search, fresh, FollowedPartition(label, way, 1.0, 1.0))
            if found.agreement >= chosen.least_agreement and found.quality >= chosen.least_quality:
                return found
    return FollowedPartition(fresh, "not at all", 1.0, 1.0)


def _compare(search: Search, fresh: Nodes, found: FollowedPartition) -> FollowedPartition:
    of_fresh, gained = search.worth(fresh), search.worth(found.label) - search.worth(fresh)
    quality = 1.0 + gained / max(abs(of_fresh), SMALLEST) if gained else 1.0
    agreement = float(adjusted_rand_score(fresh, found.label))
    return replace(found, agreement=agreement, quality=float(quality))
