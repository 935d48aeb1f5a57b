"""The estimate of what blocking missed."""

from __future__ import annotations

import numpy as np
import pytest

from terag_pipelines.linking.model import CANDIDATE_PAIRS, PAIR_SCORES
from terag_pipelines.linking.recall import RecallEstimate, estimate_recall


def estimate(n_rules: list[int], probabilities: list[float]) -> RecallEstimate:
    left, right = ([f"{side}{i:06d}" for i in range(len(n_rules))] for side in "ab")
    rules = [[f"rule {k}" for k in range(n)] for n in n_rules]
    pairs = CANDIDATE_PAIRS.from_columns(left_id=left, right_id=right, rules=rules)
    scores = PAIR_SCORES.from_columns(
        left_id=left,
        right_id=right,
        pattern=[""] * len(left),
        match_weight=[0.0] * len(left),
        match_probability=probabilities,
    )
    return estimate_recall(pairs, scores)


def test_rules_that_find_matches_independently_tell_how_many_none_found() -> None:
    rng = np.random.default_rng(3)
    n_rules = (rng.random((40_000, 5)) < 0.3).sum(axis=1)
    seen = n_rules[n_rules > 0]
    found = estimate(seen.tolist(), [1.0] * len(seen))
    assert found.recall_at_most == pytest.approx(len(seen) / 40_000, abs=0.02)


def test_what_is_no_match_does_not_count() -> None:
    found = estimate([1, 1, 1, 2], [0.0, 0.0, 0.0, 1.0])
    assert (found.n_found, found.n_missed_at_least, found.recall_at_most) == (1.0, 0.0, 1.0)


def test_no_pairs() -> None:
    assert estimate([], []).recall_at_most == 0.0
