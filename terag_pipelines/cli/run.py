"""`terag run`: the jobs in this process, on a persistent Dagster instance, and one summary at the end."""

from __future__ import annotations

import re
import shutil
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from assets.partitions import MONTHS, TIME_ZONE
from resources.embedded import EmbeddedStores
from resources.parquet_lake import ParquetLake
from resources.settings import Settings, load_settings
from terag_pipelines.billing.usage import assign_months
from terag_pipelines.cli.demo import demo_source
from terag_pipelines.cli.instance import open_instance
from terag_pipelines.cli.report import write_report
from terag_pipelines.cli.running import JobResult, run_job
from terag_pipelines.cli.summary import StageSummary, as_json, as_table, summarise
from terag_pipelines.entities.model import TENANTS, USAGE_EVENTS
from terag_pipelines.errors import ConfigurationError


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
            console.print(f"[bold red]failed[/] {escape(failure)}", soft_wrap=True)
        console.print(self._next_steps(), soft_wrap=True, markup=False)

    def _next_steps(self) -> str:
        seconds = sum(job.seconds for job in self.jobs)
        ended = "everything ran" if self.is_success else "it stopped; what was served before is still served"
        lines = [f"\n{ended}, in {seconds:.0f} s", f"  report     {_shown(self.report)}"]
        if "monthly_invoicing" in {job.job for job in self.jobs}:
            lines.append(f"  invoices   {_shown(self.home / 'invoices')}")
        elif self.is_success:
            lines.append(f"  invoices   none: the source has no usage in a month from {_billable_months()}")
        return "\n".join(
            [*lines, f"  look at it {_own_command()} up   (Dagster UI, REST API; prints their addresses)"]
        )


def run_source(source: Path | None, root: Path | None, month: str | None, console: Console) -> RunOutcome:
    """Runs both jobs over a source; without one, over TERAG_SOURCE or the demo bank.

    Raises: ConfigurationError for a month that cannot be invoiced; store and source errors come as failures
    of their asset.
    """
    if month:
        _require_billable(month)
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
        billed = month or busiest_month(_used_months(ParquetLake(settings.lake_folder), shelf))
        if billed is None:
            return [refresh]
        return [refresh, run_job(defs, "monthly_invoicing", instance, config, tell, partition=billed)]


def busiest_month(used_in: Sequence[str]) -> str | None:
    """Of the months ("YYYY-MM") of usage events, the most frequent that can be invoiced.

    The latest of several; None where none of them is over.
    """
    counts, billable = Counter(used_in), set(MONTHS.get_partition_keys())
    return max(counts.keys() & billable, key=lambda month: (counts[month], month), default=None)


def _used_months(lake: ParquetLake, shelf: str) -> list[str]:
    assigned = assign_months(lake.read(shelf, USAGE_EVENTS), lake.read(shelf, TENANTS), TIME_ZONE)
    return assigned.usage["usage_month"].to_list()


def _require_billable(month: str) -> None:
    if month not in MONTHS.get_partition_keys():
        raise ConfigurationError(
            f"--month {month[:20]!r} cannot be invoiced: it is written YYYY-MM, from {_billable_months()}"
        )


def _billable_months() -> str:
    months = MONTHS.get_partition_keys()
    return f"{months[0]} to {months[-1]}, the last that is over"


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
                console.print(f"  {text}", markup=False)

        yield tell


def _without_counts(text: str) -> str:
    return re.sub(r"\d+", "", text)


def _own_command() -> str:
    """How a shell in this folder calls this program: by its path where its name alone is not found."""
    called = Path(sys.argv[0]).absolute()
    return "terag" if called.name != "terag" or shutil.which("terag") else _shown(called)


def _shown(path: Path) -> str:
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)
