"""Secrets that the platform makes for itself once, in files that only their owner may read."""

from __future__ import annotations

from resources.owner_files import read_or_make_secret
from resources.settings import Settings
from terag_pipelines.errors import ConfigurationError
from terag_pipelines.security.field_encryption import MIN_SECRET_BYTES


def api_key_pepper(settings: Settings) -> bytes:
    """The secret under which API keys are hashed: TERAG_API_KEY_PEPPER, else one made at first use."""
    if settings.api_key_pepper:
        return settings.api_key_pepper.get_secret_value().encode()
    return read_or_make_secret(settings.api_key_pepper_file).encode()


def identifier_key(settings: Settings) -> bytes:
    """The secret under which phones, IINs and the like are hashed before they become nodes of the graph."""
    return read_or_make_secret(settings.home / "secrets" / "identifier-key").encode()[:64]


def sampled_calls_key(settings: Settings) -> bytes:
    """The secret under which sampled calls, whose parameters may be personal, lie in MongoDB.

    Whoever observes or tunes one graph must have the same one: calls of another are left out.
    Raises: ConfigurationError where somebody put a short one there.
    """
    path = settings.home / "secrets" / "sampled-calls-key"
    secret = read_or_make_secret(path).encode()[:64]
    if len(secret) < MIN_SECRET_BYTES:
        raise ConfigurationError(f"the secret in {path} has fewer than {MIN_SECRET_BYTES} bytes: remove it")
    return secret
