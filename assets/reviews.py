"""What people decided, and what they are asked to look at next."""

import dagster as dg
import pyarrow as pa

from assets.groups import REVIEW
from assets.metadata import described, rows_as_markdown, table_as_markdown
from resources.bindings import LakeResource, ReviewResource, SourceResource
from terag_pipelines.calibration.fit import load_calibrator
from terag_pipelines.linking.decisions import hold_decisions, standing_decisions
from terag_pipelines.linking.reviews import LinkedTables, queue_reviews
from terag_pipelines.rings.doubt import list_stakes

SHOWN = ["rank", "left_id", "right_id", "question", "link_probability", "impact", "reason"]
N_SHOWN = 10


@dg.asset(**REVIEW)
def pair_decisions(
    reviews: ReviewResource, lake: LakeResource, source: SourceResource
) -> dg.Output[pa.Table]:
    """The decision that stands on each pair. They are part of the batch's name: it keeps them to its end."""
    with reviews.open() as log:
        decided = standing_decisions(log.entries())
    lake.put_in_force(decided)
    source.registry().begin(source.settled_digest())
    n_matches = sum(decided["is_match"].to_pylist())
    note = f"{decided.num_rows:,} pairs decided: {n_matches:,} the same, {decided.num_rows - n_matches:,} not"
    return dg.Output(decided, metadata={"note": note} if decided.num_rows else {})


@dg.asset(**REVIEW)
def review_queue(
    entity_records: pa.Table,
    pair_scores: pa.Table,
    link_model: pa.Table,
    links: pa.Table,
    entity_members: pa.Table,
    pair_decisions: pa.Table,
    link_calibrators: pa.Table,
    fraud_rings: pa.Table,
    ring_doubt: pa.Table,
) -> dg.Output[pa.Table]:
    """The pairs most worth a person's look: links without which a ring falls apart, then by how uncertain
    they are, times how much hangs on them."""
    linked = LinkedTables(entity_records, pair_scores, link_model, links, entity_members)
    held = hold_decisions(pair_decisions, entity_records)
    calibrator, stakes = load_calibrator(link_calibrators, "links"), list_stakes(fraud_rings, ring_doubt)
    queue = queue_reviews(linked, held.table, calibrator, stakes=stakes)
    first = queue.table.sort_by("rank").select(SHOWN).slice(0, N_SHOWN)
    n_worth = sum(count.n_worth_a_look for count in queue.counts)
    note = f"{n_worth:,} pairs are worth a person's look, {queue.table.num_rows:,} are in the queue"
    metadata = described(
        note=note,
        questions=rows_as_markdown(queue.counts),
        first=table_as_markdown(first),
        decisions=str(held),
    )
    return dg.Output(queue.table, metadata=metadata)
