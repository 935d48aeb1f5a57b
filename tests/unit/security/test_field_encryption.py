"""A sealed value opens under its secret at its place only, and tells nothing to others."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from terag_pipelines.security.field_encryption import FieldSeal

SECRET = b"0123456789abcdef0123456789abcdef"
SEAL = FieldSeal(SECRET)
OTHER = FieldSeal(SECRET[::-1])
PLACE = "query_calls/1/sealed"


@given(st.binary(max_size=200), st.text(max_size=20))
def test_a_value_opens_as_it_was_at_its_place_only(value: bytes, place: str) -> None:
    sealed = SEAL.seal(value, place)
    assert FieldSeal(SECRET).open(sealed, place) == value
    assert SEAL.open(sealed, place + "x") is None
    assert OTHER.open(sealed, place) is None


@given(st.binary(min_size=1, max_size=40), st.integers(0), st.integers(1, 255))
def test_a_value_of_which_any_byte_was_changed_opens_no_more(value: bytes, at: int, by: int) -> None:
    sealed = bytearray(SEAL.seal(value, PLACE))
    sealed[at % len(sealed)] ^= by
    assert SEAL.open(bytes(sealed), PLACE) is None


@given(st.binary(max_size=60))
def test_what_was_never_sealed_opens_to_nothing(given_bytes: bytes) -> None:
    assert SEAL.open(given_bytes, PLACE) is None
    assert SEAL.open(b"\x01" + given_bytes, PLACE) is None


def test_a_sealed_value_is_another_one_each_time_and_does_not_hold_the_value() -> None:
    value = b"Aigerim 870112400123"
    sealed = {SEAL.seal(value, PLACE) for _ in range(100)}
    assert len(sealed) == 100
    assert not any(b"Aigerim" in one or b"870112" in one for one in sealed)


def test_a_name_follows_from_value_and_secret() -> None:
    assert SEAL.name_of(b"a") == FieldSeal(SECRET).name_of(b"a")
    assert len({SEAL.name_of(b"a"), SEAL.name_of(b"b"), OTHER.name_of(b"a")}) == 3


@pytest.mark.parametrize("n_bytes", [0, 31, 65])
def test_a_secret_that_is_too_short_or_too_long_is_refused(n_bytes: int) -> None:
    with pytest.raises(ValueError, match="32 to 64"):
        FieldSeal(b"x" * n_bytes)
