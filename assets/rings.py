"""Fraud rings: every entity scored, the risky cores named, alerts raised."""

from typing import Any

import dagster as dg
import pyarrow as pa

from assets.groups import RINGS, out, tables_in
from assets.metadata import described, drawing, picture, rows_as_markdown, score
from terag_pipelines.calibration.fit import load_calibrator
from terag_pipelines.rings.alerts import raise_alerts
from terag_pipelines.rings.detection import score_rings
from terag_pipelines.rings.drawing import draw_ring
from terag_pipelines.rings.naming import NamedRings, name_rings
from terag_pipelines.rings.pictures import draw_risk_histogram
from terag_pipelines.rings.quality import RingQuality, ScoreQuality, judge_detection, judge_risk
from terag_pipelines.rings.scenes import look_at_rings
from terag_pipelines.rings.timelines import draw_timeline

INPUTS = (
    "entity_records",
    "entities",
    "entity_members",
    "accounts",
    "transfers",
    "party_events",
    "relationships",
    "labels",
)
N_DRAWN = 3


@dg.asset(**RINGS, ins=tables_in(*INPUTS))
def ring_scores(**tables: pa.Table) -> dg.Output[pa.Table]:
    """How suspicious each entity is, by what it shares, moves and belongs to, with reasons."""
    detection = score_rings(tables)
    metadata = {
        "report": rows_as_markdown([detection.report]),
        "picture": picture(draw_risk_histogram(detection.scores)),
    }
    return dg.Output(detection.scores, metadata=metadata)


@dg.multi_asset(
    outs={
        "fraud_rings": out(RINGS, "Rings: what binds them, how risky they are, why, and what is at stake."),
        "ring_members": out(RINGS, "Who is in which ring, in which role, with which amounts."),
    },
    ins=tables_in("ring_scores", "ring_calibrators", *INPUTS),
)
def named_rings(
    ring_scores: pa.Table, ring_calibrators: pa.Table, **tables: pa.Table
) -> tuple[dg.Output[pa.Table], dg.Output[pa.Table]]:
    """Takes the risky cores out of communities and gives each a name, a kind and a risk."""
    named = name_rings(ring_scores, tables, load_calibrator(ring_calibrators, "rings"))
    risk = judge_risk(named.rings, named.members, tables)
    told = tell_quality(judge_detection(ring_scores, named.members, tables), risk)
    metadata = draw_riskiest(named, tables) | told | described(why_empty=named.why_none or None)
    return dg.Output(named.rings, metadata=metadata), dg.Output(named.members)


@dg.asset(**RINGS)
def ring_alerts(fraud_rings: pa.Table) -> pa.Table:
    """What a person should look at now, by rule, with the runbook that says how."""
    return raise_alerts(fraud_rings)


def draw_riskiest(named: NamedRings, tables: dict[str, pa.Table]) -> dict[str, Any]:
    """A drawing and a timeline of each of the riskiest rings, under the ring's id; members by entity id."""
    order = [("risk_score", "descending"), ("ring_id", "ascending")]
    riskiest = named.rings.sort_by(order)["ring_id"].to_pylist()[:N_DRAWN]
    scenes = look_at_rings(riskiest, named.rings, named.members, tables)
    return {one.ring["ring_id"]: drawing(draw_ring(one), draw_timeline(one)) for one in scenes}


def tell_quality(quality: RingQuality, risk: tuple[float, float] | None = None) -> dict[str, Any]:
    """Figures against the truth, with simpler methods beside them; nothing where the truth is not known."""
    told = [_tell("entities", quality.scores)] if quality.scores else []
    told += [_tell(f"  beside, {name.replace('_', ' ')}", one) for name, one in quality.baselines.items()]
    if quality.recovery:
        found = f"{quality.recovery.n_found} of {quality.recovery.n_planted} planted rings found"
        told.append(f"{found}, mean overlap {quality.recovery.mean_overlap:.2f}")
    told += [f"rings: mean risk {risk[0]:.2f}, true share of fraud {risk[1]:.2f}"] if risk else []
    return {"score": score("\n".join(told))} if told else {}


def _tell(what: str, quality: ScoreQuality) -> str:
    at_half = f"F1 {quality.f1:.3f}" if quality.f1 else "F1 -"
    figures = f"average precision {quality.average_precision:.3f}, P@100 {quality.precision_at_100:.2f}"
    return f"{what}: {figures}, {at_half}"
