"""Parity finds a group that is planted to fare worse, and no group where all fare alike."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from terag_pipelines.linking.model import ENTITY_MEMBERS
from terag_pipelines.linking.parity import GroupRate, ParityParams, group_records, measure_parity, say_parity
from terag_pipelines.linking.parity_pictures import draw_parity
from terag_pipelines.linking.quality import link_calibration
from tests.unit.linking.records import make_labels, make_links, make_records

CYRILLIC = {"display_name": "Нурлан Ахметов", "given_key": "nurlan", "family_key": "ahmetov"}
LATIN = {"display_name": "John Miller", "given_key": "john", "family_key": "miller"}


def rates_of(n: int, missed: dict[str, float], merged: dict[str, float]) -> list[GroupRate]:
    """Persons of two records each, half of each script: so many are missed, so many merged with another."""
    rng = np.random.default_rng(4)
    rows: list[dict[str, Any]] = []
    truth, entity = [], []
    for person in range(n):
        script = "Cyrillic" if person % 2 else "Latin"
        parted = rng.random() < missed.get(script, 0.0)
        joined = rng.random() < merged.get(script, 0.0)
        for copy in range(2):
            rows.append(CYRILLIC if person % 2 else LATIN)
            truth.append(str(person))
            entity.append(f"e{person - 2 if joined else person}{'x' if parted and copy else ''}")
    records = make_records(rows)
    ids = records["record_id"].to_pylist()
    members = ENTITY_MEMBERS.from_columns(record_id=ids, entity_id=entity)
    return measure_parity(records, members, make_labels(dict(zip(ids, truth, strict=True))))


def rate_of(rates: list[GroupRate], group: str, kind: str) -> GroupRate:
    (found,) = [rate for rate in rates if (rate.group, rate.kind, rate.dimension) == (group, kind, "script")]
    return found


def test_a_group_that_is_missed_more_often_is_found() -> None:
    rates = rates_of(1_200, missed={"Cyrillic": 0.2, "Latin": 0.04}, merged={})
    worse = rate_of(rates, "Cyrillic", "miss")
    assert worse.is_worse
    assert worse.rate == pytest.approx(0.2, abs=0.04)
    assert worse.rate_low < 0.2 < worse.rate_high
    assert not rate_of(rates, "Latin", "miss").is_worse
    assert "miss of Cyrillic (script)" in say_parity(rates)


def test_a_group_that_is_merged_more_often_is_found() -> None:
    rates = rates_of(1_200, missed={}, merged={"Cyrillic": 0.0, "Latin": 0.15})
    assert rate_of(rates, "Latin", "false merge").is_worse
    assert rate_of(rates, "Cyrillic", "false merge").n_wrong == 0
    assert not rate_of(rates, "Latin", "miss").is_worse


def test_equal_groups_are_not_found_worse() -> None:
    rates = rates_of(1_200, missed={"Cyrillic": 0.1, "Latin": 0.1}, merged={})
    assert not any(rate.is_worse for rate in rates)
    assert "none is surely over" in say_parity(rates)


def test_a_difference_that_chance_explains_is_no_finding() -> None:
    rates = rates_of(80, missed={"Cyrillic": 0.2, "Latin": 0.05}, merged={})
    assert not any(rate.is_worse for rate in rates)


def test_small_groups_are_told_and_not_judged() -> None:
    rates = rates_of(40, missed={"Cyrillic": 1.0}, merged={})
    assert rate_of(rates, "Cyrillic", "miss").rate == 1.0
    assert all(rate.least_factor is None for rate in rates)
    assert say_parity(rates).startswith("not judged")


def test_without_labels_nothing_is_judged() -> None:
    records = make_records([LATIN])
    members = ENTITY_MEMBERS.from_columns(record_id=["r:000000"], entity_id=["e"])
    assert measure_parity(records, members, make_labels({})) == []


@pytest.mark.parametrize(
    ("name", "keys", "script", "origin"),
    [
        ("Нұрлан Ахметов", ("nurlan", "ahmetov", None), "Cyrillic", "Kazakh"),
        ("Айгүл Серікқызы", ("aigul", "serikkizi", None), "Cyrillic", "Kazakh"),
        ("Ivan Petrov", ("ivan", "petrov", None), "Latin", "Russian"),
        ("Иван Фомин", ("ivan", "fomin", None), "Cyrillic", "Russian"),
        ("Austin Martin", ("austin", "martin", None), "Latin", "other"),
        ("Nurlan Ахметов", ("nurlan", "ahmetov", None), "mixed", "Kazakh"),
        ("Ольга Ким", ("olga", "kim", "petrovna"), "Cyrillic", "Russian"),
        ("张秀英", ("秀英", "张", None), "other", "other"),
        (None, (None, None, None), "not known", "not known"),
    ],
)
def test_script_and_origin_go_by_spelling(
    name: str | None, keys: tuple[str | None, ...], script: str, origin: str
) -> None:
    given, family, patronymic = keys
    row = {"display_name": name, "given_key": given, "family_key": family, "patronymic_key": patronymic}
    assert group_records(make_records([row])).row(0)[1:3] == (script, origin)


def test_rare_regions_are_one_group() -> None:
    records = make_records([{"region": region} for region in ("almaty", "almaty", "astana", "semey", None)])
    regions = group_records(records, ParityParams(n_regions=1))["region"].to_list()
    assert regions == ["almaty", "almaty", "further regions", "further regions", "not known"]


def test_the_picture_is_drawn_for_much_and_for_nothing() -> None:
    for rates in ([], rates_of(200, {"Latin": 0.1}, {})):
        assert draw_parity(rates).startswith(b"\x89PNG")


def links_that_say(
    probability: float, n_right: int, n: int, is_calibrated: bool
) -> tuple[pa.Table, pa.Table]:
    weight = float(np.log2(probability / (1 - probability)))
    links = make_links(*[(f"a{i:05d}", f"b{i:05d}", weight) for i in range(n)])
    at = links.column_names.index("is_calibrated")
    links = links.set_column(at, "is_calibrated", pa.array([is_calibrated] * n))
    value_of = {f"a{i:05d}": str(i) for i in range(n)}
    value_of |= {f"b{i:05d}": str(i if i < n_right else -i) for i in range(n)}
    return links, make_labels(value_of)


@pytest.mark.parametrize(
    ("n_right", "is_calibrated", "is_within"), [(180, True, True), (120, True, False), (120, False, True)]
)
def test_links_that_claim_to_be_calibrated_must_be(
    n_right: int, is_calibrated: bool, is_within: bool
) -> None:
    found = link_calibration(*links_that_say(0.9, n_right, 200, is_calibrated))
    assert found.n_labelled == 200
    assert found.ece == pytest.approx(abs(0.9 - n_right / 200))
    assert found.is_within(0.1) is is_within


def test_the_error_that_chance_makes_is_allowed_for() -> None:
    rng = np.random.default_rng(6)
    eces = []
    for _ in range(200):
        found = link_calibration(*links_that_say(0.8, int(rng.binomial(20, 0.8)), 20, True))
        eces.append(found.ece or 0.0)
    assert np.mean(eces) == pytest.approx(found.chance_ece, rel=0.25)


def test_without_labels_links_are_not_judged() -> None:
    found = link_calibration(make_links(("a", "b", 3.0)), make_labels({}))
    assert (found.ece, found.is_within(0.0)) == (None, True)
