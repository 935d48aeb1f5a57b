"""Made-up households: couples, parents, children, twins, father and son of one name; namesakes elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any

import numpy as np
import polars as pl

MEN = (
    "Нурлан", "Ерлан", "Асхат", "Болат", "Серик", "Тимур", "Алихан", "Айдос", "Бауыржан", "Руслан",
    "Дмитрий", "Иван", "Сергей", "Алексей", "Андрей", "Виктор", "Олег", "Максим", "Талгат", "Ермек",
    "Жандос", "Канат", "Рустем", "Павел", "Николай", "Владимир",
)  # fmt: skip
WOMEN = (
    "Айгуль", "Гульнар", "Мадина", "Сауле", "Жанна", "Меруерт", "Ольга", "Елена", "Наталья", "Светлана",
    "Ирина", "Екатерина", "Юлия", "Карлыгаш", "Назгуль", "Зарина", "Камила", "Томирис", "Жулдыз",
    "Салтанат", "Виктория", "Людмила", "Шолпан", "Индира",
)  # fmt: skip
SURNAMES = (
    "Ахметов", "Байжанов", "Ермеков", "Гарипов", "Ибраев", "Муканов", "Иванов", "Петров", "Сидоров",
    "Смирнов", "Кузнецов", "Попов", "Жумабаев", "Сулейменов", "Нурпеисов", "Оспанов", "Касымов",
    "Тулегенов", "Бекмуратов", "Смагулов", "Рахимов", "Омаров", "Волков", "Соколов", "Лебедев", "Козлов",
    "Новиков", "Морозов", "Егоров", "Громов", "Фомин", "Чернов",
)  # fmt: skip
STREETS = (
    "Абая", "Сатпаева", "Достык", "Гоголя", "Жандосова", "Тимирязева", "Сейфуллина", "Кенесары",
    "Республики", "Победы",
)  # fmt: skip
DAYS = 365


@dataclass(frozen=True)
class Person:
    """One person; `household` is -1 for those who only bear another's name."""

    given: str
    family: str
    is_man: bool
    born: date
    street: str
    house: int
    phone: str
    role: str
    household: int


def make_people(n_households: int, rng: np.random.Generator) -> list[Person]:
    """The people of so many households, and namesakes of a few of them at other addresses."""
    people = [person for number in range(n_households) for person in _make_household(number, rng)]
    doubles = [person for person in people if rng.random() < 0.05]
    elsewhere = [
        replace(_make_head(-1, rng), given=p.given, family=p.family, role="namesake") for p in doubles
    ]
    return people + elsewhere


def _make_head(number: int, rng: np.random.Generator) -> Person:
    born = date(int(rng.integers(1950, 1985)), 1, 1) + timedelta(int(rng.integers(DAYS)))
    street, house = str(rng.choice(STREETS)), int(rng.integers(1, 400))
    phone = f"8 701 {rng.integers(10**7):07d}"
    name, family = str(rng.choice(MEN)), str(rng.choice(SURNAMES))
    return Person(name, family, True, born, street, house, phone, "father", number)


def _make_household(number: int, rng: np.random.Generator) -> Iterator[Person]:
    father = _make_head(number, rng)
    later = [timedelta(int(days)) for days in rng.integers(21 * DAYS, 35 * DAYS, 4)]
    yield father
    yield _relative(father, str(rng.choice(WOMEN)), False, timedelta(int(rng.integers(3 * DAYS))), "mother")
    if rng.random() < 0.1:
        yield replace(father, born=father.born + later[0], role="son of one name")
    if rng.random() < 0.1:
        for name in rng.choice([n for n in MEN if n != father.given], 2, replace=False):
            yield _relative(father, str(name), True, later[1], "twin")
    if rng.random() < 0.7:
        yield _relative(father, str(rng.choice(WOMEN)), False, later[2], "child")
    if rng.random() < 0.7:
        name = str(rng.choice([n for n in MEN if n != father.given]))
        yield _relative(father, name, True, later[3], "child")


def _relative(father: Person, given: str, is_man: bool, age: timedelta, role: str) -> Person:
    family = father.family if is_man else father.family + "а"
    return replace(father, given=given, family=family, is_man=is_man, born=father.born + age, role=role)


def make_rows(people: list[Person], rng: np.random.Generator, born_share: float) -> pl.DataFrame:
    """One to three records of each, with slips and gaps; `person` is the number of whose it is."""
    rows = [
        _make_row(person, copy, rng, born_share) | {"person": number}
        for number, person in enumerate(people)
        for copy in range(int(rng.choice([1, 2, 3], p=[0.5, 0.35, 0.15])))
    ]
    shuffled = [rows[place] for place in rng.permutation(len(rows))]
    return pl.DataFrame(
        [row | {"id": f"{n:05d}"} for n, row in enumerate(shuffled)], infer_schema_length=None
    )


def _make_row(person: Person, copy: int, rng: np.random.Generator, born_share: float) -> dict[str, Any]:
    row: dict[str, Any] = {
        "surname": person.family,
        "first_name": person.given,
        "birth_date": person.born.isoformat() if rng.random() < born_share else None,
        "phone": person.phone if rng.random() < 0.6 else None,
    }
    has_address = rng.random() < 0.85
    row |= {"street": person.street, "house": str(person.house)} if has_address else {}
    if copy and rng.random() < 0.2:
        name = str(rng.choice(["surname", "first_name"]))
        at = int(rng.integers(1, len(row[name])))
        row[name] = row[name][:at] + row[name][at + 1 :]
    return row
