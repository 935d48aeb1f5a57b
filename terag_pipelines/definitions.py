"""Composition root for Dagster: the code location that workspace.yaml names."""

import os

import dagster as dg

from assets import (
    alerts,
    billing,
    calibration,
    checks,
    graph,
    graph_checks,
    graph_health,
    ingestion,
    jobs,
    linking,
    promotion,
    reviews,
    ring_cases,
    rings,
    tuning,
    twins,
)
from resources.bindings import (
    AlertResource,
    BillingResource,
    GraphResource,
    LakeIOManager,
    LakeResource,
    PrinterResource,
    ReviewResource,
    SourceResource,
)

# Learners here run on one thread each. joblib, asked by scikit-learn, would else count the processor's cores,
# and print a trace where /sys is not mounted.
os.environ.setdefault("LOKY_MAX_CPU_COUNT", "1")

SOURCE = SourceResource.configure_at_launch()
LAKE = LakeResource()

defs = dg.Definitions(
    assets=dg.load_assets_from_modules(
        [
            reviews,
            ingestion,
            linking,
            graph,
            rings,
            ring_cases,
            calibration,
            twins,
            promotion,
            alerts,
            tuning,
            graph_health,
            billing,
        ]
    ),
    asset_checks=dg.load_asset_checks_from_modules([checks, graph_checks]),
    jobs=jobs.JOBS,
    schedules=jobs.SCHEDULES,
    sensors=[jobs.new_source_sensor, jobs.alert_sender_sensor],
    resources={
        "source": SOURCE,
        "lake": LAKE,
        "io_manager": LakeIOManager(source=SOURCE, lake=LAKE),
        "graph": GraphResource(),
        "billing": BillingResource(),
        "reviews": ReviewResource(),
        "alerts": AlertResource(),
        "printer": PrinterResource(),
    },
    executor=dg.in_process_executor,
)
