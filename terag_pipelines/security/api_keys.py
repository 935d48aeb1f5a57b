"""API keys: 256 random bits that are shown once; what is stored is their HMAC under a pepper.

    terag_<key id, 12 hex>_<secret, 43 base64url characters>

The secret has full entropy, so a keyed hash is enough and costs a microsecond; a slow password hash would
only burn time on every request.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from terag_pipelines.errors import UnauthenticatedError
from terag_pipelines.security.roles import Role

KEY_FORM = re.compile(r"terag_([0-9a-f]{12})_([A-Za-z0-9_-]{43})")
REFUSED = "the API key is missing or not valid"


@dataclass(frozen=True)
class ApiKeyRecord:
    """What is kept of a key: enough to recognise it, not enough to use it."""

    key_id: str
    digest: str
    role: Role
    name: str
    tenant_id: str | None
    created_at: datetime
    revoked_at: datetime | None = None


@dataclass(frozen=True)
class NewApiKey:
    """A key at the moment when it is made; `text` is shown once and never stored."""

    text: str
    record: ApiKeyRecord


@dataclass(frozen=True)
class Caller:
    """Who calls, once the key has been recognised."""

    key_id: str
    role: Role
    tenant_id: str | None


def make_api_key(
    randomness: bytes,
    pepper: bytes,
    *,
    role: Role,
    name: str,
    created_at: datetime,
    tenant_id: str | None = None,
) -> NewApiKey:
    """A new key out of 38 random bytes: 6 for its id, 32 for its secret.

    Raises: ValueError where there are fewer.
    """
    if len(randomness) < 38:
        raise ValueError("an API key needs 38 random bytes")
    secret = base64.urlsafe_b64encode(randomness[6:38]).rstrip(b"=").decode()
    text = f"terag_{randomness[:6].hex()}_{secret}"
    record = ApiKeyRecord(randomness[:6].hex(), _digest(text, pepper), role, name, tenant_id, created_at)
    return NewApiKey(text, record)


def recognise(text: str | None, pepper: bytes, find: Callable[[str], ApiKeyRecord | None]) -> Caller:
    """The caller behind a key, compared in constant time; `find` gives the record of a key id.

    Raises: UnauthenticatedError, with the same words whatever is wrong with the key.
    """
    form = KEY_FORM.fullmatch(text or "")
    record = find(form.group(1)) if form else None
    expected = record.digest if record else "0" * 64
    is_same = hmac.compare_digest(_digest(text or "", pepper), expected)
    if record is None or not is_same or record.revoked_at is not None:
        raise UnauthenticatedError(REFUSED)
    return Caller(record.key_id, record.role, record.tenant_id)


def _digest(text: str, pepper: bytes) -> str:
    return hmac.new(pepper, text.encode(), hashlib.sha256).hexdigest()
