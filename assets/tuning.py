"""Indexes that the graph's own slow queries ask for."""

import dagster as dg
import pyarrow as pa

from assets.groups import GRAPH
from assets.metadata import described, picture
from assets.promotion import promoted_batch
from resources.bindings import GraphResource
from resources.query_recorder import utc_now
from terag_pipelines.tuning.autopilot import Autopilot
from terag_pipelines.tuning.history import told_decisions
from terag_pipelines.tuning.pictures import draw_trials
from terag_pipelines.tuning.policy import TuningParams, TuningPolicy
from terag_pipelines.tuning.workload import analyst_workload


class TuningConfig(dg.Config):
    """What tuning may do; `low_load_hours`: first hour and the one after the last, none for any time."""

    may_change: bool = True
    low_load_hours: list[int] = []  # noqa: RUF012 - a field of a Dagster config
    time_zone: str = "Asia/Almaty"
    max_trials: int = TuningParams.max_trials
    max_indexes: int = TuningPolicy.max_indexes
    unused_days: int = TuningPolicy.unused_days
    retry_days: int = TuningPolicy.retry_days

    def policy(self) -> TuningPolicy:
        """Raises: ValueError for hours that no day has."""
        hours = (self.low_load_hours[0], self.low_load_hours[1]) if self.low_load_hours else None
        return TuningPolicy(
            self.may_change, hours, self.time_zone, self.max_indexes, self.unused_days, self.retry_days
        )


@dg.asset(**GRAPH, deps=[promoted_batch])
def index_trials(
    config: TuningConfig, graph: GraphResource, entities: pa.Table, accounts: pa.Table, transfers: pa.Table
) -> dg.Output[pa.Table]:
    """Indexes advised by slow queries, each tried and kept only where measurement says that it pays."""
    workload = analyst_workload({"entities": entities, "accounts": accounts, "transfers": transfers})
    with graph.open() as store, graph.tuning_log() as log:
        pilot = Autopilot(TuningParams(max_trials=config.max_trials), config.policy(), log)
        tuned = pilot.run(store, workload, utc_now(), graph.past_queries(), graph.past_calls())
    note = "\n".join(told_decisions(tuned.trials))
    metadata = described(note=note, picture=picture(draw_trials(tuned.trials)))
    return dg.Output(tuned.trials, metadata=metadata)
