"""The resolution that a graph gives: near the best that the truth would pick, and none without sense."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

from terag_pipelines.rings.leiden import LeidenParams, find_partition
from terag_pipelines.rings.resolution import ResolutionChoice, choose_resolution
from terag_pipelines.rings.tie_graph import TieGraph, tie_graph
from tests.benchmarks.planted_graphs import PlantedGraph, plant_groups, read_lfr


def ties_of(graph: PlantedGraph) -> TieGraph:
    return tie_graph(len(graph.truth), graph.edges[:, 0], graph.edges[:, 1])


def chosen(graph: TieGraph, n_threads: int = 1) -> ResolutionChoice:
    choice = choose_resolution(graph, n_threads=n_threads)
    assert choice is not None
    return choice


@pytest.mark.parametrize("tenths", [1, 2, 3, 4])
def test_public_graphs_are_parted_as_well_as_with_the_truth_in_hand(shared_data: Path, tenths: int) -> None:
    graph = read_lfr(shared_data, tenths)
    ties = ties_of(graph)
    steps = np.geomspace(0.02, 0.5, 20)
    labels = [find_partition(ties, LeidenParams("CPM", float(step), 3)) for step in steps]
    best = max(adjusted_rand_score(graph.truth, label) for label in labels)
    choice = chosen(ties)
    assert choice.is_clear
    assert adjusted_rand_score(graph.truth, choice.label) >= best - 0.01


def test_any_number_of_threads_gives_the_same_choice() -> None:
    ties = ties_of(plant_groups(1_000, 8_000))
    one, many = chosen(ties), chosen(ties, n_threads=4)
    assert one.resolution == many.resolution
    assert np.array_equal(one.label, many.label)
    assert one.profile.equals(many.profile)


def test_ties_dealt_out_at_random_have_no_clear_resolution() -> None:
    left, right = np.random.default_rng(4).integers(0, 500, (2, 3_000))
    choice = chosen(tie_graph(500, left, right))
    assert not choice.is_clear
    assert choice.agreement - choice.chance_agreement < 0.25


def test_the_profile_shows_what_was_tried() -> None:
    choice = chosen(ties_of(plant_groups(1_000, 8_000)))
    assert choice.profile["resolution"].is_sorted()
    assert choice.resolution in choice.profile["resolution"]
    assert choice.profile["seed_agreement"].is_between(-0.5, 1.0).all()
    assert choice.profile["n_communities"].is_between(1, 1_000).all()


def test_a_graph_of_hardly_any_ties_gives_no_resolution() -> None:
    assert choose_resolution(tie_graph(5, [], [])) is None
    assert choose_resolution(tie_graph(5, [0], [1])) is None
