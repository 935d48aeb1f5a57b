"""From the graph alone: which variables must be held fixed to read an effect, or why nothing would do."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass

import networkx as nx

from terag_pipelines.twin.spec import Question, TwinSpec

Claim = tuple[str, str, tuple[str, ...]]  # two variables, independent given these


@dataclass(frozen=True)
class Adjustment:
    """The variables to adjust for, sorted; None with the reason where the effect is not identified."""

    variables: tuple[str, ...] | None
    reason: str = ""


def find_adjustment(spec: TwinSpec, question: Question, observed: Set[str]) -> Adjustment:
    """The observed back-door adjustment of least variance, else a minimal one, else the reason.

    Linear in the graph. Sources: Perković and others, "Complete graphical characterization of adjustment
    sets" (JMLR 2018); Henckel, Perković, Maathuis on the optimal set (JRSS B 2022); van der Zander,
    Liśkiewicz on minimal separators (UAI 2020).
    """
    graph = nx.DiGraph(spec.edges)
    treatment, outcome = question.treatment, question.outcome
    if missing := [name for name in (treatment, outcome) if name not in observed]:
        return Adjustment(None, f"the panel has no variable {missing[0]!r}; it has {sorted(observed)}")
    if treatment not in graph or outcome not in nx.descendants(graph, treatment):
        return Adjustment(None, f"the graph has no path from {treatment} to {outcome}")
    on_path = _nodes_between(graph, treatment, outcome)
    forbidden = on_path.union(*(nx.descendants(graph, node) for node in on_path)) | {treatment}
    usable = (set(graph) & set(observed)) - spec.unobserved - forbidden
    back_door = _without_causal_start(graph, treatment, on_path)
    best = {cause for node in on_path for cause in graph.predecessors(node)} - on_path - {treatment}
    if best <= usable and nx.is_d_separator(back_door, {treatment}, {outcome}, best):
        return Adjustment(tuple(sorted(best)))
    minimal = nx.find_minimal_d_separator(back_door, {treatment}, {outcome}, restricted=usable)
    if minimal is None:
        return Adjustment(None, _why_open(graph, question, set(graph) - usable - forbidden))
    return Adjustment(tuple(sorted(minimal)))


def find_independences(spec: TwinSpec, question: Question, observed: Set[str]) -> list[Claim]:
    """Pairs (one of treatment or outcome first) that the graph holds independent given observed variables."""
    graph = nx.DiGraph(spec.edges)
    usable = (set(graph) & set(observed)) - spec.unobserved
    claims = []
    for one in (question.treatment, question.outcome):
        for other in sorted(usable - {one, question.treatment, question.outcome}):
            if graph.has_edge(one, other) or graph.has_edge(other, one):
                continue
            given = nx.find_minimal_d_separator(graph, {one}, {other}, restricted=usable - {one, other})
            if given is not None:
                claims.append((one, other, tuple(sorted(given))))
    return claims


def _nodes_between(graph: nx.DiGraph, treatment: str, outcome: str) -> set[str]:
    """The nodes of all causal paths, the outcome among them, the treatment not."""
    return set(nx.descendants(graph, treatment) & (nx.ancestors(graph, outcome) | {outcome}))


def _without_causal_start(graph: nx.DiGraph, treatment: str, on_path: set[str]) -> nx.DiGraph:
    """The graph in which only back-door paths are left between treatment and outcome."""
    cut = graph.copy()
    cut.remove_edges_from([(treatment, node) for node in graph.successors(treatment) if node in on_path])
    return cut


def _why_open(graph: nx.DiGraph, question: Question, unseen: set[str]) -> str:
    shared = nx.ancestors(graph, question.treatment) & nx.ancestors(graph, question.outcome)
    named = sorted(unseen & shared) or sorted(unseen)
    return (
        f"not identified: {', '.join(named) or 'a hidden cause'} is not observed, so nothing in the panel "
        f"closes every back-door path from {question.treatment} to {question.outcome}"
    )
