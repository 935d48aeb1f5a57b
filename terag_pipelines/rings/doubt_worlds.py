"""Intervals of rings that hold the truth as often as they say: whole banks are scored anew to widen them.

The draws of `doubt` hold fixed what is not the ring's own. A wrong link elsewhere moves ranks, communities
and thresholds, and with them rings that have nothing to do with it. In a world all uncertain links of a bank
are drawn at once, and its rings are sought as if from the start. How far the rings of a few such worlds lie
outside the intervals is what these are widened by: the conformal quantile of Romano, Patterson and Candès,
Conformalized Quantile Regression (2019), on worlds that are drawn as the truth is.

A ring with a wrong link of its own moves further than the rest. Rings with uncertain links therefore take the
larger quantile of those with a wrong link and those without one, in whichever case they are; rings without
uncertain links take that of the latter. The worlds know no more than the draws do: both believe the
probabilities of links, and that links are wrong independently of each other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from math import ceil

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from terag_pipelines.calibration.fit import FittedCalibrator
from terag_pipelines.linking.components import label_components
from terag_pipelines.linking.model import ENTITY_MEMBERS, PAIR_DECISIONS
from terag_pipelines.rings.detection import RingParams, score_projection
from terag_pipelines.rings.doubt import DoubtParams, RingDoubts, draw_links
from terag_pipelines.rings.lineage import EarlierRings
from terag_pipelines.rings.model import RING_DOUBT
from terag_pipelines.rings.naming import NamedRings, NamingParams, name_projected
from terag_pipelines.rings.nodes import Tables
from terag_pipelines.rings.pieces import UncertainLinks, cut_units, find_uncertain_links
from terag_pipelines.rings.projection import project_entities
from terag_pipelines.tables import as_frame

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
Rescore = Callable[[Tables], NamedRings]


def widen_doubts(
    doubts: RingDoubts,
    ring_members: pa.Table,
    tables: Tables,
    links: pa.Table,
    rescore: Rescore,
    decisions: pa.Table | None = None,
    params: DoubtParams | None = None,
) -> RingDoubts:
    """The doubts, their intervals wide enough to hold the truth of `params.coverage` of rings.

    `rescore` gives the rings of a bank, found as those of `doubts` were. A bank without uncertain links is
    not scored, and neither is one without rings: their doubts stay as they are. The order of rows changes
    nothing.
    """
    chosen = params or DoubtParams()
    bank = DoubtfulBank.of(tables, links, decisions, chosen)
    if not chosen.n_worlds or not len(bank.links) or not doubts.rings.num_rows:
        return doubts
    rings = as_frame(doubts.rings).sort("ring_id")
    anew = find_rings_anew(as_frame(ring_members, ["ring_id", "entity_id"]), bank, rescore, chosen)
    widened = widen_intervals(rings, anew, chosen)
    return replace(doubts, rings=RING_DOUBT.conform(widened.to_arrow()))


def find_rings(
    tables: Tables,
    calibrator: FittedCalibrator | None = None,
    earlier: EarlierRings | None = None,
    scoring: RingParams | None = None,
    naming: NamingParams | None = None,
) -> NamedRings:
    """The rings of a bank from the start: projected, scored and named."""
    how = scoring or RingParams()
    projection = project_entities(tables, how.projection)
    scores = score_projection(tables, projection, how, earlier).scores
    return name_projected(scores, projection, calibrator, naming or NamingParams())


@dataclass(frozen=True)
class DoubtfulBank:
    """A bank and its uncertain links, in rings or not.

    `units`: record_id, entity_id, member of each record of an entity that has such links, by member; `piece`
    of each unit.
    """

    tables: Tables
    units: pl.DataFrame
    piece: Ints
    links: UncertainLinks

    @classmethod
    def of(
        cls, tables: Tables, links: pa.Table, decisions: pa.Table | None, params: DoubtParams
    ) -> DoubtfulBank:
        """The bank, its doubtful entities in pieces."""
        records = as_frame(tables["entity_members"], ["record_id", "entity_id"])
        everybody = records.select("entity_id", ring_id=pl.lit(None, pl.String)).unique()
        decided = PAIR_DECISIONS.empty() if decisions is None else decisions
        uncertain = find_uncertain_links(everybody, tables, links, decided, params.certain_probability)
        units = records.filter(pl.col("entity_id").is_in(uncertain["entity_id"].unique().implode()))
        units = units.sort("entity_id", "record_id").with_columns(
            member=pl.col("entity_id").rank("dense").cast(pl.Int64) - 1
        )
        cut = cut_units(units, uncertain, as_frame(links, ["left_id", "right_id"]))
        return cls(tables, units, cut.piece, UncertainLinks(uncertain, cut.left, cut.right))

    def world(self, kept: Mask) -> Tables:
        """The tables with these of the uncertain links: who falls apart is an entity for each part. The first
        part keeps the entity's id.
        """
        part = label_components(self.links.left[kept], self.links.right[kept], len(self.units))[self.piece]
        first = pl.col("record_id").first()
        lead, own = first.over("member"), first.over("member", "part")
        parted = pl.concat_str("entity_id", pl.lit("/"), own)
        fallen = self.units.with_columns(part=pl.Series(part)).select(
            "record_id", parted_id=pl.when(lead == own).then("entity_id").otherwise(parted)
        )
        records = as_frame(self.tables["entity_members"], ["record_id", "entity_id"])
        joined = records.join(fallen, on="record_id", how="left")
        held = joined.select("record_id", entity_id=pl.coalesce("parted_id", "entity_id"))
        columns = {name: held[name].to_arrow() for name in held.columns}
        return {**self.tables, "entity_members": ENTITY_MEMBERS.from_columns(**columns)}


@dataclass(frozen=True)
class RingsAnew:
    """What became of a batch's rings in worlds; each of shape (n_worlds, n_rings), rings by their ids.

    `n_people` and `risk` are 0 where no ring of the world has enough of a ring's members. `is_hit`: one of
    the ring's own uncertain links is wrong there.
    """

    n_people: Ints
    risk: Floats
    is_hit: Mask


def find_rings_anew(
    members: pl.DataFrame, bank: DoubtfulBank, rescore: Rescore, params: DoubtParams
) -> RingsAnew:
    """The rings of `members` (ring_id, entity_id) in `params.n_worlds` worlds, each drawn and scored."""
    numbered = members.with_columns(ring=pl.col("ring_id").rank("dense").cast(pl.Int64) - 1)
    found = list(_look_into_worlds(numbered, bank, rescore, params))
    n_people, risk, is_hit = (np.stack(one) for one in zip(*found, strict=True))
    return RingsAnew(n_people, risk, is_hit)


def _look_into_worlds(
    members: pl.DataFrame, bank: DoubtfulBank, rescore: Rescore, params: DoubtParams
) -> Iterator[tuple[Ints, Floats, Mask]]:
    """n_people, risk and is_hit of the rings of each world."""
    n_rings = members["ring"].n_unique()
    ours = _records_of(members, bank.tables)
    entity = bank.links.table["entity_id"]
    for kept in draw_links(bank.links, replace(params, n_draws=params.n_worlds)):
        world = bank.world(kept)
        found = _follow_rings(ours, rescore(world), world, params.min_share)
        n_people, risk = np.zeros(n_rings, np.int64), np.zeros(n_rings)
        n_people[found["ring"]], risk[found["ring"]] = found["n_members"], found["risk"]
        wrong = entity.filter(pl.Series(~kept)).unique().implode()
        hit = members.filter(pl.col("entity_id").is_in(wrong))["ring"].unique()
        yield n_people, risk, np.isin(np.arange(n_rings), hit.to_numpy())


def _follow_rings(ours: pl.DataFrame, named: NamedRings, world: Tables, min_share: float) -> pl.DataFrame:
    """ring, n_members, risk: the ring of a world that has most of its members, if they are enough."""
    theirs = _records_of(as_frame(named.members, ["ring_id", "entity_id"]), world)
    common = ours.join(theirs.select("record_id", there="ring_id"), on="record_id")
    counted = common.group_by("ring", "there").agg(n=pl.col("entity_id").n_unique())
    best = counted.sort(["n", "there"], descending=[True, False]).unique(
        "ring", keep="first", maintain_order=True
    )
    sizes = ours.group_by("ring").agg(size=pl.col("entity_id").n_unique())
    enough = best.join(sizes, on="ring").filter(pl.col("n") >= min_share * pl.col("size"))
    rings = as_frame(named.rings, ["ring_id", "n_members", "risk_probability", "risk_score"])
    return enough.join(rings, left_on="there", right_on="ring_id").select(
        "ring", "n_members", risk=pl.coalesce("risk_probability", "risk_score")
    )


def _records_of(members: pl.DataFrame, tables: Tables) -> pl.DataFrame:
    """The members with a row for each of their records; who has none (an account alone) is his own."""
    records = as_frame(tables["entity_members"], ["record_id", "entity_id"])
    joined = members.join(records, on="entity_id", how="left")
    return joined.with_columns(pl.coalesce("record_id", "entity_id"))


def widen_intervals(rings: pl.DataFrame, anew: RingsAnew, params: DoubtParams) -> pl.DataFrame:
    """Rows of RING_DOUBT, by ring_id, with intervals as wide as the rings anew tell them to be."""
    own = pl.col("n_uncertain_links") > 0
    size = _widths(_misses(rings, "n_members", anew.n_people), anew.is_hit, params.coverage)
    risk = _widths(_misses(rings, "risk", anew.risk), anew.is_hit, params.coverage)
    n_hit = int(anew.is_hit.sum())
    told = rings.with_columns(
        n_worlds=pl.lit(len(anew.is_hit)),
        n_compared=pl.when(own).then(n_hit).otherwise(anew.is_hit.size - n_hit),
        size_widening=pl.when(own).then(max(size)).otherwise(size[1]).cast(pl.Int64),
        risk_widening=pl.when(own).then(max(risk)).otherwise(risk[1]),
    )
    by, far = pl.col("size_widening"), pl.col("risk_widening")
    return told.with_columns(
        (pl.col("n_members_low") - by).clip(lower_bound=0),
        pl.col("n_members_high") + by,
        (pl.col("risk_low") - far).clip(lower_bound=0),
        (pl.col("risk_high") + far).clip(upper_bound=1),
        coverage=pl.when(pl.col("n_compared") >= params.min_compared).then(params.coverage),
    )


def _misses(rings: pl.DataFrame, name: str, truth: npt.NDArray[np.number]) -> Floats:
    """How far outside the ring's interval each truth lies, 0 inside; shape (n_worlds, n_rings)."""
    low, high = (rings[f"{name}_{side}"].to_numpy() for side in ("low", "high"))
    return np.asarray(np.maximum(np.maximum(low - truth, truth - high), 0), np.float64)


def _widths(misses: Floats, is_hit: Mask, coverage: float) -> tuple[float, float]:
    """What holds the rings with a wrong link of their own, and what the others."""
    return find_width(misses[is_hit], coverage), find_width(misses[~is_hit], coverage)


def find_width(misses: Floats, coverage: float) -> float:
    """The least width that holds one more such miss with the probability `coverage`; the largest of them
    where they are too few to say, 0 where there are none.
    """
    if not len(misses):
        return 0.0
    rank = min(ceil((len(misses) + 1) * coverage), len(misses))
    return float(np.partition(misses, rank - 1)[rank - 1])
