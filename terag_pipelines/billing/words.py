"""Amounts in words, as Kazakh invoices carry them: in Kazakh and in Russian."""

from __future__ import annotations

from collections.abc import Sequence

from terag_pipelines.money import Money, minor_digits

_RU_ONES = ("", "один", "два", "три", "четыре", "пять", "шесть", "семь", "восемь", "девять")
_RU_TEENS = (
    "десять",
    "одиннадцать",
    "двенадцать",
    "тринадцать",
    "четырнадцать",
    "пятнадцать",
    "шестнадцать",
    "семнадцать",
    "восемнадцать",
    "девятнадцать",
)
_RU_TENS = (
    "",
    "",
    "двадцать",
    "тридцать",
    "сорок",
    "пятьдесят",
    "шестьдесят",
    "семьдесят",
    "восемьдесят",
    "девяносто",
)
_RU_HUNDREDS = (
    "",
    "сто",
    "двести",
    "триста",
    "четыреста",
    "пятьсот",
    "шестьсот",
    "семьсот",
    "восемьсот",
    "девятьсот",
)
_RU_SCALES = (
    ("", "", ""),
    ("тысяча", "тысячи", "тысяч"),
    ("миллион", "миллиона", "миллионов"),
    ("миллиард", "миллиарда", "миллиардов"),
    ("триллион", "триллиона", "триллионов"),
    ("квадриллион", "квадриллиона", "квадриллионов"),
)
_RU_UNITS = {
    "KZT": ("тенге", "тенге", "тенге"),
    "RUB": ("рубль", "рубля", "рублей"),
    "USD": ("доллар США", "доллара США", "долларов США"),
    "EUR": ("евро", "евро", "евро"),
}
_RU_MINOR = {
    "KZT": ("тиын", "тиына", "тиынов"),
    "RUB": ("копейка", "копейки", "копеек"),
    "USD": ("цент", "цента", "центов"),
    "EUR": ("цент", "цента", "центов"),
}
_KK_ONES = ("", "бір", "екі", "үш", "төрт", "бес", "алты", "жеті", "сегіз", "тоғыз")
_KK_TENS = ("", "он", "жиырма", "отыз", "қырық", "елу", "алпыс", "жетпіс", "сексен", "тоқсан")
_KK_SCALES = ("", "мың", "миллион", "миллиард", "триллион", "квадриллион")
_KK_UNITS = {"KZT": "теңге", "RUB": "рубль", "USD": "АҚШ доллары", "EUR": "еуро"}
_KK_MINOR = {"KZT": "тиын", "RUB": "копейка", "USD": "цент", "EUR": "цент"}


def russian_words(amount: Money) -> str:
    """ "Двадцать восемь тысяч пятьдесят тенге 00 тиынов"; an amount below zero begins with "минус"."""
    major, minor = _parts(amount)
    units = _RU_UNITS.get(amount.currency, (amount.currency,) * 3)
    small = _RU_MINOR.get(amount.currency)
    words = [*_sign(amount), russian_number(major), _form(units, major)]
    return _sentence(words, minor, _form(small, minor) if small else None, amount.currency)


def kazakh_words(amount: Money) -> str:
    """ "Жиырма сегіз мың елу теңге 00 тиын"; an amount below zero begins with "минус"."""
    major, minor = _parts(amount)
    unit = _KK_UNITS.get(amount.currency, amount.currency)
    words = [*_sign(amount), kazakh_number(major), unit]
    return _sentence(words, minor, _KK_MINOR.get(amount.currency), amount.currency)


def russian_number(number: int) -> str:
    """A whole number from 0 to below 10^18 in Russian, masculine."""
    words: list[str] = []
    for scale, triple in reversed(list(enumerate(_triples(number)))):
        if triple:
            words += _russian_triple(triple, is_feminine=scale == 1)
            words.append(_form(_RU_SCALES[scale], triple))
    return " ".join(word for word in words if word) or "ноль"


def kazakh_number(number: int) -> str:
    """A whole number from 0 to below 10^18 in Kazakh."""
    words: list[str] = []
    for scale, triple in reversed(list(enumerate(_triples(number)))):
        if triple:
            # one hundred and one thousand are said without "one": жүз, мың; one million with it
            words += _kazakh_triple(triple) if (scale, triple) != (1, 1) else []
            words.append(_KK_SCALES[scale])
    return " ".join(word for word in words if word) or "нөл"


def _parts(amount: Money) -> tuple[int, int]:
    unit: int = 10 ** minor_digits(amount.currency)
    return divmod(abs(amount.amount_minor), unit)


def _sign(amount: Money) -> list[str]:
    return ["минус"] if amount.amount_minor < 0 else []


def _sentence(words: Sequence[str], minor: int, minor_unit: str | None, currency: str) -> str:
    text = " ".join(words)
    digits = minor_digits(currency)
    tail = f" {minor:0{digits}d} {minor_unit or ''}".rstrip() if digits else ""
    return text[0].upper() + text[1:] + tail


def _triples(number: int) -> list[int]:
    triples = []
    while number:
        number, triple = divmod(number, 1000)
        triples.append(triple)
    return triples


def _russian_triple(triple: int, is_feminine: bool) -> list[str]:
    hundreds, rest = divmod(triple, 100)
    tens, ones = divmod(rest, 10)
    if tens == 1:
        return [_RU_HUNDREDS[hundreds], _RU_TEENS[ones]]
    one = {1: "одна", 2: "две"}.get(ones, _RU_ONES[ones]) if is_feminine else _RU_ONES[ones]
    return [_RU_HUNDREDS[hundreds], _RU_TENS[tens], one]


def _kazakh_triple(triple: int) -> list[str]:
    hundreds, rest = divmod(triple, 100)
    tens, ones = divmod(rest, 10)
    hundred = ["" if hundreds == 1 else _KK_ONES[hundreds], "жүз"] if hundreds else []
    return [*hundred, _KK_TENS[tens], _KK_ONES[ones]]


def _form(forms: Sequence[str], number: int) -> str:
    """The Russian form after a number: one, two to four, many."""
    if number % 100 in range(11, 15) or number % 10 in (0, 5, 6, 7, 8, 9):
        return forms[2]
    return forms[0] if number % 10 == 1 else forms[1]
