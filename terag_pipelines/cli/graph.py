"""`terag graph`: what each server of the graph holds, and which batch its readers see."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from assets.graph import load_from_lake
from assets.promotion import promote_both
from resources.bindings import GraphResource, LakeResource
from terag_pipelines.errors import StoreError
from terag_pipelines.graph.ports import GraphStore, ServerState


def print_status(as_json: bool, console: Console) -> bool:
    """Prints each server's load, its age and whether it holds what its manifest says; whether all do."""
    with GraphResource().open() as store:
        servers = store.servers()
    if as_json:
        click.echo(json.dumps([asdict(server) for server in servers], default=str, indent=2))
    else:
        console.print(_table(servers, datetime.now(UTC)))
    return not any(server.drift for server in servers)


def promote(batch_id: str, console: Console) -> None:
    """Makes a batch the one that is served, in graph and lake; what the graph holds no more is loaded again.

    Raises: StoreError, IncompleteBatchError where the lake no longer has it.
    """
    with GraphResource().open() as store:
        _serve(store, batch_id)
    console.print(f"batch-{batch_id} is served", markup=False)


def roll_back(console: Console) -> None:
    """Makes the batch before the one that is served the served one, in graph and lake.

    Raises: StoreError where there is none; IncompleteBatchError where the lake no longer has it.
    """
    with GraphResource().open() as store:
        earlier = store.batch_before()
        if earlier is None:
            raise StoreError("no batch from before the one that is served is known to the graph")
        _serve(store, earlier)
    console.print(f"batch-{earlier} is served again", markup=False)


def _serve(store: GraphStore, batch_id: str) -> None:
    load_from_lake(store, batch_id, LakeResource(), GraphResource())  # where another took its place
    promote_both(store, LakeResource().open(), batch_id, f"batch-{batch_id}")


def _table(servers: Sequence[ServerState], now: datetime) -> Table:
    table = Table("server", "load", "batch", "age", "rows", "against its manifest", show_edge=False)
    for server in servers:
        load = "" if server.load is None else str(server.load)
        age = "" if server.finished_at is None else _age(now, server.finished_at)
        rows = "" if server.n_rows is None else f"{server.n_rows:,}"
        table.add_row(server.role, load, escape(server.batch_id or ""), age, rows, _verdict(server))
    return table


def _age(now: datetime, then: datetime) -> str:
    minutes = int((now - then).total_seconds() // 60)
    days, hours = minutes // 1440, minutes % 1440 // 60
    return f"{days} d {hours} h" if days else f"{hours} h {minutes % 60} min"


def _verdict(server: ServerState) -> str:
    if not server.is_reachable:
        return "gives no answer"
    if server.load is None:
        return "holds no load that readers may see"
    if server.drift is None:
        return "cannot be told: the manifest is not there; the next load is written whole"
    return f"DRIFT in {', '.join(server.drift)}: the next load mends it" if server.drift else "as loaded"
