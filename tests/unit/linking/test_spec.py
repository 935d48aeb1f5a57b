"""What a manifest says about linking."""

from __future__ import annotations

import pytest

from terag_pipelines.entities.manifests import FileSpec, Manifest
from terag_pipelines.errors import ManifestError
from terag_pipelines.linking.block_rules import BlockingRule
from terag_pipelines.linking.blocking import find_candidate_pairs
from terag_pipelines.linking.links import LinkParams
from terag_pipelines.linking.pipeline import LinkingParams
from terag_pipelines.linking.spec import read_linking
from tests.unit.linking.records import make_population


def read(content: dict[str, object] | None, *names: str) -> LinkingParams:
    """What a manifest with these files of people says, and with one of labels."""
    people = [FileSpec(name, f"{name}.csv", "csv", "people") for name in names]
    labels = FileSpec("labels", "labels.csv", "csv", "labels")
    return read_linking(Manifest("s", (*people, labels), linking=content))


def test_without_it_everything_is_chosen_from_the_data() -> None:
    assert read(None) == LinkingParams()


def test_pinned_rules_are_the_only_ones() -> None:
    params = read({"blocking": ["phone | phone+family_initial", "family+birth_date"]}).blocking
    assert params.rules == (
        BlockingRule((("phone",), ("phone", "family_initial"))),
        BlockingRule((("family", "birth_date"),)),
    )
    report = find_candidate_pairs(make_population(300, seed=1)[0], params).report
    assert {rung.rule for rung in report.rungs} == {"phone", "family+birth_date"}
    assert report.choice is None


def test_the_threshold_of_a_link() -> None:
    assert read({"threshold": 0.9}).links.threshold_probability == 0.9


def test_one_to_one_is_between_the_two_files_of_parties() -> None:
    params = read({"one_to_one": True, "threshold": 0.8}, "theirs", "ours")
    assert params.links == LinkParams(0.8, one_to_one=True)
    assert (params.clusters.across, params.blocking.across_datasets) == ("ours", True)
    assert read({"one_to_one": False}, "theirs", "ours") == LinkingParams()
    for names in ((), ("a",), ("a", "b", "c")):
        with pytest.raises(ManifestError, match=f"the manifest has {len(names)}"):
            read({"one_to_one": True}, *names)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ({"rules": []}, "unknown ['rules']"),
        ({"blocking": "family"}, "a list of rules"),
        ({"blocking": []}, "a list of rules"),
        ({"blocking": ["surname"]}, "there is no blocking key 'surname'"),
        ({"threshold": 1.5}, "between 0 and 1"),
        ({"threshold": True}, "between 0 and 1"),
        ({"one_to_one": "yes"}, "true or false"),
        ({"one_to_one": True}, "the manifest has 1 (people)"),
    ],
)
def test_mistakes_are_named(content: dict[str, object], told: str) -> None:
    with pytest.raises(ManifestError) as caught:
        read(content, "people")
    assert told in str(caught.value)
