"""Files that no manifest describes: their format, delimiter and JSON paths are found out by looking."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from resources.source_csv import read_csv
from resources.source_jsonl import read_jsonl, write_step
from resources.source_lines import line_blocks
from resources.source_parquet import read_parquet
from resources.source_streams import ReadLimits, text_blocks
from terag_pipelines.entities.manifests import CsvOptions, FieldSource, FileSpec
from terag_pipelines.entities.raw_files import RawFile
from terag_pipelines.entities.vocabulary import SUFFIX_FORMATS
from terag_pipelines.errors import ConfigurationError, UnreadableFileError

DELIMITERS = (",", ";", "\t", "|")
_FORMATS = tuple(suffix for suffix, kind in SUFFIX_FORMATS.items() if kind != "yaml")
_MAX_DEPTH = 8
_Place = tuple[tuple[str, bool], ...]  # the keys from outside in, and whether there is a list at each


def read_loose_file(path: Path, encoding: str = "utf-8", limits: ReadLimits | None = None) -> RawFile:
    """Every column of a CSV, TSV, JSONL or Parquet file, gzipped or not; nested JSON by its paths.

    Raises: UnreadableFileError where it is missing, a folder, empty, torn or of another format,
    ConfigurationError for an encoding that is none.
    """
    name, limits = path.name, limits or ReadLimits()
    _check_encoding(encoding)
    kind = _format_of(path)
    if kind == "parquet":
        return read_parquet(path, name, limits)
    if kind == "jsonl":
        return _read_jsonl(path, name, limits)
    options = CsvOptions(_delimiter_of(path, name, encoding, limits), encoding, trim=True)
    return read_csv(text_blocks(path, name, limits), name, options, limits)


def _check_encoding(encoding: str) -> None:
    try:
        "".encode(encoding)
    except LookupError:
        raise ConfigurationError(
            f"encoding {encoding!r}: is not known; write one such as windows-1251 or utf-16"
        ) from None


def _format_of(path: Path) -> str:
    if path.is_dir():
        raise UnreadableFileError(
            f"{path}: is a folder without source.yaml; name its files, or write a manifest"
        )
    if not path.exists():
        raise UnreadableFileError(f"{path}: there is no such file")
    suffixes = [suffix.lower() for suffix in path.suffixes if suffix.lower() != ".gz"]
    if not suffixes or suffixes[-1] not in _FORMATS:
        raise UnreadableFileError(
            f"{path}: its name ends in none of {', '.join(_FORMATS)} (or these and .gz)"
        )
    return SUFFIX_FORMATS[suffixes[-1]]


def _delimiter_of(path: Path, name: str, encoding: str, limits: ReadLimits) -> str:
    """The delimiter that parts the first line into most columns; of equals, the more usual one."""
    line = next((text for text in _lines(path, name, encoding, limits) if text.strip()), "")
    return max(DELIMITERS, key=lambda sign: (_n_columns(line, sign), -DELIMITERS.index(sign)))


def _n_columns(line: str, delimiter: str) -> int:
    try:
        return len(next(csv.reader([line], delimiter=delimiter), []))
    except csv.Error:
        return 0


def _lines(path: Path, name: str, encoding: str, limits: ReadLimits) -> Iterator[str]:
    for block in line_blocks(text_blocks(path, name, limits), name, encoding):
        yield from block.decode("utf-8", "replace").split("\n")


def _read_jsonl(path: Path, name: str, limits: ReadLimits) -> RawFile:
    found: dict[_Place, None] = {}
    for line in _lines(path, name, "utf-8", limits):
        found |= dict.fromkeys(_places_of(line))
    spec = FileSpec(name, name, "jsonl", "parties", _json_fields(sorted(found)))
    raw = read_jsonl(text_blocks(path, name, limits), spec, limits)
    return replace(raw, columns=tuple(raw.table.column_names))


def _json_fields(places: Sequence[_Place]) -> dict[str, tuple[FieldSource]]:
    """Columns and where they come from: a top-level key, or a path, also for a key that reads as one."""
    paths = {_path_of(place): place for place in places}
    fields = {path: (FieldSource(path=path),) for path in paths}
    for path, place in paths.items():
        [(key, is_list), *rest] = place
        if not rest and not is_list and paths.get(key, place) == place:
            del fields[path]
            fields[key] = (FieldSource(column=key),)
    return fields


def _path_of(place: _Place) -> str:
    return ".".join(write_step(key) + "[]" * is_list for key, is_list in place)


def _places_of(line: str) -> list[_Place]:
    """Where each value in a JSON object is; lines that are none are judged when they are read."""
    try:
        row = json.loads(line) if line.strip() else None
    except (ValueError, RecursionError):
        return []
    return list(_leaves(row, ())) if isinstance(row, dict) else []


def _leaves(node: Any, place: _Place, depth: int = 0) -> Iterator[_Place]:
    """The places below; what is nested deeper than `_MAX_DEPTH` is one value, its JSON text."""
    if isinstance(node, dict) and depth < _MAX_DEPTH:
        for key, value in node.items():
            yield from _leaves(value, (*place, (key, False)), depth + 1)
    elif isinstance(node, list) and depth < _MAX_DEPTH:
        for item in node:
            yield from _leaves(item, (*place[:-1], (place[-1][0], True)), depth + 1)
    elif node is not None:
        yield place
