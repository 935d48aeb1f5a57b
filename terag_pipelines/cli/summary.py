"""What a run found, in one table for a person and one object for a machine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.markup import escape
from rich.table import Table

from terag_pipelines.cli.running import AssetResult, JobResult

NO_BREAK = "\u00a0"


@dataclass(frozen=True)
class Stage:
    """A stage of the design card: the tables it reads and makes, and assets that only tell something."""

    name: str
    read: tuple[str, ...]
    made: tuple[str, ...]
    told: tuple[str, ...] = ()


STAGES = (
    Stage(
        "Ingest",
        ("source_files",),
        (
            "entity_records",
            "accounts",
            "transfers",
            "party_events",
            "relationships",
            "client_panel",
            "labels",
            "quarantined_rows",
        ),
    ),
    Stage(
        "Link",
        ("entity_records", "pair_decisions"),
        ("candidate_pairs", "links", "entities", "golden_records", "review_queue"),
        ("pair_decisions",),
    ),
    Stage("Calibrate", ("labels",), (), ("link_calibrators", "ring_calibrators")),
    Stage("Load graph", ("entities", "accounts", "transfers"), (), ("graph_load",)),
    Stage(
        "Find rings",
        ("accounts", "transfers", "relationships"),
        ("fraud_rings", "ring_members", "ring_alerts"),
        ("ring_scores", "ring_doubt", "ring_interdictions"),
    ),
    Stage("Twin", ("client_panel",), ("twin_effects", "client_twins")),
    Stage("Promote", (), (), ("promoted_batch",)),
    Stage("Alert", ("ring_alerts",), ("alert_queue",)),
    Stage("Tune indexes", (), ("index_trials",), ("graph_health",)),
    Stage("Invoice", ("usage_events", "tenants"), ("rated_lines", "invoices"), ("usage_totals",)),
)
"""The stages in the order in which they are run."""


@dataclass(frozen=True)
class StageSummary:
    """One stage: rows of what went in and of what came out, how long it took, and how well it did."""

    stage: str
    rows_in: Mapping[str, int]
    rows: Mapping[str, int]
    seconds: float
    scores: Mapping[str, str]
    notes: Mapping[str, str]


def summarise(jobs: Sequence[JobResult], step_of: Mapping[str, str]) -> list[StageSummary]:
    """One summary for each stage that ran; `step_of` gives the step that makes each asset."""
    made = {result.asset: result for job in jobs for result in job.assets}
    seconds = {step: time for job in jobs for step, time in job.step_seconds.items()}
    ran = [stage for stage in STAGES if any(name in made for name in stage.made + stage.told)]
    return [_summarise_stage(stage, made, seconds, step_of) for stage in ran]


def _summarise_stage(
    stage: Stage, made: Mapping[str, AssetResult], seconds: Mapping[str, float], step_of: Mapping[str, str]
) -> StageSummary:
    results = [made[name] for name in stage.told + stage.made if name in made]
    steps = {step_of.get(result.asset, result.asset) for result in results}
    return StageSummary(
        stage=stage.name,
        rows_in=_counted(stage.read, made),
        rows=_counted(stage.made, made),
        seconds=round(sum(seconds.get(step, 0.0) for step in steps), 2),
        scores={result.asset: result.score for result in results if result.score},
        notes={result.asset: note for result in results if (note := _note(result))},
    )


def _note(result: AssetResult) -> str:
    """What the asset noted, or why it is empty."""
    if empty := result.metadata.get("why_empty"):
        return f"{result.asset.replace('_', ' ')}: {empty}"
    return str(result.metadata.get("note") or "")


def _counted(names: Sequence[str], made: Mapping[str, AssetResult]) -> dict[str, int]:
    counts = {name: made[name].n_rows for name in names if name in made}
    return {name: n for name, n in counts.items() if n is not None}


def as_table(stages: Sequence[StageSummary]) -> Table:
    """The summary as a table for the terminal."""
    table = Table(title=None, show_edge=False, pad_edge=False, expand=False)
    table.add_column("Stage", style="bold", no_wrap=True)
    table.add_column("What went in \u2192 what came out", overflow="fold")
    table.add_column("Seconds", justify="right", no_wrap=True)
    table.add_column("How well", overflow="fold")
    for stage in stages:
        table.add_row(stage.stage, _passed(stage), f"{stage.seconds:.1f}", escape("\n".join(_told(stage))))
    return table


def as_json(jobs: Sequence[JobResult], stages: Sequence[StageSummary]) -> dict[str, Any]:
    """The summary for machines: stages, and the digest of every table."""
    return {
        "is_success": all(job.is_success for job in jobs),
        "runs": {job.job: {"run_id": job.run_id, "seconds": round(job.seconds, 2)} for job in jobs},
        "stages": [vars(stage) for stage in stages],
        "digests": {
            result.asset: result.metadata["digest"]
            for job in jobs
            for result in job.assets
            if "digest" in result.metadata
        },
        "failures": [failure for job in jobs for failure in job.failures],
    }


def _passed(stage: StageSummary) -> str:
    """What went in and what came out."""
    taken, given = _listed(stage.rows_in), _listed(stage.rows) or ("nothing" if stage.rows else "")
    return f"{taken} \u2192 {given}" if taken and given else taken or given


def _listed(rows: Mapping[str, int]) -> str:
    return ", ".join(f"{n:,}{NO_BREAK}{name.replace('_', NO_BREAK)}" for name, n in rows.items() if n)


def _told(stage: StageSummary) -> list[str]:
    return [*stage.scores.values(), *stage.notes.values()]
