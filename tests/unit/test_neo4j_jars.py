"""Neo4j's jars: only what the lock names gets on the class path, wherever it came from."""

from __future__ import annotations

import errno
import hashlib
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from resources import neo4j_jars
from resources.neo4j_jars import (
    JarLock,
    find_faulty_jars,
    jar_cache_folder,
    lock_of,
    provide_jars,
    read_lock,
)
from resources.settings import NEO4J_RELEASES, Settings, load_settings
from terag_pipelines.errors import ConfigurationError, EmbeddedStoreError, StorageFullError

COORDINATES = ("org.neo4j:neo4j:1.0", "org.example:part:2.1", "org.example:native:2.1:linux-x86_64")


@dataclass
class Repository:
    """A Maven repository on loopback that serves what its table says, and counts what it was asked for."""

    files: dict[str, bytes]
    url: str = ""
    spoilt: Counter[str] = field(default_factory=Counter)  # path: answers still to be spoilt
    status: Counter[str] = field(default_factory=Counter)  # path: answers still to be 503
    asked: Counter[str] = field(default_factory=Counter)


def handler_of(repository: Repository) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = self.path.removeprefix("/maven/")
            repository.asked[path] += 1
            if path not in repository.files:
                self.send_error(404)
            elif repository.status[path] > 0:
                repository.status[path] -= 1
                self.send_error(503)
            else:
                body = repository.files[path]
                if repository.spoilt[path] > 0:
                    repository.spoilt[path] -= 1
                    body = body[: len(body) // 2]
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    return Handler


def content_of(coordinate: str) -> bytes:
    return f"jar of {coordinate}".encode() * 1000


@pytest.fixture
def lock(tmp_path: Path) -> JarLock:
    file = tmp_path / "test.jars.tsv"
    lines = [f"{one}\t{hashlib.sha256(content_of(one)).hexdigest()}" for one in COORDINATES]
    file.write_text("# a comment\n" + "\n".join(lines) + "\n")
    return read_lock(file)


@pytest.fixture
def repository(lock: JarLock) -> Iterator[Repository]:
    files = {jar.repository_path: content_of(jar.coordinate) for jar in lock.jars}
    repository = Repository(files)
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler_of(repository))
    repository.url = f"http://127.0.0.1:{server.server_port}/maven"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield repository
    server.shutdown()
    server.server_close()


@pytest.fixture
def settings(tmp_path: Path, repository: Repository) -> Settings:
    return load_settings(home=tmp_path / "home", maven_url=repository.url)


def fill(folder: Path, names: dict[str, str]) -> None:
    for coordinate, name in names.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content_of(coordinate))


@pytest.mark.parametrize("release", NEO4J_RELEASES)
def test_a_committed_lock_is_whole(release: str) -> None:
    lock = lock_of(load_settings(neo4j_release=release))
    assert lock.version == release
    assert len(lock.jars) == {"2026.08.1": 230, "5.26.30": 213}[release]
    assert len({jar.file_name for jar in lock.jars}) == len(lock.jars)
    assert all(len(bytes.fromhex(jar.sha256)) == 32 for jar in lock.jars)


def test_the_newest_release_is_the_default_and_an_unknown_one_names_those_there_are() -> None:
    assert load_settings().neo4j_release == NEO4J_RELEASES[0]
    with pytest.raises(ConfigurationError, match=r"TERAG_NEO4J_RELEASE .*'2026\.08\.1' or '5\.26\.30'"):
        load_settings(neo4j_release="4.4.0")


def test_a_malformed_line_is_named(tmp_path: Path) -> None:
    (tmp_path / "bad.tsv").write_text("# head\norg.neo4j:neo4j\tabc\n")
    with pytest.raises(EmbeddedStoreError, match=r"bad\.tsv, line 2"):
        read_lock(tmp_path / "bad.tsv")


def test_jars_are_fetched_once_and_come_in_the_order_of_the_lock(
    settings: Settings, lock: JarLock, repository: Repository
) -> None:
    progress: list[tuple[int, int]] = []
    paths = provide_jars(settings, lock, lambda done, of: progress.append((done, of)))
    assert [path.read_bytes() for path in paths] == [content_of(one) for one in COORDINATES]
    assert provide_jars(settings, lock) == paths
    assert sorted(progress) == [(1, 3), (2, 3), (3, 3)]
    assert set(repository.asked.values()) == {1}


@pytest.mark.parametrize("damage", ["truncated", "other bytes", "removed"])
def test_a_jar_damaged_in_the_cache_is_fetched_again_alone(
    damage: str, settings: Settings, lock: JarLock, repository: Repository
) -> None:
    victim = provide_jars(settings, lock)[1]
    sound = victim.read_bytes()
    if damage == "removed":
        victim.unlink()
    else:
        victim.write_bytes(sound[:100] if damage == "truncated" else sound[:-1] + b"!")
    assert provide_jars(settings, lock)[1].read_bytes() == sound
    assert sorted(repository.asked.values()) == [1, 1, 2]


def test_a_download_that_is_not_the_locked_one_is_tried_once_more(
    settings: Settings, lock: JarLock, repository: Repository
) -> None:
    path = lock.jars[1].repository_path
    repository.spoilt[path] = 1
    provide_jars(settings, lock)
    assert repository.asked[path] == 2


def test_a_repository_that_serves_another_file_is_refused_by_coordinate(
    settings: Settings, lock: JarLock, repository: Repository
) -> None:
    repository.spoilt[lock.jars[1].repository_path] = 99
    with pytest.raises(EmbeddedStoreError, match=r"org\.example:part:2\.1.*another content"):
        provide_jars(settings, lock)
    folder = jar_cache_folder(settings, lock) / "lib"
    assert lock.jars[1] in find_faulty_jars(lock, folder)
    assert not list(folder.glob(".fetch-*"))
    repository.spoilt.clear()
    assert len(provide_jars(settings, lock)) == 3


def test_a_repository_that_fails_for_a_moment_is_asked_again(
    settings: Settings, lock: JarLock, repository: Repository
) -> None:
    path = lock.jars[0].repository_path
    repository.status[path] = 2
    assert len(provide_jars(settings, lock)) == 3
    assert repository.asked[path] == 3


def test_a_repository_out_of_reach_says_what_to_do(lock: JarLock, tmp_path: Path) -> None:
    settings = load_settings(home=tmp_path / "home", maven_url="http://127.0.0.1:9")
    with pytest.raises(EmbeddedStoreError) as caught:
        provide_jars(settings, lock)
    for name in ("TERAG_MAVEN_URL", "TERAG_NEO4J_JARS", "TERAG_NEO4J_URI", "127.0.0.1:9"):
        assert name in str(caught.value)


def test_a_repository_without_a_jar_says_which(
    settings: Settings, lock: JarLock, repository: Repository
) -> None:
    path = lock.jars[2].repository_path
    del repository.files[path]
    with pytest.raises(EmbeddedStoreError, match=r"native-2\.1-linux-x86_64\.jar answered 404"):
        provide_jars(settings, lock)
    assert repository.asked[path] == 1


def test_starts_at_once_fetch_each_jar_once(
    settings: Settings, lock: JarLock, repository: Repository
) -> None:
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: provide_jars(settings, lock), range(8)))
    assert len(set(found)) == 1
    assert set(repository.asked.values()) == {1}


def test_a_full_disk_is_named_and_leaves_nothing_behind(
    settings: Settings, lock: JarLock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write_nothing(*_: object) -> str:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(neo4j_jars, "_stream", write_nothing)
    with pytest.raises(StorageFullError, match="is full"):
        provide_jars(settings, lock)
    assert not list((jar_cache_folder(settings, lock) / "lib").iterdir())


@pytest.mark.parametrize("layout", ["flat", "archive", "maven"])
def test_a_folder_of_jars_needs_no_network(layout: str, lock: JarLock, tmp_path: Path) -> None:
    folder = tmp_path / "jars"
    place = {
        "flat": lambda jar: jar.file_name,
        "archive": lambda jar: f"lib/{jar.file_name}",
        "maven": lambda jar: jar.repository_path,
    }[layout]
    fill(folder, {jar.coordinate: place(jar) for jar in lock.jars})
    settings = load_settings(home=tmp_path / "home", maven_url="http://127.0.0.1:9", neo4j_jars=folder)
    paths = provide_jars(settings, lock)
    assert [path.read_bytes() for path in paths] == [content_of(one) for one in COORDINATES]
    assert not settings.cache_folder.exists()


def test_a_folder_that_lacks_a_jar_or_has_another_is_refused(lock: JarLock, tmp_path: Path) -> None:
    folder = tmp_path / "jars"
    settings = load_settings(home=tmp_path / "home", neo4j_jars=folder)
    with pytest.raises(EmbeddedStoreError, match="is not a folder"):
        provide_jars(settings, lock)
    fill(folder, {jar.coordinate: jar.file_name for jar in lock.jars[:2]})
    with pytest.raises(EmbeddedStoreError, match=r"lacks org\.example:native:2\.1:linux-x86_64"):
        provide_jars(settings, lock)
    (folder / lock.jars[2].file_name).write_bytes(b"something else")
    with pytest.raises(EmbeddedStoreError, match=r"another content .* for org\.example:native:2\.1:"):
        provide_jars(settings, lock)
