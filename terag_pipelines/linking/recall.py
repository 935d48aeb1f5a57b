"""How many matches blocking may have missed, from how often the rules found the same ones."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc


@dataclass(frozen=True)
class RecallEstimate:
    """Matches among the candidate pairs, expected by their probabilities, and those that may be missing.

    `n_once` and `n_twice` were found by exactly one and two rules. `recall_at_most` is an upper bound: rules
    that look at the same fields find the same pairs, and what no rule can see leaves no trace.
    """

    n_found: float
    n_once: float
    n_twice: float
    n_missed_at_least: float

    @property
    def recall_at_most(self) -> float:
        """Found matches over found and missed ones."""
        return self.n_found / max(self.n_found + self.n_missed_at_least, 1e-12)


def estimate_recall(candidate_pairs: pa.Table, pair_scores: pa.Table) -> RecallEstimate:
    """Capture and recapture of the matches between the rules of CANDIDATE_PAIRS, weighed by PAIR_SCORES.

    The lower bound for the unseen of Chao (1987), "Estimating the population size for capture-recapture data
    with unequal catchability", in its bias-corrected form. Both tables hold the same pairs, in their order.
    """
    n_rules = pc.list_value_length(candidate_pairs["rules"]).fill_null(0).to_numpy()
    weights = pair_scores["match_probability"].to_numpy()
    frequencies = np.bincount(np.maximum(n_rules, 0), weights, minlength=3)
    once, twice = float(frequencies[1]), float(frequencies[2])
    n_occasions = max(len(pc.unique(pc.list_flatten(candidate_pairs["rules"]))), 1)
    missed = (1 - 1 / n_occasions) * max(once * (once - 1), 0.0) / (2 * (twice + 1))
    return RecallEstimate(float(frequencies.sum()), once, twice, missed)
