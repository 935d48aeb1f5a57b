"""Takes what the observer saw to the history of queries, batch by batch, and holds it while that is away."""

from __future__ import annotations

import logging
import secrets
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from threading import Event, Lock, Thread

import pyarrow as pa

from resources.query_observer import QueryObserver
from terag_pipelines.errors import StoreError
from terag_pipelines.tuning.ports import QueryHistory

LOGGER = logging.getLogger(__name__)
EVERY_S = 60.0
MAX_PENDING = 1_000
"""Windows that wait for the history, at most: those of a night, some MB in all."""


def utc_now() -> datetime:
    """The time on the wall."""
    return datetime.now(UTC)


@dataclass(frozen=True)
class RecorderState:
    """What a recorder holds, and what it had to drop because the history was away for too long."""

    n_pending_windows: int
    n_dropped_windows: int
    n_dropped_calls: int


class QueryRecorder:
    """Closes a window at each `record` and appends it; what cannot be stored waits, the oldest goes first.

    Safe to call from several threads; asking the store is never held up by it.
    """

    def __init__(
        self,
        observer: QueryObserver,
        history: QueryHistory,
        clock: Callable[[], datetime] = utc_now,
        max_pending: int = MAX_PENDING,
    ) -> None:
        self._observer = observer
        self._history = history
        self._clock = clock
        self._max_pending = max_pending
        self._observer_id = secrets.token_hex(6)
        self._started_at = clock()
        self._pending: deque[pa.Table] = deque()
        self._n_dropped_windows = 0
        self._n_dropped_calls = 0
        self._lock = Lock()

    @property
    def state(self) -> RecorderState:
        """What waits and what was dropped, so far."""
        return RecorderState(len(self._pending), self._n_dropped_windows, self._n_dropped_calls)

    def record(self) -> bool:
        """Ends the window and stores all that waits; False where the history is away, and no error."""
        with self._lock:
            self._close_window()
            try:
                self._store_pending()
            except StoreError as error:
                LOGGER.warning("observed queries wait for their history: %s; %s", error, self.state)
                return False
            return True

    def _close_window(self) -> None:
        now = self._clock()
        window = self._observer.close_window(self._observer_id, self._started_at, now)
        self._started_at = now
        if window.num_rows:
            self._pending.append(window)
        while len(self._pending) > self._max_pending:
            dropped = self._pending.popleft()
            self._n_dropped_windows += 1
            self._n_dropped_calls += sum(dropped["n_calls"].to_pylist())

    def _store_pending(self) -> None:
        if self._pending:
            self._history.append(pa.concat_tables(self._pending))
            self._pending.clear()


@contextmanager
def recording(recorder: QueryRecorder, every_s: float = EVERY_S) -> Iterator[QueryRecorder]:
    """Records every `every_s` seconds on a thread of its own, and once more at the end."""
    is_over = Event()

    def work() -> None:
        while not is_over.wait(every_s):
            recorder.record()

    thread = Thread(target=work, name="query-recorder", daemon=True)
    thread.start()
    try:
        yield recorder
    finally:
        is_over.set()
        thread.join()
        recorder.record()
