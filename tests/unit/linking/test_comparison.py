"""Comparison levels say what a person would say of two values."""

from __future__ import annotations

from datetime import date
from typing import Any

import numpy as np
import pytest

from terag_pipelines.linking.comparison import compare_pairs
from terag_pipelines.linking.encoding import encode_records
from terag_pipelines.linking.levels import FIELD_BY_NAME, FIELDS
from tests.unit.linking.records import make_population, make_records


def levels_of(left: dict[str, Any], right: dict[str, Any]) -> dict[str, str]:
    records = encode_records(make_records([left, right]))
    compared = compare_pairs(records, np.array([0], np.int32), np.array([1], np.int32))
    named = {f: ["", *(level.name for level in FIELD_BY_NAME[f].levels)] for f in compared}
    return {f: named[f][int(k[0])] for f, k in compared.items() if k[0]}


@pytest.mark.parametrize(
    ("left", "right", "level"),
    [
        ("aigerim", "aigerim", "exact"),
        ("aigerim", "aigerym", "close"),
        ("robert", "bob", "nickname"),
        ("aleksandr", "sasha", "nickname"),
        ("a", "aigerim", "initial"),
        ("darla", "darletta", "similar"),
        ("aigerim", "bolat", "other"),
        ("aigerim", "tkzhvn", "different"),
        ("muhammed", "mhd", "nickname"),
    ],
)
def test_given_names(left: str, right: str, level: str) -> None:
    one, other = {"given_key": left, "family_key": "kim"}, {"given_key": right, "family_key": "kim"}
    assert levels_of(one, other)["given_name"] == level


def test_swapped_names_are_one_piece_of_evidence() -> None:
    one, other = {"given_key": "anna", "family_key": "belova"}, {"given_key": "belova", "family_key": "anna"}
    assert levels_of(one, other) == {"given_name": "swapped"}


def test_swapped_names_with_a_slip() -> None:
    one, other = {"given_key": "anna", "family_key": "belova"}, {"given_key": "belovva", "family_key": "anna"}
    assert levels_of(one, other) == {"given_name": "swapped"}


def test_a_whole_name_meets_its_parts() -> None:
    one, other = {"given_key": "anna", "family_key": "belova"}, {"name_key": "anna belova"}
    assert levels_of(one, other) == {"full_name": "exact"}


def test_a_further_name_speaks_where_the_first_one_does_not() -> None:
    one = {"given_key": "anna", "family_key": "belova", "alias_keys": ["anna kim"]}
    assert levels_of(one, {"given_key": "anna", "family_key": "kim"}) == {"full_name": "exact"}


def test_names_in_scripts_that_cannot_be_compared_are_no_evidence() -> None:
    one, other = {"given_key": "伟", "family_key": "张"}, {"given_key": "wei", "family_key": "zhang"}
    assert levels_of(one, other) == {}


def test_a_missing_patronymic_is_no_evidence() -> None:
    one = {"given_key": "anna", "family_key": "kim", "patronymic_key": "petrovna"}
    assert "patronymic" not in levels_of(one, {"given_key": "anna", "family_key": "kim"})


@pytest.mark.parametrize(
    ("left", "right", "level"),
    [
        ("bolatuli", "bolatovich", "exact"),
        ("bolat uli", "bolatuli", "exact"),
        ("ganiuli", "ganievich", "exact"),
        ("bolatkizi", "bolatovna", "exact"),
        ("bolatovich", "bolattovich", "close"),
        ("b", "bolatuli", "initial"),
        ("bolatuli", "bolatkizi", "different"),
        ("bolatuli", "erlanuli", "different"),
        ("petrovna", "petrovna", "exact"),
    ],
)
def test_patronymics(left: str, right: str, level: str) -> None:
    assert levels_of({"patronymic_key": left}, {"patronymic_key": right})["patronymic"] == level


@pytest.mark.parametrize(
    ("left", "right", "level"),
    [
        ("marat", "murat", "other"),
        ("erbol", "erbolat", "other"),
        ("maria", "marie", "close"),
        ("kristen", "kristin", "close"),
        ("mark", "marsha", "other"),
    ],
)
def test_given_names_known_to_differ(left: str, right: str, level: str) -> None:
    one, other = {"given_key": left, "family_key": "kim"}, {"given_key": right, "family_key": "kim"}
    assert levels_of(one, other)["given_name"] == level


def test_a_name_that_many_hold_is_no_slip() -> None:
    names = ["aizhibek"] * 12 + ["aizhimur"] * 12 + ["aizhitek"]
    people = [{"given_key": name, "family_key": "kim", "house": str(at)} for at, name in enumerate(names)]
    records = encode_records(make_records(people))
    left, right = np.array([0, 0], np.int32), np.array([12, 24], np.int32)
    levels = compare_pairs(records, left, right)["given_name"]
    assert [FIELD_BY_NAME["given_name"].levels[level - 1].name for level in levels] == ["other", "close"]


@pytest.mark.parametrize(
    ("change", "level"),
    [
        ({}, "similar"),
        ({"patronymic_key": "bolatuli"}, "different"),
        ({"patronymic_key": "erlankizi"}, "different"),
        ({"given_key": "saule"}, "different"),
        ({"birth_date": date(1981, 5, 6)}, "different"),
    ],
)
def test_a_married_womans_family_name_says_little(change: dict[str, Any], level: str) -> None:
    maiden = {"given_key": "dana", "family_key": "ahmetova", "patronymic_key": "bolatkizi"}
    one, other = maiden | {"birth_date": date(1980, 3, 4)}, {"birth_date": date(1980, 3, 4)}
    married = maiden | other | {"family_key": "serikbaeva", "patronymic_key": "bolatovna"}
    assert levels_of(one, married | change)["family_name"] == level


def test_a_former_family_name_is_found_among_the_aliases() -> None:
    one = {"given_key": "dana", "family_key": "ahmetova", "alias_keys": ["dana serikbaeva"]}
    assert levels_of(one, {"given_key": "dana", "family_key": "serikbaeva"}) == {"full_name": "exact"}


def test_junior_is_not_senior() -> None:
    one = {"given_key": "david", "family_key": "dobbins jr"}
    other = {"given_key": "david", "family_key": "dobbins senior"}
    assert levels_of(one, other) == {"given_name": "exact", "family_name": "exact", "generation": "different"}


@pytest.mark.parametrize(
    ("left", "right", "level"),
    [
        (date(1980, 3, 4), date(1980, 3, 4), "exact"),
        (date(1980, 3, 4), date(1980, 4, 3), "swapped"),
        (date(1980, 3, 4), date(1980, 3, 14), "typo"),
        (date(1980, 3, 12), date(1980, 3, 21), "typo"),
        (date(1980, 3, 4), date(1989, 3, 14), "near"),
        (date(1980, 3, 4), date(1981, 4, 3), "near"),
        (date(1980, 3, 4), date(1955, 11, 29), "different"),
    ],
)
def test_birth_dates(left: date, right: date, level: str) -> None:
    assert levels_of({"birth_date": left}, {"birth_date": right}) == {"birth_date": level}


def test_identifiers_of_different_kinds_are_no_evidence() -> None:
    assert levels_of({"identifiers": ["passport:N123"]}, {"identifiers": ["ssn:999"]}) == {}


@pytest.mark.parametrize(
    ("left", "right", "level"),
    [
        (["ssn:1", "passport:N12345678"], ["passport:N12345678"], "shared"),
        (["passport:N12345678"], ["passport:N12345687"], "typo"),
        (["passport:N12345678"], ["passport:Z99995555"], "different"),
    ],
)
def test_identifiers(left: list[str], right: list[str], level: str) -> None:
    assert levels_of({"identifiers": left}, {"identifiers": right}) == {"identifiers": level}


def test_phones_with_and_without_the_country() -> None:
    assert levels_of({"phones": ["+77011234567"]}, {"phones": ["87011234567"]}) == {"phone": "shared"}
    assert levels_of({"phones": ["+77011234567"]}, {"phones": ["+77011234576"]}) == {"phone": "typo"}


@pytest.mark.parametrize(
    ("left", "right", "level"),
    [
        ("anna@mail.ru", "anna@mail.ru", "shared"),
        ("anna.kim@mail.ru", "anna.kim@gmail.com", "same_local"),
        ("anna.kim@mail.ru", "ana.kim@mail.ru", "similar"),
        ("anna@mail.ru", "zz@q.com", "different"),
    ],
)
def test_emails(left: str, right: str, level: str) -> None:
    assert levels_of({"emails": [left]}, {"emails": [right]}) == {"email": level}


def test_the_mailbox_of_a_role_is_no_evidence() -> None:
    assert levels_of({"emails": ["info@bank.kz"]}, {"emails": ["info@bank.kz"]}) == {}


HOME = {"street": "satpaev", "house": "12 5", "postcode": "050000", "locality": "almaty"}


@pytest.mark.parametrize(
    ("other", "level"),
    [
        ({}, "whole"),
        ({"postcode": None}, "whole"),
        ({"house": "12"}, "whole"),
        ({"house": "12 6"}, "most"),
        ({"street": "almaty satpaeva"}, "whole"),
        ({"postcode": "160000"}, "most"),
        ({"street": "dostyk", "house": "9"}, "part"),
        ({"street": "dostyk", "house": "9", "postcode": "160000"}, "different"),
        ({"street": None, "house": None}, "area"),
        ({"house": None, "postcode": None, "locality": None}, "area"),
    ],
)
def test_an_address_is_one_piece_of_evidence(other: dict[str, str | None], level: str) -> None:
    assert levels_of(HOME, HOME | other) == {"address": level}


def test_an_organisation_keeps_its_name_in_any_order() -> None:
    kind = {"party_type": "organisation"}
    one, other = kind | {"organisation_key": "altyn bidai"}, kind | {"organisation_key": "altyn bidai trade"}
    assert levels_of(one, one)["organisation_name"] == "exact"
    assert levels_of(one, other)["organisation_name"] == "subset"


@pytest.mark.parametrize(
    ("left", "right", "level"),
    [
        ("romashka 5", "romashka 5", "exact"),
        ("romashka 5", "romashka 7", "different"),
        ("romashka 5", "romashka", "close"),
        ("romashka 5 almati", "romashka 7 almati", "different"),
    ],
)
def test_numbers_of_organisations_must_agree(left: str, right: str, level: str) -> None:
    one = {"party_type": "organisation", "organisation_key": left}
    assert levels_of(one, one | {"organisation_key": right})["organisation_name"] == level


def test_comparison_is_symmetric_and_does_not_depend_on_the_partition() -> None:
    records = encode_records(make_population(60, seed=2)[0])
    left, right = (side.astype(np.int32) for side in np.triu_indices(len(records), 1))
    whole = compare_pairs(records, left, right)
    turned = compare_pairs(records, right, left)
    part = compare_pairs(records, left[100:300], right[100:300])
    for name, levels in whole.items():
        assert (levels == turned[name]).all(), name
        assert (levels[100:300] == part.get(name, np.zeros(200, np.int8))).all(), name


def test_default_probabilities_are_distributions_that_favour_agreement() -> None:
    for field in FIELDS:
        assert sum(level.m for level in field.levels) == pytest.approx(1, abs=0.02), field.name
        assert sum(level.u for level in field.levels) == pytest.approx(1, abs=0.02), field.name
        assert field.levels[0].m > field.levels[0].u
        assert field.levels[-1].m < field.levels[-1].u


PRODUCTS = [
    "vorlux switch ezx88w 8 port gigabit metal case",
    "vorlux networking ezx88w gigabit",
    "vorlux switch ezx55w 5 port desktop white",
    "kamera lens zoom 1080p tripod case",
    "tenbo kettle steel 1080p",
    *(f"radio stand 1080p model{number}" for number in range(6)),
]


@pytest.mark.parametrize(
    ("left", "right", "is_code"),
    [(0, 1, True), (0, 2, False), (3, 4, False), (1, 3, False)],
    ids=["model number", "another model", "a standard in many", "nothing"],
)
def test_a_rare_code_in_common_is_told_from_words_in_common(left: int, right: int, is_code: bool) -> None:
    records = encode_records(make_records([{"description": text} for text in PRODUCTS]))
    level = compare_pairs(records, np.array([left], np.int32), np.array([right], np.int32))["description"][0]
    assert (FIELD_BY_NAME["description"].levels[level - 1].name == "code") == is_code


def test_a_birth_date_that_the_iin_contradicts_is_no_proof_of_two_people() -> None:
    """880614300129 is of a man born on 14 June 1988."""
    told, of_iin, third = date(1979, 3, 2), date(1988, 6, 14), date(1965, 11, 30)
    doubted = {"iin": "880614300129", "birth_date": told}
    for born, level in ((told, "exact"), (of_iin, "exact"), (third, "different")):
        assert levels_of(doubted, {"birth_date": born})["birth_date"] == level
        assert levels_of({"birth_date": born}, doubted)["birth_date"] == level
    sure = {"iin": "880614300129", "birth_date": of_iin}
    assert levels_of(sure, {"birth_date": told})["birth_date"] == "different"


@pytest.mark.parametrize(
    ("left", "right", "level"),
    [
        ("vorlux ezx88w gigabit switch", "vorlux ezx88 gigabit switch grey", "close"),
        ("vorlux ezx88w gigabit switch", "vorlux ezx55w gigabit switch grey", "vague"),
        ("vorlux ezx88w gigabit switch", "vorlux gigabit switch grey", "close"),
    ],
    ids=["a code cut short", "another model", "no code"],
)
def test_models_of_one_make_are_told_apart_by_their_codes(left: str, right: str, level: str) -> None:
    others = [f"tenbo kettle steel {number}" for number in range(8)]
    records = encode_records(make_records([{"description": text} for text in (left, right, *others)]))
    (found,) = compare_pairs(records, np.array([0], np.int32), np.array([1], np.int32))["description"]
    assert FIELD_BY_NAME["description"].levels[found - 1].name == level


def test_a_title_meets_itself_with_a_long_text_behind_it() -> None:
    title = "vorlux networking switch with eight gigabit ports in a case of grey metal and a stand"
    rest = " ".join(f"word{number:03d}" for number in range(80))
    others = [f"tenbo kettle steel {rest[k : k + 60]}" for k in range(8)]
    records = encode_records(make_records([{"description": t} for t in (title, f"{title} {rest}", *others)]))
    (found,) = compare_pairs(records, np.array([0], np.int32), np.array([1], np.int32))["description"]
    assert FIELD_BY_NAME["description"].levels[found - 1].name == "same"
