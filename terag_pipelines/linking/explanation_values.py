"""What stood in the fields of a record when they were compared, as given and short enough to show."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from terag_pipelines.linking.explanation_words import say_interval
from terag_pipelines.linking.validity import DATED_FIELDS
from terag_pipelines.linking.variants import GENERATION

MAX_SHOWN = 160  # characters of one value
MAX_VALUES = 8  # of one field of one record
COLUMNS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "given_name": ("given_name", "given_key"),
        "family_name": ("family_name", "family_key"),
        "patronymic": ("patronymic", "patronymic_key"),
        "full_name": ("display_name", "name_key"),
        "organisation_name": ("display_name", "organisation_key"),
        "phone": ("phones",),
        "email": ("emails",),
    }
)
"""For each compared field the columns that tell its value, the best to read first; else that of its name."""
FURTHER_NAMES = ("full_name", "organisation_name")
ADDRESS_PARTS = ("locality", "region", "postcode")


def shown_values(record: Mapping[str, Any], field: str) -> tuple[str, ...]:
    """The values of a compared field in one row of ENTITY_RECORDS; none where it is empty."""
    if field == "address":
        values = [_address(record) or record["address_key"]]
    elif field == "generation":
        family = record["family_key"] or ""
        values = [family] if re.search(GENERATION, family) else []
    else:
        columns = COLUMNS.get(field, (field,))
        values = _as_list(next((record[name] for name in columns if record[name]), None))
    if field in FURTHER_NAMES:
        values = [*values, *_as_list(record["alias_keys"])]
    known = [shorten(str(value)) for value in dict.fromkeys(values) if value]
    left_out = len(known) - MAX_VALUES
    more = [f"and {left_out} more"] if left_out > 0 else []
    return (*known[:MAX_VALUES], *more, *(_interval(record, field) if known else []))


def _interval(record: Mapping[str, Any], field: str) -> list[str]:
    """From when to when the values were this record's, where it says so."""
    kind = DATED_FIELDS.get(field)
    told = say_interval(record.get(f"{kind}_from"), record.get(f"{kind}_to")) if kind else ""
    return [f"card {told}" if kind == "card" else told] if told else []


def shorten(text: str) -> str:
    """The text, or its start and how long it is."""
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}… ({len(text):,} characters)"


def _address(record: Mapping[str, Any]) -> str:
    street = " ".join(record[name] for name in ("house", "street") if record[name])
    return ", ".join(part for part in (street, *(record[name] for name in ADDRESS_PARTS)) if part)


def _as_list(value: Any) -> list[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]
