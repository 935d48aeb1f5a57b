"""Secrets that the platform makes for itself once, in files that only their owner may read."""

from __future__ import annotations

from resources.owner_files import read_or_make_secret
from resources.settings import Settings


def api_key_pepper(settings: Settings) -> bytes:
    """The secret under which API keys are hashed: TERAG_API_KEY_PEPPER, else one made at first use."""
    if settings.api_key_pepper:
        return settings.api_key_pepper.get_secret_value().encode()
    return read_or_make_secret(settings.api_key_pepper_file).encode()


def identifier_key(settings: Settings) -> bytes:
    """The secret under which phones, IINs and the like are hashed before they become nodes of the graph."""
    return read_or_make_secret(settings.home / "secrets" / "identifier-key").encode()[:64]
