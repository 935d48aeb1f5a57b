"""The resolution of communities, read off the graph: where seeds, and resolutions nearby, agree most.

What is really there is found again from every start and over a range of resolutions; what is not comes out
another way each time. Sources: Traag, Van Dooren, Nesterov, Narrow scope for resolution-limit-free community
detection (2011); Lambiotte, Multi-scale modularity and stability (2010); Hubert and Arabie, Comparing
partitions (1985).
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import combinations, pairwise, product

import numpy as np
import polars as pl
from sklearn.metrics import adjusted_rand_score

from terag_pipelines.rings.leiden import Keys, LeidenParams, find_partition, potts_quality
from terag_pipelines.rings.tie_graph import Floats, Nodes, TieGraph, tie_graph


@dataclass(frozen=True)
class ResolutionParams:
    """First resolutions from the mean tie of all pairs to the strongest tie, `steps_per_decade` and `n_steps`
    at least, then `n_fine_steps` around the best; each from `n_seeds` seeds, or from `n_seeds_if_small` where
    the graph has no more than `small_ties`. Before that every `probe_every`th one is compared with chance, to
    be spared the rest where nothing is clear.

    Coarse steps run the algorithm `n_coarse_iterations` times, fine ones `n_iterations`. The choice is clear
    where seeds agree more, by `least_excess`, than they do on ties that are dealt out anew at random.
    A partition in which one community has more than `most_in_one` of all nodes with a tie, or in which there
    are more communities than that share of them, says nothing and is not chosen.
    """

    n_steps: int = 18
    steps_per_decade: float = 5.0
    n_seeds: int = 2
    n_seeds_if_small: int = 5
    small_ties: int = 100_000
    n_fine_steps: int = 5
    n_coarse_iterations: int = 1
    n_iterations: int = 3
    most_in_one: float = 0.5
    least_excess: float = 0.25
    probe_every: int = 3


@dataclass(frozen=True)
class ResolutionChoice:
    """`label`: the best partition found at the chosen resolution. `agreement`: of the seeds there, 1 at most;
    `chance_agreement`: what it would be if the same ties were dealt out anew at random. `is_clear`: whether
    the first is above the second by enough for the communities to be more than chance.

    `profile`: resolution, n_communities, largest, seed_agreement, near_agreement (with the steps beside it),
    is_trivial, by resolution.
    """

    resolution: float
    agreement: float
    chance_agreement: float
    is_clear: bool
    label: Nodes
    profile: pl.DataFrame


@dataclass(frozen=True)
class _Step:
    """The partitions of one resolution, one for each seed."""

    resolution: float
    labels: tuple[Nodes, ...]
    n_tied: int

    def agreement(self) -> float:
        """The mean adjusted Rand index of every two seeds."""
        pairs = combinations(self.labels, 2)
        return float(np.mean([adjusted_rand_score(one, other) for one, other in pairs]))

    def agreement_with(self, other: _Step) -> float:
        """The mean over every two seeds, one of each."""
        pairs = product(self.labels[:2], other.labels[:2])
        return float(np.mean([adjusted_rand_score(one, two) for one, two in pairs]))

    def is_trivial(self, most: float) -> bool:
        """Whether nearly all tied nodes are in one community, or nearly each is alone."""
        sizes = np.bincount(self.labels[0])
        n_untied = len(self.labels[0]) - self.n_tied
        return bool(sizes.max() > most * self.n_tied or len(sizes) - n_untied > most * self.n_tied)


def choose_resolution(
    graph: TieGraph,
    params: ResolutionParams | None = None,
    *,
    sizes: Floats | None = None,
    keys: Keys | None = None,
    seed: int = 7,
    n_threads: int = 1,
) -> ResolutionChoice | None:
    """The resolution under the constant Potts model at which partitions are steadiest; None where no step is
    better than trivial.

    Args:
        sizes, keys: as `find_partition` takes them.
        n_threads: so many seeds are run at once; the result is the same.
    """
    chosen = params or ResolutionParams()
    n_tied = int(np.count_nonzero(np.diff(graph.starts)))
    if n_tied < 3:
        return None
    runs = _Runs(graph, chosen, sizes, keys, seed, n_threads, n_tied)
    span = _span(graph, sizes, chosen)
    probes = runs.steps(span[:: chosen.probe_every], chosen.n_coarse_iterations)
    if not any(runs.is_clear(step) for step in probes):
        worth = _weigh(probes, chosen.most_in_one)
        return _choice(runs, [probes], probes[_middle_of_best(worth)]) if worth.max() > 0 else None
    coarse = runs.steps(span, chosen.n_coarse_iterations)
    worth = _weigh(coarse, chosen.most_in_one)
    if not worth.max() > 0:
        return None
    fine = runs.steps(_span_around(coarse, _middle_of_best(worth), chosen), chosen.n_iterations)
    return _choice(runs, [coarse, fine], fine[_middle_of_best(_weigh(fine, chosen.most_in_one))])


def _choice(runs: _Runs, passes: list[list[_Step]], step: _Step) -> ResolutionChoice:
    label = max(step.labels, key=lambda one: potts_quality(runs.graph, one, step.resolution, runs.sizes))
    return ResolutionChoice(
        step.resolution,
        step.agreement(),
        runs.chance_at(step.resolution),
        runs.is_clear(step),
        label,
        _profile(passes, runs.params),
    )


def _span_around(steps: list[_Step], place: int, params: ResolutionParams) -> Floats:
    before, after = steps[max(place - 1, 0)], steps[min(place + 1, len(steps) - 1)]
    return np.geomspace(before.resolution, after.resolution, params.n_fine_steps)


@dataclass(frozen=True)
class _Runs:
    """How partitions of one graph are made."""

    graph: TieGraph
    params: ResolutionParams
    sizes: Floats | None
    keys: Keys | None
    seed: int
    n_threads: int
    n_tied: int

    def chance_at(self, resolution: float) -> float:
        """How well seeds agree on a graph of the same strengths whose ties lead anywhere."""
        graph, rng = self.graph, np.random.default_rng(self.seed)
        left = np.repeat(np.arange(graph.n_nodes), np.diff(graph.starts))
        once = left < graph.ends
        dealt = tie_graph(graph.n_nodes, left[once], rng.permutation(graph.ends[once]), graph.weights[once])
        others = replace(self, graph=dealt)
        return others.steps(np.array([resolution]), self.params.n_coarse_iterations)[0].agreement()

    def is_clear(self, step: _Step) -> bool:
        """Whether its seeds agree enough more than by chance, on more than a trivial partition."""
        excess = step.agreement() - self.chance_at(step.resolution)
        return excess >= self.params.least_excess and not step.is_trivial(self.params.most_in_one)

    def steps(self, resolutions: Floats, n_iterations: int) -> list[_Step]:
        """One step for each resolution."""
        is_small = len(self.graph.ends) <= 2 * self.params.small_ties
        n_seeds = self.params.n_seeds_if_small if is_small else self.params.n_seeds
        runs = [
            LeidenParams("CPM", float(value), n_iterations, self.seed + number)
            for value in resolutions
            for number in range(n_seeds)
        ]
        with ThreadPoolExecutor(self.n_threads) as pool:
            labels = list(pool.map(self._run, runs))
        return [
            _Step(float(value), tuple(labels[at * n_seeds : (at + 1) * n_seeds]), self.n_tied)
            for at, value in enumerate(resolutions)
        ]

    def _run(self, params: LeidenParams) -> Nodes:
        return find_partition(self.graph, params, sizes=self.sizes, keys=self.keys)


def _span(graph: TieGraph, sizes: Floats | None, params: ResolutionParams) -> Floats:
    """Resolutions from the mean tie of all pairs to the strongest tie, evenly spaced in their logarithm."""
    masses = np.ones(graph.n_nodes) if sizes is None else sizes
    n_pairs = float(masses.sum() ** 2 - (masses**2).sum())
    least, most = float(graph.weights.sum()) / n_pairs, float(graph.weights.max())
    n_steps = max(params.n_steps, round(params.steps_per_decade * np.log10(most / least)))
    return np.geomspace(least, most, n_steps)[:-1]


def _weigh(steps: list[_Step], most_in_one: float) -> Floats:
    """Per step how well its seeds agree, and agree with the steps beside it: 2 at most, 0 where trivial."""
    is_trivial = [step.is_trivial(most_in_one) for step in steps]
    agreement = _agree_with_neighbours(steps) + [step.agreement() for step in steps]
    worth: Floats = np.where(is_trivial, 0.0, agreement)
    return worth


def _agree_with_neighbours(steps: list[_Step]) -> Floats:
    """The mean agreement of each step with the one before and the one after it."""
    between = np.array([one.agreement_with(other) for one, other in pairwise(steps)])
    sides = np.full((2, len(steps)), np.nan)
    sides[0, 1:], sides[1, :-1] = between, between
    means: Floats = np.nanmean(sides, axis=0)
    return means


def _middle_of_best(worth: Floats) -> int:
    """Where it is highest; in the middle of several such."""
    best = np.flatnonzero(worth >= worth.max() - 1e-9)
    return int(best[len(best) // 2])


def _profile(passes: list[list[_Step]], params: ResolutionParams) -> pl.DataFrame:
    steps = [step for one in passes for step in one]
    return pl.DataFrame(
        {
            "resolution": [step.resolution for step in steps],
            "n_communities": [int(step.labels[0].max()) + 1 for step in steps],
            "largest": [int(np.bincount(step.labels[0]).max()) for step in steps],
            "seed_agreement": [step.agreement() for step in steps],
            "near_agreement": np.concatenate([_agree_with_neighbours(one) for one in passes]),
            "is_trivial": [step.is_trivial(params.most_in_one) for step in steps],
        }
    ).sort("resolution", "n_communities", maintain_order=True)
