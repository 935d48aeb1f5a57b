"""Faults of a file's rows: which are left out, which lost a field, and the quarantine rows that say so."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from terag_pipelines.entities.manifests import FileSpec
from terag_pipelines.entities.model import QUARANTINED_ROWS
from terag_pipelines.entities.raw_files import RawFile
from terag_pipelines.errors import TooManyBadRowsError

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Fault:
    """One thing wrong with the rows at `positions`: the field ("" for all of the row) and why, per row."""

    positions: npt.NDArray[np.int64]
    field: str
    reasons: tuple[str, ...]


@dataclass
class FaultLedger:
    """What is wrong with the rows of one file, gathered while its fields are read."""

    spec: FileSpec
    raw: RawFile
    left_out: Mask = field(init=False)
    faults: list[Fault] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.left_out = np.zeros(len(self.raw.rows), dtype=np.bool_)

    def leave_out(self, bad: Mask, name: str, reason: str) -> None:
        """Marks rows as unusable because of a required field."""
        self.lose_field(bad & ~self.left_out, name, reason)
        self.left_out |= bad

    def lose_field(self, bad: Mask, name: str, reason: str) -> None:
        """Marks a field of rows that stay as unusable; the caller makes it null."""
        positions = np.flatnonzero(bad)
        if len(positions):
            self.faults.append(Fault(positions, name, (reason,) * len(positions)))

    def leave_out_repeats(self, earlier: npt.NDArray[np.int64], name: str) -> None:
        """Leaves out rows whose id an earlier has; `earlier` (n,) is its number, 0 where there is none."""
        positions = np.flatnonzero((earlier > 0) & ~self.left_out)
        reasons = [f"repeats the value of row {row}" for row in earlier[positions].tolist()]
        self.leave_out_each(positions, name, reasons)

    def leave_out_each(self, positions: npt.NDArray[np.int64], name: str, reasons: Sequence[str]) -> None:
        """Marks the rows at these positions as unusable, each for its own reason."""
        if len(positions):
            self.faults.append(Fault(positions, name, tuple(reasons)))
            self.left_out[positions] = True

    @property
    def n_left_out(self) -> int:
        """Rows left out, those that could not even be read among them."""
        return int(self.left_out.sum()) + len(self.raw.bad_rows)

    @property
    def n_lost_fields(self) -> int:
        """Values made null in rows that stay."""
        return sum(int((~self.left_out[fault.positions]).sum()) for fault in self.faults)

    def check_share(self) -> None:
        """Raises: TooManyBadRowsError where more rows are left out than the manifest allows."""
        total, limit = self.raw.n_rows, self.spec.max_bad_share
        if not total or self.n_left_out <= limit * total:
            return
        raise TooManyBadRowsError(
            f"{self.spec.path}: {self.n_left_out} of {total} rows ({self.n_left_out / total:.1%}) "
            f"cannot be used, more than the {limit:.1%} that max_bad_share allows; "
            f"most often: {self._frequent_reasons()}"
        )

    def _frequent_reasons(self) -> str:
        counts = Counter(_general(bad.reason) for bad in self.raw.bad_rows)
        for fault in self.faults:
            out = self.left_out[fault.positions]
            reasons = (reason for reason, is_out in zip(fault.reasons, out, strict=True) if is_out)
            counts.update(f"{fault.field}: {_general(reason)}" for reason in reasons)
        ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
        return ", ".join(f"{reason} ({count})" for reason, count in ordered[:3])

    def quarantined_rows(self) -> pa.Table:
        """One row for each unreadable row and each fault of a field."""
        texts = self._raw_texts()
        rows = {(bad.row, "", bad.reason): bad.text for bad in self.raw.bad_rows}
        for fault in self.faults:
            numbers, positions = self.raw.rows[fault.positions].tolist(), fault.positions.tolist()
            for row, position, reason in zip(numbers, positions, fault.reasons, strict=True):
                rows[(row, fault.field, reason)] = texts[position]
        return QUARANTINED_ROWS.from_columns(
            file=[self.spec.path] * len(rows),
            row=[key[0] for key in rows],
            field=[key[1] for key in rows],
            reason=[key[2] for key in rows],
            raw_row=list(rows.values()),
        )

    def _raw_texts(self) -> dict[int, str]:
        if not self.faults:
            return {}
        positions = np.unique(np.concatenate([fault.positions for fault in self.faults]))
        return dict(zip(positions.tolist(), self.raw.raw_rows(positions), strict=True))


def _general(reason: str) -> str:
    """The reason without numbers, so that reasons of a kind are counted together."""
    head, of_row, _ = reason.partition(" of row ")
    return f"{head} of an earlier row" if of_row else head
