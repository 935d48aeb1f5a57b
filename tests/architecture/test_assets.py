"""Every asset can be found, understood and stored: group, owner, kinds, description, and a declared table."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest

from resources.table_registry import TABLES
from terag_pipelines.definitions import defs

ROOT = Path(__file__).parents[2]
SPECS = sorted(defs.resolve_all_asset_specs(), key=lambda spec: spec.key)


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.key.to_user_string())
def test_an_asset_says_what_it_is(spec: dg.AssetSpec) -> None:
    assert spec.group_name
    assert spec.group_name != "default"
    assert spec.owners
    assert spec.kinds
    assert spec.description
    assert spec.freshness_policy


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.key.to_user_string())
def test_an_asset_is_a_declared_table(spec: dg.AssetSpec) -> None:
    name = spec.key.path[-1]
    assert name == "promoted_batch" or TABLES[name].name == name


def test_the_assets_of_the_design_are_there() -> None:
    wanted = {
        "entity_records",
        "candidate_pairs",
        "pair_scores",
        "links",
        "entities",
        "graph_load",
        "index_trials",
        "ring_scores",
        "fraud_rings",
        "ring_alerts",
        "calibrators",
        "client_twins",
        "invoices",
    }
    assert wanted <= {spec.key.path[-1] for spec in SPECS}


def test_definitions_load_with_an_empty_environment(tmp_path: Path) -> None:
    code = "from terag_pipelines.definitions import defs; dg = defs.resolve_asset_graph(); print('loaded')"
    bare = {"PATH": os.defpath, "HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=bare, capture_output=True, text=True, check=False
    )
    assert done.stdout.strip() == "loaded", done.stderr


def test_schedules_run_in_the_users_time_zone() -> None:
    repository = defs.get_repository_def()
    assert {s.execution_timezone for s in repository.schedule_defs} == {"Asia/Almaty"}
    assert {s.name for s in repository.schedule_defs} == {"nightly_refresh", "invoicing_on_the_second"}


def test_the_jobs_are_there() -> None:
    assert {"full_refresh", "monthly_invoicing"} <= {job.name for job in defs.resolve_all_job_defs()}
