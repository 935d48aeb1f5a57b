"""JSON Lines files: one object per line, read into text columns and JSON paths."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from resources.source_csv import NUL_BYTE, TOO_LONG, line_as_json
from resources.source_lines import line_blocks
from resources.source_streams import ReadLimits
from terag_pipelines.entities.manifests import FileSpec
from terag_pipelines.entities.raw_files import BadRow, RawFile
from terag_pipelines.errors import UnreadableFileError

_Steps = tuple[str, ...]
_SIGNS = re.compile(r"[.\[\]\\]")
_ESCAPED = re.compile(r"\\([.\[\]\\])")
_STEPS = re.compile(r"(?:^|\.)((?:\\.|[^.\\])*)")


def read_jsonl(blocks: Iterable[bytes], spec: FileSpec, limits: ReadLimits) -> RawFile:
    """The objects of a JSONL file: a text column per top-level key, a list<string> column per JSON path.

    Numbers keep their digits as written. Lines that are no JSON object are bad rows, blank lines are passed
    over.

    Raises: UnreadableFileError where there are more rows than allowed or no line is JSON.
    """
    reader = _JsonlReader(spec, limits)
    for block in line_blocks(blocks, spec.path):
        for line in block.split(b"\n"):
            if line and not line.isspace():
                reader.add(line)
    return reader.finish()


@dataclass
class _JsonlReader:
    spec: FileSpec
    limits: ReadLimits
    n_rows: int = 0
    numbers: list[int] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    bad_rows: list[BadRow] = field(default_factory=list)
    keys: dict[str, None] = field(default_factory=dict)
    columns: dict[str, list[Any]] = field(init=False)

    def __post_init__(self) -> None:
        names = {name for given in self.spec.fields.values() for source in given for name in source.columns}
        self.paths: dict[str, _Steps] = {path: _steps_of(path) for path in self.spec.paths}
        self.names = sorted((names | set(self.spec.variables)) - set(self.paths))
        self.columns = {name: [] for name in [*self.names, *self.paths]}

    def add(self, line: bytes) -> None:
        self.n_rows += 1
        if self.n_rows > self.limits.max_rows:
            raise UnreadableFileError(f"{self.spec.path}: has more than {self.limits.max_rows:,} rows")
        try:
            self._keep(line)
        except (_BadLineError, RecursionError) as error:
            reason = str(error) if isinstance(error, _BadLineError) else "is nested too deeply"
            self.bad_rows.append(BadRow(self.n_rows, reason, line_as_json(line)))

    def finish(self) -> RawFile:
        if self.bad_rows and not self.numbers:
            raise UnreadableFileError(f"{self.spec.path}: no line is a JSON object; the file is not JSONL")
        arrays = {name: self._array(name) for name in self.columns}
        there = {name: array for name, array in arrays.items() if not self.numbers or self._is_there(name)}
        names = tuple(self.keys) if self.numbers else tuple(self.columns)
        table = pa.table(there) if there else pa.table({"": pa.nulls(len(self.numbers), pa.string())})
        rows = np.array(self.numbers, np.int64)
        return RawFile(table, rows, names, tuple(self.bad_rows), self.lines)

    def _keep(self, line: bytes) -> None:
        row = _parse_line(line, self.limits)
        values = [_as_text(row.get(name)) for name in self.names]
        found = [_walk(row, steps) for steps in self.paths.values()]
        _check_texts([*row, *values], found)
        for name, value in zip(self.columns, [*values, *found], strict=True):
            self.columns[name].append(value)
        self.keys.update(dict.fromkeys(row))
        self.numbers.append(self.n_rows)
        self.lines.append(line.decode())

    def _array(self, name: str) -> pa.Array:
        return pa.array(self.columns[name], pa.list_(pa.string()) if name in self.paths else pa.string())

    def _is_there(self, name: str) -> bool:
        return any(self.columns[name]) if name in self.paths else name in self.keys


class _BadLineError(Exception):
    """Why a line is no usable row."""


def _parse_line(line: bytes, limits: ReadLimits) -> dict[str, Any]:
    if len(line) > limits.max_record_bytes:
        raise _BadLineError(TOO_LONG)
    if b"\x00" in line:
        raise _BadLineError(NUL_BYTE)
    try:
        row = json.loads(line.decode(), parse_float=str, parse_int=str, parse_constant=_refuse_constant)
    except UnicodeDecodeError:
        raise _BadLineError("is not valid utf-8") from None
    except json.JSONDecodeError as error:
        raise _BadLineError(f"is not valid JSON at character {error.pos + 1}") from None
    if not isinstance(row, dict):
        raise _BadLineError("is no JSON object")
    return row


def _refuse_constant(_: str) -> None:
    raise _BadLineError("holds NaN or Infinity, which JSON does not have")


def _check_texts(values: Sequence[str | None], found: Sequence[Sequence[str]]) -> None:
    try:
        "".join([*filter(None, values), *(text for texts in found for text in texts)]).encode()
    except UnicodeEncodeError:
        raise _BadLineError("holds half of a surrogate pair") from None


def write_step(key: str) -> str:
    """A key as a step of a JSON path: its own dots and brackets stand behind a backslash."""
    return _SIGNS.sub(r"\\\g<0>", key)


def _steps_of(path: str) -> _Steps:
    steps = (step.removesuffix("[]") for step in _STEPS.findall(path))
    return tuple(_ESCAPED.sub(r"\1", step) for step in steps)


def _walk(node: Any, steps: _Steps) -> list[str]:
    """The texts at the end of a path; lists on the way are walked through."""
    if isinstance(node, list):
        return [text for item in node for text in _walk(item, steps)]
    if not steps:
        text = _as_text(node)
        return [] if text is None else [text]
    return _walk(node.get(steps[0]), steps[1:]) if isinstance(node, dict) else []


def _as_text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return str(value).lower()
    return json.dumps(value, ensure_ascii=False, sort_keys=True)
