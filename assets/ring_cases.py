"""What an analyst asks of a ring next: how sure it is, and what a block would stop."""

from functools import partial
from typing import Any

import dagster as dg
import pyarrow as pa

from assets.groups import RINGS, out, tables_in
from assets.metadata import described, table_as_markdown
from resources.bindings import SourceResource
from terag_pipelines.calibration.fit import load_calibrator
from terag_pipelines.linking.decisions import hold_decisions
from terag_pipelines.rings.doubt import doubt_rings
from terag_pipelines.rings.doubt_words import list_fragile, say_doubts
from terag_pipelines.rings.doubt_worlds import find_rings, widen_doubts
from terag_pipelines.rings.interdiction import plan_interdictions
from terag_pipelines.rings.interdiction_words import say_interdictions

TABLES = ("entity_records", "entity_members", "accounts", "transfers", "relationships", "ring_windows")
SCORED = (*TABLES, "party_events", "labels")
N_SHOWN = 10


@dg.multi_asset(
    outs={
        "ring_doubt": out(
            RINGS, "How sure each ring is: size and risk as intervals, and the link that it hangs on."
        ),
        "ring_member_doubt": out(RINGS, "How sure each membership in a ring is."),
    },
    ins=tables_in("fraud_rings", "ring_members", "ring_calibrators", "links", "pair_decisions", *SCORED),
)
def doubted_rings(
    source: SourceResource,
    fraud_rings: pa.Table,
    ring_members: pa.Table,
    ring_calibrators: pa.Table,
    links: pa.Table,
    pair_decisions: pa.Table,
    **tables: pa.Table,
) -> tuple[dg.Output[pa.Table], dg.Output[pa.Table]]:
    """Draws the uncertain links between records of members again and again, each by its probability, and
    widens the intervals by what becomes of rings where those of the whole bank are, and it is scored anew.
    """
    held = hold_decisions(pair_decisions, tables["entity_records"]).table
    calibrator = load_calibrator(ring_calibrators, "rings")
    drawn = doubt_rings(fraud_rings, ring_members, tables, links, held, calibrator)
    rescore = partial(find_rings, calibrator=calibrator, earlier=source.registry().earlier_rings())
    doubted = widen_doubts(drawn, ring_members, tables, links, rescore, held)
    most_fragile = table_as_markdown(list_fragile(doubted.rings, N_SHOWN))
    metadata = described(note=say_doubts(doubted.rings), most_fragile=most_fragile)
    return dg.Output(doubted.rings, metadata=metadata), dg.Output(doubted.members)


@dg.asset(**RINGS, ins=tables_in("fraud_rings", "ring_members", *TABLES))
def ring_interdictions(
    fraud_rings: pa.Table, ring_members: pa.Table, **tables: pa.Table
) -> dg.Output[pa.Table]:
    """The fewest accounts whose block stops most of a ring's money, and the innocent money that stops too."""
    planned = plan_interdictions(fraud_rings, ring_members, tables)
    metadata: dict[str, Any] = described(
        note=say_interdictions(planned, fraud_rings.num_rows),
        first=table_as_markdown(planned.slice(0, N_SHOWN)),
    )
    return dg.Output(planned, metadata=metadata)
