"""What tests share: the public data sets beside the repository, and one pair of real stores for a session."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hypothesis
import neo4j
import pytest
from pymongo.database import Database
from xdist.remote import Producer
from xdist.scheduler import LoadFileScheduling

from resources.embedded import PRIMARY, EmbeddedStores
from resources.settings import NEO4J_RELEASES, Settings, load_settings
from resources.stores import StoreAddresses, connect_documents, connect_graph

REPOSITORY = Path(__file__).parents[1]
SHARED_DATA = REPOSITORY.parent / "shared" / "data"

# Settings of whoever runs the tests must not reach them, but the jars need not be fetched for each session.
CACHE = Path(os.environ.get("TERAG_CACHE") or REPOSITORY / ".terag" / "cache").absolute()
TORTURE = "TERAG_TORTURE" in os.environ  # set by `make torture`: fault tests run at full count
for _name in [name for name in os.environ if name.startswith("TERAG_")]:
    del os.environ[_name]


# No test is judged by the time it takes.
hypothesis.settings.register_profile(
    "unhurried", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("unhurried")


class ByFile(LoadFileScheduling):
    """The tests of a file run one after the other, in one worker; so do all tests of whole runs."""

    def _split_scope(self, nodeid: str) -> str:
        return "e2e" if nodeid.startswith("tests/e2e/") else super()._split_scope(nodeid)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> ByFile:
    """How tests are shared among workers, however many there are."""
    return ByFile(config, log)


@dataclass(frozen=True)
class RunningPair:
    """The session's embedded stores: the settings of their home, and where they answer."""

    settings: Settings
    addresses: StoreAddresses


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of public data sets; where it is not there the test is skipped, in CI it fails."""
    if not SHARED_DATA.is_dir():
        reason = f"the public data sets are not there: {SHARED_DATA} does not exist"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return SHARED_DATA


@pytest.fixture(scope="session")
def cache_folder() -> Path:
    """Where Neo4j's jars are kept from one session to the next."""
    return CACHE


@pytest.fixture(scope="session")
def session_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of the session and all its workers."""
    base = tmp_path_factory.getbasetemp()
    return base.parent if "PYTEST_XDIST_WORKER" in os.environ else base


@pytest.fixture(scope="session")
def stores(session_folder: Path, cache_folder: Path) -> Iterator[RunningPair]:
    """One pair of embedded stores for the session and all its workers; the last of them stops it."""
    settings = load_settings(home=session_folder / "stores-of-session", cache=cache_folder)
    pair = EmbeddedStores(settings)
    yield RunningPair(settings, pair.start())
    pair.release()


@pytest.fixture(scope="session")
def long_term_graph(session_folder: Path, cache_folder: Path) -> Iterator[RunningPair]:
    """An embedded Neo4j of the long-term release, without documents, for the session and all its workers."""
    home = session_folder / "long-term-graph-of-session"
    settings = load_settings(home=home, cache=cache_folder, neo4j_release=NEO4J_RELEASES[1])
    pair = EmbeddedStores(settings)
    yield RunningPair(settings, pair.start(needs=[PRIMARY]))
    pair.release()


@pytest.fixture(scope="session")
def graph_of_release(request: pytest.FixtureRequest) -> Callable[[str], RunningPair]:
    """The session's stores whose Neo4j is of a release; started when first asked for."""
    names = dict(zip(NEO4J_RELEASES, ("stores", "long_term_graph"), strict=True))
    return lambda release: request.getfixturevalue(names[release])


@pytest.fixture(scope="session")
def graph_driver(stores: RunningPair) -> Iterator[neo4j.Driver]:
    """A connection to the session's Neo4j; Community has one database, so a test keeps to keys of its own."""
    with connect_graph(stores.settings, stores.addresses) as driver:
        yield driver


@pytest.fixture
def documents(stores: RunningPair) -> Iterator[Database[dict[str, Any]]]:
    """An empty database of the session's MongoDB, for one test."""
    database = connect_documents(stores.settings, stores.addresses)
    own = database.client.get_database(
        f"test_{secrets.token_hex(6)}",
        write_concern=database.write_concern,
        read_concern=database.read_concern,
    )
    yield own
    database.client.drop_database(own.name)
    database.client.close()
