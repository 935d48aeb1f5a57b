"""The releases of the embedded Neo4j: each starts and answers, and none opens the data of a newer one."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from resources.embedded import PRIMARY, EmbeddedStores
from resources.settings import NEO4J_RELEASES, Settings, load_settings
from resources.store_state import NEO4J
from resources.stores import connect_graph
from terag_pipelines.errors import EmbeddedStoreError

pytestmark = pytest.mark.stores

NEWEST, LONG_TERM = NEO4J_RELEASES


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "home"
    EmbeddedStores(load_settings(home=tmp_path / "home")).stop()


def settings_of(home: Path, cache: Path, release: str) -> Settings:
    return load_settings(home=home, cache=cache, neo4j_release=release)


def ask(settings: Settings, query: str) -> list[object]:
    pair = EmbeddedStores(settings)
    try:
        with connect_graph(settings, pair.start(needs=[PRIMARY])) as driver:
            return [row[0] for row in driver.execute_query(query).records]
    finally:
        pair.release()


def content_of(folder: Path) -> dict[str, str]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_data_is_taken_over_by_a_newer_release_and_never_by_an_older_one(
    home: Path, cache_folder: Path
) -> None:
    older, newer = (settings_of(home, cache_folder, release) for release in (LONG_TERM, NEWEST))
    version = "CALL dbms.components() YIELD name, versions WHERE name = 'Neo4j Kernel' RETURN versions[0]"
    assert ask(older, version) == [LONG_TERM]
    ask(older, "CREATE (:Proof {key: 'kept'})")
    assert ask(newer, version) == [NEWEST]
    before = content_of(home / "stores" / "neo4j")
    with pytest.raises(EmbeddedStoreError, match=f"is of Neo4j {NEWEST}: {LONG_TERM} is older"):
        ask(older, version)
    assert content_of(home / "stores" / "neo4j") == before
    assert ask(newer, "MATCH (n:Proof) RETURN n.key") == ["kept"]


def test_a_running_server_of_another_release_is_not_taken_for_the_wished_one(
    home: Path, cache_folder: Path
) -> None:
    pair = EmbeddedStores(settings_of(home, cache_folder, NEWEST))
    pair.start(needs=[PRIMARY])
    with pytest.raises(EmbeddedStoreError, match=f"Neo4j {NEWEST} runs for .*stop it first"):
        EmbeddedStores(settings_of(home, cache_folder, LONG_TERM)).start(needs=[PRIMARY])
    assert [status.is_running for status in pair.status() if status.name == NEO4J] == [True]
    pair.release()
