"""How sure rings are of their members: uncertain links between records are drawn again and again.

A link that is wrong makes two people one, and a ring may hang on it. In each draw every uncertain link is
kept with its probability; the entities of rings fall into what the kept links still hold together.

Drawn anew: the parts of each member; what each part holds, pays and is related to, by its records and their
accounts; the parts' scores; who of them is still tied to whom; the ring's size and risk. Held fixed: who is
no member (nobody joins in a draw), communities, the scores of members that stay whole, how many hold an
identifier, and the calibrator. These move as well when links of the bank are wrong, and the intervals of
draws alone hold the truth less often than they seem to: `doubt_worlds` widens them. Links are drawn
independently of each other: where one mistake made several links, the truth is wider than the interval. The
doubt is one-sided: pairs that are no links are not drawn.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

import igraph
import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from terag_pipelines.calibration.fit import FittedCalibrator
from terag_pipelines.linking.components import label_components
from terag_pipelines.linking.model import PAIR_DECISIONS
from terag_pipelines.linking.reviews import Stake
from terag_pipelines.rings.model import RING_DOUBT, RING_MEMBER_DOUBT
from terag_pipelines.rings.naming import NamingParams
from terag_pipelines.rings.nodes import Tables
from terag_pipelines.rings.pieces import RingPieces, UncertainLinks, cut_rings, find_uncertain_links
from terag_pipelines.tables import as_frame

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class DoubtParams:
    """`naming` is what the rings were named by. A link of `certain_probability` or more is not doubted.

    Of `n_draws` draws the intervals leave out `tail` on either side. A ring holds while `min_share` of its
    members and `naming.min_members` people are tied to each other.

    `n_worlds` banks are scored anew to widen the intervals, none where it is 0. Where fewer than
    `min_compared` rings of them say by how much, the intervals claim no coverage.
    """

    naming: NamingParams = field(default_factory=NamingParams)
    certain_probability: float = 0.999
    n_draws: int = 200
    tail: float = 0.05
    min_share: float = 0.5
    seed: int = 7
    n_worlds: int = 2
    min_compared: int = 20

    @property
    def coverage(self) -> float:
        """The share of rings whose truth the widened intervals are to hold."""
        return 1 - 2 * self.tail


@dataclass(frozen=True)
class RingDoubts:
    """RING_DOUBT and RING_MEMBER_DOUBT of all rings."""

    rings: pa.Table
    members: pa.Table


@dataclass(frozen=True)
class Look:
    """Rings with some links kept, zeros where one fell apart.

    By ring `n_people` (parts that are tied together), `n_members` (of before, who are among them) and the
    mean `risk` of these people; by member whether it `belongs`.
    """

    n_people: Ints
    n_members: Ints
    risk: Floats
    belongs: Mask


def doubt_rings(
    fraud_rings: pa.Table,
    ring_members: pa.Table,
    tables: Tables,
    links: pa.Table,
    decisions: pa.Table | None = None,
    calibrator: FittedCalibrator | None = None,
    params: DoubtParams | None = None,
) -> RingDoubts:
    """How sure each ring and each membership is, from LINKS, whatever the order of rows.

    `tables` are those that the rings were made of. Pairs that PAIR_DECISIONS call the same are certain. A
    ring without uncertain links has points for intervals. The figures of a ring depend on nothing outside it,
    and a link is drawn alike in every batch. The intervals claim no coverage until they are widened.
    """
    chosen = params or DoubtParams()
    members = as_frame(ring_members, ["ring_id", "entity_id", "score"])
    decided = PAIR_DECISIONS.empty() if decisions is None else decisions
    uncertain = find_uncertain_links(members, tables, links, decided, chosen.certain_probability)
    figures = _no_figures()
    if not uncertain.is_empty():
        doubtful = members.filter(pl.col("ring_id").is_in(uncertain["ring_id"].unique().implode()))
        pieces = cut_rings(doubtful, uncertain, tables, links, chosen.naming.projection)
        figures = _measure(DoubtedRings.of(pieces, calibrator, chosen))
    return RingDoubts(
        _rings_table(fraud_rings, uncertain, figures, chosen.n_draws),
        _members_table(members, uncertain, figures),
    )


def draw_links(links: UncertainLinks, params: DoubtParams) -> Mask:
    """Which links each draw keeps; shape (n_draws, n_links).

    A Latin hypercube (McKay, Beckman and Conover 1979): a link is kept in as large a share of the draws as
    its probability says, to one draw, whatever the others are. The seed and its record ids make its draws.
    """
    columns = [_draw_one(row, params) for row in links.table.select("left_id", "right_id").iter_rows()]
    uniform = np.column_stack(columns)
    kept: Mask = uniform < links.table["link_probability"].to_numpy()
    return kept


def _draw_one(pair: tuple[str, ...], params: DoubtParams) -> Floats:
    key = int.from_bytes(blake2b("\n".join(pair).encode(), digest_size=8).digest(), "big")
    rng = np.random.default_rng([params.seed, key])
    drawn: Floats = (rng.permutation(params.n_draws) + rng.random(params.n_draws)) / params.n_draws
    return drawn


@dataclass(frozen=True)
class DoubtedRings:
    """Rings in pieces, with what looking at them needs again and again, by member and by ring."""

    pieces: RingPieces
    calibrator: FittedCalibrator | None
    params: DoubtParams
    ring: Ints  # of each member
    sizes: Ints  # of each ring
    score: Floats
    risk: Floats  # of each member as a whole
    floor: Floats  # the least risk with which a part of each member stays
    claimed: Floats  # weight of all that ties each member to others

    @classmethod
    def of(cls, pieces: RingPieces, calibrator: FittedCalibrator | None, params: DoubtParams) -> DoubtedRings:
        """Pieces with the scores of their members."""
        ring, score = pieces.members["ring"].to_numpy(), pieces.members["score"].to_numpy()
        risk = score if calibrator is None else calibrator.apply(score)
        line = params.naming.follower_share * params.naming.member_threshold
        items = pieces.claims.unique("item", maintain_order=True)
        return cls(
            pieces=pieces,
            calibrator=calibrator,
            params=params,
            ring=ring,
            sizes=np.bincount(ring),
            score=score,
            risk=risk,
            floor=np.minimum(risk, line),
            claimed=_sum(items["member"].to_numpy(), items["weight"].to_numpy(), len(ring)),
        )

    def look(self, kept: Mask) -> Look:
        """The rings with these of the uncertain links."""
        links, ties = self.pieces.links, self.pieces.ties
        part = label_components(links.left[kept], links.right[kept], len(self.pieces.member))
        member = np.zeros(int(part.max()) + 1, np.int64)
        member[part] = self.pieces.member
        risk = self._assess(part, member)
        is_in = risk >= self.floor[member]
        ends = part[ties]
        held = ends[is_in[ends].all(axis=1)]
        group = label_components(held[:, 0], held[:, 1], len(member))
        return self._choose(group[is_in], member[is_in], risk[is_in])

    def _assess(self, part: Ints, member: Ints) -> Floats:
        """The risk of each part: the odds of its score are in proportion to how much of what ties its member
        to others is its own; a whole member keeps its risk.
        """
        risk = self.risk[member]
        is_split = (np.bincount(member, minlength=len(self.ring)) > 1)[member]
        if is_split.any():
            share, score = self._share(part, member)[is_split], self.score[member[is_split]]
            scaled = share * score / np.where(share > 0, share * score + 1 - score, 1.0)
            risk[is_split] = scaled if self.calibrator is None else self.calibrator.apply(scaled)
        return risk

    def _share(self, part: Ints, member: Ints) -> Floats:
        """Of each part, what it has of the weight that ties its member to others; 1 where nothing does."""
        claims = self.pieces.claims
        holder, item = part[claims["piece"].to_numpy()], claims["item"].to_numpy()
        _, once = np.unique(holder * (int(item.max(initial=0)) + 1) + item, return_index=True)
        own = _sum(holder[once], claims["weight"].to_numpy()[once], len(member))
        every = self.claimed[member]
        share: Floats = np.where(every > 0, own / np.where(every > 0, every, 1.0), 1.0)
        return np.minimum(share, 1.0)

    def _choose(self, group: Ints, member: Ints, risk: Floats) -> Look:
        """Of each ring the group with most of its members, the first of several, if the ring holds."""
        people = np.bincount(group)
        pairs = np.unique(group * len(self.ring) + member)
        n_members = np.bincount(pairs // len(self.ring), minlength=len(people))
        ring = np.full(len(people), -1)
        ring[group] = self.ring[member]
        enough = self.params.min_share * self.sizes[ring]
        holds = (ring >= 0) & (people >= self.params.naming.min_members) & (n_members >= enough)
        best = _first_of_each(ring, n_members, np.flatnonzero(holds))
        belongs = np.zeros(len(self.ring), bool)
        belongs[member[np.isin(group, best)]] = True
        mean = np.bincount(group, risk) / np.maximum(people, 1)
        n = len(self.sizes)
        return Look(
            n_people=np.bincount(ring[best], people[best], n).astype(np.int64),
            n_members=np.bincount(ring[best], n_members[best], n).astype(np.int64),
            risk=_sum(ring[best], mean[best], n),
            belongs=belongs,
        )


def _sum(groups: Ints, values: Floats, n: int) -> Floats:
    """The sum of the values of each of n groups."""
    return np.asarray(np.bincount(groups, values, n), np.float64)


def _first_of_each(ring: Ints, n_members: Ints, among: Ints) -> Ints:
    """Of these groups the one of each ring with most members, the first of several."""
    order = among[np.lexsort((among, -n_members[among], ring[among]))]
    return order[np.unique(ring[order], return_index=True)[1]]


@dataclass(frozen=True)
class WeakLink:
    """A link (a row of UncertainLinks), and how many members stay in its ring without it."""

    row: int
    n_members: int


def find_weakest_links(doubted: DoubtedRings) -> dict[int, WeakLink]:
    """By ring the link whose removal alone breaks it, the least probable of several; where none does, the one
    without which most members are lost. A ring that loses nobody by any one link is left out.
    """
    links = doubted.pieces.links
    ring = doubted.ring[doubted.pieces.member[links.left]]
    probability = links.table["link_probability"].to_numpy()
    found: dict[int, WeakLink] = {}
    for rows in _rounds(_find_bridges(links, len(doubted.pieces.member)), ring):
        kept = np.ones(len(links), bool)
        kept[rows] = False
        n_left = doubted.look(kept).n_members
        for row, one in zip(rows.tolist(), ring[rows].tolist(), strict=True):
            if n_left[one] < doubted.sizes[one]:
                weak = WeakLink(row, int(n_left[one]))
                found[one] = min(
                    (weak, found.get(one, weak)), key=lambda it: (it.n_members, probability[it.row], it.row)
                )
    return found


def _find_bridges(links: UncertainLinks, n_pieces: int) -> Ints:
    """The links without which their member falls in two: no other one changes anything alone."""
    graph = igraph.Graph(n=n_pieces, edges=np.column_stack([links.left, links.right]))
    return np.sort(np.array(graph.bridges(), np.int64))


def _rounds(rows: Ints, ring: Ints) -> Iterator[Ints]:
    """The rows, one of each ring at a time."""
    left = rows
    while len(left):
        first = np.unique(ring[left], return_index=True)[1]
        yield left[first]
        left = np.delete(left, first)


@dataclass(frozen=True)
class _Figures:
    """`rings`: ring_id and what the draws say of it; `members`: with their membership_probability."""

    rings: pl.DataFrame
    members: pl.DataFrame


_DRAWN = {
    "holds_probability": pl.Float64,
    "n_members_low": pl.Int64,
    "n_members_high": pl.Int64,
    "risk_low": pl.Float64,
    "risk_high": pl.Float64,
}
_WEAKEST = {
    "weakest_left_id": pl.String,
    "weakest_right_id": pl.String,
    "weakest_probability": pl.Float64,
    "n_members_without": pl.Int64,
}
_WIDENING = ("n_worlds", "n_compared", "size_widening", "risk_widening")
_MEMBERSHIP = {"ring_id": pl.String, "entity_id": pl.String, "membership_probability": pl.Float64}


def _no_figures() -> _Figures:
    return _Figures(
        pl.DataFrame(schema={"ring_id": pl.String, **_DRAWN, **_WEAKEST}), pl.DataFrame(schema=_MEMBERSHIP)
    )


def _measure(doubted: DoubtedRings) -> _Figures:
    pieces, tail = doubted.pieces, doubted.params.tail
    looks = [doubted.look(kept) for kept in draw_links(pieces.links, doubted.params)]
    people, risk = np.stack([one.n_people for one in looks]), np.stack([one.risk for one in looks])
    drawn = {
        "holds_probability": (people > 0).mean(axis=0),
        "n_members_low": np.quantile(people, tail, axis=0, method="lower"),
        "n_members_high": np.quantile(people, 1 - tail, axis=0, method="higher"),
        "risk_low": np.quantile(risk, tail, axis=0, method="lower"),
        "risk_high": np.quantile(risk, 1 - tail, axis=0, method="higher"),
    }
    ids = pieces.members.unique("ring", maintain_order=True)["ring_id"]
    belongs = np.stack([one.belongs for one in looks]).mean(axis=0)
    weakest = [_tell_weakest(pieces.links, weak) for weak in _by_ring(find_weakest_links(doubted), len(ids))]
    return _Figures(
        pl.DataFrame({"ring_id": ids, **drawn}).hstack(pl.DataFrame(weakest, schema=_WEAKEST, orient="row")),
        pieces.members.select("ring_id", "entity_id", membership_probability=pl.Series(belongs)),
    )


def _by_ring(weakest: Mapping[int, WeakLink], n_rings: int) -> list[WeakLink | None]:
    return [weakest.get(ring) for ring in range(n_rings)]


def _tell_weakest(links: UncertainLinks, weak: WeakLink | None) -> tuple[Any, ...]:
    if weak is None:
        return (None,) * len(_WEAKEST)
    pair = links.table.row(weak.row, named=True)
    return pair["left_id"], pair["right_id"], pair["link_probability"], weak.n_members


def _rings_table(fraud_rings: pa.Table, uncertain: pl.DataFrame, figures: _Figures, n_draws: int) -> pa.Table:
    """RING_DOUBT; a ring of which nothing was drawn is as sure as its links. Intervals hold it as named."""
    doubtful = uncertain.group_by("ring_id").agg(
        n_uncertain_links=pl.len().cast(pl.Int64), is_calibrated=pl.col("is_calibrated").all()
    )
    rings = as_frame(fraud_rings, ["ring_id", "n_members", "risk_score", "risk_probability"])
    joined = rings.join(doubtful, on="ring_id", how="left").join(figures.rings, on="ring_id", how="left")
    named = {"n_members": pl.col("n_members"), "risk": pl.coalesce("risk_probability", "risk_score")}
    lows = {f"{name}_low": pl.min_horizontal(f"{name}_low", one) for name, one in named.items()}
    highs = {f"{name}_high": pl.max_horizontal(f"{name}_high", one) for name, one in named.items()}
    told = joined.with_columns(
        pl.col("n_uncertain_links").fill_null(0),
        pl.col("holds_probability").fill_null(1.0),
        n_draws=pl.when(pl.col("n_uncertain_links").is_null()).then(0).otherwise(n_draws),
        coverage=pl.lit(None, pl.Float64),
        **lows,
        **highs,
        **dict.fromkeys(_WIDENING, pl.lit(0)),
    )
    return RING_DOUBT.from_columns(**{name: told[name].to_arrow() for name in RING_DOUBT.schema.names})


def _members_table(members: pl.DataFrame, uncertain: pl.DataFrame, figures: _Figures) -> pa.Table:
    own = uncertain.group_by("ring_id", "entity_id").agg(n_uncertain_links=pl.len().cast(pl.Int64))
    on = ["ring_id", "entity_id"]
    joined = members.join(figures.members, on=on, how="left").join(own, on=on, how="left")
    told = joined.with_columns(
        pl.col("membership_probability").fill_null(1.0), pl.col("n_uncertain_links").fill_null(0)
    )
    names = RING_MEMBER_DOUBT.schema.names
    return RING_MEMBER_DOUBT.from_columns(**{name: told[name].to_arrow() for name in names})


def list_stakes(fraud_rings: pa.Table, ring_doubt: pa.Table) -> list[Stake]:
    """The links without which a ring falls apart, that of the riskiest ring first."""
    risk = pl.coalesce("risk_probability", "risk_score")
    rings = as_frame(fraud_rings, ["ring_id", "risk_score", "risk_probability"]).with_columns(risk=risk)
    fragile = as_frame(ring_doubt).filter(pl.col("n_members_without") == 0).join(rings, on="ring_id")
    ordered = fragile.sort(["risk", "ring_id"], descending=[True, False])
    pairs = ordered.select("weakest_left_id", "weakest_right_id", "ring_id").iter_rows()
    return [Stake(left, right, f"{ring_id} falls apart without it") for left, right, ring_id in pairs]
