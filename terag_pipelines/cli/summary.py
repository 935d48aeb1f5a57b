"""What a run found, in one table for a person and one object for a machine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.table import Table

from terag_pipelines.cli.running import AssetResult, JobResult

STAGES: Mapping[str, Sequence[str]] = {
    "Ingest": (
        "entity_records",
        "accounts",
        "transfers",
        "party_events",
        "relationships",
        "client_panel",
        "labels",
        "quarantined_rows",
    ),
    "Link": ("candidate_pairs", "links", "entities"),
    "Calibrate": ("link_calibrators", "ring_calibrators"),
    "Load graph": ("graph_load",),
    "Tune indexes": ("index_trials",),
    "Find rings": ("ring_scores", "fraud_rings", "ring_alerts"),
    "Twin": ("twin_effects", "client_twins"),
    "Promote": ("promoted_batch",),
    "Invoice": ("metered_usage", "rated_lines", "invoices"),
}
"""The stages in the order of the design card, each with the assets whose figures the summary shows."""


@dataclass(frozen=True)
class StageSummary:
    """One stage: how many rows each of its tables has, how long it took, and how well it did."""

    stage: str
    rows: Mapping[str, int]
    seconds: float
    scores: Mapping[str, str]
    notes: Mapping[str, str]


def summarise(jobs: Sequence[JobResult], groups: Mapping[str, str]) -> list[StageSummary]:
    """One summary for each stage that ran; `groups` gives the step of each asset."""
    made = {result.asset: result for job in jobs for result in job.assets}
    seconds = {step: time for job in jobs for step, time in job.step_seconds.items()}
    return [
        _summarise_stage(stage, [made[name] for name in names if name in made], seconds, groups)
        for stage, names in STAGES.items()
        if any(name in made for name in names)
    ]


def _summarise_stage(
    stage: str, results: Sequence[AssetResult], seconds: Mapping[str, float], step_of: Mapping[str, str]
) -> StageSummary:
    steps = {step_of.get(result.asset, result.asset) for result in results}
    return StageSummary(
        stage=stage,
        rows={result.asset: result.n_rows for result in results if result.n_rows is not None},
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
    shown = [f"{_spaced(n)} {name.replace('_', ' ')}" for name, n in stage.rows.items() if n]
    return ", ".join(shown) or "nothing"


def _told(stage: StageSummary) -> list[str]:
    return [*stage.scores.values(), *stage.notes.values()]


def _spaced(number: int) -> str:
    return f"{number:,}".replace(",", " ")
