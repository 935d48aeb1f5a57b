"""Columns told by their names and values, in three languages, each with its reason."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
import pytest

from terag_pipelines.entities.column_names import field_of_name
from terag_pipelines.entities.column_types import ReadingParams, Readings, read_columns
from terag_pipelines.entities.raw_files import RawFile
from terag_pipelines.errors import LinkingError, ManifestError

IIN, BIN = "880614300129", "150140012343"
NAMES = ("Серіков Нұрлан", "Иванова Ольга", "Ким Лев", "Ахметов Ерлан", "Smith Robert", "Brown Ann")


def raw(columns: Mapping[str, Sequence[str | None]]) -> RawFile:
    table = pa.table({name: pa.array(values, pa.string()) for name, values in columns.items()})
    return RawFile(table, np.arange(1, table.num_rows + 1), tuple(columns))


def read(columns: Mapping[str, Sequence[str | None]], **said: object) -> Readings:
    return read_columns({"people": raw(columns)}, ReadingParams(**said))  # type: ignore[arg-type]


def fields(readings: Readings) -> dict[str, str | None]:
    return {one.column: one.field for one in readings.sources[0].columns}


def reason(readings: Readings, column: str) -> str:
    return next(one.reason for one in readings.sources[0].columns if one.column == column)


@pytest.mark.parametrize(
    ("column", "field"),
    [
        ("first_name", "given_name"), ("firstName", "given_name"), ("Имя", "given_name"),
        ("аты", "given_name"), ("FNAME", "given_name"), ("customer_first_name", "given_name"),
        ("FEATURES[].NAME_FIRST", "given_name"),
        ("surname", "family_name"), ("Фамилия", "family_name"), ("Тегі", "family_name"),
        ("Отчество", "patronymic"), ("әкесінің аты", "patronymic"),
        ("ФИО", "full_name"), ("аты-жөні", "full_name"), ("name", "full_name"), ("native_name", "alias"),
        ("dob", "birth_date"), ("Дата рождения", "birth_date"), ("туған күні", "birth_date"),
        ("ИИН", "iin"), ("ЖСН", "iin"), ("БИН", "bin"), ("БСН", "bin"),
        ("Телефон", "phone"), ("phone2", "phone"), ("ұялы телефон", "phone"), ("tel", "phone"),
        ("e-mail", "email"), ("электронная почта", "email"),
        ("address_1", "street"), ("address1", "street"), ("street_number", "house"), ("Адрес", "address"),
        ("suburb", "locality"), ("город", "locality"), ("қала", "locality"), ("state", "region"),
        ("zip", "postcode"), ("Индекс", "postcode"), ("soc_sec_id", "ssn"), ("company", "organisation_name"),
        ("Наименование организации", "organisation_name"), ("title", "description"), ("rec_id", "id"),
        ("maiden_name", "former_family_name"), ("прежняя фамилия", "former_family_name"),
        ("previous surname", "former_family_name"),
        ("phone_from", "phone_from"), ("mobileValidTo", "phone_to"), ("телефон с", "phone_from"),
        ("адрес действует по", "address_to"), ("card_since", "card_from"), ("номер карты", "card"),
    ],
)  # fmt: skip
def test_names_in_three_languages(column: str, field: str) -> None:
    named = field_of_name(column)
    assert named is not None
    assert named.field == field


@pytest.mark.parametrize(
    "column", ["phone_type", "passport_country", "address_2", "price", "mother_name", "x"]
)
def test_names_that_say_nothing_known(column: str) -> None:
    assert field_of_name(column) is None


def test_values_tell_where_names_do_not() -> None:
    found = read(
        {
            "name": NAMES[:3],
            "c1": ("a@b.kz", "c@d.kz", None),
            "c2": (IIN, None, None),
            "c3": ("+7 701 123 45 67", "+7 727 250 00 00", None),
            "c4": ("2024-01-02", "2023-05-06", None),
            "c5": ("red", "blue", "red"),
        }
    )
    assert fields(found) == {
        "name": "full_name", "c1": "email", "c2": "iin", "c3": "phone", "c4": None, "c5": None
    }  # fmt: skip
    assert "dates" in reason(found, "c4")


def test_a_column_that_tells_the_answer_is_never_evidence() -> None:
    for name in ("cluster", "entity_id", "Match_ID", "true_id"):
        found = read({"name": NAMES, name: ("1", "1", "2", "2", "3", "4")})
        assert fields(found)[name] is None
        assert "never evidence" in reason(found, name)


def test_a_name_that_its_values_contradict_is_not_believed() -> None:
    found = read({"name": NAMES, "email": ("n", "y", "n", "y", "n", "n")})
    assert fields(found)["email"] is None
    assert (
        reason(found, "email") == "not used: its name says email, but 0% of its values are e-mail addresses"
    )


def test_the_id_is_the_surest_column_whose_values_do_not_repeat() -> None:
    found = read({"name": NAMES, "id": ("1", "1", "2", "3", "4", "5"), "client_id": tuple("abcdef")})
    assert found.sources[0].spec.fields["id"][0].column == "client_id"
    assert "missing or repeat" in reason(found, "id")


def test_without_an_id_the_numbers_of_rows_are_ids() -> None:
    found = read({"name": NAMES})
    column = found.sources[0].spec.fields["id"][0].column
    assert column is not None
    assert found.raws["people"].table[column].to_pylist() == ["1", "2", "3", "4", "5", "6"]


def test_people_organisations_or_both() -> None:
    firms = (
        "Campanile",
        "Chinois on Main",
        "Fenix at the Argyle Hotel Bar",
        "Café 21",
        "Grill",
        "Old Mill & Co",
    )
    assert read({"name": NAMES}).sources[0].spec.holds == "people"
    assert read({"name": firms}).sources[0].spec.holds == "organisations"
    assert read({"name": NAMES, "bin": [BIN] * 6}).sources[0].spec.holds == "organisations"
    assert (
        read({"name": NAMES, "company": firms, "dob": ["1990-01-02"] * 6}).sources[0].spec.holds == "parties"
    )
    assert read({"name": firms}, holds="people").sources[0].spec.holds == "people"


def test_the_order_of_day_and_month_is_told_by_dates_that_have_one_reading() -> None:
    assert read({"dob": ("03/31/1954", "04/05/1960")}).manifest.date_order == "mdy"
    assert read({"dob": ("31/03/1954", "04/05/1960")}).manifest.date_order == "dmy"
    unclear = read({"dob": ("03/02/1954", "04/05/1960")})
    assert "ambiguous" in unclear.notes[0]
    assert read({"dob": ("03/02/1954",)}, date_order="mdy").manifest.date_order == "mdy"


def test_the_country_of_phone_numbers() -> None:
    def country(*numbers: str) -> str:
        return read({"name": NAMES[: len(numbers)], "phone": numbers}).manifest.country

    assert country("8 701 123 45 67", "8 (727) 250-00-00") == "KZ"
    assert country("310/246-1501", "818/762-1221") == "US"
    assert country("0420581954", "0420674402") == "AU"


def test_what_a_person_says_goes_before_all() -> None:
    found = read(
        {"name": NAMES, "c": ("x",) * 6, "phone": ("1",) * 6}, fields={"c": "region", "phone": "ignore"}
    )
    assert fields(found) == {"name": "full_name", "c": "region", "phone": None}
    assert reason(found, "c") == "as you said"
    with pytest.raises(ManifestError, match="there is no column 'd'"):
        read({"name": NAMES}, fields={"d": "region"})
    with pytest.raises(ManifestError, match="no field 'town'; there are id, "):
        read({"name": NAMES}, fields={"name": "town"})


def test_nothing_recognised_is_said_without_repeating_what_may_be_data() -> None:
    with pytest.raises(LinkingError, match="none of its 2 columns") as told:
        read({"Серіков": ("Ким",), "42": ("43",)})
    assert "Серіков" not in str(told.value)


def test_neither_rows_nor_columns_in_another_order_change_the_reading() -> None:
    rng = np.random.default_rng(5)
    values = {
        "name": [f"{NAMES[i % 6]} {i}" for i in range(3000)],
        "phone": [f"8701{i:07d}" for i in rng.integers(0, 10**7, 3000)],
        "dob": [f"{1 + i % 28:02d}/{1 + i % 12:02d}/{1950 + i % 50}" for i in range(3000)],
    }
    order = rng.permutation(3000)
    shuffled = {name: [values[name][i] for i in order] for name in ("dob", "phone", "name")}
    one, other = read(values), read(shuffled)
    assert one.sources == other.sources
    assert one.notes == other.notes
    assert one.manifest == other.manifest


def test_ends_of_a_call_are_no_interval_of_a_number() -> None:
    calls = {
        "name": NAMES[:2],
        "phone_from": ("+7 701 123 45 67", "+7 701 123 45 68"),
        "phone_to": ("8", "9"),
    }
    assert fields(read(calls)) == {"name": "full_name", "phone_from": "phone", "phone_to": None}
    dated = {"name": NAMES[:2], "phone": ("1", "2"), "phone_from": ("01.02.2010", None)}
    dated |= {"phone_to": ("31.12.9999", "31.12.9999")}
    found = fields(read(dated))
    assert (found["phone_from"], found["phone_to"]) == ("phone_from", "phone_to")


def test_beside_several_telephones_nothing_says_whose_the_interval_is() -> None:
    columns = {"name": NAMES[:2], "phone": ("1", "2"), "phone2": ("3", "4"), "phone_to": ("01.02.2010", None)}
    found = read(columns)
    assert fields(found)["phone_to"] is None
    assert reason(found, "phone_to") == "not used: there are 2 columns of the kind phone; say whose it is"
    assert fields(read(columns, fields={"phone_to": "phone_to"}))["phone_to"] == "phone_to"


def test_a_name_beside_a_surname_is_the_given_name() -> None:
    given = {"surname": ("Ким", "Иванова", "Ахметов"), "name": ("Лев", "Ольга", "Ерлан")}
    found = read(given | {"patronymic": ("Ильич", None, "Болатұлы")})
    assert fields(found) == {"surname": "family_name", "name": "given_name", "patronymic": "patronymic"}
    assert reason(found, "name") == "by its name, beside a surname and of single names"
    whole = {"surname": given["surname"], "name": ("Ким Лев", "Иванова Ольга", "Ахметов Ерлан")}
    assert fields(read(whole))["name"] == "full_name"
    assert fields(read({"name": given["name"]}))["name"] == "full_name"
    assert fields(read(given, fields={"name": "full_name"}))["name"] == "full_name"
