"""Which batch a source belongs to: a hash of its content, its parameters, decisions on it, and the code."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

PACKAGES = ("assets", "resources", "terag_pipelines")
HERE = Path(__file__).parents[1]


@cache
def code_digest() -> str:
    """SHA-256 over the Python files and packaged data that compute a batch, in order of their paths."""
    sha = hashlib.sha256()
    for path in sorted(path for package in PACKAGES for path in (HERE / package).rglob("*") if _counts(path)):
        sha.update(f"{path.relative_to(HERE)}\n".encode())
        sha.update(path.read_bytes())
    return sha.hexdigest()


def batch_id(content_digest: str, decisions_digest: str = "", entities_digest: str = "") -> str:
    """The batch of a source: 16 hexadecimal digits, the same for the same content, decisions and code.

    `entities_digest` is of the entities and rings whose ids it takes over.
    """
    named = f"{content_digest}:{decisions_digest}:{entities_digest}:{code_digest()}"
    return hashlib.sha256(named.encode()).hexdigest()[:16]


def _counts(path: Path) -> bool:
    return path.is_file() and "__pycache__" not in path.parts and not path.name.startswith(".")
