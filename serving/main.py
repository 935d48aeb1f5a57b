"""Composition root of the REST service: real adapters behind the ports, uvicorn in front."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn

from resources.embedded import EmbeddedStores
from resources.invoice_pdf import InvoicePrinter
from resources.mongo_billing import MongoBilling
from resources.mongo_keys import MongoKeys
from resources.mongo_reviews import MongoReviews
from resources.open_graph import open_graph
from resources.parquet_lake import ParquetLake
from resources.promoted_tables import PromotedTables
from resources.query_recorder import utc_now
from resources.secrets import api_key_pepper
from resources.settings import Settings, load_settings
from resources.stores import BATCH, SERVING, connect_documents
from serving.app import create_app
from serving.ports import Ports
from terag_pipelines.billing.core import BillingCore
from terag_pipelines.tuning.health import read_now


def serve_api() -> None:
    """Serves until it is told to stop. Raises: StoreUnavailableError, ConfigurationError."""
    settings = load_settings()
    with open_ports(settings) as ports:
        uvicorn.run(
            create_app(ports),
            host=settings.api_host,
            port=settings.api_port,
            log_level=settings.log_level.lower(),
            access_log=False,
        )


@contextmanager
def open_ports(settings: Settings) -> Iterator[Ports]:
    """The ports over real stores; connections are closed afterwards."""
    addresses = EmbeddedStores(settings).start()
    database = connect_documents(settings, addresses, SERVING)
    _warm_up(settings)
    with open_graph(settings, SERVING) as graph, InvoicePrinter() as printer:
        yield Ports(
            graph=graph,
            tables=PromotedTables(ParquetLake(settings.lake_folder)),
            keys=MongoKeys(database),
            invoices=BillingCore(MongoBilling(database)),
            render_invoice=printer.render,
            pepper=api_key_pepper(settings),
            reviews=MongoReviews(database),
            read_figures=lambda: read_now(graph, graph.observed.snapshot(), utc_now()),
        )
    database.client.close()


def _warm_up(settings: Settings) -> None:
    """Has the server plan the longest query before the first caller waits for it.

    A server that has just started may need longer for that than a caller waits for an answer.
    """
    with open_graph(settings, BATCH) as graph:
        graph.find_entity("nobody")
