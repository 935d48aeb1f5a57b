"""Effects against their truth, where labels of kind "effect" hold it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
import pyarrow as pa

ARROW = "->"


@dataclass(frozen=True)
class EffectQuality:
    """How near the answers come to the truth; shares and errors are NaN where nothing can be compared.

    Average effects: how many have a truth, how many of those are answered, the share whose interval covers
    it, the mean error relative to the truth's size, and the same error of the naive difference. Clients: how
    many answers have a truth, the share covered, and the root mean squared error relative to the truth's own
    spread (1: no better than the average effect for everybody).
    """

    n_effects: int
    n_answered: int
    covered_share: float
    relative_error: float
    naive_relative_error: float
    n_clients: int
    client_covered_share: float
    client_relative_error: float


def effect_quality(effects: pa.Table, twins: pa.Table, labels: pa.Table) -> EffectQuality:
    """Scores TWIN_EFFECTS and CLIENT_TWINS against LABELS of kind "effect" and use "truth".

    A label is (treatment, outcome, average effect) or (client id, "treatment->outcome", the client's effect).
    """
    truth = pl.DataFrame(labels).filter(label_kind="effect", use="truth")
    truth = truth.with_columns(pl.col("value").cast(pl.Float64, strict=False).alias("truth")).drop_nulls(
        "truth"
    )
    average = _join_average(pl.DataFrame(effects), truth)
    answered = average.filter("is_answerable")
    client = _join_clients(pl.DataFrame(twins), truth)
    return EffectQuality(
        n_effects=average.height,
        n_answered=answered.height,
        covered_share=_covered_share(answered),
        relative_error=_relative_error(answered, "effect"),
        naive_relative_error=_relative_error(answered, "naive_difference"),
        n_clients=client.height,
        client_covered_share=_covered_share(client),
        client_relative_error=_error_by_spread(client),
    )


def _join_average(effects: pl.DataFrame, truth: pl.DataFrame) -> pl.DataFrame:
    return effects.join(truth, left_on=["treatment", "outcome"], right_on=["subject_id", "object_id"])


def _join_clients(twins: pl.DataFrame, truth: pl.DataFrame) -> pl.DataFrame:
    asked = twins.filter("is_answerable").with_columns(
        (pl.col("treatment") + ARROW + pl.col("outcome")).alias("asked")
    )
    return asked.join(truth, left_on=["client_id", "asked"], right_on=["subject_id", "object_id"])


def _covered_share(rows: pl.DataFrame) -> float:
    covered = rows.select(pl.col("truth").is_between("effect_low", "effect_high").mean()).item()
    return float("nan") if covered is None else float(covered)


def _relative_error(rows: pl.DataFrame, column: str) -> float:
    size = rows["truth"].abs().clip(1e-12, None)
    error = ((rows[column] - rows["truth"]).abs() / size).mean()
    return float("nan") if error is None else float(error)  # type: ignore[arg-type]


def _error_by_spread(rows: pl.DataFrame) -> float:
    """The error against the truth's spread over each question's clients, then the mean over questions."""
    ratios = []
    for _, group in rows.group_by("asked", maintain_order=True):
        error = (group["effect"] - group["truth"]).to_numpy()
        spread = float(np.std(group["truth"].to_numpy()))
        if spread > 0:
            ratios.append(float(np.sqrt(np.mean(error**2))) / spread)
    return float(np.mean(ratios)) if ratios else float("nan")
