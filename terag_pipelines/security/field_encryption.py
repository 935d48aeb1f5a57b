"""Encryption of single values at rest: AES-256-GCM, each bound to the place where it is stored.

    format (1 byte) | nonce (12 bytes) | ciphertext and tag (16 bytes more than the value)

The place is authenticated with the value: one that is moved to another document opens no more. Nonces are
random, which NIST SP 800-38D allows for 2^32 values under one key.
"""

from __future__ import annotations

import hashlib
import secrets

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

FORMAT = b"\x01"
NONCE_BYTES, TAG_BYTES = 12, 16
MIN_SECRET_BYTES = 32


class FieldSeal:
    """Seals values under a secret, and names them by a hash that only its holder can compute.

    Values are sealed under one key and named under another, both made from the secret. Safe to share
    between threads.
    """

    def __init__(self, secret: bytes) -> None:
        """Raises: ValueError for a secret of fewer than 32 bytes, or of more than 64."""
        if not MIN_SECRET_BYTES <= len(secret) <= hashlib.blake2b.MAX_KEY_SIZE:
            raise ValueError("a secret to seal with has 32 to 64 bytes")
        self._cipher = AESGCM(_key(secret, b"terag seal"))
        self._naming_key = _key(secret, b"terag name")

    def seal(self, value: bytes, place: str) -> bytes:
        """The value, readable only under this secret and at this place; it is another one each time."""
        nonce = secrets.token_bytes(NONCE_BYTES)
        return FORMAT + nonce + self._cipher.encrypt(nonce, value, _bound(place))

    def open(self, sealed: bytes, place: str) -> bytes | None:
        """The value; None where it was sealed under another secret or for another place, or was changed."""
        if len(sealed) < len(FORMAT) + NONCE_BYTES + TAG_BYTES or not sealed.startswith(FORMAT):
            return None
        nonce, rest = sealed[1 : 1 + NONCE_BYTES], sealed[1 + NONCE_BYTES :]
        try:
            return self._cipher.decrypt(nonce, rest, _bound(place))
        except InvalidTag:
            return None

    def name_of(self, value: bytes) -> str:
        """32 hex digits, the same for the same value; without the secret no guess can be checked by it."""
        return hashlib.blake2b(value, key=self._naming_key, digest_size=16).hexdigest()


def _key(secret: bytes, purpose: bytes) -> bytes:
    return hashlib.blake2b(key=secret, person=purpose, digest_size=32).digest()


def _bound(place: str) -> bytes:
    return FORMAT + place.encode()
