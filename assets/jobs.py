"""What is run, when, and what sets it off."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg

from assets.partitions import MONTHS, TIME_ZONE
from resources.bindings import SourceResource, settings
from terag_pipelines.errors import SourceError

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


def run_config(folder: Path, root: Path | None) -> dict[str, Any]:
    """Run configuration that points a run at a source folder."""
    config = {"folder": str(folder)} | ({"root": str(root)} if root else {})
    return {"resources": {"source": {"config": config}}}
