"""API keys: only the very key is recognised, and nothing that could be used is kept."""

from __future__ import annotations

import dataclasses
import random
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from terag_pipelines.errors import ForbiddenError, UnauthenticatedError
from terag_pipelines.security.api_keys import NewApiKey, make_api_key, recognise
from terag_pipelines.security.roles import PERMISSIONS, Permission, Role, require

PEPPER = b"a pepper of thirty-two bytes ...."
NOW = datetime(2026, 11, 1, tzinfo=UTC)


def new_key(seed: int = 0, role: Role = Role.ANALYST) -> NewApiKey:
    return make_api_key(random.Random(seed).randbytes(38), PEPPER, role=role, name="test", created_at=NOW)


def test_a_key_is_recognised_and_carries_its_role() -> None:
    key = new_key()
    caller = recognise(key.text, PEPPER, {key.record.key_id: key.record}.get)
    assert (caller.key_id, caller.role) == (key.record.key_id, Role.ANALYST)


def test_nothing_of_the_secret_is_stored() -> None:
    key = new_key()
    secret = key.text.split("_", 2)[2]
    assert secret not in repr(key.record)


@given(st.integers(0, 61), st.characters(codec="utf-8"))
def test_a_changed_key_is_refused(position: int, other: str) -> None:
    key = new_key()
    changed = key.text[:position] + other + key.text[position + 1 :]
    if changed != key.text:
        with pytest.raises(UnauthenticatedError):
            recognise(changed, PEPPER, {key.record.key_id: key.record}.get)


@pytest.mark.parametrize("text", [None, "", "terag_", "x" * 10_000, "terag_000000000000_" + "A" * 43])
def test_what_is_not_a_key_is_refused_in_the_same_words(text: str | None) -> None:
    with pytest.raises(UnauthenticatedError, match="missing or not valid"):
        recognise(text, PEPPER, lambda _: None)


def test_a_revoked_key_and_another_pepper_are_refused() -> None:
    key = new_key()
    revoked = dataclasses.replace(key.record, revoked_at=NOW)
    with pytest.raises(UnauthenticatedError):
        recognise(key.text, PEPPER, lambda _: revoked)
    with pytest.raises(UnauthenticatedError):
        recognise(key.text, b"another pepper", lambda _: key.record)


def test_too_little_randomness_makes_no_key() -> None:
    with pytest.raises(ValueError, match="38"):
        make_api_key(b"short", PEPPER, role=Role.ADMIN, name="x", created_at=NOW)


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("permission", Permission)
def test_a_role_may_do_what_it_has_and_no_more(role: Role, permission: Permission) -> None:
    if permission in PERMISSIONS[role]:
        require(role, permission)
    else:
        with pytest.raises(ForbiddenError, match=role):
            require(role, permission)
