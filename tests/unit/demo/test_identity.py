"""Identifiers by checks written here a second time, digit by digit."""

from __future__ import annotations

from datetime import date

import numpy as np
import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from terag_pipelines.demo.bank import DemoBank
from terag_pipelines.demo.identity import (
    account_numbers,
    check_digits,
    draw_bins,
    draw_iins,
    kz_ibans,
    mobile_numbers,
)
from terag_pipelines.demo.price_book import PRICE_BOOK
from tests.unit.demo.test_bank import frame


def is_valid_number(text: str) -> bool:
    """The control digit of an IIN or BIN, as the law words it."""
    digits = [int(sign) for sign in text]
    first = sum(d * w for d, w in zip(digits, range(1, 12), strict=False)) % 11
    if first == 10:
        first = sum(d * w for d, w in zip(digits, [3, 4, 5, 6, 7, 8, 9, 10, 11, 1, 2], strict=False)) % 11
    return len(digits) == 12 and first == digits[11]


def is_valid_iban(text: str) -> bool:
    moved = text[4:] + text[:4]
    return len(text) == 20 and int("".join(str(int(sign, 36)) for sign in moved)) % 97 == 1


def test_numbers_worked_out_by_hand() -> None:
    """8 + 2 + 4 + 6 + 21 = 41, 41 mod 11 = 8; with a 9 in tenth place 131 mod 11 = 10, then 78 mod 11 = 1."""
    assert check_digits(np.array([81010130000, 81010130090])).tolist() == [8, 1]
    assert is_valid_number("810101300008")
    assert is_valid_number("810101300901")
    assert not is_valid_number("810101300009")
    assert is_valid_iban("KZ86125KZT5004100100")  # the example of the IBAN registry


def test_both_weightings_are_used() -> None:
    rng = np.random.default_rng(1)
    birth = np.full(5000, np.datetime64("1990-05-17"))
    iins = draw_iins(birth, rng.integers(0, 2, 5000), rng)
    texts = [f"{value:012d}" for value in iins.tolist()]
    assert all(is_valid_number(text) for text in texts)
    assert len(set(texts)) == 5000
    by_second = [
        t for t in texts if sum(int(d) * w for d, w in zip(t, range(1, 12), strict=False)) % 11 == 10
    ]
    assert by_second


@given(st.dates(date(1930, 1, 1), date(2012, 12, 31)), st.integers(0, 1), st.integers(0, 2**32 - 1))
def test_an_iin_carries_birth_and_sex(born: date, sex: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    text = f"{draw_iins(np.array([born], dtype='datetime64[D]'), np.array([sex]), rng)[0]:012d}"
    assert is_valid_number(text)
    assert text[:6] == born.strftime("%y%m%d")
    assert int(text[6]) == (5 if born.year >= 2000 else 3) + sex


@given(st.integers(0, 999), st.integers(0, 10**13 - 1))
def test_ibans_are_valid(bank_code: int, account: int) -> None:
    assert is_valid_iban(f"KZ{kz_ibans(np.array([bank_code]), np.array([account]))[0]:018d}")


def test_numbers_do_not_repeat() -> None:
    rng = np.random.default_rng(2)
    n = 300_000
    assert len(np.unique(mobile_numbers(0, n, 12345))) == n
    assert len(np.unique(account_numbers(0, n))) == n
    registered = np.full(20_000, np.datetime64("2015-03-01"))
    assert len(np.unique(draw_bins(registered, np.zeros(20_000, dtype=np.int64), rng))) > 19_000


def test_the_bank_holds_valid_identifiers(bank: DemoBank) -> None:
    people = frame(bank, "people.csv.gz")
    iins = people["iin"].drop_nulls().to_list()
    assert np.mean([is_valid_number(iin) for iin in iins]) > 0.985  # a few are mistyped on purpose
    bins = frame(bank, "companies.csv.gz")["bin"].drop_nulls().to_list()
    assert all(is_valid_number(number) for number in bins)
    assert all(is_valid_number(number) for number in frame(bank, "tenants.csv")["bin"])
    assert all(is_valid_iban(iban) for iban in frame(bank, "accounts.csv.gz")["iban"])
    transfers = frame(bank, "transfers.parquet")
    outside = (
        transfers.filter(pl.col("payee_bank").cast(pl.String) != "OWN")["payee_account"]
        .cast(pl.String)
        .unique()
    )
    assert len(outside) > 500
    assert all(is_valid_iban(iban) for iban in outside)


def test_the_sellers_numbers_are_valid() -> None:
    lines = dict(
        line.strip().split(": ", 1)
        for line in PRICE_BOOK.splitlines()
        if line.startswith("  ") and ": " in line
    )
    assert is_valid_number(lines["bin"].strip('"'))
    assert is_valid_iban(lines["iban"])
