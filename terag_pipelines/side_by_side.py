"""Independent work on large arrays, two things at a time: numpy, Arrow and polars release the interpreter."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Made = TypeVar("Made")
N_AT_ONCE = 2  # more would hold more memory at once, and the interpreter back


def run_side_by_side(tasks: Iterable[Callable[[], Made]]) -> list[Made]:
    """What each task gave, in the order of the tasks; the error of the first that failed is raised."""
    with ThreadPoolExecutor(N_AT_ONCE) as pool:
        return [future.result() for future in [pool.submit(task) for task in tasks]]
