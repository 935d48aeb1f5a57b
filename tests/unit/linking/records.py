"""Small made-up records for the tests of the linking room."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from typing import Any

import numpy as np
import pyarrow as pa

from terag_pipelines.entities.model import ENTITY_RECORDS, LABELS
from terag_pipelines.linking.model import LINKS, PAIR_SCORES

GIVEN = ("amina", "bolat", "erlan", "gulnar", "ivan", "karlygash", "lev", "madina", "nurlan", "olga", "saule")
FAMILY = (
    "ahmetov",
    "baizhanov",
    "chernov",
    "ermekov",
    "fomin",
    "garipov",
    "ibraev",
    "kim",
    "litvinov",
    "mukanov",
)
LETTERS = np.array(list("abcdefghijklmnopqrstuvwxyz"))


def make_records(rows: Iterable[dict[str, Any]]) -> pa.Table:
    """ENTITY_RECORDS out of what differs; persons unless said otherwise, name_key made of the parts."""
    return ENTITY_RECORDS.from_columns(**_columns([_filled(number, row) for number, row in enumerate(rows)]))


def _filled(number: int, row: dict[str, Any]) -> dict[str, Any]:
    parts = [row.get(name) for name in ("given_key", "family_key", "patronymic_key")]
    words = sorted(word for part in parts if part for word in part.split())
    filled: dict[str, Any] = {
        "record_id": f"r:{number:06d}",
        "dataset": "r",
        "native_id": str(number),
        "party_type": "person",
        "is_partial": False,
        "is_watchlist": False,
        "name_key": " ".join(words) or None,
        "display_name": " ".join(part for part in parts if part) or None,
        "file": "r.csv",
        "row": number + 1,
    }
    lists = {name: [] for name in ("alias_keys", "identifiers", "phones", "emails", "quality_flags")}
    return filled | lists | row


def _columns(rows: list[dict[str, Any]]) -> dict[str, list[Any]]:
    return {name: [row.get(name) for row in rows] for name in ENTITY_RECORDS.schema.names}


def make_links(*pairs: tuple[str, str, float], pattern: str = "phone:shared") -> pa.Table:
    """LINKS of these left ids, right ids and match weights."""
    scores = make_scores(*pairs, pattern=pattern)
    probability = scores["match_probability"].to_pylist()
    return LINKS.from_columns(
        **{name: scores[name].to_pylist() for name in PAIR_SCORES.schema.names},
        link_probability=probability,
        is_calibrated=[False] * len(pairs),
    )


def make_scores(*pairs: tuple[str, str, float], pattern: str = "phone:shared") -> pa.Table:
    """PAIR_SCORES of these left ids, right ids and match weights."""
    return PAIR_SCORES.from_columns(
        left_id=[pair[0] for pair in pairs],
        right_id=[pair[1] for pair in pairs],
        pattern=[pattern] * len(pairs),
        match_weight=[pair[2] for pair in pairs],
        match_probability=[1 / (1 + 2.0 ** -pair[2]) for pair in pairs],
    )


def make_labels(value_of: dict[str, str], use: str = "truth") -> pa.Table:
    """LABELS of kind "entity"."""
    n = len(value_of)
    return LABELS.from_columns(
        label_kind=["entity"] * n,
        subject_id=list(value_of),
        object_id=[""] * n,
        value=list(value_of.values()),
        use=[use] * n,
    )


def make_population(n_people: int, seed: int) -> tuple[pa.Table, pa.Table]:
    """People with one or two records each, the second with slips; and the labels that tell who is who."""
    rng = np.random.default_rng(seed)
    rows: list[dict[str, Any]] = []
    truth: dict[str, str] = {}
    for person in range(n_people):
        original = _make_person(rng)
        copies = [original] if rng.random() < 0.5 else [original, _with_slips(original, rng)]
        for copy in copies:
            truth[f"r:{len(rows):06d}"] = str(person)
            rows.append(copy)
    return make_records(rows), make_labels(truth)


def _make_person(rng: np.random.Generator) -> dict[str, Any]:
    born = date.fromordinal(int(rng.integers(date(1950, 1, 1).toordinal(), date(2005, 1, 1).toordinal())))
    return {
        "given_key": str(rng.choice(GIVEN)),
        "family_key": str(rng.choice(FAMILY)) + str(rng.choice(["", "a"])),
        "birth_date": born,
        "phones": [f"+7701{rng.integers(10**7):07d}"],
        "street": str(rng.choice(["abai", "satpaev", "lenin", "dostyk", "tole bi"])),
        "house": str(rng.integers(1, 90)),
        "postcode": f"{rng.integers(50000, 50040):06d}",
    }


def _with_slips(person: dict[str, Any], rng: np.random.Generator) -> dict[str, Any]:
    copy = dict(person)
    if rng.random() < 0.3:
        copy["given_key"] = _mistyped(copy["given_key"], rng)
    if rng.random() < 0.3:
        copy["family_key"] = _mistyped(copy["family_key"], rng)
    if rng.random() < 0.1:
        copy["given_key"], copy["family_key"] = copy["family_key"], copy["given_key"]
    if rng.random() < 0.4:
        copy["phones"] = [f"+7702{rng.integers(10**7):07d}"]
    if rng.random() < 0.2:
        copy["birth_date"] = None
    return copy


def _mistyped(text: str, rng: np.random.Generator) -> str:
    at = int(rng.integers(1, len(text)))
    return text[:at] + str(rng.choice(LETTERS)) + text[at + 1 :]
