"""What was theirs at other times: telephones, cards and addresses pass from one holder to the next.

A pair whose intervals do not meet neither agrees nor disagrees on such a value. Intervals hold both their
ends; an end that is not known is open, so that records without intervals are compared as ever.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from terag_pipelines.linking.blocks import Codes
from terag_pipelines.linking.encoding import EncodedRecords
from terag_pipelines.linking.levels import Levels

Mask = npt.NDArray[np.bool_]
Days = npt.NDArray[np.int64]
DATED_FIELDS: Mapping[str, str] = MappingProxyType(
    {"phone": "phone", "address": "address", "identifiers": "card"}
)
"""Compared fields, and what in them carries an interval: entities.vocabulary.DATED_KINDS."""
_EVER = np.iinfo(np.int32)


def apart_in_time(records: EncodedRecords, kind: str, left: Codes, right: Codes) -> Mask | None:
    """Where the intervals of a kind do not meet, by pair of rows; None where none can be apart."""
    start, end = _days(records, f"{kind}_from", _EVER.min), _days(records, f"{kind}_to", _EVER.max)
    if start is None or end is None:
        return None
    return np.asarray((end(left) < start(right)) | (end(right) < start(left)))


def hide_apart(records: EncodedRecords, kind: str, left: Codes, right: Codes, levels: Levels) -> Levels:
    """The levels, missing where the intervals of the kind do not meet."""
    apart = apart_in_time(records, kind, left, right)
    return levels if apart is None else np.where(apart, 0, levels).astype(np.int8)


def _days(records: EncodedRecords, name: str, when_open: int) -> Callable[[Codes], Days] | None:
    """What gives the days of rows, since 1970; None where no record has one."""
    column = records.columns.get(name)
    if column is None:
        return None
    days = np.append(column.values.cast(pa.int32()).to_numpy(), when_open)
    return lambda rows: np.asarray(days[column.first[rows]])
