"""Decision by threshold, and the scores that labels judge."""

from __future__ import annotations

import numpy as np
import pytest

from terag_pipelines.entities.model import LABELS
from terag_pipelines.linking.links import LinkParams, decide_links, labelled_scores
from terag_pipelines.linking.model import PAIR_SCORES
from tests.unit.linking.records import make_labels, make_scores

SCORES = make_scores(("a", "b", 5.0), ("a", "c", 0.0), ("b", "c", -5.0))


class Halved:
    """A calibrator that halves every probability."""

    def apply(self, scores: np.ndarray) -> np.ndarray:
        return scores / 2


def test_pairs_from_the_threshold_on_are_links() -> None:
    links = decide_links(SCORES, None, LinkParams(threshold_probability=0.5))
    assert links["right_id"].to_pylist() == ["b", "c"]
    assert links["is_calibrated"].to_pylist() == [False, False]
    assert links["link_probability"].equals(links["match_probability"])


def test_a_calibrator_decides_where_there_is_one() -> None:
    links = decide_links(SCORES, Halved(), LinkParams(threshold_probability=0.4))
    assert links["left_id"].to_pylist() == ["a"]
    assert links["link_probability"][0].as_py() == pytest.approx(links["match_probability"][0].as_py() / 2)
    assert links["is_calibrated"].to_pylist() == [True]


def test_nothing_scored_links_nothing() -> None:
    assert decide_links(PAIR_SCORES.empty()).num_rows == 0


def test_labels_of_entities_and_of_pairs_judge_scores() -> None:
    pair = {
        "label_kind": ["pair"],
        "subject_id": ["c"],
        "object_id": ["b"],
        "value": ["1"],
        "use": ["training"],
    }
    scores, outcomes = labelled_scores(SCORES, LABELS.from_columns(**pair), "training")
    assert (len(scores), outcomes.tolist()) == (1, [1])
    labels = make_labels({"a": "1", "b": "1", "c": "2"})
    assert labelled_scores(SCORES, labels, "truth")[1].tolist() == [1, 0, 0]


def test_labels_of_another_use_are_not_looked_at() -> None:
    scores, outcomes = labelled_scores(SCORES, make_labels({"a": "1", "b": "1"}), "training")
    assert len(scores) == len(outcomes) == 0
