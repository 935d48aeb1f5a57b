"""From scores to named rings: the risky core of a community, what binds it, who does what in it."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from terag_pipelines.calibration.fit import FittedCalibrator
from terag_pipelines.rings.model import FRAUD_RINGS, RING_MEMBERS
from terag_pipelines.rings.nodes import Tables
from terag_pipelines.rings.portraits import Core, portray_rings
from terag_pipelines.rings.projection import Projection, ProjectionParams, pair_relays, project_entities
from terag_pipelines.rings.trails import CycleParams
from terag_pipelines.tables import as_frame

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class NamingParams:
    """Who is in a ring: a score of `member_threshold` or more, and ties to other such members of the
    community.

    The payers and the payee of a levy that chance would bring about less than once in 10 ** `levy_decades`
    are a ring of their own, in whichever communities they live.

    A ring has at least `min_members`; the mean risk of its members (probability where calibrated, else
    score) sets its severity by `severities`, each with its least risk, and someone on a watchlist raises it
    by one.
    """

    projection: ProjectionParams = field(default_factory=ProjectionParams)
    cycles: CycleParams = field(default_factory=CycleParams)
    member_threshold: float = 0.5
    follower_share: float = 0.8
    min_members: int = 3
    levy_decades: float = 6.0
    pass_through_days: float = 3.0
    severities: tuple[tuple[str, float], ...] = (
        ("low", 0.0),
        ("medium", 0.5),
        ("high", 0.7),
        ("critical", 0.9),
    )


@dataclass(frozen=True)
class NamedRings:
    """FRAUD_RINGS, and RING_MEMBERS of the same rings; `why_none` says why there are none."""

    rings: pa.Table
    members: pa.Table
    why_none: str = ""


def name_rings(
    ring_scores: pa.Table,
    tables: Tables,
    calibrator: FittedCalibrator | None = None,
    params: NamingParams | None = None,
) -> NamedRings:
    """The rings of a batch, from its RING_SCORES and the tables they were made from.

    With a calibrator a ring's risk_probability is the mean calibrated probability of its members; without one
    it is null. The id of a ring depends on its members alone.
    """
    chosen = params or NamingParams()
    return name_projected(ring_scores, project_entities(tables, chosen.projection), calibrator, chosen)


def name_projected(
    ring_scores: pa.Table,
    projection: Projection,
    calibrator: FittedCalibrator | None,
    params: NamingParams,
) -> NamedRings:
    """As name_rings, over a graph that was made before."""
    scored = _place_scores(ring_scores, projection, calibrator)
    core = find_cores(scored, projection, params)
    if not len(core.members):
        return NamedRings(FRAUD_RINGS.empty(), RING_MEMBERS.empty(), _why_none(projection, params))
    most = params.projection.max_identifier_holders
    portraits = portray_rings(core, projection, params.cycles, params.pass_through_days, most)
    return NamedRings(_rings_table(portraits.rings, params), _members_table(portraits.members))


def _why_none(projection: Projection, params: NamingParams) -> str:
    if not projection.edges.height:
        return "nothing ties entities: they neither share an identifier nor pay each other"
    return f"no {params.min_members} entities tied to each other score {params.member_threshold:g} or more"


def _place_scores(
    ring_scores: pa.Table, projection: Projection, calibrator: FittedCalibrator | None
) -> pl.DataFrame:
    """node, entity_id, is_watchlist, community_id, score, probability (null without a calibrator), in node
    order.
    """
    given = as_frame(ring_scores, ["entity_id", "community_id", "score"])
    probability = None if calibrator is None else calibrator.apply(given["score"].to_numpy())
    given = given.with_columns(
        probability=pl.Series(probability, dtype=pl.Float64)
        if probability is not None
        else pl.lit(None, pl.Float64)
    )
    return projection.index.nodes.join(given, on="entity_id", how="left", maintain_order="left").with_columns(
        pl.col("score").fill_null(0.0)
    )


def find_cores(scored: pl.DataFrame, projection: Projection, params: NamingParams) -> Core:
    """The connected groups of risky entities of one community or levy, numbered by their smallest node."""
    risk = scored.select(pl.coalesce("probability", "score")).to_series().to_numpy()
    is_seed = risk >= params.member_threshold
    followed = find_suspicious_ties(projection)
    ties = [_within_community(pairs, scored) for pairs in (projection.edges, followed)]
    any_tie, suspicious = (pairs.select("left", "right").to_numpy() for pairs in ties)
    reached = np.zeros(len(risk), dtype=bool)
    for near, far in ((0, 1), (1, 0)):
        reached[suspicious[is_seed[suspicious[:, near]], far]] = True
    is_member = is_seed | (reached & (risk >= params.follower_share * params.member_threshold))
    levy, levied = find_levy_members(projection, is_member, params.levy_decades)
    kept = np.concatenate([any_tie, levied])
    kept = kept[is_member[kept].all(axis=1) & (levy[kept[:, 0]] == levy[kept[:, 1]])]
    graph = coo_matrix((np.ones(len(kept)), (kept[:, 0], kept[:, 1])), shape=(len(risk), len(risk)))
    group = connected_components(graph, directed=False)[1] if len(risk) else np.empty(0, dtype=np.int64)
    members = scored.with_columns(group=pl.Series(group, dtype=pl.Int64)).filter(
        pl.Series(is_member, dtype=pl.Boolean)
    )
    members = members.filter(pl.len().over("group") >= params.min_members)
    numbered = members.with_columns(ring=pl.col("node").min().over("group").rank("dense").cast(pl.Int64) - 1)
    return Core(numbered.drop("group").sort("ring", "entity_id"))


def find_levy_members(projection: Projection, is_member: Mask, min_decades: float) -> tuple[Ints, Ints]:
    """Per node the payee of the least likely levy it takes part in, -1 without one; and payee, payer of each
    such levy. Those who are no members have no part in any.
    """
    levies = projection.levies.filter(pl.col("decades") >= min_decades)
    pairs = levies.select("payee", "payer").to_numpy()
    levies = levies.filter(pl.Series(is_member[pairs].all(axis=1), dtype=pl.Boolean))
    ends = pl.concat([levies.select("payee", "decades", node=side) for side in ("payee", "payer")])
    rarest = ends.sort(["node", "decades", "payee"], descending=[False, True, False]).unique(
        "node", keep="first", maintain_order=True
    )
    payee = np.full(len(is_member), -1, dtype=np.int64)
    payee[rarest["node"].to_numpy()] = rarest["payee"].to_numpy()
    return payee, levies.select("payee", "payer").to_numpy()


def find_suspicious_ties(projection: Projection) -> pl.DataFrame:
    """left < right of every pair that shares an identifier other than an address or IP, or relays money, no
    hub.
    """
    shared = projection.shared.filter(~pl.col("kind").is_in(["address", "ip"])).select("left", "right")
    return pl.concat([shared, pair_relays(projection).select("left", "right")]).unique().sort("left", "right")


def _within_community(pairs: pl.DataFrame, scored: pl.DataFrame) -> pl.DataFrame:
    community = scored["community_id"]
    return pairs.filter(community.gather(pairs["left"]) == community.gather(pairs["right"]))


def _rings_table(rings: pl.DataFrame, params: NamingParams) -> pa.Table:
    risk = pl.coalesce("risk_probability", "risk_score")
    names = [name for name, _ in params.severities]
    step = pl.sum_horizontal((risk >= least).cast(pl.Int64) for _, least in params.severities[1:])
    raised = pl.min_horizontal(step + (pl.col("n_watchlist") > 0).cast(pl.Int64), pl.lit(len(names) - 1))
    named = rings.with_columns(
        severity=raised.replace_strict(dict(enumerate(names)), return_dtype=pl.String),
        is_calibrated=pl.col("risk_probability").is_not_null(),
    )
    return FRAUD_RINGS.from_columns(**{name: named[name].to_arrow() for name in FRAUD_RINGS.schema.names})


def _members_table(members: pl.DataFrame) -> pa.Table:
    return RING_MEMBERS.from_columns(**{name: members[name].to_arrow() for name in RING_MEMBERS.schema.names})
