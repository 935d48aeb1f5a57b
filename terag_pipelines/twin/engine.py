"""Answers to what-if questions from the promoted tables alone: a change with its interval, or a refusal."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from terag_pipelines.errors import EffectRefusedError, NotFoundError, TwinError

Row = Mapping[str, Any]


@dataclass(frozen=True)
class WhatIfAnswer:
    """What the outcome of one client would change by, with an interval of 95%, or the level fitted at."""

    client_id: str
    treatment: str
    outcome: str
    from_value: float
    to_value: float
    change: float
    change_low: float
    change_high: float
    estimand: str
    adjustment_set: tuple[str, ...]
    note: str


@dataclass(frozen=True)
class ClientDigitalTwin:
    """One client: its rows of CLIENT_TWINS, and the rows of TWIN_EFFECTS that say what stands behind them."""

    client_id: str
    twins: tuple[Row, ...]
    effects: tuple[Row, ...]

    def what_if(
        self, treatment: str, value: float, outcome: str | None = None, from_value: float | None = None
    ) -> WhatIfAnswer:
        """The change of the outcome were the treatment `value` and not `from_value` (else the latest).

        `outcome` may be left out where the treatment has one only.

        Raises: NotFoundError where nobody asked about this treatment; TwinError where the question is not
        whole; EffectRefusedError where the effect, the client or the value is beyond the data.
        """
        twin = self._find(treatment, outcome)
        effect = next(row for row in self.effects if _key(row) == _key(twin))
        _refuse_unless(bool(effect["is_answerable"]), twin, str(effect["reason"]))
        _refuse_unless(bool(twin["is_answerable"]), twin, str(twin["reason"]))
        start = twin["treatment_now"] if from_value is None else from_value
        for given in (start, value):
            _check_value(given, twin, effect)
        ends = sorted(twin[name] * (value - start) for name in ("effect_low", "effect_high"))
        return WhatIfAnswer(
            self.client_id,
            treatment,
            twin["outcome"],
            float(start),
            float(value),
            twin["effect"] * (value - start),
            ends[0],
            ends[1],
            effect["estimand"],
            tuple(effect["adjustment_set"]),
            effect["reason"] or "",
        )

    def _find(self, treatment: str, outcome: str | None) -> Row:
        rows = [
            row for row in self.twins if row["treatment"] == treatment and outcome in (None, row["outcome"])
        ]
        if not rows:
            known = sorted(f"{row['treatment']} -> {row['outcome']}" for row in self.twins)
            raise NotFoundError(
                f"no effect of {treatment} on {outcome or 'any outcome'} is known; known: {known}"
            )
        if len(rows) > 1:
            raise TwinError(
                f"{treatment} has several outcomes, name one: {sorted(row['outcome'] for row in rows)}"
            )
        return rows[0]


class CausalEngine:
    """Answers what-if questions over TWIN_EFFECTS and CLIENT_TWINS (or only the rows of the client)."""

    def __init__(self, effects: pa.Table, twins: pa.Table) -> None:
        self._effects = tuple(effects.to_pylist())
        self._twins = twins

    @property
    def effects(self) -> Sequence[Row]:
        """The average effects, answerable or refused, as rows of TWIN_EFFECTS."""
        return self._effects

    def twin_of(self, client_id: str) -> ClientDigitalTwin:
        """The twin of a client.

        Raises: NotFoundError where the panel does not hold the client.
        """
        rows = self._twins.filter(pc.equal(self._twins["client_id"], client_id)).to_pylist()
        if not rows:
            raise NotFoundError("no twin: the panel holds no client of this id")
        return ClientDigitalTwin(client_id, tuple(rows), self._effects)

    def what_if(
        self,
        client_id: str,
        treatment: str,
        value: float,
        outcome: str | None = None,
        from_value: float | None = None,
    ) -> WhatIfAnswer:
        """What `ClientDigitalTwin.what_if` says for this client; raises what it and `twin_of` raise."""
        return self.twin_of(client_id).what_if(treatment, value, outcome, from_value)


def what_if(
    effects: pa.Table,
    twins: pa.Table,
    client_id: str,
    treatment: str,
    value: float,
    outcome: str | None = None,
    from_value: float | None = None,
) -> WhatIfAnswer:
    """One answer from the two tables; see `ClientDigitalTwin.what_if`."""
    return CausalEngine(effects, twins).what_if(client_id, treatment, value, outcome, from_value)


def _key(row: Row) -> tuple[str, str]:
    return row["treatment"], row["outcome"]


def _refuse_unless(is_allowed: bool, twin: Row, reason: str) -> None:
    if not is_allowed:
        raise EffectRefusedError(f"the effect of {twin['treatment']} on {twin['outcome']}: {reason}")


def _check_value(value: float, twin: Row, effect: Row) -> None:
    if not math.isfinite(value):
        raise TwinError(f"a value of {twin['treatment']} must be a finite number")
    if effect["treatment_kind"] == "binary":
        _refuse_unless(value in (0, 1), twin, "its values are 0 and 1")
    low, high = twin["treatment_low"], twin["treatment_high"]
    slack = 1e-9 * max(abs(low), abs(high), 1.0)
    told = f"the value lies outside {low:.6g} to {high:.6g}, where clients like this one are seen"
    _refuse_unless(low - slack <= value <= high + slack, twin, told)
