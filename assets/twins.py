"""What a change would do to a client: average effects, each client's own, or the refusal."""

from typing import Any

import dagster as dg
import pyarrow as pa

from assets.groups import TWINS, out
from assets.metadata import described, picture, score
from resources.bindings import SourceResource
from terag_pipelines.twin.fit import fit_twins
from terag_pipelines.twin.pictures import draw_client_effects, draw_effects
from terag_pipelines.twin.quality import EffectQuality, effect_quality
from terag_pipelines.twin.spec import TwinSpec


@dg.multi_asset(
    outs={
        "twin_effects": out(TWINS, "Each causal question: identified, estimated, refuted; or why not."),
        "client_twins": out(TWINS, "Each client's own effect with its interval, or why it cannot be said."),
    }
)
def fitted_twins(
    source: SourceResource, client_panel: pa.Table, labels: pa.Table
) -> tuple[dg.Output[pa.Table], dg.Output[pa.Table]]:
    """Identifies, estimates and refutes each question of the manifest over the client panel."""
    fit = fit_twins(client_panel, TwinSpec.from_manifest(source.open().manifest().twin))
    told = tell_effects(fit.effects) + tell_quality(effect_quality(fit.effects, fit.twins, labels))
    effects = described(
        why_empty=fit.reason or None,
        picture=picture(draw_effects(fit.effects)) if fit.effects.num_rows else None,
        score=score("\n".join(told)) if told else None,
    )
    return dg.Output(fit.effects, metadata=effects), dg.Output(fit.twins, metadata=draw_clients(fit.twins))


def draw_clients(twins: pa.Table) -> dict[str, Any]:
    """For each question, a picture of how its effect spreads over clients."""
    questions = twins.group_by(["treatment", "outcome"]).aggregate([]).to_pylist()
    asked = sorted((row["treatment"], row["outcome"]) for row in questions)
    return {f"{t}_on_{o}": picture(draw_client_effects(twins, t, o)) for t, o in asked}


def tell_effects(effects: pa.Table) -> list[str]:
    """Each question with its answer and interval, or the refusal."""
    return [_tell_effect(row) for row in effects.to_pylist()]


def tell_quality(quality: EffectQuality) -> list[str]:
    """How the answers stand against the truth; nothing where the truth is not known."""
    if not quality.n_effects:
        return []
    average = f"{quality.n_effects} true effects, {quality.covered_share:.0%} inside their interval"
    clients = f"{quality.n_clients:,} clients' own, {quality.client_covered_share:.0%} inside"
    return [f"{average}; {clients}"]


def _tell_effect(row: dict[str, Any]) -> str:
    question = f"{row['treatment']} on {row['outcome']}"
    if not row["is_answerable"]:
        return f"{question}: refused, {row['reason']}"
    interval = f"[{row['effect_low']:.3g}, {row['effect_high']:.3g}]"
    return f"{question}: {row['effect']:.3g} {interval}, naive {row['naive_difference']:.3g}"
