"""The words of pictures and case files of rings: kinds, roles, money, and how else a ring may be read."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from types import MappingProxyType

from terag_pipelines.money import CURRENCY_NAMES, OWN_UNITS, Money
from terag_pipelines.rings.scenes import Flow, SharedIdentifier

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
UNKNOWN_CURRENCY = "unknown currency"
NO_TIME = datetime(1970, 1, 1, tzinfo=UTC)
"""Stands for the time of transfers that have none."""

_UNITS = ((Decimal(10**9), "bn"), (Decimal(10**6), "M"), (Decimal(10**4), "k"))

KIND_SENTENCES: Mapping[str, str] = MappingProxyType(
    {
        "cycle": "Money goes round from member to member and comes back to where it started.",
        "fan_in": "Many members pay one, who gathers the money.",
        "fan_out": "One member spreads money to many.",
        "dense_group": "Nearly every member is tied to nearly every other, as groups here hardly ever are.",
        "shared_identity": "Members share documents, telephones, devices or other things of one person.",
        "mixed": "Members are tied by money and by what they share; no single shape binds half of them.",
    }
)

ROLE_SENTENCES: Mapping[str, str] = MappingProxyType(
    {
        "collector": "is paid by many members",
        "distributor": "pays many members",
        "link": "passes money on round the circle",
        "beneficiary": "is paid by members and pays none of them",
        "mule": "moves money from or to other members",
        "shared_identity": "shares an identifier with members",
        "associate": "is tied to the ring in another way",
    }
)

_INNOCENT_SHAPES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "cycle": (
            "A savings circle (черная касса) that pays each member in turn: equal amounts, for years.",
            "Friends or relatives who lend each other money and pay it back.",
        ),
        "fan_in": (
            "A treasurer: parents who pay for a school class, neighbours for a repair, guests for a wedding.",
            "A seller at a market or on the internet who is paid to a private account.",
        ),
        "fan_out": (
            "A small company that pays its staff, or a foreman his workers.",
            "Somebody who supports relatives in several places.",
        ),
        "shared_identity": (
            "A family, or people who share a flat: one telephone, one address, one device.",
            "A shop or an agent that filled in its own number for its clients.",
            "A wrong link between records, which makes two strangers share what one of them has.",
        ),
        "dense_group": (
            "A family, a team or a class: people who all know each other.",
            "Parts of one company, or accounts of one owner, that belong together in the open.",
        ),
        "mixed": ("A family with a business: one address, money in all directions, ordinary amounts.",),
    }
)
_INNOCENT_ALWAYS = "Such readings show ordinary amounts over a long time; rings show large ones within days."


def name_currency(currency: str) -> str:
    """A currency as it is called in a sentence; its code where it has no name here."""
    return CURRENCY_NAMES.get(currency, currency or UNKNOWN_CURRENCY)


def say_money(money: Money) -> str:
    """The exact amount with its currency's code; minor units where the currency is not known."""
    if not money.currency:
        return f"{money.amount_minor:,} minor units of an {UNKNOWN_CURRENCY}".replace(",", " ")
    return str(money)


def say_amount(amount_minor: int, currency: str) -> str:
    """The exact amount, or a dash for none."""
    return say_money(Money(amount_minor, currency)) if amount_minor else "-"


def say_sums(sums: Sequence[Money]) -> str:
    """Exact sums in several currencies, one after the other."""
    return " + ".join(say_money(money) for money in sums) or "nothing"


def say_in_words(money: Money) -> str:
    """The exact amount with the currency's name."""
    if money.currency in ("", OWN_UNITS):
        return say_money(money)
    return f"{say_money(money)} ({name_currency(money.currency)})"


def say_round(money: Money, with_currency: bool = True) -> str:
    """The amount in a few characters: three digits and a unit."""
    major = money.as_decimal() if money.currency else Decimal(money.amount_minor)
    unit, letter = next(((unit, letter) for unit, letter in _UNITS if abs(major) >= unit), (Decimal(1), ""))
    if letter == "k":
        unit = Decimal(1000)
    digits = _three_digits(major / unit) if letter else f"{major:,.0f}".replace(",", " ")
    code = f" {money.currency or '?'}" if with_currency else ""
    return f"{digits}{letter}{code}"


def _three_digits(value: Decimal) -> str:
    n_before = len(str(int(abs(value))))
    text = f"{value:.{max(0, 3 - n_before)}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def say_short(flow: Flow, has_one_currency: bool) -> str:
    """What an arrow carries: rounded sums, and the number of transfers where there are several."""
    sums = " + ".join(say_round(money, with_currency=not has_one_currency) for money in flow.sums)
    return f"{sums} ×{flow.n_transfers}" if flow.n_transfers > 1 else sums


def say_kinds(group: Iterable[SharedIdentifier]) -> str:
    """The kinds of some identifiers, with their number where there are several of one kind."""
    counts = Counter(one.kind.replace("_", " ") for one in group)
    return ", ".join(f"{kind} ×{n}" if n > 1 else kind for kind, n in sorted(counts.items()))


def say_day(at: datetime) -> str:
    """A day, such as 3 Oct 2026."""
    return f"{at.day} {_MONTHS[at.month - 1]} {at.year}"


def say_instant(at: datetime | None) -> str:
    """A moment to the minute, in UTC."""
    return f"{at:%Y-%m-%d %H:%M}" if at and at != NO_TIME else "-"


def say_count(n: int, one: str, many: str = "") -> str:
    """A number with its noun."""
    return f"{n:,} {one if n == 1 else many or one + 's'}"


def say_member(number: int, name: str) -> str:
    """A member by number and name; the number stays in front of a name that is read from right to left."""
    if any(unicodedata.bidirectional(letter) in ("R", "AL") for letter in name):
        return f"{number}\u200e \u2068{name}\u2069"
    return f"{number} {name}"


def say_risk(ring: Mapping[str, object]) -> str:
    """The risk of a ring, with what kind of figure it is."""
    if ring["is_calibrated"]:
        return f"{say_probability(risk_of(ring))} probability (calibrated on reviewed clients)"
    return f"{_float(ring['risk_score']):.2f} score, uncalibrated: it ranks rings and is no probability"


def say_probability(probability: float) -> str:
    """In percent; what is not certain is not told as certain."""
    if 0.995 <= probability < 1:
        return "over 99%"
    return "under 1%" if 0 < probability < 0.005 else f"{probability:.0%}"


def risk_of(ring: Mapping[str, object]) -> float:
    """The probability of a ring where it is calibrated, else its score."""
    known = ring["risk_probability"] if ring["is_calibrated"] else ring["risk_score"]
    return _float(known)


def _float(value: object) -> float:
    return float(str(value))


def plain_kind(kind: str) -> str:
    """A kind or role as a person reads it."""
    return kind.replace("_", " ")


def innocent_readings(kind: str) -> tuple[str, ...]:
    """What else makes a ring of this shape."""
    return (*_INNOCENT_SHAPES.get(kind, _INNOCENT_SHAPES["mixed"]), _INNOCENT_ALWAYS)
