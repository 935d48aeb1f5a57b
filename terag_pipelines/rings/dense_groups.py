"""Groups that stand out by their ties alone: small, and denser than groups of this graph are.

In each community the densest core is found by peeling off whoever has no more ties than the average (Bahmani,
Kumar, Vassilvitskii, Densest subgraph in streaming and MapReduce, 2012). A core of n needs n - 1 ties to hold
together; it stands out where of the other pairs more are tied than the other cores would lead one to expect.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl
from scipy.special import betainc

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

MOST_EVIDENCE = 300.0  # where the smallest float ends


@dataclass(frozen=True)
class DenseParams:
    """A group of `min_members` to `max_members` with `least_density` of its pairs tied, and `least_lift`
    times the share that is usual, is looked at. Its score is one half where one so dense would come about by
    chance in one of 10 ** half_evidence graphs like this; from `least_score` on it stands out.
    """

    min_members: int = 4
    max_members: int = 100
    least_density: float = 0.5
    least_lift: float = 1.5
    half_evidence: float = 2.0
    least_score: float = 0.5


@dataclass(frozen=True)
class DenseGroups:
    """`table`: group, n_members, n_ties (a weak tie counts in part), density, usual_density (of the pairs of
    the other cores), score; `group` by node, -1 for who is in none.
    """

    table: pl.DataFrame
    group: Ints

    def node_scores(self) -> Floats:
        """The score of each node's group; 0 without one."""
        scores = np.append(self.table["score"].to_numpy(), 0.0)
        return scores[self.group]


@dataclass(frozen=True)
class _Cores:
    """The densest part of each community: who is in it, their ties and number."""

    is_inside: npt.NDArray[np.bool_]
    n_members: Floats
    n_ties: Floats


def find_dense_groups(community: Ints, edges: pl.DataFrame, params: DenseParams) -> DenseGroups:
    """The cores of communities (numbered from 0, by node) that stand out; `edges` are left, right, weight."""
    n_communities = int(community.max(initial=-1)) + 1
    cores = _peel(community, n_communities, edges)
    size, held = cores.n_members, np.maximum(cores.n_members - 1, 0.0)
    room = np.maximum(size * held / 2 - held, 0.0)  # pairs beyond those that hold the core together
    surplus = np.minimum(np.maximum(cores.n_ties - held, 0.0), room)
    density = cores.n_ties / np.maximum(size * held / 2, 1.0)
    others = (surplus.sum() - surplus + 1.0) / (room.sum() - room + 2.0)
    n_tried = max(int((room > 0).sum()), 1)
    evidence = np.maximum(_weigh(surplus, room, others) - np.log10(n_tried), 0.0)
    score = evidence / (evidence + params.half_evidence)
    usual = _usual_density(size, cores.n_ties)
    fits = (size >= params.min_members) & (size <= params.max_members)
    fits &= density >= np.maximum(params.least_density, params.least_lift * usual)
    found = np.flatnonzero(fits & (score >= params.least_score))
    number = np.full(n_communities, -1)
    number[found] = np.arange(len(found))
    table = pl.DataFrame(
        {
            "group": np.arange(len(found)),
            "n_members": size[found].astype(np.int64),
            "n_ties": cores.n_ties[found],
            "density": density[found],
            "usual_density": usual[found],
            "score": score[found],
        }
    )
    return DenseGroups(table, np.where(cores.is_inside, number[community], -1))


def _weigh(surplus: Floats, room: Floats, share: Floats) -> Floats:
    """-log10 of the chance that of `room` pairs so many are tied, each with probability `share`."""
    chance = betainc(np.maximum(surplus, 1e-9), room - surplus + 1.0, share)
    evidence: Floats = -np.log10(np.maximum(chance, 10.0**-MOST_EVIDENCE))
    return np.where(surplus > 0, evidence, 0.0)


def _usual_density(size: Floats, n_ties: Floats) -> Floats:
    """For each core the share of tied pairs in all the others."""
    pairs = size * (size - 1) / 2
    rest: Floats = (n_ties.sum() - n_ties) / np.maximum(pairs.sum() - pairs, 1.0)
    return np.clip(rest, 0.0, 1.0)


def _peel(community: Ints, n_communities: int, edges: pl.DataFrame) -> _Cores:
    """Of all steps of peeling the one with most ties for each member, for all communities at once."""
    left, right = edges["left"].to_numpy(), edges["right"].to_numpy()
    weight = edges["weight"].to_numpy()
    inside = community[left] == community[right]
    left, right, weight = left[inside], right[inside], weight[inside]
    strength = np.minimum(weight / np.median(weight), 1.0) if len(weight) else weight
    n_nodes = len(community)
    alive, best = np.ones(n_nodes, np.bool_), np.zeros(n_nodes, np.bool_)
    best_mean = np.full(n_communities, -1.0)
    best_size, best_ties = np.zeros(n_communities), np.zeros(n_communities)
    while alive.any():
        degree = np.bincount(left, strength, n_nodes) + np.bincount(right, strength, n_nodes)
        size = np.bincount(community[alive], minlength=n_communities).astype(np.float64)
        ties = np.bincount(community, degree, n_communities) / 2
        mean = ties / np.maximum(size, 1.0)
        is_better = (size > 0) & (mean > best_mean + 1e-9)
        best_mean, best_size, best_ties = (
            np.where(is_better, now, before)
            for now, before in ((mean, best_mean), (size, best_size), (ties, best_ties))
        )
        best = np.where(is_better[community], alive, best)
        alive &= degree > 2 * mean[community] + 1e-9
        kept = alive[left] & alive[right]
        left, right, strength = left[kept], right[kept], strength[kept]
    return _Cores(best, best_size, best_ties)
