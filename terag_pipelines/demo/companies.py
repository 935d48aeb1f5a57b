"""Companies and sole traders: who owns, directs and works for them, and their raw records."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from terag_pipelines.demo import words
from terag_pipelines.demo.addresses import city_texts, house_texts, street_texts
from terag_pipelines.demo.identity import Days, draw_bins, landline_numbers, mobile_numbers, year_month_day
from terag_pipelines.demo.names import NameBook
from terag_pipelines.demo.people import Addresses, People
from terag_pipelines.demo.places import CITIES
from terag_pipelines.demo.randomness import Bools, Floats, Ints, Rng, between, happens, pick, zipf_weights
from terag_pipelines.demo.spelling import BGN, HOME, RUSSIFIED, Vocabulary, make_vocabulary
from terag_pipelines.demo.texts import blank, choose, format_digits, format_mixed, glue, join, misspell, take

PHONE_STYLES = ("+7 ### ### ## ##", "8##########", "8 (###) ###-##-##", "7##########", "+7(###)#######")
SOLE_TRADER_SHARE = 0.42
SECOND_RECORD_SHARE = 0.15
EMPLOYED_SHARE = 0.62
N_UTILITIES = 6
"""Companies 1 to 6 are utilities; company 0 is the bank itself."""


@dataclass(frozen=True)
class Companies:
    """One company per position; company 0 is the bank, 1 to N_UTILITIES are utilities."""

    form: Ints
    first_word: Ints
    second_word: Ints
    bin: Ints  # negative for a sole trader, who has the owner's IIN
    owner: Ints  # the person who owns it
    director: Ints  # the person who directs it
    parent: Ints  # the company that owns half of it; negative where none does
    registered: Days
    phone: Ints
    addresses: Addresses

    def __len__(self) -> int:
        return len(self.form)


def count_companies(n_people: int) -> int:
    """How many companies a town of so many people has."""
    return max(60, n_people // 20)


def found_companies(people: People, today: np.datetime64, rng: Rng) -> Companies:
    """The companies, with owners and directors among the people."""
    n = count_companies(len(people))
    form = np.where(
        happens(rng, SOLE_TRADER_SHARE, n), words.IP, np.where(happens(rng, 0.05, n), words.AO, words.TOO)
    )
    form[: N_UTILITIES + 1] = words.AO
    registered = np.asarray(today - between(rng, 200, 9000, n).astype("timedelta64[D]"))
    owner = _adults(people, n, rng)
    numbers = draw_bins(registered, happens(rng, 0.05, n).astype(np.int64), rng)
    city = np.where(happens(rng, 0.8, n), people.addresses.city[people.address[owner]], 0)
    has_parent = (form == words.TOO) & happens(rng, 0.05, n)
    return Companies(
        form=form,
        first_word=between(rng, 0, len(words.COMPANY_FIRST) - 1, n),
        second_word=between(rng, 0, len(words.COMPANY_SECOND) - 1, n),
        bin=np.where(form == words.IP, -1, numbers),
        owner=owner,
        director=np.where((form == words.IP) | happens(rng, 0.5, n), owner, _adults(people, n, rng)),
        parent=np.where(has_parent, between(rng, 1, N_UTILITIES, n), -1),
        registered=registered,
        phone=_phones(city, n, rng),
        addresses=Addresses(city, between(rng, 0, 99, n), between(rng, 1, 200, n), between(rng, 1, 60, n)),
    )


def _adults(people: People, n: int, rng: Rng) -> Ints:
    clients = np.flatnonzero(people.is_client & (people.role < 2))
    return clients[between(rng, 0, len(clients) - 1, n)]


def _phones(city: Ints, n: int, rng: Rng) -> Ints:
    codes = np.array([place.dialling_code for place in CITIES])[city]
    fixed = landline_numbers(codes, np.arange(n) * 7919 + 500_000)
    mobile = mobile_numbers(90_000_000, n, int(between(rng, 0, 10**6, 1)[0]))
    return np.where(happens(rng, 0.5, n), fixed, mobile)


def hire_people(people: People, companies: Companies, today: np.datetime64, rng: Rng) -> Ints:
    """The employer of each person, negative for who has none; a few employers have very many people."""
    n = len(people)
    weights = zipf_weights(len(companies), offset=4.0, exponent=0.8) * np.where(
        companies.form == words.IP, 0.15, 1.0
    )
    age = (today - people.birth).astype(np.int64) / 365.25
    works = (age > 20) & (age < 63) & happens(rng, EMPLOYED_SHARE, n)
    return np.where(works, pick(rng, weights, n), -1)


def lend_work_phones(people: People, companies: Companies, employer: Ints, rng: Rng) -> Ints:
    """Second phones of the people: some employees name their employer's phone."""
    gives_work_phone = (employer >= 0) & happens(rng, 0.12, len(people))
    return np.where(gives_work_phone, companies.phone[employer], people.second_phone)


@dataclass(frozen=True)
class CompanyRecords:
    """The raw file, and for each row the company it is about; row i < len(companies) is company i's own."""

    table: pa.Table
    company: Ints
    record_id: pa.Array  # "C..." without the dataset
    name: pa.Array


def write_company_records(companies: Companies, people: People, names: NameBook, rng: Rng) -> CompanyRecords:
    """One record for each company and a second one, from a branch or an older system, for some."""
    n = len(companies)
    again = np.flatnonzero(happens(rng, SECOND_RECORD_SHARE, n) & (np.arange(n) > 0))
    company = np.r_[np.arange(n), again]
    is_second = np.arange(len(company)) >= n
    ids = rng.permutation(len(company)) + 1
    record_id = format_digits(ids, "O#######")
    written = _names(companies, company, people, names, rng)
    table = pa.table(
        {
            "company_id": record_id,
            "name": misspell(written, is_second & happens(rng, 0.2, len(company)), rng),
            "bin": blank(
                format_digits(companies.bin[company], "############"), _loses(0.02, 0.35, is_second, rng)
            ),
            "owner_iin": _owner_iins(companies, people, company),
            **_contact_columns(companies, company, is_second, rng),
        }
    )
    return CompanyRecords(table, company, record_id, table["name"].combine_chunks())


def _loses(first: float, second: float, is_second: Bools, rng: Rng) -> Bools:
    return happens(rng, np.where(is_second, second, first), len(is_second))


def _owner_iins(companies: Companies, people: People, company: Ints) -> pa.Array:
    is_sole = companies.form[company] == words.IP
    return format_digits(np.where(is_sole, people.iin[companies.owner[company]], -1), "############")


def _contact_columns(companies: Companies, company: Ints, is_second: Bools, rng: Rng) -> dict[str, pa.Array]:
    n, where = len(company), companies.addresses
    other_phone = mobile_numbers(95_000_000, n, 77)
    phone = np.where(is_second & happens(rng, 0.4, n), other_phone, companies.phone[company])
    place = Addresses(where.city[company], where.street[company], where.house[company], where.flat[company])
    rows, kazakh = np.arange(n), happens(rng, 0.2, n)
    year, month, day = year_month_day(companies.registered[company])
    return {
        "phone": format_mixed(phone, pick(rng, (3, 2, 2, 1, 1), n), PHONE_STYLES),
        "city": city_texts(place, rows, kazakh),
        "street": street_texts(place, rows, kazakh),
        "house": house_texts(place, rows),
        "registered": format_digits((day * 100 + month) * 10000 + year, "##.##.####"),
    }


def _names(companies: Companies, company: Ints, people: People, names: NameBook, rng: Rng) -> pa.Array:
    """Each name in its legal form; a sole trader bears the owner's name or a brand."""
    n = len(company)
    style = pick(rng, words.FORM_STYLE_WEIGHTS, n)
    script = np.where(style == 4, BGN, np.where(happens(rng, 0.25, n), RUSSIFIED, HOME))
    brand = _brands(companies, company, script)
    owner = companies.owner[company]
    initial = names.given.spell(people.given[owner], script)
    person = join(" ", names.family.spell(people.family[owner], script), initial)
    is_named_after_owner = (companies.form[company] == words.IP) & (companies.first_word[company] % 4 > 0)
    inner = choose(is_named_after_owner.astype(np.int64), brand, person)
    return _in_legal_form(companies.form[company], style, inner)


def _brands(companies: Companies, company: Ints, script: Ints) -> pa.Array:
    first, second = (_brand_words(pool) for pool in (words.COMPANY_FIRST, words.COMPANY_SECOND))
    return join(
        " ",
        first.spell(companies.first_word[company], script),
        second.spell(companies.second_word[company], script),
    )


def _brand_words(pool: tuple[str, ...]) -> Vocabulary:
    return make_vocabulary(pool)


def _in_legal_form(form: Ints, style: Ints, inner: pa.Array) -> pa.Array:
    before, after = zip(*(text.split("{}") for forms in words.LEGAL_FORMS for text in forms), strict=True)
    which = form * len(words.LEGAL_FORMS[0]) + style
    return glue(take(pa.array(before), which), inner, take(pa.array(after), which))


def own_and_direct(companies: Companies, client_of: pa.Array, records: CompanyRecords, rng: Rng) -> pa.Table:
    """Who owns and who directs which company, as record ids with their dataset.

    `client_of` gives each person's record id, null for who has none.
    """
    n = len(companies)
    company_record = glue("companies:", records.record_id[:n])
    parent = companies.parent
    share = np.where(
        parent >= 0, 50, np.where(companies.form == words.IP, 100, 100 - 10 * between(rng, 0, 4, n))
    )
    started = format_digits(_iso(companies.registered), "####-##-##")
    parts = [
        _holdings(glue("people:", take(client_of, companies.owner)), company_record, "owns", share, started),
        _holdings(
            glue("people:", take(client_of, companies.director)), company_record, "directs", None, started
        ),
        _holdings(take(company_record, parent), company_record, "owns", np.full(n, 50), started),
    ]
    whole = pa.concat_tables(parts)
    return whole.filter(whole["holder"].is_valid())


def _iso(days: Days) -> Ints:
    year, month, day = year_month_day(days)
    return (year * 100 + month) * 100 + day


def _holdings(holder: pa.Array, held: pa.Array, kind: str, share: Ints | None, started: pa.Array) -> pa.Table:
    part: Floats | None = None if share is None else share / 100.0
    texts = pa.nulls(len(held), pa.string()) if part is None else pa.array(part).cast(pa.string())
    return pa.table(
        {
            "holder": holder,
            "company": held,
            "relation": pa.array(np.full(len(held), kind, dtype=object), pa.string()),
            "share": texts,
            "since": started,
        }
    )
