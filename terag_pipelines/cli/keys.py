"""API keys, made and listed from the command line."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from resources.embedded import DOCUMENTS, EmbeddedStores
from resources.mongo_keys import MongoKeys
from resources.secrets import api_key_pepper
from resources.settings import load_settings
from resources.stores import connect_documents
from terag_pipelines.security.api_keys import make_api_key
from terag_pipelines.security.roles import Role


def new_key(name: str, role: str, tenant: str | None) -> str:
    """A new key, stored as its hash; the text is given once."""
    with _opened_keys() as keys:
        made = make_api_key(
            secrets.token_bytes(38),
            api_key_pepper(load_settings()),
            role=Role(role),
            name=name,
            created_at=datetime.now(UTC),
            tenant_id=tenant,
        )
        keys.put(made.record)
    return made.text


def revoke(key_id: str) -> None:
    """Makes a key worthless. Raises: NotFoundError."""
    with _opened_keys() as keys:
        keys.revoke(key_id, datetime.now(UTC))


def print_keys(as_json: bool, console: Console) -> None:
    """Prints every key's id, role, name and times."""
    with _opened_keys() as keys:
        shown = [{k: v for k, v in asdict(r).items() if k != "digest"} for r in keys.records()]
    if as_json:
        click.echo(json.dumps(shown, default=str, indent=2))
        return
    table = Table("key", "role", "name", "tenant", "created", "revoked", show_edge=False)
    for row in shown:
        table.add_row(*(escape(str(value or "")) for value in _in_order(row)))
    console.print(table)


def _in_order(row: dict[str, object]) -> list[object]:
    return [row[name] for name in ("key_id", "role", "name", "tenant_id", "created_at", "revoked_at")]


@contextmanager
def _opened_keys() -> Iterator[MongoKeys]:
    settings = load_settings()
    database = connect_documents(settings, EmbeddedStores(settings).start(needs=[DOCUMENTS]))
    try:
        yield MongoKeys(database)
    finally:
        database.client.close()
