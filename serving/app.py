"""The REST application over a set of ports."""

from __future__ import annotations

from importlib.metadata import version

from fastapi import FastAPI
from fastapi_offline import FastAPIOffline

from serving.errors import answer_with_problems
from serving.ports import Ports
from serving.routes import entities, health, invoices, metrics, reviews, rings, twins

DESCRIPTION = """
Live answers over the promoted batch. Every call but the health checks needs an API key in `X-API-Key`;
every error is a problem document (RFC 9457). Amounts are integers in minor units of their currency.
"""


def create_app(ports: Ports) -> FastAPI:
    """The application; it keeps no state but the ports."""
    app = FastAPIOffline(
        title="TERAG Pipelines",
        version=version("terag-pipelines"),
        description=DESCRIPTION,
        redoc_url=None,
    )
    app.state.ports = ports
    for module in (health, metrics, entities, reviews, rings, twins, invoices):
        app.include_router(module.router)
    answer_with_problems(app)
    return app
