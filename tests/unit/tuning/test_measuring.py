"""Changes of paired measurements and their confidence."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import ttest_rel

from terag_pipelines.tuning.measuring import paired_change


def test_the_interval_is_that_of_the_paired_t_test():
    random = np.random.default_rng(7)
    before = random.gamma(3.0, 10.0, 30)
    after = before * random.uniform(0.4, 1.2, 30)
    change = paired_change(before.tolist(), after.tolist())
    interval = ttest_rel(before, after).confidence_interval(0.95)
    assert change.ratio == pytest.approx(after.sum() / before.sum())
    assert change.high == pytest.approx(1 - interval.low / before.mean())
    assert change.low == pytest.approx(1 - interval.high / before.mean())


def test_the_interval_holds_the_true_change_as_often_as_it_says():
    random = np.random.default_rng(11)
    held = 0
    for _ in range(400):
        before = random.normal(100, 10, 6)
        change = paired_change(before.tolist(), (before * 0.7 + random.normal(0, 5, 6)).tolist())
        held += change.low <= 0.7 <= change.high
    assert 0.91 <= held / 400 <= 0.99


def test_equal_pairs_and_single_ones_have_no_width():
    assert paired_change([10, 10], [5, 5]) == paired_change([10], [5])
    assert paired_change([10], [5]).high == 0.5


@pytest.mark.parametrize(("before", "after"), [([], []), ([1.0], [1.0, 2.0])])
def test_what_is_no_pairs_is_refused(before, after):
    with pytest.raises(ValueError, match="no pairs"):
        paired_change(before, after)
