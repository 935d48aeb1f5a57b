"""Why these records are one entity, and what would split it: the tree of strongest links, the weakest holds.

The tree is the maximum spanning tree of the links by match weight (Kruskal, 1956): each of its edges is the
strongest link between the two sides that it joins. The cheapest split is the minimum cut of Stoer and Wagner
(1997).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import networkx as nx
import pyarrow as pa
import pyarrow.compute as pc

from terag_pipelines.errors import NotFoundError
from terag_pipelines.linking.explanation import LinkedBatch, Pair
from terag_pipelines.linking.explanation_pairs import PairExplanation, explain_pairs
from terag_pipelines.linking.explanation_splits import (
    Neighbourhood,
    Parts,
    find_neighbourhood,
    find_pillars,
    name_records,
    say_parts,
    suppose,
)
from terag_pipelines.linking.explanation_values import shorten
from terag_pipelines.linking.explanation_words import count, say_weight

LEAST_HOLD = 0.01  # bits; what a link holds at least when cuts are compared


@dataclass(frozen=True)
class Member:
    """A record of the entity, as told; `degree` counts its links within."""

    record_id: str
    dataset: str
    name: str
    birth_date: str
    numbers: tuple[str, ...]  # IIN, BIN, documents
    degree: int


@dataclass(frozen=True)
class TreeEdge:
    """One link of the tree: the record nearer to the root, the other, and why they are linked."""

    parent_id: str
    child_id: str
    depth: int
    pair: PairExplanation

    @property
    def weight(self) -> float:
        """The match weight of the link, in bits."""
        return self.pair.weighed.match_weight


@dataclass(frozen=True)
class Weakness:
    """A tree link among the weakest: what parts if it is wrong, and what else holds the sides together.

    `without` is what becomes of the entity, resolved anew, had the two never been compared; `if_apart` had a
    person decided that they are not the same. None where that was not tried, or decisions forbid it.
    """

    left_id: str
    right_id: str
    weight: float
    is_bridge: bool
    n_other_links: int
    strongest_other: float | None  # bits; None for a bridge
    falls_off: tuple[str, ...]  # records of the smaller side
    n_rest: int  # records of the other
    without: Parts | None = None
    if_apart: Parts | None = None

    @property
    def sentence(self) -> str:
        """What happens if the link is wrong."""
        told = [f"{self.left_id} and {self.right_id} ({say_weight(self.weight)}): {self._what_else}."]
        if self.without is not None:
            told.append(f"Had the two not been compared, {say_parts(self.without)}.")
        if self.if_apart is not None:
            told.append(f"Were they decided to be different, {say_parts(self.if_apart)}.")
        return " ".join(told)

    @property
    def _what_else(self) -> str:
        falls = name_records(self.falls_off)
        if self.n_rest == 1:
            return "no other link ties the two"
        if self.strongest_other is None:
            return f"no other link ties {falls} to the rest"
        others = count(self.n_other_links, "weaker link")
        verb = "ties" if self.n_other_links == 1 else "tie"
        return f"{others} of at most {say_weight(self.strongest_other)} {verb} {falls} to the rest"


@dataclass(frozen=True)
class Pillar:
    """A record without which the others are not one entity, and what they would be, resolved anew."""

    record_id: str
    parts: Parts

    @property
    def sentence(self) -> str:
        """What the others would be."""
        return f"Without {self.record_id}, {say_parts(self.parts)}."


@dataclass(frozen=True)
class Cut:
    """The split of the entity that breaks the least weight: the links to break and the smaller part."""

    weight: float
    links: tuple[Pair, ...]
    falls_off: tuple[str, ...]

    @property
    def sentence(self) -> str:
        """What it takes to split the entity."""
        falls = name_records(self.falls_off)
        links = count(len(self.links), "link")
        told = (
            f"If {links} of {self.weight:.1f} bits together were wrong, nothing would tie {falls} to the rest"
        )
        return f"{told}: no other split takes less."


@dataclass(frozen=True)
class EntityExplanation:
    """Why an entity's records are one: members, the tree of strongest links, the weakest holds.

    `tree` starts at the record with most links, parents before children. `parts` is above 1 where links alone
    do not hold the entity together. `cut` is None for entities of fewer than three records or too many.
    `pillars` are the records without which the others would not be one; None where that was not tried: in
    entities of fewer than three records or too many.
    """

    entity_id: str
    party_type: str
    members: tuple[Member, ...]
    n_links: int
    tree: tuple[TreeEdge, ...]
    other_links: tuple[tuple[str, str, float], ...]
    parts: int
    weakest: tuple[Weakness, ...]
    cut: Cut | None
    pillars: tuple[Pillar, ...] | None = None

    @property
    def sentence(self) -> str:
        """The entity in one sentence."""
        n = len(self.members)
        if n == 1:
            return "One record alone: nothing was linked to it."
        links = count(self.n_links, "link")
        weakest = min((edge.weight for edge in self.tree), default=0.0)
        told = f"{count(n, 'record')} held by {links}"
        told += "" if self.n_links == 1 else f"; those of {say_weight(weakest)} and more are enough"
        told += f" of {say_weight(weakest)}." if self.n_links == 1 else "."
        if self.parts == 1:
            return told
        return f"{told} Links alone leave {self.parts} parts: a person's decision joins them."

    @property
    def pillar_sentences(self) -> tuple[str, ...]:
        """What single records hold together; none where that was not tried."""
        if self.pillars is None:
            return ()
        if not self.pillars:
            return ("Without any one of its records, the others would stay one.",)
        return tuple(pillar.sentence for pillar in self.pillars)

    def as_json(self) -> dict[str, Any]:
        """The explanation for machines; its keys are stable."""
        return {
            "entity_id": self.entity_id,
            "party_type": self.party_type,
            "sentence": self.sentence,
            "members": [asdict(member) for member in self.members],
            "n_links": self.n_links,
            "parts": self.parts,
            "tree": [
                {
                    "parent_id": edge.parent_id,
                    "child_id": edge.child_id,
                    "depth": edge.depth,
                    "match_weight": edge.weight,
                    "pair": edge.pair.as_json(),
                }
                for edge in self.tree
            ],
            "weakest": [asdict(weak) | {"sentence": weak.sentence} for weak in self.weakest],
            "cut": None if self.cut is None else asdict(self.cut) | {"sentence": self.cut.sentence},
            "pillars": None
            if self.pillars is None
            else [asdict(pillar) | {"sentence": pillar.sentence} for pillar in self.pillars],
        }


def explain_entity(batch: LinkedBatch, entity_id: str) -> EntityExplanation:
    """Why the records of an entity are one, and what would split it.

    Raises: NotFoundError where the batch has no such entity.
    """
    ids = batch.members.filter(pc.equal(batch.members["entity_id"], entity_id))["record_id"].to_pylist()
    if not ids:
        raise NotFoundError(f"the batch has no entity {entity_id[:60]!r}")
    graph = _link_graph(batch, sorted(ids))
    tree = nx.maximum_spanning_tree(graph, weight="weight", algorithm="kruskal")
    rows = list(batch.records_of(ids).values())
    kinds = [row["party_type"] for row in rows if row["party_type"] != "unknown"]
    around = find_neighbourhood(batch, ids) if len(ids) > 2 else None
    return EntityExplanation(
        entity_id=entity_id,
        party_type=kinds[0] if kinds else "unknown",
        members=tuple(tell_member(row, graph.degree(row["record_id"])) for row in rows),
        n_links=graph.number_of_edges(),
        tree=_walk(batch, tree, graph),
        other_links=tuple((a, b, w) for a, b, w in graph.edges(data="weight") if not tree.has_edge(a, b)),
        parts=nx.number_connected_components(graph),
        weakest=tuple(
            _try_without(weak, around) for weak in _find_weakest(graph, tree, batch.params.n_weakest)
        ),
        cut=_cheapest_cut(graph, batch.params.max_cut_members),
        pillars=None if around is None else tuple(Pillar(*found) for found in find_pillars(around)),
    )


def _link_graph(batch: LinkedBatch, ids: Sequence[str]) -> nx.Graph:
    """The links among records, in order of their ids, so that ties fall the same way every time."""
    known = pa.array(ids, pa.string())
    inside = pc.and_(
        pc.is_in(batch.links["left_id"], value_set=known), pc.is_in(batch.links["right_id"], value_set=known)
    )
    links = batch.links.filter(inside).sort_by([("left_id", "ascending"), ("right_id", "ascending")])
    graph = nx.Graph()
    graph.add_nodes_from(ids)
    for left, right, weight in zip(
        *(links[name].to_pylist() for name in ("left_id", "right_id", "match_weight")), strict=True
    ):
        graph.add_edge(left, right, weight=weight)
    return graph


def tell_member(row: dict[str, Any], degree: int) -> Member:
    """One row of ENTITY_RECORDS, short enough to show."""
    numbers = [row[name] for name in ("iin", "bin") if row[name]] + list(row["identifiers"] or [])
    return Member(
        record_id=row["record_id"],
        dataset=row["dataset"],
        name=shorten(row["display_name"] or row["name_key"] or row["organisation_key"] or ""),
        birth_date=str(row["birth_date"] or ""),
        numbers=tuple(shorten(number) for number in numbers),
        degree=degree,
    )


def _walk(batch: LinkedBatch, tree: nx.Graph, graph: nx.Graph) -> tuple[TreeEdge, ...]:
    """The tree's links from the best connected record outwards, strongest branches first."""
    steps: list[tuple[str, str, int]] = []
    seen: set[str] = set()
    for root in sorted(tree, key=lambda node: (-graph.degree(node), node)):
        if root in seen:
            continue
        pending = [("", root, 0)]
        while pending:
            parent, node, depth = pending.pop()
            seen.add(node)
            if parent:
                steps.append((parent, node, depth))
            children = [n for n in tree[node] if n not in seen]
            children.sort(key=lambda child: (tree[node][child]["weight"], child))  # the last is popped first
            pending += [(node, child, depth + 1) for child in children]
    told = explain_pairs(batch, [(parent, child) for parent, child, _ in steps])
    return tuple(TreeEdge(*step, pair) for step, pair in zip(steps, told, strict=True))


def _find_weakest(graph: nx.Graph, tree: nx.Graph, n: int) -> tuple[Weakness, ...]:
    edges = sorted(tree.edges(data="weight"), key=lambda edge: (edge[2], *sorted(edge[:2])))
    return tuple(_weigh_hold(graph, tree, *edge) for edge in edges[:n])


def _try_without(weak: Weakness, around: Neighbourhood | None) -> Weakness:
    if around is None:
        return weak
    without, if_apart = suppose(around, weak.left_id, weak.right_id)
    return replace(weak, without=without, if_apart=if_apart)


def _weigh_hold(graph: nx.Graph, tree: nx.Graph, one: str, other: str, weight: float) -> Weakness:
    without = nx.restricted_view(tree, [], [(one, other)])
    side = nx.node_connected_component(without, one)
    rest = nx.node_connected_component(without, other)
    crossing = sorted(
        w for a, b, w in nx.edge_boundary(graph, side, rest, data="weight") if {a, b} != {one, other}
    )
    falls = min(side, rest, key=lambda part: (len(part), sorted(part)))
    left, right = sorted((one, other))
    strongest = crossing[-1] if crossing else None
    n_rest = len(side) + len(rest) - len(falls)
    return Weakness(left, right, weight, not crossing, len(crossing), strongest, tuple(sorted(falls)), n_rest)


def _cheapest_cut(graph: nx.Graph, max_members: int) -> Cut | None:
    if not 2 < len(graph) <= max_members or not nx.is_connected(graph):
        return None
    held = nx.Graph()
    held.add_nodes_from(graph)
    held.add_weighted_edges_from((a, b, max(w, LEAST_HOLD)) for a, b, w in graph.edges(data="weight"))
    _, parts = nx.stoer_wagner(held)
    falls = min(parts, key=lambda part: (len(part), sorted(part)))
    links = sorted(tuple(sorted(edge)) for edge in nx.edge_boundary(graph, falls))
    weight = sum(graph[a][b]["weight"] for a, b in links)
    return Cut(weight, tuple((a, b) for a, b in links), tuple(sorted(falls)))
