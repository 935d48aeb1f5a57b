"""Payments of one sort as parallel arrays, and what the channels are called."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

from terag_pipelines.demo.randomness import Bools, Floats, Ints

APP, BRANCH, CARD, ATM, PAYROLL = range(5)
CHANNELS = ("app", "branch", "card", "atm", "payroll")
Small = npt.NDArray[np.int8]
Indices = npt.NDArray[np.int32]


@dataclass(frozen=True)
class Flow:
    """Payments; accounts and devices are positions, times are UTC seconds, amounts tiyn."""

    source: Indices
    target: Indices
    amount_minor: Ints
    at: Ints
    category: Small
    channel: Small
    device: Indices  # negative where none is known

    def __len__(self) -> int:
        return len(self.at)

    def take(self, rows: Ints | Bools) -> Flow:
        """The payments at `rows`."""
        return Flow(*(getattr(self, field.name)[rows] for field in fields(self)))


def make_flow(
    source: Ints,
    target: Ints,
    amount_minor: Ints,
    at: Ints,
    category: int,
    channel: int,
    device: Ints | None = None,
) -> Flow:
    """Payments of one category and channel."""
    n = len(at)
    return Flow(
        source=source.astype(np.int32),
        target=target.astype(np.int32),
        amount_minor=amount_minor,
        at=at,
        category=np.full(n, category, dtype=np.int8),
        channel=np.full(n, channel, dtype=np.int8),
        device=np.full(n, -1, dtype=np.int32) if device is None else device.astype(np.int32),
    )


def put_together(flows: list[Flow]) -> Flow:
    """All payments between different accounts, in order of time."""
    whole = Flow(*(np.concatenate([getattr(flow, field.name) for flow in flows]) for field in fields(Flow)))
    order = np.argsort(whole.at, kind="stable")
    return whole.take(order[(whole.source != whole.target)[order]])


def tiyn(amount_kzt: Floats, step_minor: int | Ints) -> Ints:
    """Amounts in tenge as tiyn, rounded to a step and at least one step."""
    steps = np.rint(amount_kzt * 100.0 / step_minor).astype(np.int64)
    return np.asarray(np.maximum(steps, 1) * step_minor, dtype=np.int64)
