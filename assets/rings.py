"""Fraud rings: every entity scored, the risky cores named, alerts raised."""

from collections.abc import Iterator
from typing import Any

import dagster as dg
import pyarrow as pa

from assets.groups import RINGS, out, tables_in
from assets.metadata import described, drawing, picture, rows_as_markdown, score, table_as_markdown
from resources.bindings import SourceResource
from terag_pipelines.calibration.fit import load_calibrator
from terag_pipelines.rings.alerts import raise_alerts
from terag_pipelines.rings.detection import score_rings
from terag_pipelines.rings.drawing import draw_ring
from terag_pipelines.rings.lineage import largest_changes, take_ids, trace_rings
from terag_pipelines.rings.naming import NamedRings, NamingParams, name_projected
from terag_pipelines.rings.pictures import draw_risk_histogram
from terag_pipelines.rings.projection import project_entities
from terag_pipelines.rings.quality import RingQuality, ScoreQuality, judge_detection, judge_risk
from terag_pipelines.rings.ring_features import measure_rings
from terag_pipelines.rings.scenes import look_at_rings
from terag_pipelines.rings.timelines import draw_timeline
from terag_pipelines.rings.windows import place_windows, read_rings, say_windows
from terag_pipelines.tables import count_by

INPUTS = (
    "entity_records",
    "entities",
    "entity_members",
    "accounts",
    "transfers",
    "party_events",
    "relationships",
    "labels",
    "ring_windows",
)
N_DRAWN = 3
N_CHANGES = 10


@dg.asset(**RINGS)
def ring_windows(source: SourceResource, transfers: pa.Table, party_events: pa.Table) -> dg.Output[pa.Table]:
    """The part of time in which rings are sought, as the manifest says."""
    timed = {"transfers": transfers, "party_events": party_events}
    windows = place_windows(timed, read_rings(source.open().manifest()))
    return dg.Output(windows, metadata=described(note=say_windows(windows)))


@dg.asset(**RINGS, ins=tables_in(*INPUTS))
def ring_scores(source: SourceResource, **tables: pa.Table) -> dg.Output[pa.Table]:
    """How suspicious each entity is, by what it shares, moves and belongs to, with reasons."""
    detection = score_rings(tables, earlier=source.registry().earlier_rings())
    metadata = {
        "report": rows_as_markdown([detection.report]),
        "picture": picture(draw_risk_histogram(detection.scores)),
    }
    return dg.Output(detection.scores, metadata=metadata)


@dg.multi_asset(
    outs={
        "fraud_rings": out(RINGS, "Rings: what binds them, how risky they are, why, and what is at stake."),
        "ring_members": out(RINGS, "Who is in which ring, in which role, with which amounts."),
        "ring_features": out(RINGS, "What describes each ring: shape, money, what is shared, who is near."),
        "ring_events": out(
            RINGS,
            "What became of the rings of the source's last batch: born, grown, merged, split, died.",
        ),
        "ring_history": out(RINGS, "The events of rings in the last batches."),
        "ring_traces": out(RINGS, "Who was in each ring when it was last there: the next batch tells by it."),
    },
    ins=tables_in("ring_scores", "ring_calibrators", "entity_changes", *INPUTS),
)
def named_rings(
    source: SourceResource,
    ring_scores: pa.Table,
    ring_calibrators: pa.Table,
    entity_changes: pa.Table,
    **tables: pa.Table,
) -> Iterator[dg.Output[pa.Table]]:
    """Takes the risky cores out of communities, gives each a kind and a risk, and the id that it keeps."""
    params = NamingParams()
    graph = project_entities(tables, params.projection)
    born = name_projected(ring_scores, graph, load_calibrator(ring_calibrators, "rings"), params)
    lineage = trace_rings(born.members, source.batch_id(), source.registry().earlier_rings(), entity_changes)
    named = take_ids(born, lineage.ids)
    risk = judge_risk(named.rings, named.members, tables)
    told = tell_quality(judge_detection(ring_scores, named.members, tables), risk)
    metadata = draw_riskiest(named, tables) | told | described(why_empty=named.why_none or None)
    yield dg.Output(named.rings, "fraud_rings", metadata=metadata)
    yield dg.Output(named.members, "ring_members")
    yield dg.Output(measure_rings(named.members, graph, tables), "ring_features")
    yield dg.Output(lineage.events, "ring_events", metadata=tell_events(lineage.events))
    yield dg.Output(lineage.history, "ring_history")
    yield dg.Output(lineage.traces, "ring_traces")


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


def tell_events(events: pa.Table) -> dict[str, Any]:
    """How many rings fared how, and those whose members changed most."""
    return {
        "events": table_as_markdown(count_by(events, "event")),
        "largest_changes": table_as_markdown(largest_changes(events, N_CHANGES)),
    }


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
