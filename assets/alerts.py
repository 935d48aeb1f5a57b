"""What people are told of rings: findings become alerts in the queue once their batch is served."""

from collections.abc import Sequence

import dagster as dg
import pyarrow as pa

from assets.groups import ALERTS
from assets.metadata import described, table_as_markdown
from assets.promotion import promoted_batch
from resources.bindings import AlertResource
from terag_pipelines.rings.alert_lineage import read_fates
from terag_pipelines.rings.alert_model import LIVE_STATES, read_findings, tabulate_alerts
from terag_pipelines.rings.alert_sending import Sent

RUN_BUDGET_S = 20.0
N_SHOWN = 10


@dg.asset(**ALERTS, deps=[promoted_batch])
def alert_queue(
    alerts: AlertResource, fraud_rings: pa.Table, ring_alerts: pa.Table, ring_history: pa.Table
) -> dg.Output[pa.Table]:
    """The alerts that wait for somebody: what is new in this batch was told once."""
    findings, fates = read_findings(fraud_rings, ring_alerts), read_fates(ring_history)
    with alerts.open() as queue:
        n_messages = alerts.offer(queue, findings, fates)
        sent = alerts.send(queue, RUN_BUDGET_S)
        live = tabulate_alerts(queue.in_states(LIVE_STATES))
    first = table_as_markdown(live.sort_by([("opened_at", "descending")]).slice(0, N_SHOWN))
    note = f"{live.num_rows:,} alerts wait, {n_messages:,} new messages; {tell_sent(sent)}"
    return dg.Output(live, metadata=described(note=note, first=first))


def tell_sent(sent: Sequence[Sent]) -> str:
    """What became of the messages, for the run's summary."""
    lines = [f"{one.channel}: {one.n_sent:,} sent" + _tell_left(one) for one in sent]
    return ", ".join(lines) or "no sender is configured: messages wait in the queue (docs/how-to/alerts.md)"


def _tell_left(sent: Sent) -> str:
    why = f" ({sent.why})" if sent.why else ""
    return f", {sent.n_pending:,} wait{why}" if sent.n_pending else ""
