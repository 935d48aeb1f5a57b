"""The embedded stores, run for real: shared, closed to others, safe against kill -9, never orphaned."""

from __future__ import annotations

import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import psutil
import pymongo
import pytest
from click.testing import CliRunner
from pydantic import SecretStr

from resources.doctor import examine
from resources.embedded import DOCUMENTS, EmbeddedStores
from resources.embedded_mongo import EmbeddedMongo
from resources.processes import choose_port, wait_for_end
from resources.settings import Settings, load_settings
from resources.store_state import GUARD, MONGO, NEO4J, TRAINING, StoreFolder, find_own_processes
from resources.stores import SERVING, StoreAddresses, connect_documents, connect_graph
from terag_pipelines.cli.main import main
from terag_pipelines.errors import ConfigurationError, EmbeddedStoreError, StoreUnavailableError
from tests.conftest import RunningPair

pytestmark = pytest.mark.stores

N_WRITERS = 4
ENOUGH_WRITES = 300

# A process of its own that asks for the pair of a home, says what it got, and stays or goes.
ASKER = """
import json, sys, time
from resources.embedded import DOCUMENTS, EmbeddedStores
from resources.embedded_mongo import EmbeddedMongo
from resources.processes import choose_port, wait_for_end
from resources.settings import load_settings
home, cache, then, overrides = sys.argv[1], sys.argv[2], sys.argv[3], json.loads(sys.argv[4])
stores = EmbeddedStores(load_settings(home=home, cache=cache, **overrides))
addresses = stores.start(keep=then == "keep")
print(json.dumps([addresses.neo4j_uri, addresses.mongo_uri.get_secret_value()]), flush=True)
if then == "stay":
    time.sleep(600)
if then == "release":
    sys.stdin.readline()
    stores.release()
"""


@pytest.fixture(scope="module")
def own_settings(tmp_path_factory: pytest.TempPathFactory, cache_folder: Path) -> Iterator[Settings]:
    """A home of this module's own, whose stores may be killed."""
    settings = load_settings(home=tmp_path_factory.mktemp("own") / "home", cache=cache_folder)
    yield settings
    EmbeddedStores(settings).stop()


@pytest.fixture
def mongo_only(tmp_path: Path, stores: RunningPair) -> Iterator[Settings]:
    """A home that starts only mongod: its Neo4j is the session's, as a configured server."""
    given = stores.addresses
    settings = load_settings(
        home=tmp_path / "home", neo4j_uri=given.neo4j_uri, neo4j_password=given.neo4j_password
    )
    yield settings
    EmbeddedStores(settings).stop()


def folder_of(settings: Settings) -> StoreFolder:
    return EmbeddedStores(settings).folder


def pids_of(settings: Settings) -> dict[str, list[int]]:
    folder = folder_of(settings)
    state = folder.read_state()
    return {name: [m.pid for m in find_own_processes(folder, name, {})] for name in (MONGO, NEO4J)} | {
        name: [state[name].mark.pid]
        for name in (GUARD, TRAINING)
        if name in state and state[name].mark.is_alive()
    }


def has_processes(settings: Settings) -> bool:
    return any(pids_of(settings).values())


def ask(settings: Settings, then: str, **overrides: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", ASKER, str(settings.home), str(settings.cache_folder), then]
    return subprocess.Popen(
        [*command, json.dumps(overrides)], stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True
    )


def wait_until(is_so: Callable[[], bool], within_s: float = 60) -> bool:
    deadline = time.monotonic() + within_s
    while not is_so() and time.monotonic() < deadline:
        time.sleep(0.1)
    return is_so()


def write_both(settings: Settings, addresses: StoreAddresses, key: str) -> None:
    with connect_graph(settings, addresses) as driver:
        driver.execute_query("CREATE (:Proof {key: $key})", key=key)
    documents = connect_documents(settings, addresses)
    documents["proof"].insert_one({"_id": key})
    documents.client.close()


def read_both(settings: Settings, addresses: StoreAddresses) -> tuple[set[str], set[str]]:
    with connect_graph(settings, addresses) as driver:
        nodes = driver.execute_query("MATCH (n:Proof) RETURN n.key AS key").records
    documents = connect_documents(settings, addresses)
    found = {document["_id"] for document in documents["proof"].find()}
    documents.client.close()
    return {node["key"] for node in nodes}, found


def test_a_pair_starts_is_reused_and_keeps_its_data(own_settings: Settings) -> None:
    with EmbeddedStores(own_settings) as first:
        addresses, pids = first.start(), pids_of(own_settings)
        write_both(own_settings, addresses, "kept")
        assert EmbeddedStores(own_settings).start() == addresses
        assert {name: pids_of(own_settings)[name] for name in (MONGO, NEO4J)} == {
            name: pids[name] for name in (MONGO, NEO4J)
        }
        assert [s.is_running for s in first.status()] == [True, True]
    assert not has_processes(own_settings)
    assert [s.is_running for s in first.status()] == [False, False]
    with EmbeddedStores(own_settings) as second:
        assert read_both(own_settings, second.start()) == ({"kept"}, {"kept"})


def test_both_are_on_loopback_only_and_talk_to_nobody_else(stores: RunningPair) -> None:
    for name in (MONGO, NEO4J):
        (pid,) = pids_of(stores.settings)[name]
        connections = psutil.Process(pid).net_connections("inet")
        addresses = {end.ip for c in connections for end in (c.laddr, c.raddr) if end}
        assert addresses
        assert {address.removeprefix("::ffff:") for address in addresses} == {"127.0.0.1"}


def test_secrets_are_the_owners_and_on_no_command_line(stores: RunningPair) -> None:
    folder = folder_of(stores.settings)
    assert stat.S_IMODE(folder.path.stat().st_mode) == 0o700
    secret_files = list((folder.path / "secrets").iterdir())
    assert {file.name for file in secret_files} == {
        "mongo-password",
        "mongo-replica-set-key",
        "neo4j-password",
    }
    assert {stat.S_IMODE(file.stat().st_mode) for file in secret_files} == {0o600}
    secrets = {file.read_text().strip() for file in secret_files}
    said = [(folder.path / "state.json").read_text(), repr(stores.addresses)]
    said += [log.read_text(errors="replace") for log in (folder.path / "logs").rglob("*.log")]
    for pid in [pid for pids in pids_of(stores.settings).values() for pid in pids]:
        said.append(" ".join(psutil.Process(pid).cmdline()))
    assert not [secret for secret in secrets if any(secret in text for text in said)]


@pytest.mark.parametrize("password", ["wrong-password", ""])
def test_a_wrong_password_is_refused(password: str, stores: RunningPair) -> None:
    right = stores.addresses
    uri = right.mongo_uri.get_secret_value()
    own = uri.split("terag:")[1].split("@")[0]
    wrong = replace(
        right,
        neo4j_password=SecretStr(password),
        mongo_uri=SecretStr(uri.replace(own, password or "another")),
    )
    with pytest.raises(ConfigurationError, match=r"Neo4j .* refuses the login"):
        connect_graph(stores.settings, wrong)
    with pytest.raises(ConfigurationError, match="MongoDB refuses the login"):
        connect_documents(stores.settings, wrong)


def test_nobody_gets_in_without_a_password(stores: RunningPair) -> None:
    bare = replace(
        stores.addresses,
        neo4j_password=None,
        mongo_uri=SecretStr(
            "mongodb://127.0.0.1:" + stores.addresses.mongo_uri.get_secret_value().split(":")[-1]
        ),
    )
    with pytest.raises(ConfigurationError, match="refuses the login"):
        connect_graph(stores.settings, bare)
    documents = connect_documents(stores.settings, bare)  # a ping needs no login
    with pytest.raises(Exception, match="requires authentication"):
        documents["proof"].find_one()
    documents.client.close()


def test_a_store_that_does_not_answer_is_unavailable_in_time(stores: RunningPair) -> None:
    nowhere = replace(
        stores.addresses,
        neo4j_uri="bolt://127.0.0.1:9",
        mongo_uri=SecretStr("mongodb://127.0.0.1:9"),
    )
    with pytest.raises(StoreUnavailableError, match=r"Neo4j at bolt://127\.0\.0\.1:9 gave no answer"):
        connect_graph(stores.settings, nowhere, SERVING)
    with pytest.raises(StoreUnavailableError, match="MongoDB gave no answer"):
        connect_documents(stores.settings, nowhere, SERVING)


@contextmanager
def writers(
    write: Callable[[int, int], None], acknowledged: list[str], enough: threading.Event
) -> Iterator[None]:
    """Threads that write until they fail, and note each write that was acknowledged."""

    def work(writer: int) -> None:
        with suppress(Exception):
            for number in range(100_000):
                write(writer, number)
                acknowledged.append(f"{writer}-{number}")
                if len(acknowledged) >= ENOUGH_WRITES:
                    enough.set()

    threads = [threading.Thread(target=work, args=(writer,), daemon=True) for writer in range(N_WRITERS)]
    for thread in threads:
        thread.start()
    yield
    for thread in threads:
        thread.join(120)


def test_mongod_killed_under_writers_loses_nothing_acknowledged(own_settings: Settings) -> None:
    pair = EmbeddedStores(own_settings)
    documents = connect_documents(own_settings, pair.start())
    acknowledged: list[str] = []
    enough = threading.Event()

    def write(writer: int, number: int) -> None:
        documents["writes"].insert_one({"_id": f"{writer}-{number}"})

    with writers(write, acknowledged, enough):
        assert enough.wait(120)
        os.kill(pids_of(own_settings)[MONGO][0], signal.SIGKILL)
    documents.client.close()
    neo4j_pid = pids_of(own_settings)[NEO4J]
    again = connect_documents(own_settings, pair.start())
    stored = {document["_id"] for document in again["writes"].find()}
    again.client.close()
    assert set(acknowledged) <= stored
    assert pids_of(own_settings)[NEO4J] == neo4j_pid  # the other store was left alone
    pair.release()


def test_neo4j_killed_under_writers_loses_nothing_acknowledged(own_settings: Settings) -> None:
    pair = EmbeddedStores(own_settings)
    acknowledged: list[str] = []
    enough = threading.Event()
    with connect_graph(own_settings, pair.start()) as driver:
        sessions = [driver.session() for _ in range(N_WRITERS)]

        def write(writer: int, number: int) -> None:
            sessions[writer].run("CREATE (:Write {key: $key})", key=f"{writer}-{number}").consume()

        with writers(write, acknowledged, enough):
            assert enough.wait(120)
            os.kill(pids_of(own_settings)[NEO4J][0], signal.SIGKILL)
    with connect_graph(own_settings, pair.start()) as driver:
        rows = driver.execute_query("MATCH (n:Write) RETURN n.key AS key").records
    assert set(acknowledged) <= {row["key"] for row in rows}
    pair.release()
    assert not has_processes(own_settings)


def test_nothing_outlives_a_user_that_is_killed(own_settings: Settings) -> None:
    with ask(own_settings, "stay") as asker:
        assert asker.stdout
        assert asker.stdout.readline()
        assert has_processes(own_settings)
        asker.kill()
    assert wait_until(lambda: not has_processes(own_settings))


def test_starts_at_once_share_one_pair_and_the_last_user_stops_it(own_settings: Settings) -> None:
    with ask(own_settings, "release") as one, ask(own_settings, "release") as other:
        answers = [asker.stdout.readline() for asker in (one, other) if asker.stdout]
        assert answers[0]
        assert answers[0] == answers[1]
        pids = pids_of(own_settings)
        assert [len(pids[name]) for name in (MONGO, NEO4J)] == [1, 1]
        one.communicate("\n")
        assert {name: pids_of(own_settings)[name] for name in (MONGO, NEO4J)} == {
            name: pids[name] for name in (MONGO, NEO4J)
        }
        other.communicate("\n")
    assert not has_processes(own_settings)


def test_a_kept_pair_outlives_its_starter_until_it_is_stopped(mongo_only: Settings) -> None:
    password = mongo_only.neo4j_password
    assert password
    assert mongo_only.neo4j_uri
    with ask(
        mongo_only, "keep", neo4j_uri=mongo_only.neo4j_uri, neo4j_password=password.get_secret_value()
    ) as asker:
        asker.wait(60)
    time.sleep(1.5)  # three rounds of the guard
    assert pids_of(mongo_only)[MONGO]
    with EmbeddedStores(mongo_only):
        pass
    assert pids_of(mongo_only)[MONGO]
    EmbeddedStores(mongo_only).stop()
    assert not has_processes(mongo_only)


def test_only_what_is_not_configured_is_started(mongo_only: Settings, stores: RunningPair) -> None:
    with EmbeddedStores(mongo_only) as pair:
        addresses = pair.start()
        assert addresses.neo4j_uri == stores.addresses.neo4j_uri
        assert (addresses.is_neo4j_embedded, addresses.is_mongo_embedded) == (False, True)
        assert pids_of(mongo_only)[NEO4J] == []
        assert pids_of(mongo_only)[MONGO]
        connect_graph(mongo_only, addresses).close()


def test_two_configured_servers_leave_no_trace(tmp_path: Path, stores: RunningPair) -> None:
    given = stores.addresses
    settings = load_settings(
        home=tmp_path / "home",
        neo4j_uri=given.neo4j_uri,
        neo4j_password=given.neo4j_password,
        mongo_uri=given.mongo_uri,
    )
    with EmbeddedStores(settings) as pair:
        addresses = pair.start()
    assert addresses.mongo_uri == given.mongo_uri
    assert not settings.home.exists()


def test_a_user_that_was_made_after_all_is_no_wrong_password(stores: RunningPair) -> None:
    """A slow createUser is given up for lost, and the next attempt finds its user there."""
    pair = EmbeddedStores(stores.settings)
    (mongo,) = (server for server in pair._servers([DOCUMENTS]) if isinstance(server, EmbeddedMongo))
    port = pair.folder.read_state()[MONGO].port
    assert mongo._found(port) is False
    assert mongo.answers(port)


def test_a_lost_password_is_said_and_the_data_is_not_touched(mongo_only: Settings) -> None:
    with EmbeddedStores(mongo_only) as pair:
        documents = connect_documents(mongo_only, pair.start())
        documents["proof"].insert_one({"_id": "kept"})
        documents.client.close()
    file = folder_of(mongo_only).secret_file("mongo-password")
    password = file.read_text()
    file.unlink()
    with pytest.raises(EmbeddedStoreError, match=r"mongo-password: its data in .* was made with another"):
        EmbeddedStores(mongo_only).start()
    assert not has_processes(mongo_only)
    file.write_text(password)
    with EmbeddedStores(mongo_only) as pair:
        documents = connect_documents(mongo_only, pair.start())
        assert documents["proof"].find_one() == {"_id": "kept"}
        documents.client.close()


def test_a_start_that_was_killed_half_way_is_taken_over(mongo_only: Settings) -> None:
    pair = EmbeddedStores(mongo_only)
    pair.start()
    (pid,) = pids_of(mongo_only)[MONGO]
    state = folder_of(mongo_only).read_state()
    folder_of(mongo_only).write_state({GUARD: state[GUARD]})  # as if the starter had died before noting it
    pair.start()
    (now,) = pids_of(mongo_only)[MONGO]
    assert now != pid
    assert not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def test_a_first_start_killed_before_the_user_was_made_is_begun_anew(mongo_only: Settings) -> None:
    folder = folder_of(mongo_only)
    mongo = EmbeddedMongo(folder, mongo_only.mongo_cache_mb)
    port = choose_port()
    mark = mongo.launch(port)
    with pymongo.MongoClient("127.0.0.1", port, directConnection=True) as client:
        members = [{"_id": 0, "host": f"127.0.0.1:{port}"}]
        client.admin.command("replSetInitiate", {"_id": "terag", "members": members})
    mark.send(signal.SIGKILL)
    assert wait_for_end(mark, 10)
    with EmbeddedStores(mongo_only) as pair:
        connect_documents(mongo_only, pair.start())["proof"].insert_one({"_id": "kept"})
    with EmbeddedStores(mongo_only) as pair:
        assert connect_documents(mongo_only, pair.start())["proof"].find_one() == {"_id": "kept"}


def test_stores_end_when_their_home_is_deleted(mongo_only: Settings) -> None:
    EmbeddedStores(mongo_only).start()
    assert wait_until(lambda: is_removed(mongo_only.home))
    assert wait_until(lambda: not has_processes(mongo_only))


def is_removed(folder: Path) -> bool:
    """Deletes it, as often as needed: what runs in it still writes."""
    shutil.rmtree(folder, ignore_errors=True)
    return not folder.exists()


def test_a_home_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(EmbeddedStoreError, match=r"cannot be kept in .*file/home/stores: .*TERAG_HOME"):
        EmbeddedStores(load_settings(home=tmp_path / "file" / "home")).start()


def test_the_doctor_sees_running_stores_and_says_no_secret(stores: RunningPair) -> None:
    findings = {finding.subject: finding for finding in examine(stores.settings)}
    assert findings["Neo4j"].state == "ok"
    assert "embedded at bolt://127.0.0.1" in findings["Neo4j"].detail
    assert "2026.08.1 community" in findings["Neo4j"].detail
    assert "embedded, 6.0" in findings["MongoDB"].detail
    assert findings["Neo4j's jars"].detail.startswith("230 verified")
    password = stores.addresses.neo4j_password
    assert password
    assert password.get_secret_value() not in repr(findings)
    assert stores.addresses.mongo_uri.get_secret_value() not in repr(findings)


def test_the_doctor_starts_and_makes_nothing(tmp_path: Path, cache_folder: Path) -> None:
    settings = load_settings(home=tmp_path / "home", cache=cache_folder)
    findings = {finding.subject: finding for finding in examine(settings)}
    assert findings["Neo4j"].detail == findings["MongoDB"].detail == "embedded, does not run now"
    assert not settings.home.exists()


def test_the_doctor_names_servers_that_do_not_answer(tmp_path: Path) -> None:
    settings = load_settings(
        home=tmp_path / "home",
        neo4j_uri="bolt://127.0.0.1:9",
        neo4j_password=SecretStr("pw"),
        mongo_uri=SecretStr("mongodb://user:very-secret@127.0.0.1:9"),
        telegram_token=SecretStr("123:very-secret"),
        telegram_chat_id="7",
    )
    findings = {finding.subject: finding for finding in examine(settings)}
    assert findings["Neo4j"].state == findings["MongoDB"].state == "failed"
    assert findings["Neo4j"].remedy
    assert "very-secret" not in repr(findings)
    assert not {"Java", "mongod"} & set(findings)


@pytest.mark.parametrize("command", [["keys", "list", "--json"], ["review", "history", "--json"]])
def test_a_command_that_needs_documents_alone_starts_no_graph(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: list[str]
) -> None:
    monkeypatch.setenv("TERAG_HOME", str(tmp_path / "home"))
    settings = load_settings()
    try:
        told = CliRunner().invoke(main, command, catch_exceptions=False)
        assert told.exit_code == 0, told.output
        assert len(pids_of(settings)[MONGO]) == 1
        assert pids_of(settings)[NEO4J] == []
        assert not list((tmp_path / "home" / "stores").glob("neo4j*"))
    finally:
        EmbeddedStores(settings).stop()
