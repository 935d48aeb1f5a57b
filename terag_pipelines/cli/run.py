"""`terag run`: the jobs in this process, on a persistent Dagster instance, and one summary at the end."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from resources.embedded import EmbeddedStores
from resources.parquet_lake import ParquetLake
from resources.settings import Settings, load_settings
from terag_pipelines.cli.demo import demo_source
from terag_pipelines.cli.instance import open_instance
from terag_pipelines.cli.report import write_report
from terag_pipelines.cli.running import JobResult, run_job
from terag_pipelines.cli.summary import StageSummary, as_json, as_table, summarise
from terag_pipelines.entities.model import USAGE_EVENTS
from terag_pipelines.errors import ConfigurationError

TIME_ZONE = "Asia/Almaty"
MONTH = re.compile(r"\d{4}-(0[1-9]|1[0-2])")


@dataclass(frozen=True)
class RunOutcome:
    """What a run did and where its results are."""

    source: Path
    jobs: tuple[JobResult, ...]
    stages: tuple[StageSummary, ...]
    report: Path
    home: Path

    @property
    def is_success(self) -> bool:
        """Whether every job reached its end."""
        return all(job.is_success for job in self.jobs)

    def as_json(self) -> dict[str, Any]:
        """The outcome for machines."""
        return as_json(self.jobs, self.stages) | {"source": str(self.source), "report": str(self.report)}

    def print(self, console: Console) -> None:
        """The outcome for a person: the summary, failures if any, and where to look next."""
        console.print(as_table(self.stages))
        for failure in (failure for job in self.jobs for failure in job.failures):
            console.print(f"[bold red]failed[/] {failure}", soft_wrap=True)
        console.print(self._next_steps(), soft_wrap=True)

    def _next_steps(self) -> str:
        seconds = sum(job.seconds for job in self.jobs)
        ended = "everything ran" if self.is_success else "it stopped; what was served before is still served"
        lines = [f"\n{ended}, in {seconds:.0f} s", f"  report     {_shown(self.report)}"]
        invoices = self.home / "invoices"
        if invoices.exists():
            lines.append(f"  invoices   {_shown(invoices)}")
        return "\n".join(
            [*lines, "  look at it terag up      (Dagster UI, REST API; prints their addresses)"]
        )


def run_source(source: Path | None, root: Path | None, month: str | None, console: Console) -> RunOutcome:
    """Runs both jobs over a source; without one, over TERAG_SOURCE or the demo bank.

    Raises: ConfigurationError for a malformed month; store and source errors come as failures of their asset.
    """
    if month and not MONTH.fullmatch(month):
        raise ConfigurationError(f"--month {month!r} is not a month; write it as YYYY-MM")
    settings = load_settings(source=source, source_root=root)
    with _progress(console) as tell, EmbeddedStores(settings, report=tell):
        tell("making the demo bank" if settings.source is None else "reading the source")
        folder = settings.source or demo_source(settings)
        jobs = _run_jobs(settings, folder, month, tell)
    stages = summarise(jobs, _steps())
    report = write_report(
        settings.home / "reports" / f"{folder.name}.html", f"TERAG: {folder.name}", jobs, stages
    )
    return RunOutcome(folder, tuple(jobs), tuple(stages), report, settings.home)


def _run_jobs(
    settings: Settings, folder: Path, month: str | None, tell: Callable[[str], None]
) -> Sequence[JobResult]:
    tell("starting Dagster")
    with open_instance(settings.dagster_folder) as instance:
        from assets.jobs import run_config
        from resources.bindings import SourceResource
        from terag_pipelines.definitions import defs

        config = run_config(folder, settings.source_root)
        refresh = run_job(defs, "full_refresh", instance, config, tell)
        if not refresh.is_success:
            return [refresh]
        shelf = SourceResource(**config["resources"]["source"]["config"]).batch_shelf()
        billed = month or _busiest_month(ParquetLake(settings.lake_folder), shelf)
        if billed is None:
            return [refresh]
        return [refresh, run_job(defs, "monthly_invoicing", instance, config, tell, partition=billed)]


def _busiest_month(lake: ParquetLake, shelf: str) -> str | None:
    """The month, in Asia/Almaty, with the most usage events of the source; None without usage."""
    used_at = lake.read(shelf, USAGE_EVENTS)["occurred_at"].cast(pa.timestamp("us", tz=TIME_ZONE))
    counts = pc.value_counts(pc.strftime(used_at, format="%Y-%m")).to_pylist()
    return str(max(counts, key=lambda one: (one["counts"], one["values"]))["values"]) if counts else None


def _steps() -> dict[str, str]:
    """The step that makes each asset."""
    from terag_pipelines.definitions import defs

    graph = defs.resolve_asset_graph()
    return {key.path[-1]: graph.get(key).assets_def.node_def.name for key in graph.get_all_asset_keys()}


@contextmanager
def _progress(console: Console) -> Iterator[Callable[[str], None]]:
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("starting", total=None)
        told: list[str] = []

        def tell(step: str) -> None:
            text = step.replace("_", " ")
            progress.update(task, description=text)
            if not console.is_terminal and _without_counts(text) not in told[-1:]:
                told.append(_without_counts(text))
                console.print(f"  {text}")

        yield tell


def _without_counts(text: str) -> str:
    return re.sub(r"\d+", "", text)


def _shown(path: Path) -> str:
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)
