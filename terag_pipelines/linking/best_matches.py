"""Links between two sources that hold each thing once: every record has at most one match on the other side.

Which links stay is the assignment of greatest total match weight within each connected component, not a
greedy choice: the log odds of a set of links are the sum of theirs, so that this is the most probable one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from scipy.sparse import coo_array, csr_array
from scipy.sparse.csgraph import min_weight_full_bipartite_matching

from terag_pipelines.entities.distinct import as_series
from terag_pipelines.errors import LinkingError
from terag_pipelines.linking.blocks import Hashes, mix_codes
from terag_pipelines.linking.clusters import (
    Identities,
    forbidden_links,
    identities_of,
    rows_of_decisions,
    rows_of_tables,
)
from terag_pipelines.linking.components import label_components
from terag_pipelines.linking.copies import Copies
from terag_pipelines.linking.encoding import encode_sorted, plain_texts, sort_records
from terag_pipelines.linking.model import LINKS
from terag_pipelines.linking.scored_rows import DecidedRows, Mask, Rows, ScoredRows

Floats = npt.NDArray[np.float64]
LEAST_WEIGHT = 1e-3  # bits; a link that only a calibrator or a low threshold makes one is still a link
EDGES_AT_ONCE = 2_000  # components are solved together up to so many links: time grows with their square
SAME_WEIGHT_DIGITS = 6  # weights that agree in so many decimals of a bit are equal
TIE_WEIGHT = 1e-9  # bits; breaks ties and, over a thousand links together, nothing else


@dataclass(frozen=True)
class LeftOver:
    """Records over the threshold with one of the other side that are linked with none, for that one has a
    better match; `n_equal` of them say the same in all as others of their own source."""

    n_records: int = 0
    n_equal: int = 0

    @property
    def told(self) -> str | None:
        """How many, for a person; None where there are none."""
        if self.n_records == 0:
            return None
        told = f"{self.n_records:,} records that match one of the other side are linked with none"
        equal = (
            f" ({self.n_equal:,} of them say the same as others of their own file)" if self.n_equal else ""
        )
        return f"one to one: {told}, for it is linked with another{equal}"


@dataclass(frozen=True)
class BestLinks:
    """LINKS that are one to one, and what was left over."""

    table: pa.Table
    left_over: LeftOver


def keep_best_links(
    records: pa.Table, links: pa.Table, pair_scores: pa.Table, across: str, decisions: pa.Table | None = None
) -> BestLinks:
    """Of LINKS between the dataset `across` and the one other of ENTITY_RECORDS those of the best assignment,
    around what people decided (PAIR_DECISIONS).

    Raises: LinkingError where the records are of more than two datasets, or a link names none of them.
    """
    ordered = sort_records(records)
    check_two_sources(ordered)
    encoded, decided = encode_sorted(ordered), rows_of_decisions(ordered, decisions)
    scored, identities = (
        rows_of_tables(ordered, links, pair_scores),
        identities_of(ordered, encoded.label_equals()),
    )
    best, left_over = assign_matches(ordered, scored, identities, across, decided, encoded.copies)
    kept = pair_scores.select(["left_id", "right_id"]).filter(pa.array(best.is_link))
    table = links.join(kept, ["left_id", "right_id"], join_type="left semi")
    return BestLinks(
        LINKS.conform(table.sort_by([("left_id", "ascending"), ("right_id", "ascending")])), left_over
    )


def check_two_sources(records: pa.Table) -> None:
    """Raises: LinkingError where ENTITY_RECORDS are of more than two datasets."""
    named = sorted(pc.unique(records["dataset"]).to_pylist())
    if len(named) > 2:
        raise LinkingError(
            f"links are one to one between two sources; there are records of {len(named)}: {', '.join(named)}"
        )


def assign_matches(
    ordered: pa.Table,
    scored: ScoredRows,
    identities: Identities,
    across: str,
    decided: DecidedRows,
    copies: Copies,
) -> tuple[ScoredRows, LeftOver]:
    """The scored pairs of sorted records with the links of the best assignment, and what was left over.

    Of many copies the two that were compared take part; the others are left over.
    """
    is_first_side = sides_of(ordered, across)
    best = keep_best_matches(scored, identities, is_first_side, decided, rank_names(ordered))
    return best, count_left_over((scored, best), identities, is_first_side, decided, copies)


def keep_best_matches(
    scored: ScoredRows, identities: Identities, is_first_side: Mask, decided: DecidedRows, names: Rows
) -> ScoredRows:
    """The scored pairs of rows, of whose links only those of the best assignment are links.

    `is_first_side` (n_records,) says on which side each row is. Ties fall by `names`, numbers of what rows
    are called in their sources, so that it does not matter which side is which. No link is forbidden by
    identities. What people decided holds: rows decided to be one count as one, with no further match where
    both sides are in it; a pair decided to be apart is no link.
    """
    allowed = scored.is_link & ~forbidden_links(identities, scored)
    groups = _decided_groups(len(is_first_side), decided)
    sides = [np.bincount(groups[rows], minlength=len(groups)) > 0 for rows in _rows_by_side(is_first_side)]
    is_open = ~(sides[0] & sides[1])
    one, other = groups[scored.left], groups[scored.right]
    apart = _pair_keys(*(groups[side] for side in decided.apart))
    usable = np.flatnonzero(allowed & is_open[one] & is_open[other] & ~np.isin(_pair_keys(one, other), apart))
    weights = np.round(np.maximum(scored.weight, LEAST_WEIGHT), SAME_WEIGHT_DIGITS)
    hashes = _hash_names(names)
    ties = _break_ties(hashes, scored.left[usable], scored.right[usable])
    at = _heaviest_of_each(one, other, weights[usable] + ties, usable)
    first = np.where(sides[0][one[at]], one[at], other[at])
    second = one[at] + other[at] - first
    of_groups = np.zeros(len(groups), np.uint64)
    np.add.at(of_groups, groups, hashes)
    is_link = np.zeros(len(allowed), bool)
    chosen = assign_best(first, second, weights[at] + _break_ties(of_groups, first, second))
    is_link[at[chosen]] = True
    is_link |= allowed & (one == other)
    return replace(scored, is_link=is_link)


def count_left_over(
    scored: tuple[ScoredRows, ScoredRows],
    identities: Identities,
    is_first_side: Mask,
    decided: DecidedRows,
    copies: Copies,
) -> LeftOver:
    """What was over the threshold and has no match, by the scored pairs before and after the assignment."""
    before, best = scored
    n, allowed = len(is_first_side), before.is_link & ~forbidden_links(identities, before)
    has_match, is_matched = np.zeros(n, bool), best.is_link
    has_match[before.left[allowed]] = has_match[before.right[allowed]] = True
    has_match[copies.follower] = has_match[copies.first] | has_match[copies.second]
    left, right = (np.concatenate([side[is_matched], tied]) for side, tied in zip(
        (best.left, best.right), decided.together, strict=True))  # fmt: skip
    groups = copies.spread(label_components(left, right, n))
    sides = [np.bincount(groups[rows], minlength=n) > 0 for rows in _rows_by_side(is_first_side)]
    is_left = has_match & ~(sides[0] & sides[1])[groups]
    equals = identities.equals if identities.equals is not None else np.full(n, -1)
    return LeftOver(int(is_left.sum()), int((is_left & (equals >= 0)).sum()))


def rank_names(ordered: pa.Table) -> Rows:
    """A number for what each record is called in its source: equal names have equal numbers."""
    names = as_series(plain_texts(ordered["native_id"]))
    return np.asarray(names.rank("dense").fill_null(0).to_numpy(), dtype=np.int64)


def _hash_names(names: Rows) -> Hashes:
    return _scatter(names.astype(np.uint64))


def _break_ties(hashes: Hashes, one: Rows, other: Rows) -> Floats:
    """A little weight for each pair of rows; the same whichever comes first."""
    both = _scatter(hashes[one] + hashes[other]) >> np.uint64(11)
    return np.asarray(both.astype(np.float64) * (TIE_WEIGHT / 2**53))


def _scatter(numbers: Hashes) -> Hashes:
    """Numbers that are as if drawn; twice, for what one step leaves linear would tie whole assignments."""
    scattered = numbers.copy()
    for _ in range(2):
        mix_codes(scattered, np.zeros(len(numbers), np.int32))
    return scattered


def sides_of(ordered: pa.Table, across: str) -> Mask:
    """Which of sorted records are of the dataset that is linked with the others."""
    return np.asarray(pc.equal(ordered["dataset"], across), np.bool_)


def assign_best(left: Rows, right: Rows, weights: Floats) -> Mask:
    """Which edges, each between a node on the left and one on the right, make the assignment of greatest
    total weight: no node in two. No pair of nodes comes twice; weights are above 0."""
    chosen = np.zeros(len(left), bool)
    if not len(left):
        return chosen
    components = _components(left, right)
    sizes = np.bincount(components)
    alone = sizes[components] == 1
    chosen[alone] = True
    rest = np.flatnonzero(~alone)
    order = rest[np.argsort(components[rest], kind="stable")]
    ends = np.cumsum(sizes[np.unique(components[order])])
    batches = np.repeat(ends // EDGES_AT_ONCE, np.diff(ends, prepend=0))
    for part in np.split(order, np.flatnonzero(np.diff(batches)) + 1):
        chosen[part[_solve(left[part], right[part], weights[part])]] = True
    return chosen


def _solve(left: Rows, right: Rows, weights: Floats) -> Rows:
    """The edges of the best assignment. Each left node may also go to a place of its own, which costs its
    match: so an assignment of all is the best of any."""
    lefts, one = np.unique(left, return_inverse=True)
    rights, other = np.unique(right, return_inverse=True)
    n, highest = len(lefts), float(weights.max(initial=0.0)) + 1.0
    rows = np.concatenate([one, np.arange(n)])
    columns = np.concatenate([other, len(rights) + np.arange(n)])
    costs = np.concatenate([highest - weights, np.full(n, highest)])
    shape = (n, len(rights) + n)
    graph = coo_array((costs, (rows, columns)), shape=shape).tocsr()
    matched = np.full(n, -1)
    at, to = min_weight_full_bipartite_matching(csr_array(graph))
    matched[at] = to
    return np.flatnonzero(matched[one] == other)


def _components(left: Rows, right: Rows) -> Rows:
    lefts, one = np.unique(left, return_inverse=True)
    rights, other = np.unique(right, return_inverse=True)
    return label_components(one, len(lefts) + other, len(lefts) + len(rights))[one]


def _decided_groups(n: int, decided: DecidedRows) -> Rows:
    return label_components(*decided.together, n)


def _rows_by_side(is_first_side: Mask) -> tuple[Rows, Rows]:
    return np.flatnonzero(is_first_side), np.flatnonzero(~is_first_side)


def _pair_keys(one: Rows, other: Rows) -> Rows:
    return (np.minimum(one, other) << 32) | np.maximum(one, other)


def _heaviest_of_each(one: Rows, other: Rows, weights: Floats, at: Rows) -> Rows:
    """Of the pairs at these places, of these weights, the heaviest between each two groups."""
    keys = _pair_keys(one[at], other[at])
    order = np.lexsort((at, -weights, keys))
    first = np.flatnonzero(np.diff(keys[order], prepend=-1))
    return np.sort(at[order[first]])
