"""Sampled calls as bytes and back, exactly: the same call is the same bytes."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

from terag_pipelines.tuning.ports import SampledCall

MAX_BYTES = 65_536
"""A longer call is not kept: a list of thousands is no question of a person."""
MAX_DEPTH = 4
_MICROSECOND = timedelta(microseconds=1)


class _UnknownTypeError(Exception):
    """A parameter is of a type that is not kept."""


def encode_call(call: SampledCall) -> bytes | None:
    """Canonical JSON of query and parameters; None for one that is too long or of a type that is not kept.

    Kept are str, int of 64 bits, float, bool, None, datetime, and lists of these.
    """
    try:
        told = {name: _told(value, MAX_DEPTH) for name, value in call.parameters.items()}
    except _UnknownTypeError:
        return None
    text = json.dumps([call.query, told], sort_keys=True, separators=(",", ":"))  # in ASCII
    return text.encode() if len(text) <= MAX_BYTES else None


def decode_call(encoded: bytes) -> SampledCall:
    """The call that was encoded. Raises: ValueError, KeyError for a time zone that is not known here."""
    query, told = json.loads(encoded)
    return SampledCall(query, {name: _meant(value) for name, value in told.items()})


def _told(value: Any, depth: int) -> Any:
    kind = type(value)  # not of a subclass: it would come back as something else
    if value is None or kind in (str, float, bool) or (kind is int and -(2**63) <= value < 2**63):
        return value
    if kind is list and depth:
        return [_told(one, depth - 1) for one in value]
    if kind is datetime:
        bare = value.replace(tzinfo=None, fold=0).isoformat()
        return {"at": bare, "fold": value.fold, "zone": _told_zone(value)}
    raise _UnknownTypeError


def _told_zone(instant: datetime) -> str | int | None:
    """The name of a zone, a fixed offset in microseconds, or None."""
    zone = instant.tzinfo
    if zone is None:
        return None
    if type(zone) is ZoneInfo and zone.key:
        return zone.key
    if type(zone) is timezone:
        return zone.utcoffset(None) // _MICROSECOND
    raise _UnknownTypeError


def _meant(told: Any) -> Any:
    if isinstance(told, list):
        return [_meant(one) for one in told]
    if isinstance(told, dict):
        bare = datetime.fromisoformat(told["at"])
        return bare.replace(tzinfo=_meant_zone(told["zone"]), fold=told["fold"])
    return told


def _meant_zone(told: str | int | None) -> ZoneInfo | timezone | None:
    if told is None:
        return None
    return ZoneInfo(told) if isinstance(told, str) else timezone(told * _MICROSECOND)
