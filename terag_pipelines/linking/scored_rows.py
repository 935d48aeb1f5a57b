"""Scored pairs by the rows of their records: what clusters are made of."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Rows = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class ScoredRows:
    """Scored pairs of rows: what speaks for and against, which of them are links.

    `are_namesakes` are pairs of one name at one address that do not match, by generation or birth date.
    """

    left: Rows
    right: Rows
    weight: Floats
    probability: Floats
    is_link: Mask
    rests_on_identifier: Mask
    are_namesakes: Mask

    def select(self, mask: Mask) -> ScoredRows:
        """The pairs under the mask."""
        return ScoredRows(*(values[mask] for values in vars(self).values()))

    def followed_by(self, at: Rows, left: Rows, right: Rows) -> ScoredRows:
        """The pairs, and behind them others: of left[i] and right[i], in all else like the pair at[i]."""
        again = {name: values[at] for name, values in vars(self).items()} | {"left": left, "right": right}
        return ScoredRows(
            **{name: np.concatenate([values, again[name]]) for name, values in vars(self).items()}
        )


@dataclass(frozen=True)
class DecidedRows:
    """People's decisions as pairs of rows: those that are one entity, and those that are not."""

    together: tuple[Rows, Rows]
    apart: tuple[Rows, Rows]

    @property
    def are_any(self) -> bool:
        """Whether people decided anything."""
        return len(self.together[0]) + len(self.apart[0]) > 0
