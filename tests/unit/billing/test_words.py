"""Amounts in words, checked against phrases that a Kazakh and a Russian speaker would write."""

from __future__ import annotations

import pytest

from terag_pipelines.billing.words import kazakh_number, kazakh_words, russian_number, russian_words
from terag_pipelines.money import Money


@pytest.mark.parametrize(
    ("number", "russian", "kazakh"),
    [
        (0, "ноль", "нөл"),
        (1, "один", "бір"),
        (12, "двенадцать", "он екі"),
        (21, "двадцать один", "жиырма бір"),
        (100, "сто", "жүз"),
        (305, "триста пять", "үш жүз бес"),
        (1_000, "одна тысяча", "мың"),
        (2_001, "две тысячи один", "екі мың бір"),
        (11_000, "одиннадцать тысяч", "он бір мың"),
        (21_000, "двадцать одна тысяча", "жиырма бір мың"),
        (1_000_000, "один миллион", "бір миллион"),
        (5_000_015, "пять миллионов пятнадцать", "бес миллион он бес"),
        (1_100_101, "один миллион сто тысяч сто один", "бір миллион жүз мың жүз бір"),
    ],
)
def test_numbers(number: int, russian: str, kazakh: str) -> None:
    assert (russian_number(number), kazakh_number(number)) == (russian, kazakh)


@pytest.mark.parametrize(
    ("money", "russian", "kazakh"),
    [
        (Money(2_805_001, "KZT"), "Двадцать восемь тысяч пятьдесят тенге 01 тиын", None),
        (Money(2_805_022, "KZT"), None, "Жиырма сегіз мың елу теңге 22 тиын"),
        (Money(0, "KZT"), "Ноль тенге 00 тиынов", "Нөл теңге 00 тиын"),
        (Money(102, "USD"), "Один доллар США 02 цента", "Бір АҚШ доллары 02 цент"),
        (Money(-500, "RUB"), "Минус пять рублей 00 копеек", "Минус бес рубль 00 копейка"),
        (Money(31, "JPY"), "Тридцать один JPY", "Отыз бір JPY"),
        (Money(1_500, "KWD"), "Один KWD 500", "Бір KWD 500"),
    ],
)
def test_amounts(money: Money, russian: str | None, kazakh: str | None) -> None:
    assert russian in (None, russian_words(money))
    assert kazakh in (None, kazakh_words(money))
