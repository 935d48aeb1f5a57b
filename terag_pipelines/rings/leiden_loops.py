"""The compiled loops of the Leiden algorithm: moving nodes, refining communities, folding them to nodes.

A community is worth the weight inside it less `resolution` times half the square of its mass. With a mass of
1 for each node that is the constant Potts model; with its strength, and the resolution over the whole
strength, modularity. Source: Traag, Waltman, van Eck, From Louvain to Leiden (2019), algorithm A.2 with the
fast move.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from terag_pipelines.rings.compiled import compiled
from terag_pipelines.rings.tie_graph import Floats, Ints, Nodes

Mask = npt.NDArray[np.bool_]
LEAST_GAIN = 1e-12
"""Relative: what sums of weights in another order may differ by is no gain."""


@compiled
def _weigh_neighbours(
    starts: Ints, ends: Nodes, weights: Floats, label: Nodes, node: int, near: Nodes, tied: Floats
) -> int:
    """Adds up in `tied` the weights from a node to each label, and lists these labels in `near`."""
    n_near = 0
    for place in range(starts[node], starts[node + 1]):
        other = label[ends[place]]
        if tied[other] == 0.0:
            near[n_near] = other
            n_near += 1
        tied[other] += weights[place]
    return n_near


@compiled
def _pick_community(
    own: int, near: Nodes, n_near: int, tied: Floats, masses: Floats, cost: float
) -> tuple[int, float]:
    """The best of a node's own community and those near it, and what it is worth there; clears `tied`."""
    best, worth = own, tied[own] - cost * masses[own]
    least = worth + LEAST_GAIN * (1.0 + abs(worth))
    for place in range(n_near):
        other = near[place]
        gain = tied[other] - cost * masses[other]
        if gain > least and other != own:
            best, worth, least = other, gain, gain
        tied[other] = 0.0
    return best, worth


@compiled
def _call_neighbours(
    starts: Ints,
    ends: Nodes,
    label: Nodes,
    node: int,
    is_waiting: Mask,
    queue: Nodes,
    head: int,
    n_waiting: int,
) -> int:
    """Queues the neighbours of a node that moved, but those in its new community; how many wait then."""
    for place in range(starts[node], starts[node + 1]):
        other = ends[place]
        if not is_waiting[other] and label[other] != label[node]:
            is_waiting[other] = True
            slot = head + n_waiting
            queue[slot if slot < len(queue) else slot - len(queue)] = other
            n_waiting += 1
    return n_waiting


@compiled
def _list_empty(sizes: Nodes) -> tuple[Nodes, int]:
    """A stack of the labels that nobody has, and how many they are."""
    empty, n_empty = np.empty(len(sizes), np.int32), 0
    for label in range(len(sizes) - 1, -1, -1):
        if sizes[label] == 0:
            empty[n_empty] = label
            n_empty += 1
    return empty, n_empty


@compiled
def move_nodes(
    starts: Ints,
    ends: Nodes,
    weights: Floats,
    mass: Floats,
    resolution: float,
    order: Nodes,
    is_fixed: Mask,
    label: Nodes,
) -> int:
    """Moves single nodes, in order, to where they are worth most, until nobody gains; how many moves.

    `label`: the community of each node, a number below n, changed in place; `is_fixed` nodes stay.
    """
    n = len(mass)
    masses, sizes = np.zeros(n), np.zeros(n, np.int32)
    for node in range(n):
        masses[label[node]] += mass[node]
        sizes[label[node]] += 1
    empty, n_empty = _list_empty(sizes)
    tied, near = np.zeros(n), np.empty(n, np.int32)
    queue, is_waiting = order.copy(), np.ones(n, np.bool_)
    head, n_waiting, n_moves = 0, n, 0
    while n_waiting:
        node = queue[head]
        head, n_waiting = (head + 1 if head + 1 < n else 0), n_waiting - 1
        if is_fixed[node]:
            continue  # and waits for ever: nobody calls it again
        is_waiting[node] = False
        own, cost = label[node], resolution * mass[node]
        n_near = _weigh_neighbours(starts, ends, weights, label, node, near, tied)
        masses[own] -= mass[node]
        best, worth = _pick_community(own, near, n_near, tied, masses, cost)
        if worth < 0.0 and sizes[own] > 1:
            best = empty[n_empty - 1]
        masses[best] += mass[node]
        if best == own:
            continue
        n_moves += 1
        label[node] = best
        n_empty -= sizes[best] == 0
        sizes[best] += 1
        sizes[own] -= 1
        if sizes[own] == 0:
            masses[own], empty[n_empty] = 0.0, own
            n_empty += 1
        n_waiting = _call_neighbours(starts, ends, label, node, is_waiting, queue, head, n_waiting)
    return n_moves


@compiled
def keep_inside(
    starts: Ints, ends: Nodes, weights: Floats, label: Nodes
) -> tuple[Ints, Nodes, Floats, Floats]:
    """The ties whose ends have the same label, and per node the sum of them."""
    n = len(label)
    kept, inner, weighed, sums = (
        np.zeros(n + 1, np.int64),
        np.empty_like(ends),
        np.empty_like(weights),
        np.zeros(n),
    )
    free = 0
    for node in range(n):
        for place in range(starts[node], starts[node + 1]):
            if label[ends[place]] == label[node]:
                inner[free], weighed[free] = ends[place], weights[place]
                sums[node] += weights[place]
                free += 1
        kept[node + 1] = free
    return kept, inner[:free], weighed[:free], sums


@compiled
def _pick_part(
    node: int,
    near: Nodes,
    n_near: int,
    tied: Floats,
    masses: Floats,
    cuts: Floats,
    whole: float,
    resolution: float,
    cost: float,
) -> tuple[int, float]:
    """The part that a node gains most by joining, among those well tied to the rest; clears `tied`."""
    best, most, weight = node, 0.0, 0.0
    for place in range(n_near):
        part = near[place]
        gain = tied[part] - cost * masses[part]
        if gain > most and cuts[part] >= resolution * masses[part] * (whole - masses[part]):
            best, most, weight = part, gain, tied[part]
        tied[part] = 0.0
    return best, weight


@compiled
def refine_communities(
    starts: Ints,
    ends: Nodes,
    weights: Floats,
    mass: Floats,
    resolution: float,
    order: Nodes,
    label: Nodes,
    cuts: Floats,
) -> Nodes:
    """Parts of communities, each well tied within: single nodes merge, in order, where they gain most.

    The ties are those inside communities only; `cuts`: per node the sum of them, used up.
    """
    n = len(mass)
    whole, masses = np.zeros(n), mass.copy()
    for node in range(n):
        whole[label[node]] += mass[node]
    part, is_single = np.arange(n).astype(np.int32), np.ones(n, np.bool_)
    tied, near = np.zeros(n), np.empty(n, np.int32)
    for node in order:
        rest = whole[label[node]]
        if not is_single[node] or cuts[node] < resolution * mass[node] * (rest - mass[node]):
            continue
        n_near = _weigh_neighbours(starts, ends, weights, part, node, near, tied)
        cost = resolution * mass[node]
        best, weight = _pick_part(node, near, n_near, tied, masses, cuts, rest, resolution, cost)
        if best != node:
            part[node] = best
            masses[best] += mass[node]
            cuts[best] += cuts[node] - 2.0 * weight
            is_single[best] = is_single[node] = False
    return part


@compiled
def number_by_first(label: Nodes) -> tuple[Nodes, Nodes]:
    """The labels numbered by their first node, from 0, and the first node of each number."""
    n, n_found = len(label), 0
    number = np.full(label.max() + 1 if n else 0, -1, np.int32)
    first = np.empty(n, np.int32)
    numbered = np.empty(n, np.int32)
    for node in range(n):
        if number[label[node]] < 0:
            number[label[node]], first[n_found] = n_found, node
            n_found += 1
        numbered[node] = number[label[node]]
    return numbered, first[:n_found].copy()


@compiled
def _group_nodes(part: Nodes, n_parts: int) -> tuple[Ints, Nodes]:
    """The nodes part by part, and where each part starts."""
    starts = np.zeros(n_parts + 1, np.int64)
    for node in range(len(part)):
        starts[part[node] + 1] += 1
    for number in range(n_parts):
        starts[number + 1] += starts[number]
    free, nodes = starts[:-1].copy(), np.empty(len(part), np.int32)
    for node in range(len(part)):
        nodes[free[part[node]]] = node
        free[part[node]] += 1
    return starts, nodes


@compiled
def _tie_to_others(
    starts: Ints, ends: Nodes, weights: Floats, part: Nodes, own: int, node: int, near: Nodes, tied: Floats
) -> int:
    """Adds up in `tied` the weights from a node to other parts, and lists the new ones in `near`."""
    n_new = 0
    for place in range(starts[node], starts[node + 1]):
        other = part[ends[place]]
        if other == own:
            continue
        if tied[other] == 0.0:
            near[n_new] = other
            n_new += 1
        tied[other] += weights[place]
    return n_new


@compiled
def fold_graph(
    starts: Ints, ends: Nodes, weights: Floats, part: Nodes, n_parts: int
) -> tuple[Ints, Nodes, Floats]:
    """The graph of the parts: the ties between two of them become one; ties within a part are dropped."""
    grouped, nodes = _group_nodes(part, n_parts)
    folded, near, weighed = np.zeros(n_parts + 1, np.int64), np.empty_like(ends), np.empty_like(weights)
    tied, n_near = np.zeros(n_parts), 0
    for own in range(n_parts):
        for node in nodes[grouped[own] : grouped[own + 1]]:
            n_near += _tie_to_others(starts, ends, weights, part, own, node, near[n_near:], tied)
        for place in range(folded[own], n_near):
            weighed[place] = tied[near[place]]
            tied[near[place]] = 0.0
        folded[own + 1] = n_near
    return folded, near[:n_near].copy(), weighed[:n_near].copy()


@compiled
def sum_by_part(part: Nodes, values: Floats, n_parts: int) -> Floats:
    """The sum of the values of each part's nodes."""
    sums = np.zeros(n_parts)
    for node in range(len(part)):
        sums[part[node]] += values[node]
    return sums


@compiled
def sum_inside(starts: Ints, ends: Nodes, weights: Floats, label: Nodes) -> float:
    """The weight of all ties inside communities, each counted twice."""
    total = 0.0
    for node in range(len(label)):
        for place in range(starts[node], starts[node + 1]):
            if label[ends[place]] == label[node]:
                total += weights[place]
    return total


@compiled
def label_components(starts: Ints, ends: Nodes) -> Nodes:
    """Per node the first node of its component."""
    n = len(starts) - 1
    first, reached = np.full(n, -1, np.int32), np.empty(n, np.int32)
    for root in range(n):
        if first[root] >= 0:
            continue
        first[root], reached[0], n_reached = root, root, 1
        while n_reached:
            n_reached -= 1
            node = reached[n_reached]
            for other in ends[starts[node] : starts[node + 1]]:
                if first[other] < 0:
                    first[other], reached[n_reached] = root, other
                    n_reached += 1
    return first


@compiled
def take_rows(starts: Ints, ends: Nodes, weights: Floats, nodes: Nodes) -> tuple[Ints, Nodes, Floats]:
    """The graph of some nodes, in ascending order, that have no tie to others."""
    place_of = np.full(len(starts) - 1, -1, np.int32)
    taken = np.zeros(len(nodes) + 1, np.int64)
    for place in range(len(nodes)):
        place_of[nodes[place]] = place
        taken[place + 1] = taken[place] + starts[nodes[place] + 1] - starts[nodes[place]]
    near, weighed = np.empty(taken[-1], np.int32), np.empty(taken[-1])
    for place in range(len(nodes)):
        first, n_ties = starts[nodes[place]], taken[place + 1] - taken[place]
        weighed[taken[place] : taken[place + 1]] = weights[first : first + n_ties]
        for tie in range(n_ties):
            near[taken[place] + tie] = place_of[ends[first + tie]]
    return taken, near, weighed
