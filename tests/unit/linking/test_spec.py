"""What a manifest says about linking."""

from __future__ import annotations

import pytest

from terag_pipelines.errors import ManifestError
from terag_pipelines.linking.block_rules import BlockingRule
from terag_pipelines.linking.blocking import find_candidate_pairs
from terag_pipelines.linking.pipeline import LinkingParams
from terag_pipelines.linking.spec import read_linking
from tests.unit.linking.records import make_population


def test_without_it_everything_is_chosen_from_the_data() -> None:
    assert read_linking(None) == LinkingParams()


def test_pinned_rules_are_the_only_ones() -> None:
    params = read_linking({"blocking": ["phone | phone+family_initial", "family+birth_date"]}).blocking
    assert params.rules == (
        BlockingRule((("phone",), ("phone", "family_initial"))),
        BlockingRule((("family", "birth_date"),)),
    )
    report = find_candidate_pairs(make_population(300, seed=1)[0], params).report
    assert {rung.rule for rung in report.rungs} == {"phone", "family+birth_date"}
    assert report.choice is None


def test_the_threshold_of_a_link() -> None:
    assert read_linking({"threshold": 0.9}).links.threshold_probability == 0.9


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ({"rules": []}, "unknown ['rules']"),
        ({"blocking": "family"}, "a list of rules"),
        ({"blocking": []}, "a list of rules"),
        ({"blocking": ["surname"]}, "there is no blocking key 'surname'"),
        ({"threshold": 1.5}, "between 0 and 1"),
        ({"threshold": True}, "between 0 and 1"),
    ],
)
def test_mistakes_are_named(content: dict[str, object], told: str) -> None:
    with pytest.raises(ManifestError) as caught:
        read_linking(content)
    assert told in str(caught.value)
