"""Connections to the two stores, wherever they run: the graph over Bolt, documents by MongoDB's protocol."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC
from typing import Any, TypeVar

import neo4j
import pymongo
from neo4j.exceptions import (
    AuthError,
    DriverError,
    Neo4jError,
    ServiceUnavailable,
    SessionExpired,
    TransientError,
)
from neo4j.exceptions import (
    ConfigurationError as DriverConfigurationError,
)
from pydantic import SecretStr
from pymongo.database import Database
from pymongo.errors import (
    ConfigurationError as MongoConfigurationError,
)
from pymongo.errors import (
    ConnectionFailure,
    OperationFailure,
    PyMongoError,
)
from pymongo.read_concern import ReadConcern
from pymongo.write_concern import WriteConcern

from resources.settings import Settings
from terag_pipelines.errors import ConfigurationError, StoreError, StoreUnavailableError

AUTHENTICATION_CODES = (13, 18, 8000)

Document = dict[str, Any]
Given = TypeVar("Given")


@dataclass(frozen=True)
class StoreAddresses:
    """Where the two stores are and how one logs in; a password is never shown by ``repr``."""

    neo4j_uri: str
    neo4j_user: str
    neo4j_password: SecretStr | None
    neo4j_database: str
    is_neo4j_embedded: bool
    mongo_uri: SecretStr
    mongo_database: str
    is_mongo_embedded: bool


@dataclass(frozen=True)
class Patience:
    """How long a caller waits for a store, in seconds, before StoreUnavailableError.

    The drivers' own defaults (30 s and more) suit no caller that answers within two seconds.
    """

    connect_s: float
    acquire_s: float
    retry_s: float
    answer_s: float


BATCH = Patience(connect_s=5.0, acquire_s=15.0, retry_s=30.0, answer_s=300.0)
SERVING = Patience(connect_s=1.0, acquire_s=1.0, retry_s=1.0, answer_s=2.0)


def configured_addresses(
    settings: Settings,
    embedded_neo4j: Callable[[], tuple[str, str, SecretStr]] | None = None,
    embedded_mongo: Callable[[], SecretStr] | None = None,
) -> StoreAddresses:
    """The addresses that the settings name; for a store without one, what ``embedded_...`` gives.

    Raises:
        ConfigurationError: a store has no address and there is no embedded one.
    """
    if settings.neo4j_uri is not None:
        uri, user, password = settings.neo4j_uri, settings.neo4j_user, settings.neo4j_password
    else:
        uri, user, password = _require_embedded(embedded_neo4j, "TERAG_NEO4J_URI")()
    return StoreAddresses(
        neo4j_uri=uri,
        neo4j_user=user,
        neo4j_password=password,
        neo4j_database=settings.neo4j_database,
        is_neo4j_embedded=settings.neo4j_uri is None,
        mongo_uri=settings.mongo_uri or _require_embedded(embedded_mongo, "TERAG_MONGO_URI")(),
        mongo_database=settings.mongo_database,
        is_mongo_embedded=settings.mongo_uri is None,
    )


def _require_embedded(embedded: Callable[[], Given] | None, variable: str) -> Callable[[], Given]:
    if embedded is None:
        raise ConfigurationError(f"{variable} is not set, and the embedded store was not started")
    return embedded


def connect_graph(
    settings: Settings, addresses: StoreAddresses | None = None, patience: Patience = BATCH
) -> neo4j.Driver:
    """A driver that has reached Neo4j; close it, or use it as a context manager.

    Without ``addresses`` it is the server that the settings name.

    Raises:
        StoreUnavailableError: no answer in time.
        ConfigurationError: the server refuses the user or password, or the address is not one.
    """
    addresses = addresses or configured_addresses(settings)
    password = addresses.neo4j_password
    with graph_errors(addresses.neo4j_uri):
        driver = neo4j.GraphDatabase.driver(
            addresses.neo4j_uri,
            auth=None if password is None else (addresses.neo4j_user, password.get_secret_value()),
            connection_timeout=patience.connect_s,
            connection_acquisition_timeout=patience.acquire_s,
            max_transaction_retry_time=patience.retry_s,
            liveness_check_timeout=30.0,
            telemetry_disabled=True,
            warn_notification_severity=neo4j.NotificationMinimumSeverity.OFF,
            user_agent="terag-pipelines",
        )
        try:
            driver.verify_connectivity()
        except BaseException:
            driver.close()
            raise
        return driver


def connect_documents(
    settings: Settings, addresses: StoreAddresses | None = None, patience: Patience = BATCH
) -> Database[Document]:
    """The platform's MongoDB database, reached; close it by ``database.client.close()``.

    Writes are acknowledged by a majority and from the journal; reads see only what a majority has. Times are
    UTC. Without ``addresses`` it is the server that the settings name.

    Raises:
        StoreUnavailableError: no answer in time.
        ConfigurationError: the server refuses the user or password, or the URI is not one.
    """
    addresses = addresses or configured_addresses(settings)
    with document_errors():
        client: pymongo.MongoClient[Document] = pymongo.MongoClient(
            addresses.mongo_uri.get_secret_value(),
            appname="terag-pipelines",
            serverSelectionTimeoutMS=int(1000 * patience.connect_s),
            connectTimeoutMS=int(1000 * patience.connect_s),
            waitQueueTimeoutMS=int(1000 * patience.acquire_s),
            socketTimeoutMS=int(1000 * patience.answer_s),
            retryReads=True,
            retryWrites=True,
            tz_aware=True,
            tzinfo=UTC,
            uuidRepresentation="standard",
        )
        try:
            client.admin.command("ping")
        except BaseException:
            client.close()
            raise
        return client.get_database(
            addresses.mongo_database,
            write_concern=WriteConcern(w="majority", j=True, wtimeout=int(1000 * patience.answer_s)),
            read_concern=ReadConcern("majority"),
        )


@contextmanager
def graph_errors(where: str = "the graph store") -> Iterator[None]:
    """Translates the Neo4j driver's errors for the block; ``where`` names the store in the message.

    Raises:
        StoreUnavailableError: no answer in time, or the server asked to try later once too often.
        ConfigurationError: the server refuses the user or password, or the address is not one.
        StoreError: the server refused the query; the message has its code, not its text: that may quote data.
    """
    try:
        yield
    except AuthError as error:
        raise ConfigurationError(
            f"Neo4j at {where} refuses the login: check TERAG_NEO4J_USER and TERAG_NEO4J_PASSWORD"
        ) from error
    except (ServiceUnavailable, SessionExpired, TransientError) as error:
        raise StoreUnavailableError(
            f"Neo4j at {where} gave no answer in time ({type(error).__name__})"
        ) from error
    except DriverConfigurationError as error:
        raise ConfigurationError(f"TERAG_NEO4J_URI: {where} is not an address of Neo4j") from error
    except Neo4jError as error:
        if "TransactionTimedOut" in str(error.code):
            raise StoreUnavailableError(f"Neo4j at {where} gave no answer in time") from error
        raise StoreError(f"Neo4j at {where} refused a query ({error.code})") from error
    except DriverError as error:
        raise StoreUnavailableError(
            f"Neo4j at {where} gave no answer in time ({type(error).__name__})"
        ) from error


@contextmanager
def document_errors() -> Iterator[None]:
    """Translates pymongo's errors for the block; the URI is not quoted, since it may have the password.

    Raises:
        StoreUnavailableError: no answer in time.
        ConfigurationError: the server refuses the user or password, or the URI is not one.
        StoreError: the server refused the operation; the message has its code, and none of its text.
    """
    try:
        yield
    except ConnectionFailure as error:
        raise StoreUnavailableError(f"MongoDB gave no answer in time ({type(error).__name__})") from error
    except MongoConfigurationError as error:
        raise ConfigurationError("TERAG_MONGO_URI is not a URI that MongoDB's driver can use") from error
    except OperationFailure as error:
        if error.code in AUTHENTICATION_CODES:
            raise ConfigurationError(
                "MongoDB refuses the login: check the user in TERAG_MONGO_URI"
            ) from error
        raise StoreError(f"MongoDB refused an operation (code {error.code})") from error
    except PyMongoError as error:
        raise StoreUnavailableError(f"MongoDB could not answer ({type(error).__name__})") from error
