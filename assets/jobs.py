"""What is run, when, and what sets it off."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg

from assets.alerts import tell_sent
from assets.partitions import MONTHS, TIME_ZONE
from resources.alert_senders import has_senders
from resources.bindings import AlertResource, SourceResource, settings
from resources.settings import load_settings
from terag_pipelines.errors import ConfigurationError, SourceError

MONTHLY_BILLING = dg.AssetSelection.groups("billing")

full_refresh = dg.define_asset_job(
    "full_refresh",
    selection=dg.AssetSelection.all() - MONTHLY_BILLING,
    description="Everything from the source to the promoted batch: records, links, graph, rings, twins.",
)

monthly_invoicing = dg.define_asset_job(
    "monthly_invoicing",
    selection=MONTHLY_BILLING,
    partitions_def=MONTHS,
    description="One month's usage, rated, invoiced and printed.",
)

JOBS = [full_refresh, monthly_invoicing]

nightly_refresh = dg.ScheduleDefinition(
    name="nightly_refresh", job=full_refresh, cron_schedule="30 2 * * *", execution_timezone=TIME_ZONE
)

invoicing_on_the_second = dg.build_schedule_from_partitioned_job(
    monthly_invoicing, name="invoicing_on_the_second", day_of_month=2, hour_of_day=6, minute_of_hour=0
)

SCHEDULES = [nightly_refresh, invoicing_on_the_second]


@dg.sensor(job=full_refresh, minimum_interval_seconds=60)
def new_source_sensor(context: dg.SensorEvaluationContext) -> Iterator[dg.RunRequest | dg.SkipReason]:
    """Starts a refresh for each folder under <home>/sources whose content has not been run yet.

    A folder that cannot be read yet (a file is missing, say) does not keep the others waiting.
    """
    manifests = sorted((settings().home / "sources").glob("*/source.yaml"))
    if not manifests:
        yield dg.SkipReason(f"no folder with a source.yaml under {settings().home / 'sources'}")
    for folder in (manifest.parent for manifest in manifests):
        try:
            version = SourceResource(folder=str(folder)).version()
        except SourceError as error:
            context.log.warning("the source %s is left out: %s", folder.name, error)
        else:
            yield dg.RunRequest(run_key=f"{folder.name}:{version}", run_config=run_config(folder, None))


TICK_BUDGET_S = 12.0
"""For each sender: Dagster gives a tick a minute. What it does not come to waits for the next one."""


def status_of_sending() -> dg.DefaultSensorStatus:
    """Running where a sender is configured. Settings that are wrong are for the ticks to tell."""
    try:
        is_wanted = has_senders(load_settings())
    except ConfigurationError:
        is_wanted = False
    return dg.DefaultSensorStatus.RUNNING if is_wanted else dg.DefaultSensorStatus.STOPPED


@dg.sensor(minimum_interval_seconds=60, default_status=status_of_sending())
def alert_sender_sensor(context: dg.SensorEvaluationContext, alerts: AlertResource) -> dg.SkipReason:
    """Sends messages that wait and escalations that are due; no run is started, so none holds it up."""
    if not has_senders(settings()):
        return dg.SkipReason(tell_sent([]))
    with alerts.open() as queue:
        told = tell_sent(alerts.send(queue, TICK_BUDGET_S))
    context.log.info(told)
    return dg.SkipReason(told)


def run_config(folder: Path, root: Path | None) -> dict[str, Any]:
    """Run configuration that points a run at a source folder."""
    config = {"folder": str(folder)} | ({"root": str(root)} if root else {})
    return {"resources": {"source": {"config": config}}}
