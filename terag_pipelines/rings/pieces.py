"""The members of rings as the pieces into which they could fall, if links between their records were wrong.

A piece is what sure links hold together: records of one entity, with their accounts. Uncertain links lie
between pieces of one member; shared identifiers, relationships and transfers between pieces of one ring.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from terag_pipelines.linking.components import label_components
from terag_pipelines.rings.flows import transfers_between_entities
from terag_pipelines.rings.nodes import NodeIndex, Tables, index_nodes
from terag_pipelines.rings.projection import (
    Projection,
    ProjectionParams,
    hold_identifiers,
    project_entities,
    relate_entities,
    weigh_identifier,
    weigh_money,
)
from terag_pipelines.tables import as_frame

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
PAIR = ["left_id", "right_id"]


@dataclass(frozen=True)
class UncertainLinks:
    """Links between records of one member, below certainty, in the order of their pairs.

    `table`: left_id, right_id, link_probability, is_calibrated, ring_id, entity_id. `left`, `right`: pieces.
    """

    table: pl.DataFrame
    left: Ints
    right: Ints

    def __len__(self) -> int:
        return self.table.height


@dataclass(frozen=True)
class RingPieces:
    """What holds some rings together, piece by piece.

    `members`: member (0, 1, ...), ring (0, 1, ...), ring_id, entity_id, score, by ring and entity id.
    `member`: of each piece. `ties`: pairs of pieces of one ring, shape (n, 2). `claims`: piece, member, item,
    weight: what ties a member of several pieces to another member, with each piece that has it. An identifier
    that two pieces hold is one item of both: should they be two people, it ties both.
    """

    members: pl.DataFrame
    member: Ints
    links: UncertainLinks
    ties: Ints
    claims: pl.DataFrame


def find_uncertain_links(
    members: pl.DataFrame, tables: Tables, links: pa.Table, decisions: pa.Table, certain_probability: float
) -> pl.DataFrame:
    """Of LINKS those between records of one member, below certainty, on which nobody decided.

    left_id, right_id, link_probability, is_calibrated, ring_id, entity_id.
    """
    records = as_frame(tables["entity_members"], ["record_id", "entity_id"])
    held = records.join(members.select("ring_id", "entity_id"), on="entity_id")
    within = (
        as_frame(links, [*PAIR, "link_probability", "is_calibrated"])
        .join(held.rename({"record_id": "left_id"}), on="left_id")
        .join(held.select("entity_id", right_id="record_id"), on=["right_id", "entity_id"])
    )
    same = as_frame(decisions.filter(decisions["is_match"]).select(PAIR))
    doubtful = within.filter(pl.col("link_probability") < certain_probability)
    return doubtful.join(same, on=PAIR, how="anti").sort(PAIR)


def cut_rings(
    members: pl.DataFrame, uncertain: pl.DataFrame, tables: Tables, links: pa.Table, params: ProjectionParams
) -> RingPieces:
    """The pieces of all members (ring_id, entity_id, score) of some rings.

    What else than links holds an entity together (decisions, copies that follow) is sure. Ties weigh what
    they weigh in the batch's projection; that of money is shared out by amounts.
    """
    numbered = members.sort("ring_id", "entity_id").with_columns(
        member=pl.int_range(pl.len(), dtype=pl.Int64),
        ring=pl.col("ring_id").rank("dense").cast(pl.Int64) - 1,
    )
    ground = _Ground.of(numbered, tables, params)
    units = ground.place_units()
    cut = cut_units(units, uncertain, as_frame(links.select(PAIR)))
    placed = units.with_columns(piece=pl.Series(cut.piece, dtype=pl.Int64))
    between = pl.concat([found(ground, placed) for found in (_move_money, _share_things, _relate)])
    return RingPieces(
        members=numbered,
        member=cut.member,
        links=UncertainLinks(uncertain, cut.left, cut.right),
        ties=_tie_pieces(between, cut.member, numbered["ring"].to_numpy()),
        claims=_claim(between, cut.member),
    )


@dataclass(frozen=True)
class _Ground:
    """The batch twice: with entities as nodes, and with each record as a node of its own, a unit."""

    projection: Projection
    params: ProjectionParams
    members: pl.DataFrame  # member, ring, node
    apart: Tables
    units: NodeIndex

    @classmethod
    def of(cls, members: pl.DataFrame, tables: Tables, params: ProjectionParams) -> _Ground:
        projection = project_entities(tables, params)
        nodes = projection.index.nodes.select("entity_id", "node")
        placed = members.join(nodes, on="entity_id").select("member", "ring", "node")
        apart = {name: table for name, table in tables.items() if name != "entity_members"}
        return cls(projection, params, placed, apart, index_nodes(apart))

    def place_units(self) -> pl.DataFrame:
        """unit, record_id, member, ring: records, and accounts without a known holder, by member and id."""
        ids = self.units.nodes.select(unit="node", record_id="entity_id")
        entity = self.projection.index.find_subjects(ids["record_id"])
        placed = ids.with_columns(node=entity).join(self.members, on="node")
        return placed.drop("node").sort("member", "record_id")


@dataclass(frozen=True)
class Cut:
    """Units in pieces, and the pieces of the links between them."""

    piece: Ints  # of each unit
    member: Ints  # of each piece
    left: Ints  # pieces that each uncertain link ties
    right: Ints


def cut_units(units: pl.DataFrame, uncertain: pl.DataFrame, links: pl.DataFrame) -> Cut:
    """The pieces of units (record_id, member, in the order of members) that the links without the uncertain
    ones hold together; what no link explains is sure.
    """
    sure = links.join(uncertain, on=PAIR, how="anti")
    fixed, doubtful = _ends_within(units, sure), _ends_within(units, uncertain)
    n, member = units.height, units["member"].to_numpy()
    linked = np.concatenate([fixed, doubtful])
    rest = _join_rest(label_components(linked[:, 0], linked[:, 1], n), member)
    fixed = np.concatenate([fixed, rest])
    piece = label_components(fixed[:, 0], fixed[:, 1], n)
    of_piece = np.zeros(int(piece.max(initial=-1)) + 1, np.int64)
    of_piece[piece] = member
    return Cut(piece, of_piece, piece[doubtful[:, 0]], piece[doubtful[:, 1]])


def _ends_within(units: pl.DataFrame, pairs: pl.DataFrame) -> Ints:
    """The rows of `units` of both records of each pair of one member, by pair; shape (n, 2)."""
    rows = units.select("record_id", "member", row=pl.int_range(pl.len(), dtype=pl.Int64))
    left = rows.select(left_id="record_id", member="member", left="row")
    right = rows.select(right_id="record_id", member="member", right="row")
    found = pairs.select(PAIR).join(left, on="left_id").join(right, on=["right_id", "member"])
    return np.asarray(found.sort(PAIR).select("left", "right").to_numpy(), np.int64)


def _join_rest(component: Ints, whole: Ints) -> Ints:
    """Pairs that join the components of each whole, first to first; `whole` does not decrease."""
    firsts = np.sort(np.unique(component, return_index=True)[1])
    same = whole[firsts[1:]] == whole[firsts[:-1]]
    return np.column_stack([firsts[:-1][same], firsts[1:][same]]).astype(np.int64)


_ENDS = ["left", "right", "left_member", "right_member"]
_TIE = [*_ENDS, "kind", "value", "weight"]


def _share_things(ground: _Ground, placed: pl.DataFrame) -> pl.DataFrame:
    """Ties by identifiers, which as many entities hold as in the batch; what only one holds counts as two."""
    holders = ground.projection.holdings.select("kind", "value", "n_holders").unique()
    held = hold_identifiers(ground.apart, ground.units).drop("n_holders")
    known = (
        held.join(placed, left_on="node", right_on="unit")
        .join(holders, on=["kind", "value"], how="left")
        .with_columns(pl.col("n_holders").fill_null(2))
        .filter(pl.col("n_holders") <= ground.params.max_identifier_holders)
        .unique(["piece", "kind", "value"])
    )
    common = ["ring", "kind", "value", "n_holders"]
    mine = known.select(*common, left="piece", left_member="member")
    other = known.select(*common, right="piece", right_member="member")
    pairs = mine.join(other, on=common).filter(pl.col("left") < pl.col("right"))
    return pairs.with_columns(weight=weigh_identifier(ground.params)).select(_TIE)


def _relate(ground: _Ground, placed: pl.DataFrame) -> pl.DataFrame:
    """Ties by relationships that a source states."""
    found = _between_pieces(placed, relate_entities(ground.apart, ground.units)).unique(_ENDS)
    weight = pl.lit(ground.params.relationship_weight)
    return found.with_columns(kind=pl.lit("related"), value=pl.lit(""), weight=weight).select(_TIE)


def _move_money(ground: _Ground, placed: pl.DataFrame) -> pl.DataFrame:
    """Ties by transfers, none of a hub: each has its part, by amount, of what money ties the two members."""
    moved = _transfers_between(ground, placed)
    summed = _between_pieces(placed, moved).group_by(_ENDS).agg(pl.col("amount").sum()).sort(_ENDS)
    members = _ENDS[2:]
    weighed = summed.join(_weigh_members(ground), on=members, how="left")
    is_own = pl.col("left_member") == pl.col("right_member")
    part = pl.col("amount") / pl.col("amount").sum().over(members) * pl.col("weight")
    known = weighed.with_columns(
        kind=pl.lit("money"), value=pl.lit(""), weight=pl.when(is_own).then(0.0).otherwise(part)
    )
    return known.select(_TIE).drop_nulls("weight")


def _transfers_between(ground: _Ground, placed: pl.DataFrame) -> pl.DataFrame:
    """left, right, amount of each transfer between two units."""
    inside = ground.units.accounts.join(placed, left_on="node", right_on="unit")["account_id"].to_arrow()
    every = ground.apart["transfers"]
    is_near = [pc.is_in(every[side], value_set=inside) for side in ("source_account", "target_account")]
    near = every.filter(pc.and_(*is_near))
    moved = transfers_between_entities({**ground.apart, "transfers": near}, ground.units)
    return moved.select("amount", left="source", right="target")


def _weigh_members(ground: _Ground) -> pl.DataFrame:
    """left_member, right_member, weight: what money ties two members of one ring."""
    money = weigh_money(ground.projection, ground.params)
    left = ground.members.select("ring", left="node", left_member="member")
    right = ground.members.select("ring", right="node", right_member="member")
    return money.join(left, on="left").join(right, on=["right", "ring"]).select(*_ENDS[2:], "weight")


def _between_pieces(placed: pl.DataFrame, pairs: pl.DataFrame) -> pl.DataFrame:
    """Pairs of units of one ring as pairs of its pieces, the lower one left; further columns are kept."""
    one = placed.select("ring", left="unit", one="piece", one_member="member")
    two = placed.select("ring", right="unit", two="piece", two_member="member")
    found = pairs.join(one, on="left").join(two, on=["right", "ring"]).filter(pl.col("one") != pl.col("two"))
    return found.with_columns(
        left=pl.min_horizontal("one", "two"),
        right=pl.max_horizontal("one", "two"),
        left_member=pl.min_horizontal("one_member", "two_member"),  # pieces are in the order of members
        right_member=pl.max_horizontal("one_member", "two_member"),
    )


def _tie_pieces(between: pl.DataFrame, member: Ints, ring: Ints) -> Ints:
    """Every two pieces with a tie, and what else joins a ring: what no piece explains is sure."""
    known = np.asarray(between.select("left", "right").unique().sort("left", "right").to_numpy(), np.int64)
    first = np.searchsorted(member, np.arange(len(ring)))
    whole = np.column_stack([np.arange(len(member)), first[member]])
    ends = np.concatenate([known, whole])
    rest = _join_rest(label_components(ends[:, 0], ends[:, 1], len(member)), ring[member])
    return np.concatenate([known, rest])


def _claim(between: pl.DataFrame, member: Ints) -> pl.DataFrame:
    """piece, member, item, weight: see RingPieces."""
    sides = [
        between.select("kind", "value", "weight", piece=one, member=f"{one}_member", other=f"{two}_member")
        for one, two in (("left", "right"), ("right", "left"))
    ]
    several = np.flatnonzero(np.bincount(member) > 1)
    both = pl.concat(sides).filter(
        (pl.col("member") != pl.col("other")) & pl.col("member").is_in(several.tolist())
    )
    money = pl.col("kind") == "money"
    own = both.with_columns(value=pl.when(money).then(pl.col("piece").cast(pl.String)).otherwise("value"))
    item = ["member", "other", "kind", "value"]
    weight = pl.when(money.first()).then(pl.col("weight").sum()).otherwise(pl.col("weight").max())
    claims = own.sort(*item, "piece", "weight").group_by(*item, "piece", maintain_order=True).agg(weight)
    numbered = claims.with_columns(item=pl.struct(item).rank("dense").cast(pl.Int64) - 1)
    return numbered.select("piece", "member", "item", "weight")
