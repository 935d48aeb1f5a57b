"""Adjustment sets of textbook graphs, and validity on random ones."""

from itertools import combinations

import networkx as nx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from terag_pipelines.twin.identification import find_adjustment, find_independences
from terag_pipelines.twin.spec import Question, TwinSpec

TY = Question("t", "y")


def adjust(edges: str, hidden: str = "", observed: str | None = None) -> tuple[str, ...] | None:
    """Edges as "xt xy ty", one letter for a variable."""
    pairs = tuple(sorted((edge[0], edge[1]) for edge in edges.split()))
    spec = TwinSpec((TY,), pairs, frozenset(hidden))
    seen = frozenset(observed) if observed is not None else spec.variables - frozenset(hidden)
    return find_adjustment(spec, TY, seen).variables


@pytest.mark.parametrize(
    ("edges", "hidden", "expected"),
    [
        ("ty", "", ()),  # randomised
        ("xt xy ty", "", ("x",)),  # a confounder
        ("xt xy ty", "x", None),  # a hidden confounder
        ("xt xy ty zy", "", ("x", "z")),  # another cause of the outcome narrows the interval
        ("tm my xt xy", "", ("x",)),  # never what lies between
        ("tm my xt xm", "", ("x",)),
        ("ty tc yc", "", ()),  # never a common effect
        ("ut um vm vy ty", "uv", ()),  # M-bias: m would open what is closed
        ("zt ty", "", ()),  # an instrument only widens the interval
        ("ut uz zy ty", "u", ("z",)),  # a hidden cause whose path an observed one closes
        ("ut uy tm my", "u", None),  # front door only: not claimed
        ("tm my mx", "", ()),  # never what the treatment causes
        ("yt", "", None),  # no causal path
    ],
)
def test_textbook_graphs(edges: str, hidden: str, expected: tuple[str, ...] | None) -> None:
    assert adjust(edges, hidden) == expected


def test_the_reason_names_what_is_missing() -> None:
    spec = TwinSpec((TY,), (("t", "y"), ("u", "t"), ("u", "y")), frozenset("u"))
    assert "u is not observed" in find_adjustment(spec, TY, frozenset("ty")).reason
    assert "no variable 'y'" in find_adjustment(spec, TY, frozenset("t")).reason
    backwards = TwinSpec((TY,), (("y", "t"),))
    assert "no path from t to y" in find_adjustment(backwards, TY, frozenset("ty")).reason


def test_a_cause_that_the_panel_lacks_counts_as_unobserved() -> None:
    assert adjust("xt xy ty", observed="ty") is None


def test_a_wide_graph_is_answered_at_once() -> None:
    names = [f"c{i}" for i in range(60)]
    edges = tuple((a, b) for a, b in combinations(names, 2)) + tuple((c, e) for c in names for e in "ty")
    spec = TwinSpec((TY,), (*edges, ("t", "y")))
    assert find_adjustment(spec, TY, spec.variables).variables == tuple(sorted(names))


def test_independences_are_those_of_the_graph() -> None:
    spec = TwinSpec((TY,), (("a", "t"), ("t", "y"), ("b", "y")))
    assert find_independences(spec, TY, frozenset("abty")) == [("t", "b", ()), ("y", "a", ("t",))]


@st.composite
def random_graphs(draw: st.DrawFn) -> tuple[TwinSpec, frozenset[str]]:
    order = draw(st.permutations(list("abcdty")))
    pairs = [pair for pair in combinations(order, 2) if draw(st.booleans())]
    hidden = draw(st.sets(st.sampled_from("abcd")))
    return TwinSpec((TY,), tuple(sorted(pairs))), frozenset("abcdty") - hidden


@settings(max_examples=300, deadline=None)
@given(random_graphs())
def test_a_set_is_found_exactly_where_some_valid_set_exists(case: tuple[TwinSpec, frozenset[str]]) -> None:
    spec, observed = case
    graph = nx.DiGraph(spec.edges)
    graph.add_nodes_from("ty")
    if "y" not in nx.descendants(graph, "t"):
        return
    candidates = sorted(observed & set(graph) - {"t", "y"})
    valid = {
        chosen
        for size in range(len(candidates) + 1)
        for chosen in combinations(candidates, size)
        if is_valid_by_definition(graph, set(chosen))
    }
    found = find_adjustment(spec, TY, observed).variables
    assert (found is not None) == bool(valid)
    assert found is None or found in valid


def is_valid_by_definition(graph: nx.DiGraph, chosen: set[str]) -> bool:
    """Shpitser and others (2010): closes non-causal paths, holds nothing that causal ones lead to."""
    on_path = {node for path in nx.all_simple_paths(graph, "t", "y") for node in path} - {"t"}
    led_to = on_path.union(*(nx.descendants(graph, node) for node in on_path))
    if chosen & led_to:
        return False
    cut = graph.copy()
    cut.remove_edges_from([("t", node) for node in on_path if graph.has_edge("t", node)])
    return bool(nx.is_d_separator(cut, {"t"}, {"y"}, chosen))
