"""Takes what the observer saw to the history of queries, batch by batch, and holds it while that is away."""

from __future__ import annotations

import logging
import secrets
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain
from threading import Event, Lock, Thread

import pyarrow as pa

from resources.query_observer import QueryObserver
from terag_pipelines.errors import StoreError
from terag_pipelines.tuning.ports import CallHistory, QueryHistory, SampledCall, SeenCall

LOGGER = logging.getLogger(__name__)
EVERY_S = 60.0
MAX_PENDING = 1_000
"""Windows that wait for the history, at most: those of a night, some MB in all."""
MAX_PENDING_CALLS = 8
"""Sampled calls of one shape that wait, at most: the newest."""


def utc_now() -> datetime:
    """The time on the wall."""
    return datetime.now(UTC)


@dataclass(frozen=True)
class RecorderState:
    """What a recorder holds, and what it had to drop because the history was away for too long."""

    n_pending_windows: int
    n_dropped_windows: int
    n_dropped_calls: int
    n_pending_samples: int = 0


class QueryRecorder:
    """Closes a window at each `record` and appends it; what cannot be stored waits, the oldest goes first.

    Sampled calls go to `calls`, where it is given. Safe to call from several threads; asking the store is
    never held up by it.
    """

    def __init__(
        self,
        observer: QueryObserver,
        history: QueryHistory,
        clock: Callable[[], datetime] = utc_now,
        max_pending: int = MAX_PENDING,
        calls: CallHistory | None = None,
    ) -> None:
        self._observer = observer
        self._history = history
        self._clock = clock
        self._max_pending = max_pending
        self._calls = calls
        self._observer_id = secrets.token_hex(6)
        self._started_at = clock()
        self._pending: deque[pa.Table] = deque()
        self._seen: dict[str, list[SeenCall]] = {}  # by shape_id
        self._n_dropped_windows = 0
        self._n_dropped_calls = 0
        self._lock = Lock()

    @property
    def state(self) -> RecorderState:
        """What waits and what was dropped, so far."""
        n_samples = sum(map(len, list(self._seen.values())))
        return RecorderState(len(self._pending), self._n_dropped_windows, self._n_dropped_calls, n_samples)

    def record(self) -> bool:
        """Ends the window and stores all that waits; False where the history is away, and no error."""
        with self._lock:
            self._close_window()
            self._take_samples()
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

    def _take_samples(self) -> None:
        if self._calls is not None:
            for shape_id, calls in self._observer.take_samples().items():
                self._add_seen(shape_id, calls)

    def _add_seen(self, shape_id: str, calls: Sequence[SampledCall]) -> None:
        earlier = [seen for seen in self._seen.get(shape_id, ()) if seen.call not in calls]
        ended_at = self._started_at  # of the window that was just closed
        seen = [*earlier, *(SeenCall(shape_id, call, ended_at) for call in calls)]
        self._seen[shape_id] = seen[-MAX_PENDING_CALLS:]

    def _store_pending(self) -> None:
        if self._pending:
            self._history.append(pa.concat_tables(self._pending))
            self._pending.clear()
        if self._calls is not None and self._seen:
            self._calls.append(chain.from_iterable(self._seen.values()))
            self._seen.clear()


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
