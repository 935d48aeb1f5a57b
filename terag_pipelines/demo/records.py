"""Raw records of people: core banking, online applications, the watchlist, each wrong in its own way."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from terag_pipelines.demo.addresses import (
    address_lines,
    city_texts,
    house_texts,
    postcode_texts,
    region_texts,
    street_texts,
)
from terag_pipelines.demo.companies import PHONE_STYLES
from terag_pipelines.demo.identity import Days, mobile_numbers, year_month_day
from terag_pipelines.demo.names import FEMALE, NameBook
from terag_pipelines.demo.people import People
from terag_pipelines.demo.randomness import Bools, Floats, Ints, Rng, between, happens, pick
from terag_pipelines.demo.spelling import BGN, LATIN_2021, PASSPORT
from terag_pipelines.demo.texts import blank, choose, format_digits, format_mixed, glue, join, misspell, take

MAIL_HOSTS = ("mail.ru", "gmail.com", "bk.ru", "yandex.kz", "inbox.ru", "icloud.com")


@dataclass(frozen=True)
class Habits:
    """How often each thing goes wrong in one source system; shares of its records."""

    scripts: tuple[
        float, ...
    ]  # home, Russified, passport Latin, BGN Latin, Latin of 2021, Russified capitals
    typo: float  # in each of the given and the family name
    swapped: float  # given and family name change places
    no_patronymic: float
    no_iin: float
    wrong_iin: float
    no_birth: float
    swapped_birth: float  # day and month
    wrong_birth: float  # year or day off
    no_phone: float
    new_phone: float
    no_email: float
    new_email: float
    old_address: float  # of those who moved


CORE = Habits(
    (46, 34, 12, 2, 1, 5), 0.01, 0.006, 0.03, 0.02, 0.006, 0.003, 0.004, 0.004, 0.03, 0.0, 0.45, 0.0, 0.25
)
BRANCH = Habits(
    (40, 34, 14, 3, 2, 7), 0.05, 0.03, 0.15, 0.25, 0.03, 0.02, 0.02, 0.03, 0.08, 0.35, 0.55, 0.3, 0.7
)
ONLINE = Habits(
    (36, 26, 18, 10, 7, 3), 0.06, 0.12, 0.35, 0.52, 0.03, 0.04, 0.02, 0.02, 0.06, 0.2, 0.3, 0.25, 0.35
)


@dataclass(frozen=True)
class PersonRecords:
    """One raw file and, for each of its rows, the person it is about."""

    table: pa.Table
    person: Ints
    record_id: pa.Array  # without the dataset


@dataclass(frozen=True)
class _Written:
    """The fields of some records after everything that went wrong."""

    script: Ints
    family: pa.Array
    given: pa.Array
    patronymic: pa.Array
    iin: pa.Array
    birth: Ints  # YYYYMMDD; negative where missing
    phone: Ints
    email: pa.Array
    address: Ints


def plan_core(people: People, rng: Rng) -> Ints:
    """The person of each core record: all clients, then those whom a branch entered a second time."""
    clients = np.flatnonzero(people.is_client)
    return np.concatenate([clients, clients[happens(rng, 0.05, len(clients))]])


def plan_online(people: People, rng: Rng) -> Ints:
    """The person of each online application: everybody who is no client, some clients, a few twice."""
    n_applications = np.maximum(pick(rng, (83.0, 14.8, 2.2), len(people)), ~people.is_client)
    return np.repeat(np.arange(len(people)), n_applications)


def write_core_records(
    people: People, person: Ints, today: np.datetime64, names: NameBook, rng: Rng
) -> PersonRecords:
    """The core banking file: name parts, dd.mm.yyyy, several phone styles, address in parts."""
    n, n_clients = len(person), int(people.is_client.sum())
    is_second = np.arange(n) >= n_clients
    fields = _merge(is_second, *(_write(people, person, habits, names, rng) for habits in (CORE, BRANCH)))
    record_id = format_digits(rng.permutation(n) + 1, "C########")
    second = np.where(is_second, -1, people.second_phone[person])
    where, rows = people.addresses, fields.address
    kazakh = happens(rng, 0.22, n)
    columns = {
        "client_id": record_id,
        "surname": fields.family,
        "first_name": fields.given,
        "patronymic": fields.patronymic,
        "sex": choose((people.sex[person] == FEMALE).astype(np.int64), _all("М", n), _all("Ж", n)),
        "born": format_digits(_european(fields.birth), "##.##.####"),
        "iin": fields.iin,
        "mobile": format_mixed(fields.phone, pick(rng, (4, 3, 2, 1, 1), n), PHONE_STYLES),
        "other_phone": format_mixed(second, pick(rng, (4, 3, 2, 1, 1), n), PHONE_STYLES),
        "email": fields.email,
        "city": city_texts(where, rows, kazakh),
        "street": street_texts(where, rows, kazakh),
        "house": house_texts(where, rows),
        "region": blank(region_texts(where, rows), happens(rng, 0.3, n)),
        "postcode": blank(postcode_texts(where, rows), happens(rng, 0.4, n)),
        "client_since": _since(today, 40, 5500, people.birth[person], rng),
    }
    return PersonRecords(pa.table(columns), person, record_id)


def write_online_records(
    people: People, person: Ints, today: np.datetime64, names: NameBook, rng: Rng
) -> PersonRecords:
    """The online applications: one field for the whole name, one line for the address, ISO dates."""
    n = len(person)
    fields = _write(people, person, ONLINE, names, rng)
    record_id = format_digits(rng.permutation(n) + 1, "A#######")
    is_latin = (fields.script == PASSPORT) | (fields.script == BGN) | (fields.script == LATIN_2021)
    line = np.where(is_latin, np.where(happens(rng, 0.6, n), 2, 3), pick(rng, (5, 2, 0, 3), n))
    columns = {
        "application_id": record_id,
        "full_name": join(" ", fields.family, fields.given, fields.patronymic),
        "birth_date": format_digits(fields.birth, "####-##-##"),
        "iin": fields.iin,
        "phone": format_mixed(fields.phone, pick(rng, (3, 3, 1, 3, 2), n), PHONE_STYLES),
        "email": fields.email,
        "address": blank(address_lines(people.addresses, fields.address, line), happens(rng, 0.1, n)),
        "applied_on": _since(today, 1, 900, people.birth[person], rng),
    }
    return PersonRecords(pa.table(columns), person, record_id)


def write_watchlist(people: People, names: NameBook, strangers: People, rng: Rng) -> PersonRecords:
    """A small list of people of interest; some are clients (person >= 0), the others are strangers.

    A stranger's person is given as -1 - its position, so that each is an entity of its own.
    """
    n = len(strangers)
    is_known = happens(rng, 0.4, n)
    known = between(rng, 0, len(people) - 1, n)
    person = np.where(is_known, known, -1 - np.arange(n))
    pair = [
        (getattr(people, f)[known], getattr(strangers, f))
        for f in ("family", "given", "patronymic", "birth", "iin")
    ]
    family, given, patronymic, birth, iin = (np.where(is_known, a, b) for a, b in pair)
    passport = np.full(n, PASSPORT)
    alias = join(" ", names.given.spell(given, BGN), names.family.spell(family, BGN))
    record_id = format_digits(rng.permutation(n) + 1, "W#####")
    columns = {
        "entry_id": record_id,
        "name": join(", ", names.family.spell(family, passport), names.given.spell(given, passport)),
        "full_name": join(
            " ",
            *(
                v.spell(i, 0)
                for v, i in ((names.family, family), (names.given, given), (names.patronymic, patronymic))
            ),
        ),
        "alias": blank(alias, happens(rng, 0.5, n)),
        "birth_date": format_digits(np.where(happens(rng, 0.15, n), -1, _compact(birth)), "####-##-##"),
        "iin": blank(format_digits(iin, "############"), happens(rng, 0.6, n)),
        "country": _all("KZ", n),
        "reason": take(
            pa.array(["sanctions", "wanted", "politically exposed", "internal"]), pick(rng, (2, 2, 4, 3), n)
        ),
    }
    return PersonRecords(pa.table(columns), person, record_id)


def _write(people: People, person: Ints, habits: Habits, names: NameBook, rng: Rng) -> _Written:
    n = len(person)
    script = pick(rng, habits.scripts, n)
    family = misspell(names.family.spell(people.family[person], script), happens(rng, habits.typo, n), rng)
    given = misspell(names.given.spell(people.given[person], script), happens(rng, habits.typo, n), rng)
    is_latin = (script == PASSPORT) | (script == BGN) | (script == LATIN_2021)
    loses_patronymic = happens(rng, np.where(is_latin, 0.6, habits.no_patronymic), n)
    patronymic = np.where(loses_patronymic, -1, people.patronymic[person])
    swapped = happens(rng, habits.swapped, n).astype(np.int64)
    moved_back = happens(rng, habits.old_address, n)
    return _Written(
        script=script,
        family=choose(swapped, family, given),
        given=choose(swapped, given, family),
        patronymic=names.patronymic.spell(patronymic, script),
        iin=_write_iins(people.iin[person], habits, rng),
        birth=_write_births(people.birth[person], habits, rng),
        phone=_write_phones(people, person, habits, rng),
        email=_write_emails(people, person, habits, names, rng),
        address=np.where(moved_back, people.old_address[person], people.address[person]),
    )


def _merge(second: Bools, first: _Written, other: _Written) -> _Written:
    """Row by row, the fields of `other` where `second` says so."""
    merged: dict[str, object] = {}
    for name, one in vars(first).items():
        two = getattr(other, name)
        is_array = isinstance(one, np.ndarray)
        merged[name] = np.where(second, two, one) if is_array else pc.if_else(pa.array(second), two, one)
    return _Written(**merged)  # type: ignore[arg-type]


def _write_iins(iin: Ints, habits: Habits, rng: Rng) -> pa.Array:
    n = len(iin)
    place = 10 ** between(rng, 0, 11, n)
    digit = iin // place % 10
    wrong = iin + ((digit + between(rng, 1, 9, n)) % 10 - digit) * place
    typed = np.where(happens(rng, habits.wrong_iin, n), wrong, iin)
    return blank(format_digits(typed, "############"), happens(rng, habits.no_iin, n))


def _write_births(birth: Days, habits: Habits, rng: Rng) -> Ints:
    n = len(birth)
    year, month, day = year_month_day(birth)
    swaps = (day <= 12) & happens(rng, habits.swapped_birth, n)
    month, day = np.where(swaps, day, month), np.where(swaps, month, day)
    slips = happens(rng, habits.wrong_birth, n)
    by_year = happens(rng, 0.5, n)
    year = year + np.where(slips & by_year, np.array([-10, -1, 1, 10])[between(rng, 0, 3, n)], 0)
    day = np.where(slips & ~by_year, day % 27 + 1, np.where(slips, np.minimum(day, 28), day))
    return np.where(happens(rng, habits.no_birth, n), -1, (year * 100 + month) * 100 + day)


def _compact(days: Days) -> Ints:
    year, month, day = year_month_day(days)
    return (year * 100 + month) * 100 + day


def _european(compact: Ints) -> Ints:
    """DDMMYYYY of YYYYMMDD."""
    turned = (compact % 100 * 100 + compact // 100 % 100) * 10000 + compact // 10000
    return np.where(compact < 0, -1, turned)


def _write_phones(people: People, person: Ints, habits: Habits, rng: Rng) -> Ints:
    n = len(person)
    newer = mobile_numbers(40_000_000 + int(between(rng, 0, 10**6, 1)[0]), n, 5)
    phone = np.where(happens(rng, habits.new_phone, n), newer, people.mobile[person])
    return np.where(happens(rng, habits.no_phone, n), -1, phone)


def _write_emails(people: People, person: Ints, habits: Habits, names: NameBook, rng: Rng) -> pa.Array:
    n = len(person)
    number = np.where(
        happens(rng, habits.new_email, n), between(rng, 0, 999, n), people.iin[person] // 100 % 1000
    )
    host = take(pa.array(MAIL_HOSTS), people.iin[person] // 10 % len(MAIL_HOSTS))
    given = pc.utf8_lower(names.given.spell(people.given[person], BGN))
    family = pc.utf8_lower(names.family.spell(people.family[person], PASSPORT))
    dot = take(pa.array([".", "_", ""]), people.iin[person] % 3)
    written = glue(given, dot, family, pa.array(number).cast(pa.string()), "@", host)
    return blank(written, happens(rng, habits.no_email, n))


def _since(today: np.datetime64, least: int, most: int, birth: Days, rng: Rng) -> pa.Array:
    """Some day within the given days before today, not before the sixteenth birthday."""
    drawn = today - between(rng, least, most, len(birth)).astype("timedelta64[D]")
    grown = birth + np.timedelta64(16 * 365 + 4, "D")
    return format_digits(
        _compact(np.maximum(drawn, np.minimum(grown, today - np.timedelta64(least, "D")))), "####-##-##"
    )


def _all(text: str, n: int) -> pa.Array:
    return pa.repeat(pa.scalar(text), n)


def incomes_of(people: People, employer: Ints) -> Floats:
    """Monthly income in thousand KZT: less without an employer."""
    return np.where(employer >= 0, people.income, np.round(0.55 * people.income, 1))
