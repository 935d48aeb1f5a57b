"""A 63-bit hash of each row of a table, by columns at once: what tells whether a row is as it was.

The same on every machine and in every release. Not for adversaries: the key is known.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Codes = npt.NDArray[np.uint64]
MOST = (1 << 63) - 1
TEXTS = (pa.string(), pa.large_string(), pa.string_view())
_WORD = 8
_NULL = np.uint64(0x9E3779B97F4A7C15)
_ALL_BITS = np.uint64(0xFFFFFFFFFFFFFFFF)


def hash_rows(table: pa.Table) -> npt.NDArray[np.int64]:
    """A hash of each row's values, from 0 to 2^63 - 1; columns are texts, numbers, booleans and instants."""
    return combine([code_values(column) for column in table.columns], table.num_rows)


def combine(columns: Sequence[Codes], n_rows: int) -> npt.NDArray[np.int64]:
    """The hash of rows whose columns have these codes, in this order."""
    state = np.full(n_rows, len(columns), np.uint64)
    for codes in columns:
        _mix(np.bitwise_xor(state, codes, out=state))
    return (state & np.uint64(MOST)).astype(np.int64)


def code_values(column: pa.ChunkedArray) -> Codes:
    """A code of each value, 64 bits; rows differ in it where their values do (texts: almost surely)."""
    values = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    codes = _code_texts(values) if values.type in TEXTS else _code_numbers(values)
    if values.null_count:
        codes[values.is_null().to_numpy(zero_copy_only=False)] = _NULL
    return codes


def _code_numbers(values: pa.Array) -> Codes:
    kind = values.type
    plain = values.cast(pa.int64()) if not pa.types.is_floating(kind) else values.cast(pa.float64())
    return _mix(plain.fill_null(0).to_numpy(zero_copy_only=False).view(np.uint64).copy())


def _code_texts(values: pa.Array) -> Codes:
    """Eight bytes of all texts at a time, each mixed into the state of its text; lengths come first."""
    starts, lengths, words = _words(values.cast(pa.large_string()))
    state = _mix(lengths.astype(np.uint64))
    for at in range(0, int(lengths.max(initial=0)), _WORD):
        rows = np.flatnonzero(lengths > at)
        n_missing = np.maximum(_WORD - (lengths[rows] - at), 0).astype(np.uint64)
        word = words[starts[rows] + at] & (_ALL_BITS >> (n_missing * np.uint64(8)))
        state[rows] = _mix(state[rows] ^ word)
    return state


def _words(values: pa.Array) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], Codes]:
    """Where each text starts, its bytes, and the eight bytes from any place on, as one number."""
    _, offsets, content = values.buffers()
    places = np.frombuffer(offsets, np.int64)[values.offset : values.offset + len(values) + 1]
    given = np.frombuffer(content, np.uint8) if content is not None else np.empty(0, np.uint8)
    padded = np.concatenate([given, np.zeros(_WORD, np.uint8)])
    words = np.ndarray((len(given) + 1,), "<u8", padded, strides=(1,))
    return places[:-1], np.diff(places), words


def _mix(state: Codes) -> Codes:
    """Mixes the bits of each number in place, one to one (Stafford's variant 13, as in SplitMix64)."""
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        state ^= state >> np.uint64(shift)
        state *= np.uint64(factor)
    state ^= state >> np.uint64(31)
    return state
