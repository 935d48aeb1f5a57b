"""Is the process alive, and can it answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

from fastapi import APIRouter, Response
from pydantic import BaseModel, Field

from serving.dependencies import PortsOf
from serving.ports import Ports
from terag_pipelines.errors import TeragError

router = APIRouter(tags=["health"])


class Health(BaseModel):
    """The process answers."""

    status: str = "ok"


class Readiness(BaseModel):
    """What the service needs, and whether it is there."""

    is_ready: bool
    parts: Annotated[dict[str, str], Field(description="part to 'ok' or to what is wrong with it")]


@router.get("/healthz")
def healthz() -> Health:
    """The process is alive; nothing else is asked."""
    return Health()


@router.get("/readyz", responses={503: {"model": Readiness}})
def readyz(ports: PortsOf, response: Response) -> Readiness:
    """Whether lake, graph and key store answer."""
    parts = {
        "lake": _probe(ports.tables.shelf),
        "graph": _probe(lambda: _require_batch(ports)),
        "keys": _probe(lambda: ports.keys.find("0" * 12)),
    }
    is_ready = all(state == "ok" for state in parts.values())
    response.status_code = 200 if is_ready else 503
    return Readiness(is_ready=is_ready, parts=parts)


def _require_batch(ports: Ports) -> None:
    if ports.graph.promoted_batch() is None:
        raise TeragError("no batch is promoted in the graph; run the job first: terag run")


def _probe(ask: Callable[[], object]) -> str:
    try:
        ask()
    except TeragError as error:
        return str(error)
    return "ok"
