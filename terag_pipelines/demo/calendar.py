"""The months the demo bank covers, in the local time of Kazakhstan: UTC+5, one zone since March 2024."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from terag_pipelines.demo.randomness import Ints, Rng, between, pick

UTC_OFFSET_S = 5 * 3600
HOUR_WEIGHTS = (2, 1, 1, 1, 1, 2, 4, 8, 14, 20, 24, 25, 28, 27, 25, 24, 24, 26, 27, 25, 20, 14, 8, 4)
DAY_S = 86_400


@dataclass(frozen=True)
class Calendar:
    """The last month of the story, as YYYY-MM."""

    month: str

    @property
    def last_day(self) -> np.datetime64:
        """The last day of the last month."""
        after: np.datetime64 = (np.datetime64(self.month, "M") + 1).astype("datetime64[D]")
        return after - np.timedelta64(1, "D")

    def months(self, n: int) -> list[str]:
        """The last `n` months, oldest first."""
        last = np.datetime64(self.month, "M")
        return [str(last - np.timedelta64(k, "M")) for k in range(n - 1, -1, -1)]

    def start_s(self, months_back: int) -> int:
        """UTC seconds of the local midnight that begins the month so many months before the last one."""
        first = (np.datetime64(self.month, "M") - np.timedelta64(months_back, "M")).astype("datetime64[s]")
        return int(first.astype(np.int64)) - UTC_OFFSET_S

    @property
    def end_s(self) -> int:
        """UTC seconds of the local midnight after the last month."""
        return self.start_s(-1)

    def draw_times(self, rng: Rng, n: int) -> Ints:
        """`n` UTC seconds within the last three months, at the hours when people pay."""
        days = (self.end_s - self.start_s(2)) // DAY_S
        return self.start_s(2) + between(rng, 0, days - 1, n) * DAY_S + seconds_of_day(rng, n)


def seconds_of_day(rng: Rng, n: int) -> Ints:
    """`n` seconds after local midnight, by the weights of the hours."""
    return pick(rng, HOUR_WEIGHTS, n) * 3600 + between(rng, 0, 3599, n)
