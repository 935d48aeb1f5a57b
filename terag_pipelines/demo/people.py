"""Who lives in the demo bank's town: households, families, namesakes. What records are written from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from terag_pipelines.demo.identity import Days, draw_iins, landline_numbers, mobile_numbers
from terag_pipelines.demo.names import FEMALE, GROUP_WEIGHTS, KAZAKH, MALE, ULY, NameBook
from terag_pipelines.demo.places import CITIES, STREETS
from terag_pipelines.demo.randomness import Bools, Floats, Ints, Rng, between, happens, pick

SIZE_WEIGHTS = (0.34, 0.27, 0.20, 0.13, 0.06)
"""Shares of households with one to five members at the bank."""
NAMESAKE_SHARE = 0.10  # of people who live alone: about 1.5% of all
SAME_NAME_SON = 0.03
TWINS = 0.04
MOVED = 0.18


@dataclass(frozen=True)
class Addresses:
    """Where people live or lived; position i of each array is address i."""

    city: Ints
    street: Ints
    house: Ints
    flat: Ints


@dataclass(frozen=True)
class People:
    """One person per position; names are word ids of the name book."""

    household: Ints
    role: Ints  # 0 head, 1 partner, 2 and above children
    sex: Ints
    group: Ints
    family: Ints  # word id of the form that this sex bears
    given: Ints
    patronymic: Ints  # negative where there is none
    birth: Days
    iin: Ints
    mobile: Ints
    second_phone: Ints  # a home, work or shared phone; negative where there is none
    address: Ints
    old_address: Ints  # equals `address` where the person never moved
    income: Floats  # thousand KZT a month
    is_client: Bools  # has records in core banking; the others only applied online
    addresses: Addresses

    def __len__(self) -> int:
        return len(self.sex)


def settle_people(n: int, today: np.datetime64, names: NameBook, rng: Rng) -> People:
    """`n` people in households, with names, births, numbers and addresses; `today` ends the story."""
    household, role = _households(n, rng)
    head = np.flatnonzero(role == 0)[household]
    sex = _sexes(household, role, head, rng)
    group = pick(rng, GROUP_WEIGHTS, household[-1] + 1)[household]
    age = _ages(household, role, head, rng)
    given = _given_names(household, role, head, sex, group, names, rng)
    father = _fathers(role, head, sex, group, given, names, rng)
    stem = _family_stems(household, role, group, names, rng)
    birth = _births(age, role, today, rng)
    family = stem + names.n_families * sex
    style, has_one = _patronymic_styles(group, rng)
    patronymic = names.patronymic_id(father, style, sex, has_one)
    namesakes = _namesakes(household, sex, rng)
    for column in (given, family, patronymic):
        column[namesakes[0]] = column[namesakes[1]]
    birth = _share_birth_years(birth, namesakes, rng)
    addresses, address, old_address = _settle(household, rng)
    return People(
        household=household,
        role=role,
        sex=sex,
        group=group,
        family=family,
        given=given,
        patronymic=patronymic,
        birth=birth,
        iin=draw_iins(birth, sex, rng),
        mobile=mobile_numbers(0, n, int(between(rng, 0, 10**7, 1)[0])),
        second_phone=_home_phones(household, addresses, address, rng),
        address=address,
        old_address=old_address,
        income=np.asarray(np.round(np.exp(rng.normal(5.55, 0.5, n)), 1), dtype=np.float64),
        is_client=~happens(rng, 0.03, n),
        addresses=addresses,
    )


def _households(n: int, rng: Rng) -> tuple[Ints, Ints]:
    sizes = pick(rng, SIZE_WEIGHTS, n) + 1
    household = np.repeat(np.arange(n), sizes)[:n]
    firsts = np.flatnonzero(np.r_[True, household[1:] != household[:-1]])
    return household, np.arange(n) - firsts[household]


def _sexes(household: Ints, role: Ints, head: Ints, rng: Rng) -> Ints:
    own = np.where(role == 0, happens(rng, 0.42, len(role)), happens(rng, 0.5, len(role))).astype(np.int64)
    is_couple = happens(rng, 0.88, household[-1] + 1)[household]
    return np.where((role == 1) & is_couple, 1 - own[head], own)


def _ages(household: Ints, role: Ints, head: Ints, rng: Rng) -> Floats:
    n = len(role)
    has_children = np.bincount(household, role >= 2)[household] > 0
    alone = 20.0 + 55.0 * rng.beta(1.6, 2.4, n)
    parent = 44.0 + 24.0 * rng.beta(1.3, 2.2, n)
    leader = np.where(has_children, parent, alone)[head]
    partner = np.maximum(leader + rng.normal(-1.5, 4.0, n), 20.0)
    child = np.maximum(leader - 19.0 - 13.0 * rng.beta(1.5, 2.0, n), 16.5)
    return np.where(role == 0, leader, np.where(role == 1, partner, child))


def _given_names(
    household: Ints, role: Ints, head: Ints, sex: Ints, group: Ints, names: NameBook, rng: Rng
) -> Ints:
    given = names.draw_given(sex, group, rng)
    for _ in range(3):
        again = _named_like_a_sibling(household, given)
        given[again] = names.draw_given(sex[again], group[again], rng)
    is_son = (role >= 2) & (sex == MALE) & (sex[head] == MALE)
    called_after = is_son & happens(rng, SAME_NAME_SON, len(sex))
    return np.where(called_after, given[head], given)


def _named_like_a_sibling(household: Ints, given: Ints) -> Ints:
    order = np.lexsort((given, household))
    same = (household[order][1:] == household[order][:-1]) & (given[order][1:] == given[order][:-1])
    return np.asarray(order[1:][same])


def _fathers(role: Ints, head: Ints, sex: Ints, group: Ints, given: Ints, names: NameBook, rng: Rng) -> Ints:
    """The given name of each person's father: the household's man for children, some name for the rest."""
    own = names.draw_given(np.full(len(sex), MALE), group, rng)
    partner = np.minimum(head + 1, len(sex) - 1)
    of_children = np.where(
        sex[head] == MALE, given[head], np.where(sex[partner] == MALE, given[partner], own[head])
    )
    return np.where(role >= 2, of_children, own)


def _family_stems(household: Ints, role: Ints, group: Ints, names: NameBook, rng: Rng) -> Ints:
    heads = np.flatnonzero(role == 0)
    shared = names.draw_family(group[heads], rng)[household]
    own = names.draw_family(group, rng)
    return np.where((role == 1) & happens(rng, 0.2, len(role)), own, shared)


def _births(age: Floats, role: Ints, today: np.datetime64, rng: Rng) -> Days:
    days = (age * 365.25).astype(np.int64)
    twins = np.flatnonzero((role[1:] == 3) & happens(rng, TWINS, len(role) - 1)) + 1
    days[twins] = days[twins - 1]
    return np.asarray(today - days.astype("timedelta64[D]"))


def _patronymic_styles(group: Ints, rng: Rng) -> tuple[Ints, Bools]:
    is_kazakh = group == KAZAKH
    style = np.where(is_kazakh & happens(rng, 0.3, len(group)), ULY, 0)
    has_one = ~happens(rng, np.where(is_kazakh, 0.12, 0.03), len(group))
    return style, has_one


def _namesakes(household: Ints, sex: Ints, rng: Rng) -> tuple[Ints, Ints]:
    """People who live alone and bear the whole name of somebody else, and who that is."""
    alone = (np.bincount(household) == 1)[household]
    copies = np.flatnonzero(alone & happens(rng, NAMESAKE_SHARE, len(sex)))
    models = np.empty(len(copies), dtype=np.int64)
    for s in (MALE, FEMALE):
        candidates = np.flatnonzero(sex == s)
        rows = np.flatnonzero(sex[copies] == s)
        models[rows] = candidates[between(rng, 0, max(len(candidates) - 1, 0), len(rows))]
    return copies, models


def _share_birth_years(birth: Days, namesakes: tuple[Ints, Ints], rng: Rng) -> Days:
    copies, models = namesakes
    same_year = happens(rng, 0.35, len(copies))
    year = birth[models].astype("datetime64[Y]").astype("datetime64[D]")
    moved = year + between(rng, 0, 364, len(copies)).astype("timedelta64[D]")
    shared = birth.copy()
    shared[copies] = np.where(same_year, moved, birth[copies])
    return shared


def _settle(household: Ints, rng: Rng) -> tuple[Addresses, Ints, Ints]:
    n, n_households = len(household), int(household[-1]) + 1
    movers = np.flatnonzero(happens(rng, MOVED, n))
    n_addresses = n_households + len(movers)
    old = household.copy()
    old[movers] = n_households + np.arange(len(movers))
    city = pick(rng, [place.weight for place in CITIES], n_addresses)
    stays = happens(rng, 0.7, len(movers))
    city[n_households:] = np.where(stays, city[household[movers]], city[n_households:])
    street = pick(rng, (np.arange(len(STREETS)) + 8.0) ** -0.6, n_addresses)
    house, flat = between(rng, 1, 160, n_addresses), between(rng, 1, 120, n_addresses)
    return Addresses(city, street, house, flat), household.copy(), old


def _home_phones(household: Ints, addresses: Addresses, address: Ints, rng: Rng) -> Ints:
    has_one = happens(rng, 0.25, int(household[-1]) + 1)
    codes = np.array([place.dialling_code for place in CITIES])[addresses.city]
    numbers = landline_numbers(codes, np.arange(len(codes)) * 7919 + 13)
    return np.where(has_one[household] & happens(rng, 0.8, len(household)), numbers[address], -1)
