"""The graph as it is configured: one server at an address, or the two embedded ones."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from resources.embedded import EmbeddedStores
from resources.graph_drivers import PairDrivers
from resources.graph_manifests import FolderManifests
from resources.graph_pair import GraphPair
from resources.mongo_call_history import LateCallHistory
from resources.mongo_query_history import LateQueryHistory
from resources.neo4j_graph import Neo4jGraph
from resources.query_observer import QueryObserver
from resources.query_recorder import QueryRecorder, recording
from resources.secrets import sampled_calls_key
from resources.settings import Settings
from resources.stores import BATCH, SERVING, Patience, StoreAddresses, connect_documents, connect_graph
from terag_pipelines.security.field_encryption import FieldSeal


@contextmanager
def open_graph(settings: Settings, patience: Patience = BATCH) -> Iterator[Neo4jGraph | GraphPair]:
    """The graph's adapter over servers that run; its connections are closed afterwards.

    Embedded stores that do not run are started. What is asked of it is recorded in MongoDB,
    also where that is away for a while. Raises: StoreUnavailableError, EmbeddedStoreError.
    """
    stores, observer = EmbeddedStores(settings), QueryObserver()
    addresses, folder, answer_s = stores.start(), settings.graph_loads_folder, patience.answer_s
    with recording(_recorder(observer, settings, addresses)):
        if addresses.is_neo4j_embedded:
            with PairDrivers(stores, patience) as drivers:
                yield GraphPair(
                    stores, drivers, observer, lambda name: FolderManifests(folder / name), answer_s
                )
        else:
            with connect_graph(settings, addresses, patience) as driver:
                shelf = FolderManifests(folder)
                yield Neo4jGraph(driver, settings.neo4j_database, observer, shelf, answer_timeout_s=answer_s)


def _recorder(observer: QueryObserver, settings: Settings, addresses: StoreAddresses) -> QueryRecorder:
    calls = call_history(settings, addresses)
    return QueryRecorder(observer, query_history(settings, addresses), calls=calls)


def query_history(settings: Settings, addresses: StoreAddresses) -> LateQueryHistory:
    """What was asked of the graph, in the MongoDB of these addresses; nobody waits long for it."""
    return LateQueryHistory(lambda: connect_documents(settings, addresses, SERVING))


def call_history(settings: Settings, addresses: StoreAddresses) -> LateCallHistory:
    """Sampled calls of whoever asked the graph, in the same MongoDB, under this installation's secret.

    Raises: ConfigurationError for a secret that is none.
    """
    seal = FieldSeal(sampled_calls_key(settings))
    return LateCallHistory(lambda: connect_documents(settings, addresses, SERVING), seal)
