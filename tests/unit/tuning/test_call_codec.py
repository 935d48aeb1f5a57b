"""Calls come back exactly as they went in, types, zones and all; what would not is not kept."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from enum import StrEnum
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from resources.call_codec import MAX_BYTES, MAX_DEPTH, decode_call, encode_call
from terag_pipelines.tuning.ports import SampledCall

QUERY = "MATCH (e) WHERE e.name = $name RETURN e"
ZONES = st.one_of(
    st.none(),
    st.just(UTC),
    st.sampled_from(["Asia/Almaty", "Europe/Berlin", "UTC"]).map(ZoneInfo),
    st.timedeltas(timedelta(hours=-23), timedelta(hours=23)).map(timezone),
)
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(),
    st.text(st.characters(), max_size=20),  # lone surrogates too
    st.datetimes(timezones=ZONES),
)
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=4), max_leaves=8)


def depth_of(value):
    return 1 + max(map(depth_of, value), default=0) if isinstance(value, list) else 0


def exactly(value):
    """A value with all that distinguishes it: 1 is not True, -0.0 not 0.0, nor one fold the other."""
    if isinstance(value, list):
        return [exactly(one) for one in value]
    if isinstance(value, datetime):
        return (value.replace(tzinfo=None), value.fold, repr(value.tzinfo), value.utcoffset())
    return (type(value), repr(value))


@given(st.text(), st.dictionaries(st.text(max_size=8), VALUES.filter(lambda v: depth_of(v) <= MAX_DEPTH)))
def test_a_call_comes_back_exactly(query, parameters):
    encoded = encode_call(SampledCall(query, parameters))
    came = decode_call(encoded)
    assert came.query == query
    assert {name: exactly(value) for name, value in came.parameters.items()} == {
        name: exactly(value) for name, value in parameters.items()
    }
    assert encode_call(came) == encoded


def test_both_hours_of_a_night_when_clocks_go_back_come_back():
    berlin = ZoneInfo("Europe/Berlin")
    for fold in (0, 1):
        instant = datetime(2026, 10, 25, 2, 30, tzinfo=berlin, fold=fold)
        came = decode_call(encode_call(SampledCall(QUERY, {"at": instant}))).parameters["at"]
        assert came.astimezone(UTC) == instant.astimezone(UTC)


def test_the_same_call_is_the_same_bytes_and_another_type_another_call():
    one, other = ({"a": 1, "b": 2}, {"b": 2, "a": 1})
    assert encode_call(SampledCall(QUERY, one)) == encode_call(SampledCall(QUERY, other))
    told = {encode_call(SampledCall(QUERY, {"a": value})) for value in (1, 1.0, True, "1", [1])}
    assert len(told) == 5


class Kind(StrEnum):
    PERSON = "person"


class Instant(datetime):
    """As pandas' Timestamp is one."""


@pytest.mark.parametrize(
    "value",
    [
        (1, 2),
        {"a": 1},
        b"x",
        date(2026, 1, 1),
        Decimal(1),
        np.int64(1),
        np.arange(3),
        Kind.PERSON,
        Instant(2026, 1, 1),
        object(),
        2**63,
        [[1], ["a", {"b": 1}]],
        [[[[[1]]]]],
        "x" * MAX_BYTES,
    ],
)
def test_what_would_not_come_back_or_is_too_much_is_not_kept(value):
    assert encode_call(SampledCall(QUERY, {"a": 1, "x": value})) is None


def test_a_list_that_holds_itself_is_not_kept():
    endless: list[object] = []
    endless.append(endless)
    assert encode_call(SampledCall(QUERY, {"x": endless})) is None


def test_a_call_shows_nothing_of_itself():
    assert "Aigerim" not in repr(SampledCall("MATCH (e {name: 'Aigerim'})", {"name": "Aigerim"}))
