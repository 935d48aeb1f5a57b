"""Connections to the graph's two embedded servers, which follow where readers are sent."""

from __future__ import annotations

from pathlib import Path
from threading import Lock
from typing import Self

from neo4j import Driver

from resources.embedded import EmbeddedStores
from resources.store_state import RunningStore
from resources.stores import Patience, connect_graph


class PairDrivers:
    """Drivers of the two servers, opened when first asked for; a context manager that closes them."""

    def __init__(self, stores: EmbeddedStores, patience: Patience) -> None:
        self._stores = stores
        self._patience = patience
        self._lock = Lock()
        self._open: dict[str, tuple[RunningStore | None, Driver]] = {}  # by server
        self._seen: tuple[object, ...] = ()
        self._primary: Driver | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_ended: object) -> None:
        for _process, driver in self._open.values():
            driver.close()

    def primary(self) -> Driver:
        """That of the server which readers are sent to now, wherever another process has sent them.

        Raises: StoreUnavailableError.
        """
        seen = self.look()
        if self._primary is None or seen != self._seen:
            self._primary, self._seen = self.of(self._stores.folder.primary_graph()), seen
        return self._primary

    def of(self, name: str) -> Driver:
        """That of a server; another one once it has started anew, as its data may be other data then.

        Raises: StoreUnavailableError.
        """
        running, addresses = self._stores.folder.read_state().get(name), self._stores.known_addresses(name)
        with self._lock:
            process, driver = self._open.get(name, (None, None))
            if driver is None or process != running:
                fresh = connect_graph(self._stores.settings, addresses, self._patience)
                self._open[name] = (running, fresh)
                if driver is not None:
                    driver.close()
                return fresh
            return driver

    def look(self) -> tuple[object, ...]:
        """Changes whenever readers are sent elsewhere, or a server has started anew."""
        folder = self._stores.folder
        return tuple(_version_of(file) for file in (folder.primary_file, folder.state_file))


def _version_of(file: Path) -> tuple[int, int] | None:
    try:
        found = file.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return found.st_mtime_ns, found.st_ino
