"""How much of what came in left again within some days, no payment taken for the onward way of two receipts.

Receipts are passed on in the order in which they came, which passes on as much as any order can: all have
the same time to leave. How far a node has come in its receipts is a running position p. A payment of `s`
moves it to min(high, max(low, p + s)): not past what has come, nor behind what has lain too long. Such
steps compose to steps of the same form, so all nodes' payments are followed at once, in log2 of the most
of one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


def sum_passed(transfers: pl.DataFrame, window_days: float) -> pl.DataFrame:
    """node, passed_amount: of each node that pays, what came in and left within the window.

    `transfers` are source, target, amount and at (microseconds).
    """
    window = int(window_days * 86_400)
    at = (transfers["at"] // 1_000_000).to_numpy()
    at = at - (at.min() if len(at) else 0)
    span = int(at.max(initial=0)) + window + 2
    source, target = transfers["source"].to_numpy(), transfers["target"].to_numpy()
    amount = transfers["amount"].to_numpy()
    payments, receipts = (np.argsort(node * span + at, kind="stable") for node in (source, target))
    keys = (target * span + at)[receipts]
    came = _sum_each(amount[receipts], target[receipts])
    payer, when, paid = source[payments], at[payments], amount[payments]
    begun = np.searchsorted(keys, payer * span, side="left")
    old = np.searchsorted(keys, payer * span + np.maximum(when - window, 0), side="left")
    new = np.searchsorted(keys, payer * span + when, side="right")
    expired, arrived = (np.where(n > begun, came[n], 0.0) for n in (old, new))
    is_first = np.append(True, payer[1:] != payer[:-1])[: len(payer)]
    reached = _Steps(paid, np.minimum(expired + paid, arrived), arrived).positions(is_first)
    previous = np.where(is_first, 0.0, np.append(0.0, reached[:-1])[: len(reached)])
    passed = np.maximum(reached - np.maximum(previous, expired), 0.0)
    table = pl.DataFrame({"node": payer, "passed_amount": passed})
    return table.group_by("node", maintain_order=True).agg(pl.col("passed_amount").sum())


def _sum_each(amount: Floats, node: Ints) -> Floats:
    """The sum of the first n amounts, of those of the last one's node alone; by n, from 0.

    Each node is summed by itself, or a huge amount would swallow the digits of all that come after it.
    """
    sums = pl.DataFrame({"node": node, "amount": amount}).select(pl.col("amount").cum_sum().over("node"))
    return np.concatenate([[0.0], sums["amount"].to_numpy()])


@dataclass(frozen=True)
class _Steps:
    """Steps p -> min(high, max(low, p + shift)), in order."""

    shift: Floats
    low: Floats
    high: Floats

    def apply(self, positions: Floats) -> Floats:
        moved: Floats = np.minimum(self.high, np.maximum(self.low, positions + self.shift))
        return moved

    def positions(self, is_first: npt.NDArray[np.bool_]) -> Floats:
        """Where each step ends when every run of steps, begun by a first one, starts from 0."""
        start = self.apply(np.zeros(len(is_first)))
        steps = _Steps(self.shift, np.where(is_first, start, self.low), np.where(is_first, start, self.high))
        reach = 1
        while reach < len(is_first) and (steps.low < steps.high).any():
            steps, reach = steps._after(reach), 2 * reach
        return steps.low

    def _after(self, reach: int) -> _Steps:
        """Each step done after the one `reach` places before it."""
        last = _Steps(self.shift[reach:], self.low[reach:], self.high[reach:])
        shift, low, high = self.shift.copy(), self.low.copy(), self.high.copy()
        shift[reach:] = self.shift[:-reach] + last.shift
        low[reach:], high[reach:] = last.apply(self.low[:-reach]), last.apply(self.high[:-reach])
        return _Steps(shift, low, high)
