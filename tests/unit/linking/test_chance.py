"""What chance shares makes nobody one, where the file could not tell how often strangers agree."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from terag_pipelines.linking.explanation import LinkedBatch, weigh_anew
from terag_pipelines.linking.pipeline import LinkedRecords, link_records
from tests.unit.linking.records import make_population, make_records

NAME = {"given_key": "anna", "family_key": "kim"}
BORN = {"birth_date": date(1980, 3, 4)}
FIRM = {"party_type": "organisation", "organisation_key": "alma", "name_key": "alma"}
PHONE = {"phones": ["+77012345678"]}


def link_rows(rows: list[dict[str, Any]]) -> LinkedRecords:
    return link_records(make_records(rows))


@pytest.mark.parametrize("n", [20, 1_000])
@pytest.mark.parametrize("alone", [NAME, BORN, FIRM], ids=["name", "date", "organisation"])
@pytest.mark.parametrize("beside", [{}, {"sex": "female"}, {"locality": "almaty"}], ids=str)
def test_a_name_or_a_date_that_a_whole_file_bears_makes_nobody_one(
    n: int, alone: dict[str, Any], beside: dict[str, Any]
) -> None:
    linked = link_rows([alone | beside] * n)
    assert linked.scored.models[0].is_stand_in
    assert linked.cluster_report.n_entities == n


@pytest.mark.parametrize("n", [2, 9, 1_000])
@pytest.mark.parametrize("person", [NAME | BORN | PHONE, NAME | BORN, NAME | PHONE, FIRM | PHONE], ids=str)
def test_records_that_agree_in_more_are_one_however_many_they_are(n: int, person: dict[str, Any]) -> None:
    assert link_rows([person] * n).cluster_report.n_entities == 1


@pytest.mark.parametrize("beside", [{}, {"sex": "female"}, {"locality": "almaty"}], ids=str)
def test_namesakes_that_differ_in_something_are_as_many_as_without(beside: dict[str, Any]) -> None:
    rows = [NAME | beside | {"patronymic_key": name} for name in ("ivanovna", "petrovna")]
    assert link_rows([*rows, *[NAME | beside] * 30]).cluster_report.n_entities >= 30


def test_a_rare_name_alone_still_makes_one_person_of_two_records() -> None:
    rows = [{"given_key": f"given {n}", "family_key": f"family {n}"} for n in range(500)]
    linked = link_rows([*rows, *rows[:50], *[NAME] * 200])
    labels = linked.labels
    together = [labels[n] == labels[500 + n] for n in range(50)]
    assert all(together)
    assert linked.cluster_report.n_entities == 700


def test_days_that_strangers_share_link_nobody() -> None:
    """In 3,000 random days some 200 pairs are of one day by chance."""
    days = np.random.default_rng(5).integers(0, 22_000, 3_000)
    linked = link_rows([{"birth_date": date(1945, 1, 1) + timedelta(int(day))} for day in days])
    assert linked.index.report.n_pairs > 100
    assert not linked.rows.is_link.any()


def test_names_that_chance_repeats_link_few() -> None:
    """10 given and 50 family names: each full name is borne by two of 1,000 strangers on average."""
    rng = np.random.default_rng(5)
    given, family = rng.integers(0, 10, 1_000), rng.integers(0, 50, 1_000)
    names = ["".join(chr(97 + n // 10 * 7 % 26) * 3 + chr(97 + n % 10) * 3) for n in range(60)]
    rows = [
        {"given_key": names[one], "family_key": names[10 + other]}
        for one, other in zip(given, family, strict=True)
    ]
    assert link_rows(rows).cluster_report.n_entities > 990


def test_copies_that_say_more_do_not_make_a_name_common() -> None:
    rows = [NAME, NAME, *[NAME | BORN | PHONE] * 300]
    labels = link_rows(rows).labels
    assert labels[0] == labels[1]


def test_a_learned_model_is_left_as_it_is() -> None:
    records, _ = make_population(1_500, seed=9)
    linked = link_records(records)
    (model,) = linked.scored.models
    assert not model.is_stand_in
    assert "chance" not in str(_waterfalls(linked))


def test_the_waterfall_says_what_chance_took_and_adds_up() -> None:
    linked = link_rows([NAME] * 40)
    (stored, never_compared) = _waterfalls(linked)
    for pair in (stored, never_compared):
        (told,) = [part for part in pair.evidence if part.field == "chance"]
        assert told.weight < -3
        assert pair.unexplained_weight == 0
        assert pair.match_weight == pytest.approx(stored.match_weight)


def _waterfalls(linked: LinkedRecords) -> list[Any]:
    batch = LinkedBatch(
        linked.ordered, linked.scores.scores, linked.scores.model, linked.links, linked.members
    )
    first = [linked.scores.scores[side][0].as_py() for side in ("left_id", "right_id")]
    ids: pa.ChunkedArray = linked.ordered["record_id"]
    return weigh_anew(batch, [(first[0], first[1]), (ids[5].as_py(), ids[7].as_py())])
