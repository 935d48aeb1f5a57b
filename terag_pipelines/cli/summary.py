"""What a run found, in one table for a person and one object for a machine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.table import Table

from terag_pipelines.cli.running import AssetResult, JobResult

NO_BREAK = "\u00a0"


@dataclass(frozen=True)
class Stage:
    """A stage of the design card: the assets that belong to it, and those whose rows are worth counting."""

    name: str
    counted: tuple[str, ...]
    told: tuple[str, ...] = ()


STAGES = (
    Stage(
        "Ingest",
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
    Stage("Link", ("candidate_pairs", "links", "entities")),
    Stage("Calibrate", (), ("link_calibrators", "ring_calibrators")),
    Stage("Load graph", (), ("graph_load",)),
    Stage("Find rings", ("fraud_rings", "ring_members", "ring_alerts"), ("ring_scores",)),
    Stage("Twin", ("twin_effects", "client_twins")),
    Stage("Promote", (), ("promoted_batch",)),
    Stage("Tune indexes", ("index_trials",)),
    Stage("Invoice", ("rated_lines", "invoices"), ("usage_totals",)),
)
"""The stages in the order in which they are run."""


@dataclass(frozen=True)
class StageSummary:
    """One stage: how many rows each of its tables has, how long it took, and how well it did."""

    stage: str
    rows: Mapping[str, int]
    seconds: float
    scores: Mapping[str, str]
    notes: Mapping[str, str]


def summarise(jobs: Sequence[JobResult], step_of: Mapping[str, str]) -> list[StageSummary]:
    """One summary for each stage that ran; `step_of` gives the step that makes each asset."""
    made = {result.asset: result for job in jobs for result in job.assets}
    seconds = {step: time for job in jobs for step, time in job.step_seconds.items()}
    ran = [stage for stage in STAGES if any(name in made for name in stage.counted + stage.told)]
    return [_summarise_stage(stage, made, seconds, step_of) for stage in ran]


def _summarise_stage(
    stage: Stage, made: Mapping[str, AssetResult], seconds: Mapping[str, float], step_of: Mapping[str, str]
) -> StageSummary:
    results = [made[name] for name in stage.told + stage.counted if name in made]
    steps = {step_of.get(result.asset, result.asset) for result in results}
    return StageSummary(
        stage=stage.name,
        rows={r.asset: r.n_rows for r in results if r.asset in stage.counted and r.n_rows is not None},
        seconds=round(sum(seconds.get(step, 0.0) for step in steps), 2),
        scores={result.asset: result.score for result in results if result.score},
        notes={r.asset: str(r.metadata["note"]) for r in results if r.metadata.get("note")},
    )


def as_table(stages: Sequence[StageSummary]) -> Table:
    """The summary as a table for the terminal."""
    table = Table(title=None, show_edge=False, pad_edge=False, expand=False)
    table.add_column("Stage", style="bold", no_wrap=True)
    table.add_column("What came out", overflow="fold")
    table.add_column("Seconds", justify="right", no_wrap=True)
    table.add_column("How well", overflow="fold")
    for stage in stages:
        table.add_row(stage.stage, _counts(stage), f"{stage.seconds:.1f}", "\n".join(_told(stage)))
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


def _counts(stage: StageSummary) -> str:
    shown = [f"{_spaced(n)}{NO_BREAK}{name.replace('_', NO_BREAK)}" for name, n in stage.rows.items() if n]
    nothing = "nothing" if stage.rows else ""
    return ", ".join(shown) or nothing


def _told(stage: StageSummary) -> list[str]:
    return [*stage.scores.values(), *stage.notes.values()]


def _spaced(number: int) -> str:
    return f"{number:,}".replace(",", NO_BREAK)
