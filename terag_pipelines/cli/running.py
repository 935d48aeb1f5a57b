"""Runs the Dagster jobs in this process and collects what each asset reported."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import dagster as dg
from dagster_shared.error import SerializableErrorInfo

from terag_pipelines import errors

QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
POLL_SECONDS = 0.3
NAMED_ERRORS = {name for name, kind in vars(errors).items() if isinstance(kind, type)}


@dataclass(frozen=True)
class AssetResult:
    """What one asset reported when it was materialised."""

    asset: str
    group: str
    n_rows: int | None
    score: str | None
    metadata: Mapping[str, Any]


@dataclass(frozen=True)
class JobResult:
    """One job's run: its assets in the order in which they were made, and where it failed if it did."""

    job: str
    run_id: str
    is_success: bool
    seconds: float
    step_seconds: Mapping[str, float]
    assets: tuple[AssetResult, ...]
    failures: tuple[str, ...] = field(default=())


def run_job(
    defs: dg.Definitions,
    job: str,
    instance: dg.DagsterInstance,
    run_config: Mapping[str, Any],
    on_step: Callable[[str], None],
    partition: str | None = None,
) -> JobResult:
    """Runs a job to its end; `on_step` hears the name of each step as it starts."""
    run_id = str(uuid.uuid4())
    with _heard(instance, run_id, on_step):
        result = defs.resolve_job_def(job).execute_in_process(
            run_config={**run_config, **QUIET},
            instance=instance,
            partition_key=partition,
            run_id=run_id,
            raise_on_error=False,
        )
    return _collect(defs, job, instance, run_id, result.success)


@contextmanager
def _heard(instance: dg.DagsterInstance, run_id: str, on_step: Callable[[str], None]) -> Iterator[None]:
    """Follows the run's event log from a thread of its own, as the Dagster UI does."""
    done = threading.Event()

    def follow() -> None:
        told: set[str] = set()
        while not done.wait(POLL_SECONDS):
            for stats in instance.get_run_step_stats(run_id):
                if stats.start_time and stats.step_key not in told:
                    told.add(stats.step_key)
                    on_step(stats.step_key)

    thread = threading.Thread(target=follow, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def _collect(
    defs: dg.Definitions, job: str, instance: dg.DagsterInstance, run_id: str, is_success: bool
) -> JobResult:
    stats = instance.get_run_step_stats(run_id)
    step_seconds = {s.step_key: s.end_time - s.start_time for s in stats if s.end_time and s.start_time}
    run = instance.get_run_stats(run_id)
    ended, began = getattr(run, "end_time", None), getattr(run, "start_time", None)
    return JobResult(
        job=job,
        run_id=run_id,
        is_success=is_success,
        seconds=(ended - began) if ended and began else 0.0,
        step_seconds=step_seconds,
        assets=tuple(_asset_results(defs, instance, run_id)),
        failures=tuple(_failures(instance, run_id)),
    )


def _asset_results(defs: dg.Definitions, instance: dg.DagsterInstance, run_id: str) -> Iterator[AssetResult]:
    groups = {spec.key: spec.group_name or "" for spec in defs.resolve_all_asset_specs()}
    for entry in instance.all_logs(run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION):
        made = entry.asset_materialization
        if made is None:
            continue
        values: dict[str, Any] = {name: value.value for name, value in made.metadata.items()}
        yield AssetResult(
            asset=made.asset_key.path[-1],
            group=groups.get(made.asset_key, ""),
            n_rows=values.get("rows"),
            score=values.get("score"),
            metadata=values,
        )


def _failures(instance: dg.DagsterInstance, run_id: str) -> Iterator[str]:
    """Why steps failed, without stack traces."""
    for entry in instance.all_logs(run_id, of_type=dg.DagsterEventType.STEP_FAILURE):
        event = entry.get_dagster_event()
        yield f"{event.step_key}: {_reason(list(_causes(event.step_failure_data.error)))}"
    for entry in instance.all_logs(run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION):
        check = entry.get_dagster_event().asset_check_evaluation_data
        if not check.passed:
            yield f"{check.asset_key.to_user_string()}: {check.description}"


def _causes(error: SerializableErrorInfo | None) -> Iterator[SerializableErrorInfo]:
    """An error and what it came from, outermost first."""
    while error:
        yield error
        error = error.cause


def _reason(causes: Sequence[SerializableErrorInfo]) -> str:
    """What the outermost error of our own says to people; where there is none, the innermost cause."""
    for error in causes:
        if error.cls_name in NAMED_ERRORS:
            return error.message.strip().removeprefix(f"{errors.__name__}.")
    return causes[-1].message.strip() if causes else "failed"
