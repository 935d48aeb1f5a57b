"""Texts, dates, times, amounts, phones, e-mail addresses and postal addresses."""

from datetime import UTC, date, datetime
from decimal import ROUND_HALF_UP, Decimal

import numpy as np
import phonenumbers
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from terag_pipelines.entities.addresses import (
    house_number,
    house_numbers,
    place_key,
    place_keys,
    split_address,
    split_addresses,
)
from terag_pipelines.entities.amounts import amounts_from_numbers, amounts_from_texts, digits_of
from terag_pipelines.entities.countries import country_code
from terag_pipelines.entities.dates import (
    days_of,
    instants_from_numbers,
    instants_of,
    read_days,
    read_instants,
)
from terag_pipelines.entities.emails import plain_email, plain_emails
from terag_pipelines.entities.phones import phone_number, phone_numbers
from terag_pipelines.entities.texts import clean_text, clean_texts


def texts(*values):
    return pa.array(values, pa.string())


@given(st.text())
def test_a_clean_text_stays_as_it_is(text):
    once = clean_text(text)
    assert once is None or clean_text(once) == once


@given(st.lists(st.text(st.one_of(st.characters(codec="utf-8"), st.sampled_from("Әқ 'a"))), max_size=6))
def test_a_column_is_cleaned_as_each_text_is(values):
    expected = [
        None
        if (c := clean_text(v)) is None
        or c.lower() in ("-", "--", "null", "none", "nan", "n/a", "na", "nil", "#n/a", "\\n")
        else c
        for v in values
    ]
    assert clean_texts(texts(*values)).to_pylist() == expected


def test_texts_come_out_in_one_form():
    given_texts = texts("  Қайрат\u00a0\u200bҰлы ", "O’Neil—Smith", "\t\n", "N/A", "ﬁn", None, "ab\x00cd")
    assert clean_texts(given_texts).to_pylist() == [
        "Қайрат Ұлы",
        "O'Neil-Smith",
        None,
        None,
        "fin",
        None,
        "ab cd",
    ]
    assert clean_texts(given_texts.dictionary_encode()).to_pylist() == clean_texts(given_texts).to_pylist()


@given(st.dates(date(1850, 1, 1), date(2199, 12, 31)))
def test_common_forms_of_a_date_are_read(day):
    written = (
        day.isoformat(),
        f"{day:%Y%m%d}",
        f"{day:%d.%m.%Y}",
        f"{day.day}.{day.month}.{day.year}",
        f"{day:%d/%m/%Y}",
        f"{day:%Y/%m/%d}",
        f"{day.isoformat()}T10:00:00",
    )
    assert read_days(texts(*written)).to_pylist() == [day] * len(written)
    assert read_days(texts(f"{day:%m/%d/%Y}"), date_order="mdy").to_pylist() == [day]


def test_impossible_dates_are_null_and_declared_formats_come_first():
    wrong = texts("1990-02-30", "19901301", "31.04.2020", "0001-01-01", "9999-12-31", "soon", "20231", None)
    assert read_days(wrong).to_pylist() == [None] * 8
    shorter_than_a_day = texts("202411", "2024115", "199911", "2024-1130", "202411-30")
    assert read_days(shorter_than_a_day).to_pylist() == [None] * 5
    assert read_days(texts("03/04/1990"), ("%m/%d/%Y",)).to_pylist() == [date(1990, 3, 4)]
    assert read_days(texts("Mar 1 1970", "2/4/31"), ("%b %d %Y",)).to_pylist() == [
        date(1970, 3, 1),
        date(1931, 4, 2),
    ]
    assert read_days(texts("1/2/85"), ("%m/%d/%Y", "%m/%d/%y")).to_pylist() == [date(1985, 1, 2)]


@given(st.datetimes(datetime(1900, 1, 1), datetime(2100, 1, 1)))  # noqa: DTZ001
def test_times_are_read_with_and_without_offsets(moment):
    written = (
        moment.isoformat(),
        moment.isoformat(" "),
        f"{moment.isoformat()}Z",
        f"{moment.isoformat()}+00:00",
    )
    assert read_instants(texts(*written)).to_pylist() == [moment.replace(tzinfo=UTC)] * 4


def test_times_without_offset_are_local():
    read = read_instants(
        texts(
            "2024-06-01 12:00",
            "01.06.2024 12:00:00",
            "2024-06-01T12:00:00+06:00",
            "2024-06-01",
            "2024-06-01T25:00",
            "x",
        ),
        time_zone="Asia/Almaty",
    ).to_pylist()
    noon = datetime(2024, 6, 1, 7, tzinfo=UTC)  # UTC+5 since March 2024
    assert read == [
        noon,
        noon,
        datetime(2024, 6, 1, 6, tzinfo=UTC),
        datetime(2024, 5, 31, 19, tzinfo=UTC),
        None,
        None,
    ]
    native = pa.array([datetime(2024, 6, 1, 12)], pa.timestamp("ns"))  # noqa: DTZ001
    assert instants_of(native, "Asia/Almaty").to_pylist() == [noon]
    offset = texts("01.06.2024 12:00 +0500")
    assert read_instants(offset, ("%d.%m.%Y %H:%M %z",), time_zone="Asia/Almaty").to_pylist() == [noon]
    assert read_instants(
        texts("06/01/2024 12:00"), ("%m/%d/%Y %H:%M",), time_zone="Asia/Almaty"
    ).to_pylist() == [noon]


def test_offsets_are_those_of_real_clocks():
    read = read_instants(
        texts(
            "2024-06-01 12:00:00+05",
            "2024-06-01T12:00-0330",
            "2024-06-01T12:00+99:99",
            "2024-06-01T12:00+05:75",
        )
    ).to_pylist()
    assert read == [datetime(2024, 6, 1, 7, tzinfo=UTC), datetime(2024, 6, 1, 15, 30, tzinfo=UTC), None, None]


@pytest.mark.parametrize(
    ("kind", "far"),
    [
        (pa.date32(), 2**30),
        (pa.date64(), 2**55),
        (pa.timestamp("s"), 2**55),
        (pa.timestamp("us", "UTC"), 2**62),
        (pa.timestamp("ns"), -(2**62)),
    ],
)
def test_days_and_times_far_outside_are_null(kind, far):
    numbers = pa.array([far, None, 0], pa.int32() if kind == pa.date32() else pa.int64())
    column = numbers.view(kind)
    assert days_of(column).to_pylist() == [None, None, date(1970, 1, 1)]
    assert instants_of(column, "UTC").to_pylist() == [None, None, datetime(1970, 1, 1, tzinfo=UTC)]


def test_a_day_with_a_time_zone_is_the_day_there():
    midnight = datetime(1988, 6, 13, 18, tzinfo=UTC)  # in Almaty the 14th had begun an hour before
    local = pa.array([midnight, None], pa.timestamp("ns", "Asia/Almaty"))
    assert days_of(local).to_pylist() == [date(1988, 6, 14), None]


def test_steps_and_epochs_become_times():
    steps = instants_from_numbers(np.array([0, 1.5, np.nan, 1e300]), "step_days", "2024-01-01").to_pylist()
    assert steps == [datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 1, 2, 12, tzinfo=UTC), None, None]
    assert instants_from_numbers(np.array([1e12]), "epoch_milliseconds", None).to_pylist() == [
        datetime(2001, 9, 9, 1, 46, 40, tzinfo=UTC)
    ]


@given(st.decimals(-(10**12), 10**12, places=4, allow_nan=False), st.sampled_from(["KZT", "JPY", "KWD"]))
def test_amounts_are_exact_to_the_minor_unit(amount, currency):
    digits = digits_of(texts(currency))
    expected = int((amount * 10 ** int(digits[0])).quantize(Decimal(1), ROUND_HALF_UP))
    assert amounts_from_texts(texts(f"{amount:f}"), digits).to_pylist() == [expected]


@pytest.mark.parametrize(
    ("text", "minor"),
    [
        ("1 234,50", 123450),
        ("1,234.50", 123450),
        ("1,234", 123400),
        ("12,5", 1250),
        ("0,500", 50),
        ("-0,125", -13),
        ("1'000", 100000),
        ("+5", 500),
        (".5", 50),
        ("1e3", 100000),
        ("-0.005", -1),
        ("12-5", None),
        ("", None),
        ("NaN", None),
        ("1.2.3", None),
        ("1e99", None),
        ("٣", None),
        ("5 KZT", None),
        ("9" * 30, None),
    ],
)
def test_amounts_as_people_write_them(text, minor):
    assert amounts_from_texts(texts(text), np.array([2])).to_pylist() == [minor]


@given(st.integers(-(10**13), 10**13))
@example(285)
@example(-115)
def test_amounts_as_floats_are_exact(minor):
    assert amounts_from_numbers(np.array([minor / 100]), np.array([2])).to_pylist() == [minor]
    assert (
        amounts_from_numbers(np.array([np.inf, np.nan, 1e17]), np.array([2, 2, 2])).to_pylist() == [None] * 3
    )


@pytest.mark.parametrize(
    ("text", "country", "number"),
    [
        ("8 701 123 45 67", "KZ", "+77011234567"),
        ("+7 (701) 123-45-67", "KZ", "+77011234567"),
        ("7011234567", "KZ", "+77011234567"),
        ("77011234567", "KZ", "+77011234567"),
        ("8 (727) 250-00-00", "KZ", "+77272500000"),
        ("8 495 123 45 67", "RU", "+74951234567"),
        ("702-919-1300", "US", "+17029191300"),
        ("1 702 919 1300", "US", "+17029191300"),
        ("92-42-37925774", "KZ", "+924237925774"),
        ("020 7946 0958", "GB", "+442079460958"),
        ("fax 87011234567", "KZ", "+77011234567"),
        ("87011234567 x5", "KZ", "+77011234567"),
    ],
)
def test_valid_phones_are_e164(text, country, number):
    assert phone_number(text, country) == (number, True)
    numbers, valid = phone_numbers(texts(text, None), country)
    assert (numbers.to_pylist(), valid.tolist()) == ([number, None], [True, False])


def test_phones_valid_nowhere_keep_their_digits():
    numbers, valid = phone_numbers(texts("493-834-041", "12", "no phone"), "US")
    assert (numbers.to_pylist(), valid.tolist()) == (["493834041", None, None], [False] * 3)


@example("KZ", "810", "800", "00000000")  # dialled abroad, and valid at home too
@given(
    st.sampled_from(["KZ", "RU", "US", "GB", "DE", "UZ", "CN"]),
    st.sampled_from(["", "+7", "7", "8", "+1", "1", "+44", "0", "44", "00", "810", "+998", "86"]),
    st.sampled_from(["70", "77", "727", "495", "800", "212", "20", "79", "1", "138", "90", ""]),
    st.text("0123456789", min_size=4, max_size=9),
)
def test_the_quick_way_gives_what_the_library_gives(country, prefix, area, rest):
    text = prefix + area + rest
    number, is_valid = phone_number(text, country)
    numbers, valid = phone_numbers(texts(text), country)
    assert (numbers.to_pylist(), valid.tolist()) == ([number], [is_valid])


@pytest.mark.parametrize(
    ("text", "email"),
    [
        ("Kusha123@Hmail.com", "kusha123@hmail.com"),
        ('"Jay Jones" <jjones@fmail.com>', "jjones@fmail.com"),
        ("Maria Sentosa<msentosa@fmail.com>", "msentosa@fmail.com"),
        ("mailto:a@b.kz", "a@b.kz"),
        ("a@почта.қаз", "a@почта.қаз"),
        ("a@b", None),
        ("a@@b.kz", None),
        ("a b@c.kz", None),
        ("a@b.kz, c@d.kz", None),
        ("", None),
    ],
)
def test_emails_in_one_form(text, email):
    assert plain_email(text) == email


@pytest.mark.parametrize(
    ("text", "street", "house", "key"),
    [
        ("г. Алматы, ул. Абая, д. 12, кв. 5", "abaia", "12", "almati abaia 12 5"),
        ("Алматы қаласы, Абая көшесі 12, 5 пәтер", "abaia", "12", "almati abaia 12 5"),
        ("Almaty, Abaya st. 12, apt 5", "abaia", "12", "almati abaia 12 5"),
        ("Астана Момышулы 121-66", "momishuli", "121", "astana momishuli 121 66"),
        ("Ақтөбе қ., Шевченко к-сі, 77 үй, 76 пәтер", "shevchenko", "77", "aktobe shevchenko 77 76"),
        ("Уральск ул. Абая 12", "abaia", "12", "oral abaia 12"),
        ("Село Алга пр-т Мира 3", "mira ave", "3", "alga mira ave 3"),
        ("Тараз көшесі 5", "taraz", "5", "taraz 5"),
        ("пр. Достық 12а", "dostik ave", "12a", "dostik ave 12a"),
        ("Достық даңғылы 12 А", "dostik ave", "12a", "dostik ave 12a"),
        ("мкр Самал-2, 33", "samal2 mkr", "33", "samal2 mkr 33"),
        ("123 Main Street, Las Vegas NV 89132", "main", "123", "123 main las vegas nv 89132"),
        ("12396 Austin Rd", "austin rd", "12396", "12396 austin rd"),
        (
            "#01-11, HillV2, 4 Hillview Rise, 667979",
            "hillview rise",
            "4",
            "01 11 hillv2 4 hillview rise 667979",
        ),
        ("1450 N City Rd", "n citi rd", "1450", "1450 n citi rd"),
        ("Ленина 5/2", "lenina", "5/2", "lenina 5/2"),
        ("ул.", None, None, None),
        ("", None, None, None),
        (",,;", None, None, None),
    ],
)
def test_addresses_fall_into_parts(text, street, house, key):
    address = split_address(text)
    assert (address.street, address.house, address.key) == (street, house, key)


@given(st.text(st.one_of(st.characters(max_codepoint=0x4FF), st.sampled_from("., /-12 стд")), max_size=40))
def test_any_text_is_some_address(text):
    address = split_address(text)
    assert address.key is None or address.key == " ".join(address.key.split())


def test_towns_have_one_name_and_stand_apart():
    lines = ("г. Уральск, ул. Абая 12", "Орал қ., Абая көшесі 12", "ORAL, Abaya st. 12", "Уральск Абая 12")
    assert {(split_address(line).locality, split_address(line).key) for line in lines} == {
        ("oral", "oral abaia 12")
    }
    assert split_address("ул. Абая 12").locality is None
    assert place_key("Нур-Султан") == place_key("Астана қаласы") == "astana"
    assert [house_number(text) for text in ("155-25", "12 а", "5/2", "б/н")] == ["155", "12a", "5/2", "b/n"]


def test_places_and_countries():
    assert {place_key(t) for t in ("Алматы", "г. Алматы", "Алматы қаласы", "ALMATY")} == {"almati"}
    assert (
        place_key("Қарағанды облысы")
        == place_key("Карагандинская область").replace("inskaia", "i")
        == "karagandi"
    )
    assert [country_code(t) for t in ("Қазақстан", "KAZ", "kz", "США", "CAN", "UK", "Atlantis", "?")] == [
        "KZ",
        "KZ",
        "KZ",
        "US",
        "CA",
        "GB",
        "ATLANTIS",
        None,
    ]


@given(st.permutations(["б", "a", "a", None, "ц"]))
def test_columns_do_not_depend_on_the_order_of_rows(values):
    keys = dict(zip(values, clean_texts(texts(*values)).to_pylist(), strict=True))
    assert keys == {"б": "б", "a": "a", None: None, "ц": "ц"}
    assert isinstance(pl.Series(values), pl.Series)


@pytest.mark.parametrize("country", ["KZ", "RU", "US", "GB", "AU", "FR", "IT", "MX", "AR"])
def test_phone_numbers_as_a_column_are_those_read_one_by_one(country: str) -> None:
    """What is judged by patterns, valid or not, is what the library says of each number."""
    random = np.random.default_rng(11)
    heads = ("", "0", "00", "8", "7", "1", "+", "+7", "+61", "04", "810", "0011")
    written = [
        str(random.choice(heads)) + "".join(map(str, random.integers(0, 10, random.integers(3, 13))))
        for _ in range(600)
    ]
    numbers, valid = phone_numbers(pa.array([*written, None]), country)
    assert list(zip(numbers.to_pylist(), valid.tolist(), strict=True)) == [
        *(phone_number(text, country) for text in written),
        (None, False),
    ]


@pytest.mark.parametrize("country", ["DE", "AT", "BY", "KZ", "RU", "BR", "HU"])
def test_numbers_near_a_real_one_are_read_as_the_library_reads_them(country: str) -> None:
    """Numbers that begin as real ones do, behind what people write in front; lengths by chance."""
    rng, code = np.random.default_rng(12), str(phonenumbers.country_code_for_region(country))
    examples = [phonenumbers.example_number_for_type(country, kind) for kind in range(11)]
    real = [str(number.national_number) for number in examples if number]
    written = []
    for _ in range(2_000):
        kept = str(rng.choice(real))[: rng.integers(9)]
        rest = "".join(map(str, rng.integers(0, 10, rng.integers(2, 11))))
        front = str(rng.choice(["", "0", "8", code, f"+{code}", f"+{code}0", f"+{code}8"]))
        written.append(front + kept + str(rng.choice(["", " "])) + rest)
    numbers, valid = phone_numbers(pa.array(written), country)
    found = zip(numbers.to_pylist(), valid.tolist(), strict=True)
    assert {
        text: one for text, one in zip(written, found, strict=True) if one != phone_number(text, country)
    } == {}


def test_emails_as_a_column_are_those_read_one_by_one() -> None:
    given = ["A@B.kz", "mailto:a@b.kz", "Name <a@b.kz>", ".a@b.kz", "a@b", "a b@c.kz", "ә@b.kz", "a@b.c"]
    given += ["a@" + "b" * n + ".kz" for n in (50, 63, 64)] + ["a" * n + "@b.kz" for n in (57, 64, 65)]
    assert plain_emails(pa.array([*given, None])).to_pylist() == [*map(plain_email, given), None]


def test_places_and_houses_as_columns_are_those_read_one_by_one() -> None:
    words = [
        "ul",
        "Abaya",
        "street",
        "St",
        "giblin",
        "main",
        "12",
        "5a",
        "g",
        "Almaty",
        "dom",
        "kv",
        "mkr",
        "Samal-2",
        "улица",
        "қаласы",
        "Ave",
        "Alma",
        "Ata",
    ]
    random = np.random.default_rng(5)
    lines = [" ".join(random.choice(words, random.integers(1, 5))) for _ in range(3_000)]
    told = zip(*(column.to_pylist() for column in split_addresses(pa.array(lines))), strict=True)
    expected = [split_address(line) for line in lines]
    assert list(told) == [(one.street, one.house, one.locality, one.key) for one in expected]
    assert place_keys(pa.array(lines)).to_pylist() == [place_key(line) for line in lines]
    assert house_numbers(pa.array(lines)).to_pylist() == [house_number(line) for line in lines]
