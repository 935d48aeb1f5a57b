"""What every benchmark shares: the cost of a piece of work, and the JSON line that tells it."""

from __future__ import annotations

import json
import resource
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from typing import Any, TypeVar

Result = TypeVar("Result")
DIGITS = 4


@dataclass(frozen=True)
class Cost:
    """Seconds of one piece of work, and the most memory that its process has held so far.

    CPU seconds are this process's own: a store's server is not in them.
    """

    wall_s: float
    cpu_s: float
    peak_rss_mb: int


def measured(work: Callable[[], Result]) -> tuple[Result, Cost]:
    """What the work returns, and what it cost."""
    wall, cpu = time.perf_counter(), time.process_time()
    result = work()
    wall_s, cpu_s = time.perf_counter() - wall, time.process_time() - cpu
    return result, Cost(wall_s, cpu_s, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)


def cost_of(work: Callable[[], object]) -> Cost:
    """What the work cost."""
    return measured(work)[1]


def total(costs: Iterable[Cost]) -> Cost:
    """The cost of steps that ran one after the other in one process."""
    steps = list(costs)
    wall_s, cpu_s = sum(step.wall_s for step in steps), sum(step.cpu_s for step in steps)
    return Cost(wall_s, cpu_s, max(step.peak_rss_mb for step in steps))


def tell(
    subject: str,
    what: str,
    cost: Cost | None,
    packages: Sequence[str],
    peer: str = "terag",
    **figures: object,
) -> None:
    """Prints one result: what was done by whom, its sizes and scores, its cost, versions of packages."""
    line = {
        "subject": subject,
        "what": what,
        "peer": peer,
        **figures,
        **(asdict(cost) if cost else {}),
        "versions": {name: version(name) for name in packages},
    }
    print(json.dumps(_rounded(line)), flush=True)


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _rounded(inner) for name, inner in value.items()}
    return float(f"{value:.{DIGITS}g}") if isinstance(value, float) else value
