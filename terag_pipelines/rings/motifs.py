"""The shapes around an entity in the graph of who pays whom, whatever the amounts and the times.

Rings close on themselves where ordinary payments fan out: members pay each other both ways, in triangles,
in squares. Counted are directed motifs (Milo et al., Network motifs: simple building blocks of complex
networks, 2002) that close within four payments, and clustering (Watts and Strogatz, 1998). A triangle is
counted from its end of lowest degree (Latapy, Main-memory triangle computations for very large graphs, 2008).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from terag_pipelines.rings.compiled import compiled

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Nodes = npt.NDArray[np.int32]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class PaymentGraph:
    """Who pays whom, each ordered pair once: node v pays `payees[out_starts[v]:out_starts[v + 1]]` and is
    paid by `payers[in_starts[v]:in_starts[v + 1]]`, both sorted.
    """

    out_starts: Ints
    payees: Nodes
    in_starts: Ints
    payers: Nodes

    @property
    def n_nodes(self) -> int:
        """How many nodes there are, those who neither pay nor are paid among them."""
        return len(self.out_starts) - 1


def payment_graph(n_nodes: int, transfers: pl.DataFrame, hubs: pl.Series) -> PaymentGraph:
    """The graph of transfers (source, target), those of hubs left out: all deal with them, so they tie
    nobody.
    """
    is_hub = np.zeros(n_nodes, dtype=bool)
    is_hub[hubs.to_numpy()] = True
    source, target = transfers["source"].to_numpy(), transfers["target"].to_numpy()
    apart = ~is_hub[source] & ~is_hub[target] & (source != target)
    pairs = np.unique(source[apart] * n_nodes + target[apart])
    payer, payee = np.divmod(pairs, max(n_nodes, 1))
    back = np.argsort(payee, kind="stable")
    return PaymentGraph(
        _starts(payer, n_nodes),
        payee.astype(np.int32),
        _starts(payee, n_nodes),
        payer[back].astype(np.int32),
    )


def _starts(rows: Ints, n_nodes: int) -> Ints:
    starts: Ints = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=n_nodes))]).astype(np.int64)
    return starts


def count_motifs(graph: PaymentGraph) -> pl.DataFrame:
    """One row for each node, hubs and the idle with zeros.

    n_mutual: partners with payments both ways. n_triangles: pairs of partners who deal with each other, and
    `clustering` their share of all pairs of partners. n_closed_threes and n_closed_fours: ways in which
    three or four payments lead back to it, through two or three others. n_two_on and n_two_back: whom two
    payments reach, and from whom two payments reach it, counted by ways.
    """
    out_starts, payees, in_starts, payers = graph.out_starts, graph.payees, graph.in_starts, graph.payers
    mutual, threes, fours, two_on, two_back = _count_closed(out_starts, payees, in_starts, payers)
    starts, partners = _merge_partners(out_starts, payees, in_starts, payers)
    triangles = _count_triangles(starts, partners)
    n_partners = np.diff(starts).astype(np.float64)
    pairs = n_partners * (n_partners - 1) / 2
    return pl.DataFrame(
        {
            "node": np.arange(graph.n_nodes),
            "n_mutual": mutual,
            "n_triangles": triangles,
            "clustering": triangles / np.maximum(pairs, 1.0),
            "n_closed_threes": threes,
            "n_closed_fours": fours,
            "n_two_on": two_on,
            "n_two_back": two_back,
        }
    )


@compiled
def _count_closed(
    out_starts: Ints, payees: Nodes, in_starts: Ints, payers: Nodes
) -> tuple[Ints, Ints, Ints, Ints, Ints]:
    """Mutual partners, closed walks of three and four payments, ways two payments on and back, per node."""
    n = len(out_starts) - 1
    mutual, threes, fours = np.zeros(n, np.int64), np.zeros(n, np.int64), np.zeros(n, np.int64)
    two_on, two_back = np.zeros(n, np.int64), np.zeros(n, np.int64)
    pays_it, ways = np.zeros(n, np.bool_), np.zeros(n, np.int64)
    for node in range(n):
        for place in range(in_starts[node], in_starts[node + 1]):
            pays_it[payers[place]] = True
        mutual[node], threes[node], two_on[node] = _walk_on(out_starts, payees, node, pays_it, ways)
        fours[node], two_back[node] = _walk_back(in_starts, payers, node, ways)
        fours[node] -= _count_doubled(out_starts, payees, node, pays_it)
        _forget(out_starts, payees, node, ways)
        for place in range(in_starts[node], in_starts[node + 1]):
            pays_it[payers[place]] = False
    return mutual, threes, fours, two_on, two_back


@compiled
def _walk_on(out_starts: Ints, payees: Nodes, node: int, pays_it: Mask, ways: Ints) -> tuple[int, int, int]:
    """Adds to `ways` those in which two payments lead on to each; who of those in between pays back."""
    n_mutual, n_threes, n_ways = 0, 0, 0
    for place in range(out_starts[node], out_starts[node + 1]):
        middle = payees[place]
        n_mutual += pays_it[middle]
        for further in range(out_starts[middle], out_starts[middle + 1]):
            end = payees[further]
            if end != node:
                ways[end] += 1
                n_ways += 1
                n_threes += pays_it[end]
    return n_mutual, n_threes, n_ways


@compiled
def _walk_back(in_starts: Ints, payers: Nodes, node: int, ways: Ints) -> tuple[int, int]:
    """How many ways of two payments on meet one of two payments back; how many of the latter there are."""
    n_met, n_ways = 0, 0
    for place in range(in_starts[node], in_starts[node + 1]):
        middle = payers[place]
        for further in range(in_starts[middle], in_starts[middle + 1]):
            start = payers[further]
            if start != node:
                n_met += ways[start]
                n_ways += 1
    return n_met, n_ways


@compiled
def _count_doubled(out_starts: Ints, payees: Nodes, node: int, pays_it: Mask) -> int:
    """Walks of four payments that go and return through one and the same partner: no square."""
    n_doubled = 0
    for place in range(out_starts[node], out_starts[node + 1]):
        middle = payees[place]
        if pays_it[middle]:
            for further in range(out_starts[middle], out_starts[middle + 1]):
                end = payees[further]
                if end != node and _is_paid(out_starts, payees, end, middle):
                    n_doubled += 1
    return n_doubled


@compiled
def _is_paid(out_starts: Ints, payees: Nodes, payer: int, payee: int) -> bool:
    row = payees[out_starts[payer] : out_starts[payer + 1]]
    place = np.searchsorted(row, payee)
    return bool(place < len(row) and row[place] == payee)


@compiled
def _forget(out_starts: Ints, payees: Nodes, node: int, ways: Ints) -> None:
    for place in range(out_starts[node], out_starts[node + 1]):
        middle = payees[place]
        for further in range(out_starts[middle], out_starts[middle + 1]):
            ways[payees[further]] = 0


@compiled
def _merge_partners(out_starts: Ints, payees: Nodes, in_starts: Ints, payers: Nodes) -> tuple[Ints, Nodes]:
    """Per node everybody with whom there is a payment in either direction, sorted, as starts and ends."""
    n = len(out_starts) - 1
    starts, ends = np.zeros(n + 1, np.int64), np.empty(len(payees) + len(payers), np.int32)
    filled = 0
    for node in range(n):
        left, right = out_starts[node], in_starts[node]
        while left < out_starts[node + 1] or right < in_starts[node + 1]:
            if right == in_starts[node + 1] or (
                left < out_starts[node + 1] and payees[left] <= payers[right]
            ):
                if right < in_starts[node + 1] and payees[left] == payers[right]:
                    right += 1
                ends[filled] = payees[left]
                left += 1
            else:
                ends[filled] = payers[right]
                right += 1
            filled += 1
        starts[node + 1] = filled
    return starts, ends[:filled].copy()


@compiled
def _is_lower(starts: Ints, one: int, other: int) -> bool:
    n_one, n_other = starts[one + 1] - starts[one], starts[other + 1] - starts[other]
    return bool(n_one < n_other or (n_one == n_other and one < other))


@compiled
def _count_triangles(starts: Ints, ends: Nodes) -> Ints:
    """Triangles through each node, every one seen from its end of lowest degree."""
    n = len(starts) - 1
    found, is_near = np.zeros(n, np.int64), np.zeros(n, np.bool_)
    for node in range(n):
        for place in range(starts[node], starts[node + 1]):
            is_near[ends[place]] = _is_lower(starts, node, ends[place])
        for place in range(starts[node], starts[node + 1]):
            second = ends[place]
            if is_near[second]:
                for further in range(starts[second], starts[second + 1]):
                    third = ends[further]
                    if is_near[third] and _is_lower(starts, second, third):
                        found[node] += 1
                        found[second] += 1
                        found[third] += 1
        for place in range(starts[node], starts[node + 1]):
            is_near[ends[place]] = False
    return found
