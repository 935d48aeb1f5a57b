"""The jars of Neo4j Community: found in a folder or the cache, or fetched once from a Maven repository.

What may be on the class path of a release is fixed by its lock file in this package: one line a jar, its
Maven coordinate ``group:artifact:version[:classifier]``, a tab, its SHA-256. Each jar is verified each time
Neo4j is started.
Neo4j Community is GPLv3: it is not shipped here, the user fetches it, and it runs as its own process.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path

import httpx

from resources.disks import disk_errors
from resources.processes import hold_lock
from resources.settings import Settings
from terag_pipelines.errors import EmbeddedStoreError

N_THREADS = 12
FETCH_ATTEMPTS = 3
LOCK_WAIT_S = 900.0
HASHED_BLOCK = 1 << 20
FETCH_TIMEOUT = httpx.Timeout(30.0, connect=8.0, pool=None)

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Jar:
    """One line of the lock: a Maven coordinate and the SHA-256 of its jar, hexadecimal."""

    group: str
    artifact: str
    version: str
    classifier: str
    sha256: str

    @property
    def coordinate(self) -> str:
        """``group:artifact:version[:classifier]``."""
        return ":".join(part for part in (self.group, self.artifact, self.version, self.classifier) if part)

    @property
    def file_name(self) -> str:
        """Its name in a repository and in the cache."""
        return "-".join(part for part in (self.artifact, self.version, self.classifier) if part) + ".jar"

    @property
    def repository_path(self) -> str:
        """Where Maven repositories have it, relative to their root."""
        return f"{self.group.replace('.', '/')}/{self.artifact}/{self.version}/{self.file_name}"


@dataclass(frozen=True)
class JarLock:
    """All jars of one Neo4j release, in the order of the class path, and a digest that names the set."""

    jars: tuple[Jar, ...]
    digest: str
    file: Path

    @property
    def version(self) -> str:
        """The release of Neo4j: the version of ``org.neo4j:neo4j``."""
        return next(
            (jar.version for jar in self.jars if (jar.group, jar.artifact) == ("org.neo4j", "neo4j")), "?"
        )


def lock_of(settings: Settings) -> JarLock:
    """The lock of the release that the settings name."""
    return read_lock(Path(__file__).with_name(f"neo4j-{settings.neo4j_release}.jars.tsv"))


def read_lock(path: Path) -> JarLock:
    """The lock in the file.

    Raises:
        EmbeddedStoreError: a line is not a coordinate, a tab and a SHA-256.
    """
    text = path.read_text(encoding="utf-8")
    lines = [(number, line) for number, line in enumerate(text.splitlines(), 1) if line and line[0] != "#"]
    jars = tuple(_parse_line(line, f"{path.name}, line {number}") for number, line in lines)
    content = "\n".join(f"{jar.coordinate}\t{jar.sha256}" for jar in jars)
    return JarLock(jars, hashlib.sha256(content.encode()).hexdigest(), path)


def _parse_line(line: str, where: str) -> Jar:
    coordinate, _, sha256 = line.partition("\t")
    parts = coordinate.split(":")
    if len(parts) not in (3, 4) or len(sha256) != 64:
        raise EmbeddedStoreError(f"{where}: not a Maven coordinate, a tab and a SHA-256")
    group, artifact, version, classifier = [*parts, ""][:4]
    return Jar(group, artifact, version, classifier, sha256)


def jar_cache_folder(settings: Settings, lock: JarLock) -> Path:
    """Where the fetched jars of this lock are kept; another lock has another folder."""
    return settings.cache_folder / f"neo4j-{lock.version}-{lock.digest[:12]}"


def provide_jars(
    settings: Settings, lock: JarLock | None = None, on_progress: Progress | None = None
) -> tuple[Path, ...]:
    """The verified jars in the lock's order: from TERAG_NEO4J_JARS, else the cache, else fetched into it.

    Several processes may call it at once on one cache: one fetches, the others wait and find the jars there.

    Args:
        settings: neo4j_jars, cache and maven_url are used.
        lock: which jars; the default is this package's own lock of the release that the settings name.
        on_progress: called with the number of jars fetched and the number to fetch, from several threads.

    Raises:
        EmbeddedStoreError: a jar is missing in the given folder or not the locked one, or the repository
            cannot be reached or serves another file.
        StorageFullError: the cache's disk is full.
    """
    lock = lock or lock_of(settings)
    if settings.neo4j_jars is not None:
        return _jars_in_folder(lock, settings.neo4j_jars)
    folder = jar_cache_folder(settings, lock) / "lib"
    if find_faulty_jars(lock, folder):
        _fill_cache(settings, lock, folder, on_progress or (lambda _done, _all: None))
    return tuple(folder / jar.file_name for jar in lock.jars)


def find_faulty_jars(lock: JarLock, folder: Path) -> list[Jar]:
    """The jars of the lock that the folder does not have, or has with another content."""
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:  # hashing releases the interpreter's lock
        sound = pool.map(lambda jar: _is_sound(folder / jar.file_name, jar), lock.jars)
        return [jar for jar, is_sound in zip(lock.jars, sound, strict=True) if not is_sound]


def _is_sound(path: Path, jar: Jar) -> bool:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == jar.sha256
    except OSError:
        return False


def _jars_in_folder(lock: JarLock, folder: Path) -> tuple[Path, ...]:
    """The jars of a folder that the user filled: flat, in ``lib/`` (Neo4j's archive), or as in Maven's."""
    if not folder.is_dir():
        raise EmbeddedStoreError(f"TERAG_NEO4J_JARS names {folder}, which is not a folder")
    found = [_find_in_folder(folder, jar) for jar in lock.jars]
    missing = [jar.coordinate for jar, path in zip(lock.jars, found, strict=True) if path is None]
    if missing:
        raise EmbeddedStoreError(
            f"the folder of TERAG_NEO4J_JARS, {folder}, lacks {_enumerate(missing)}; "
            f"the list of all {len(lock.jars)} jars is {lock.file}"
        )
    paths = tuple(path for path in found if path is not None)
    wrong = [j.coordinate for j, path in zip(lock.jars, paths, strict=True) if not _is_sound(path, j)]
    if wrong:
        raise EmbeddedStoreError(
            f"the folder of TERAG_NEO4J_JARS, {folder}, has another content than {lock.file.name} says "
            f"for {_enumerate(wrong)}: copy them again"
        )
    return paths


def _find_in_folder(folder: Path, jar: Jar) -> Path | None:
    places = (folder / jar.file_name, folder / "lib" / jar.file_name, folder / jar.repository_path)
    return next((place for place in places if place.is_file()), None)


def _enumerate(names: list[str], most: int = 3) -> str:
    shown = ", ".join(names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"


def _fill_cache(settings: Settings, lock: JarLock, folder: Path, on_progress: Progress) -> None:
    with disk_errors(
        f"the disk of {folder} is full: Neo4j's jars take 160 MB",
        lambda reason: EmbeddedStoreError(f"Neo4j's jars cannot be kept in {folder}: {reason}"),
    ):
        folder.mkdir(parents=True, exist_ok=True)
        with hold_lock(folder.parent / "fetch.lock", LOCK_WAIT_S):
            wanted = find_faulty_jars(lock, folder)  # again: another process may have fetched them meanwhile
            _fetch_all(settings.maven_url or _maven_central(), wanted, folder, on_progress)


def _maven_central() -> str:
    import jgo.constants  # takes .3 s to import: only when something must be fetched

    return str(jgo.constants.MAVEN_CENTRAL_URL)


def _fetch_all(repository: str, wanted: list[Jar], folder: Path, on_progress: Progress) -> None:
    n_done, counting = 0, threading.Lock()

    def fetch(jar: Jar) -> None:
        nonlocal n_done
        _fetch_verified(client, repository, jar, folder)
        with counting:
            n_done += 1
            on_progress(n_done, len(wanted))

    limits = httpx.Limits(max_connections=N_THREADS)
    with (
        httpx.Client(timeout=FETCH_TIMEOUT, limits=limits, follow_redirects=True) as client,
        ThreadPoolExecutor(N_THREADS) as pool,
    ):
        futures = [pool.submit(fetch, jar) for jar in wanted]
        done, _ = wait(futures, return_when=FIRST_EXCEPTION)
        pool.shutdown(cancel_futures=True)
        _raise_first(future.exception() for future in done)


def _raise_first(errors: Iterable[BaseException | None]) -> None:
    for error in errors:
        if error is not None:
            raise error


def _fetch_verified(client: httpx.Client, repository: str, jar: Jar, folder: Path) -> None:
    """Fetches one jar; one that does not have the locked SHA-256 is fetched once more, then refused."""
    for _ in range(2):
        if _fetch_once(client, f"{repository}/{jar.repository_path}", jar, folder):
            return
    raise EmbeddedStoreError(
        f"the Maven repository {repository} served {jar.coordinate} twice with another content than "
        f"this package's list says (SHA-256 {jar.sha256}). It was not used: set TERAG_MAVEN_URL to another"
    )


def _fetch_once(client: httpx.Client, url: str, jar: Jar, folder: Path) -> bool:
    """Whether the file at the address was the locked one; if so it is now in the folder, whole."""
    descriptor, temporary = tempfile.mkstemp(dir=folder, prefix=".fetch-")
    path = Path(temporary)
    try:
        os.close(descriptor)
        digest = _download(client, url, path)
        if digest == jar.sha256:
            path.chmod(0o644)
            path.replace(folder / jar.file_name)
        return digest == jar.sha256
    finally:
        path.unlink(missing_ok=True)


def _download(client: httpx.Client, url: str, path: Path) -> str:
    """The SHA-256 of what was written to the path; transport failures and 5xx are tried again."""
    for attempt in range(1, FETCH_ATTEMPTS + 1):
        try:
            return _stream(client, url, path)
        except httpx.HTTPError as error:
            if attempt == FETCH_ATTEMPTS or not _may_pass(error):
                raise EmbeddedStoreError(_explain_unreachable(url, error)) from error
            time.sleep(0.3 * attempt)
    raise AssertionError("unreachable")


def _stream(client: httpx.Client, url: str, path: Path) -> str:
    digest = hashlib.sha256()
    with client.stream("GET", url) as response, path.open("wb") as file:
        response.raise_for_status()
        for block in response.iter_bytes(HASHED_BLOCK):
            digest.update(block)
            file.write(block)
    return digest.hexdigest()


def _may_pass(error: httpx.HTTPError) -> bool:
    return not isinstance(error, httpx.HTTPStatusError) or error.response.status_code >= 500


def _explain_unreachable(url: str, error: httpx.HTTPError) -> str:
    status = error.response.status_code if isinstance(error, httpx.HTTPStatusError) else None
    reason = f"answered {status}" if status else f"gave no answer ({type(error).__name__})"
    return (
        f"Neo4j's jars could not be fetched: {url} {reason}. Set TERAG_MAVEN_URL to a Maven repository in "
        "reach, or TERAG_NEO4J_JARS to a folder that has the jars, or TERAG_NEO4J_URI to a running Neo4j"
    )
