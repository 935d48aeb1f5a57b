"""What a change would do to a client: average effects, each client's own, or the refusal."""

import dagster as dg
import pyarrow as pa

from assets.groups import TWINS, out
from assets.metadata import described, picture, score
from resources.bindings import SourceResource
from terag_pipelines.twin.fit import fit_twins
from terag_pipelines.twin.pictures import draw_client_effects, draw_effects
from terag_pipelines.twin.quality import describe_quality
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
    told = describe_quality(fit.effects, labels)
    effects = described(picture=picture(draw_effects(fit.effects)), score=score(told) if told else None)
    return (
        dg.Output(fit.effects, metadata=effects),
        dg.Output(fit.twins, metadata={"picture": picture(draw_client_effects(fit.twins))}),
    )
