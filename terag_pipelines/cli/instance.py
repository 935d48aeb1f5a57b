"""The persistent Dagster instance under TERAG_HOME: its folder, its settings, telemetry off."""

from __future__ import annotations

import os
from pathlib import Path

import dagster as dg

from resources.owner_files import make_owner_folder

INSTANCE_SETTINGS = """\
telemetry:
  enabled: false
nux:
  enabled: false
run_coordinator:
  module: dagster.core.run_coordinator
  class: QueuedRunCoordinator
concurrency:
  runs:
    max_concurrent_runs: 1
"""


def prepare_instance(folder: Path) -> None:
    """Makes the folder a Dagster home, and this process and its children use it."""
    settings_file = make_owner_folder(folder) / "dagster.yaml"
    if not settings_file.exists():
        settings_file.write_text(INSTANCE_SETTINGS)
    os.environ["DAGSTER_HOME"] = str(folder)


def open_instance(folder: Path) -> dg.DagsterInstance:
    """The instance that keeps runs, lineage and pictures."""
    prepare_instance(folder)
    return dg.DagsterInstance.get()
