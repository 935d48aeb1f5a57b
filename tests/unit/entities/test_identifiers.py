"""IIN, BIN and IBAN: what is made right reads right, and one wrong digit is seen."""

from datetime import date

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from terag_pipelines.entities.identifiers import (
    check_digits,
    iban_remainder,
    kz_iban,
    plain_identifier,
    read_bins,
    read_iins,
)

CENTURY_DIGIT = {18: 1, 19: 3, 20: 5}


def with_check_digit(eleven: str) -> str | None:
    check = int(check_digits(np.array([[int(d) for d in eleven]]))[0])
    return None if check < 0 else f"{eleven}{check}"


@given(st.dates(date(1800, 1, 1), date(2099, 12, 31)), st.booleans(), st.integers(0, 9999))
def test_an_iin_gives_back_the_birth_date_and_sex_it_was_made_of(born, is_female, serial):
    iin = with_check_digit(f"{born:%y%m%d}{CENTURY_DIGIT[born.year // 100] + is_female}{serial:04d}")
    if iin is None:
        return
    parts = read_iins(pa.array([iin, f"{iin[:6]} {iin[6:]}"]))
    assert parts.values.to_pylist() == [iin, iin]
    assert parts.birth_dates.to_pylist() == [born, born]
    assert parts.sexes.to_pylist() == ["female" if is_female else "male"] * 2


@given(
    st.dates(date(1900, 1, 1), date(1999, 12, 31)),
    st.integers(0, 9999),
    st.sampled_from([*range(10), 11]),
    st.integers(1, 9),
)
def test_one_wrong_digit_makes_an_iin_invalid(born, serial, place, shift):
    # The first weights see every digit but the eleventh (11 is 0 mod 11); the second weights are another sum.
    iin = with_check_digit(f"{born:%y%m%d}4{serial:04d}")
    if iin is None or _first_sum(iin) == 10:
        return
    wrong = f"{iin[:place]}{(int(iin[place]) + shift) % 10}{iin[place + 1 :]}"
    if _first_sum(wrong) != 10:
        assert read_iins(pa.array([wrong])).values.to_pylist() == [None]


def _first_sum(digits: str) -> int:
    return sum(int(d) * w for d, w in zip(digits[:11], range(1, 12), strict=True)) % 11


def test_known_iins_and_impossible_ones():
    impossible_day = with_check_digit("99023030123")
    texts = ["880614300122", None, "", "88061430012", "880614300123", "٨٨٠٦١٤٣٠٠١٢٢", "abc", impossible_day]
    values = read_iins(pa.array(texts, pa.string())).values.to_pylist()
    expected = with_check_digit("88061430012")
    assert values == [t if t == expected else None for t in texts]


@given(
    st.integers(0, 99),
    st.integers(1, 12),
    st.sampled_from("456"),
    st.sampled_from("0123"),
    st.integers(0, 99999),
)
def test_a_bin_made_right_is_read(year, month, kind, detail, serial):
    number = with_check_digit(f"{year:02d}{month:02d}{kind}{detail}{serial:05d}")
    if number is None:
        return
    assert read_bins(pa.array([number, f"{number[:6]}-{number[6:]}"])).to_pylist() == [number, number]
    assert read_iins(pa.array([number])).values.to_pylist() == [None]


def test_a_bin_needs_a_month_a_kind_and_its_check_digit():
    wrong = [with_check_digit("99134001234"), with_check_digit("99127001234"), "991240012340"]
    assert read_bins(pa.array(wrong)).to_pylist().count(None) >= 2
    assert read_bins(pa.array([], pa.string())).to_pylist() == []


@given(
    st.text("0123456789", min_size=3, max_size=3),
    st.text("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ", min_size=13, max_size=13),
)
def test_a_kazakh_iban_made_right_is_read(bank, account):
    check = 98 - iban_remainder(f"KZ00{bank}{account}")
    iban = f"KZ{check:02d}{bank}{account}"
    assert kz_iban(f"{iban[:4]} {iban[4:8]} {iban[8:]}".lower()) == iban
    assert kz_iban(f"KZ{(check + 1) % 97:02d}{bank}{account}") is None


def test_other_ibans_are_none():
    assert kz_iban("KZ86125KZT5004100100") == "KZ86125KZT5004100100"
    assert kz_iban("DE89370400440532013000") is None
    assert kz_iban("") is None


@given(st.text(max_size=30))
def test_plain_identifiers_stay_as_they_are(text):
    once = plain_identifier(text)
    assert once is None or plain_identifier(once) == once


def test_plain_identifiers_drop_placeholders():
    assert plain_identifier("n 12-34 567") == "N1234567"
    assert plain_identifier("000 000") is None
    assert plain_identifier("A1") is None
