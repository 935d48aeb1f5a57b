"""One random stream for each part of the bank, so that a change in one part does not disturb the others."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Rng = np.random.Generator

PARTS = (
    "people", "companies", "rings", "core", "online", "watchlist", "accounts", "transfers", "ring_transfers",
    "panel", "usage", "labels", "breakage",
)  # fmt: skip
"""The parts in the order in which their streams are spawned; new ones go to the end."""


def open_streams(seed: int) -> dict[str, Rng]:
    """A PCG64 generator for each part, children of one seed sequence."""
    children = np.random.SeedSequence(seed).spawn(len(PARTS))
    return {
        part: np.random.Generator(np.random.PCG64(child)) for part, child in zip(PARTS, children, strict=True)
    }


def pick(rng: Rng, weights: object, n: int) -> Ints:
    """`n` positions drawn with probability in proportion to `weights`."""
    cumulative = np.cumsum(np.asarray(weights, dtype=np.float64))
    drawn = np.searchsorted(cumulative, rng.random(n) * cumulative[-1], side="right")
    return np.asarray(np.minimum(drawn, len(cumulative) - 1), dtype=np.int64)


def happens(rng: Rng, probability: float | Floats, n: int) -> Bools:
    """`n` independent yes or no, each yes with its probability."""
    return np.asarray(rng.random(n) < probability)


def zipf_weights(n: int, offset: float = 3.0, exponent: float = 1.0) -> Floats:
    """Weights 1/(rank + offset)^exponent of ranks 0 to n-1 (Zipf-Mandelbrot)."""
    return np.asarray((np.arange(n) + offset) ** -exponent, dtype=np.float64)


def between(rng: Rng, low: int, high: int, n: int) -> Ints:
    """`n` integers from `low` to `high`, both included."""
    return rng.integers(low, high + 1, n, dtype=np.int64)
