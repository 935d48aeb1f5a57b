"""The whole room on made-up people whose truth is known."""

from __future__ import annotations

from datetime import date

import numpy as np
import pytest

from terag_pipelines.entities.model import ENTITY_RECORDS
from terag_pipelines.linking.model import PAIR_DECISIONS
from terag_pipelines.linking.pictures import draw_blocking, draw_weights
from terag_pipelines.linking.pipeline import calibrate_links, link_records
from terag_pipelines.linking.quality import pair_quality, pairwise_quality
from terag_pipelines.tables import digest
from tests.unit.linking.records import make_labels, make_links, make_population, make_records

BORN = date(1980, 3, 4)
PNG = b"\x89PNG"


def test_people_are_found_again() -> None:
    records, labels = make_population(3_000, seed=11)
    linked = link_records(records, labels)
    assert linked.quality is not None
    assert linked.blocking_quality is not None
    assert linked.blocking_quality.recall > 0.98
    assert linked.quality.f1 > 0.96
    assert linked.scores.diagnostics[0].fallback == ""


def test_the_same_records_in_any_order_give_the_same_tables() -> None:
    records, _ = make_population(300, seed=12)
    turned = records.take(np.random.default_rng(5).permutation(records.num_rows))
    one, other = link_records(records), link_records(turned)
    assert digest(one.links) == digest(other.links)
    assert digest(one.resolved.entities) == digest(other.resolved.entities)
    assert digest(one.scores.model) == digest(other.scores.model)


def test_no_records_at_all() -> None:
    linked = link_records(ENTITY_RECORDS.empty())
    assert linked.resolved.entities.num_rows == 0
    assert linked.quality is None


def test_a_namesake_with_another_iin_stays_apart_and_one_without_joins() -> None:
    anna = {"given_key": "anna", "family_key": "kim", "birth_date": BORN, "phones": ["+77010000001"]}
    rows = [anna | {"iin": "800304300015"}, anna | {"iin": "800304400016"}, anna | {"iin": "800304300015"}]
    members = link_records(make_records(rows)).resolved.members["entity_id"].to_pylist()
    assert members[0] == members[2] != members[1]


def test_one_person_with_very_many_records_is_one_entity() -> None:
    person = {"given_key": "nurlan", "family_key": "ibraev", "birth_date": date(1988, 6, 14)}
    rows = [person | {"iin": "880614300129"}] * 150
    assert link_records(make_records(rows)).resolved.report.largest_entity == 150


def test_to_calibrate_keeps_the_decisions_that_records_were_linked_with() -> None:
    person = {"given_key": "nurlan", "family_key": "ibraev", "birth_date": date(1988, 6, 14)}
    told = {"left_id": ["r:000000"], "right_id": ["r:000001"], "is_match": [False], "decided_by": ["Anna"]}
    linked = link_records(make_records([person] * 2), decisions=PAIR_DECISIONS.from_columns(**told))
    assert len(set(linked.labels.tolist())) == 2
    assert len(set(calibrate_links(linked, None).labels.tolist())) == 2


def test_father_and_son_at_one_address_stay_apart() -> None:
    home = {"family_key": "akhmetov", "street": "satpaev", "house": "12", "postcode": "050000"}
    father = home | {"given_key": "serik", "patronymic_key": "bolatuli", "birth_date": date(1960, 5, 6)}
    son = home | {"given_key": "arman", "patronymic_key": "serikuli", "birth_date": date(1988, 1, 9)}
    assert link_records(make_records([father, son])).resolved.entities.num_rows == 2


def test_quality_counts_pairs_of_labelled_records() -> None:
    labels = make_labels({"a": "1", "b": "1", "c": "1", "d": "2"})
    quality = pair_quality(make_links(("a", "b", 5.0), ("c", "d", 5.0), ("c", "x", 5.0)), labels)
    assert (quality.n_true_pairs, quality.n_found_pairs) == (3, 2)
    assert (quality.precision, quality.recall) == (0.5, pytest.approx(1 / 3))
    assert quality.f1 == pytest.approx(0.4)


def test_quality_without_labels_is_not_an_error() -> None:
    records, _ = make_population(20, seed=1)
    members = link_records(records).resolved.members
    assert pairwise_quality(members, make_labels({})).n_true_pairs == 0


def test_pictures_are_drawn_for_much_and_for_nothing() -> None:
    for records in (make_population(200, seed=2)[0], ENTITY_RECORDS.empty()):
        linked = link_records(records)
        assert draw_blocking(linked.pairs.report).startswith(PNG)
        assert draw_weights(linked.scores.scores, linked.links).startswith(PNG)
