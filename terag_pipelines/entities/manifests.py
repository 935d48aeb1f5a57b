"""The manifest of a source, `source.yaml`: its files, what each holds, which column is which field.

See docs/how-to/sources.md for the format.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import PurePosixPath
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import phonenumbers
import polars as pl

from terag_pipelines.entities.vocabulary import (
    DEFAULT_VALUES,
    FIELDS,
    FORMATS,
    LABEL_KINDS,
    LABEL_USES,
    PANEL_KEYS,
    PARTY_HOLDS,
    PARTY_TYPES,
    REQUIRED_FIELDS,
    STEP_UNITS,
    SUFFIX_FORMATS,
    UNITS,
)
from terag_pipelines.entities.yaml_texts import YAML_ERRORS, load_yaml, yaml_problem
from terag_pipelines.errors import ManifestError

_MANIFEST_KEYS = (
    "name",
    "root",
    "country",
    "currency",
    "time_zone",
    "date_order",
    "max_bad_share",
    "files",
    "linking",
    "rings",
    "twin",
)
_FILE_KEYS = ("name", "path", "format", "csv", "holds", "party_type", "label", "use", "fields", "variables",
              "skip_where_blank", "max_bad_share")  # fmt: skip
_CSV_KEYS = ("delimiter", "encoding", "trim")
_SOURCE_KEYS = (
    "column",
    "path",
    "template",
    "value",
    "format",
    "match",
    "dataset",
    "unit",
    "origin",
    "optional",
)
_ORIGINS = ("column", "path", "template", "value")


@dataclass(frozen=True)
class CsvOptions:
    """How a CSV file is written: delimiter, encoding, and whether blanks around values are dropped."""

    delimiter: str = ","
    encoding: str = "utf-8"
    trim: bool = False


@dataclass(frozen=True)
class FieldSource:
    """Where one field comes from: exactly one of `column`, `path`, `template` and `value` is set.

    `formats` are strptime formats of a date or time, `match` a regular expression whose first group is the
    value, `dataset` the party file that a reference points into, `unit` and `origin` the meaning of a number
    that stands for a time, amount or share. An `optional` source may be absent from the file.
    """

    column: str | None = None
    path: str | None = None
    template: str | None = None
    value: str | None = None
    formats: tuple[str, ...] = ()
    match: str | None = None
    dataset: str | None = None
    unit: str | None = None
    origin: str | None = None
    optional: bool = False

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns (or JSON paths) that are read."""
        if self.template is not None:
            return tuple(re.findall(r"{([^{}]+)}", self.template))
        return tuple(name for name in (self.column, self.path) if name is not None)


@dataclass(frozen=True)
class FileSpec:
    """One file entry: where it is, what it holds, and where each field comes from, first source first."""

    name: str
    path: str
    format: str
    holds: str
    fields: Mapping[str, tuple[FieldSource, ...]] = field(default_factory=dict)
    csv: CsvOptions = CsvOptions()
    party_type: str | None = None
    label: str | None = None
    use: str | None = None
    variables: tuple[str, ...] = ()
    skip_where_blank: tuple[str, ...] = ()
    max_bad_share: float = 0.05

    @property
    def columns(self) -> tuple[str, ...]:
        """Every column and JSON path that the entry must find in its file, sorted."""
        sources = [source for given in self.fields.values() for source in given if not source.optional]
        return tuple(sorted({name for source in sources for name in source.columns} | set(self.variables)))

    @property
    def paths(self) -> tuple[str, ...]:
        """Every JSON path that the entry reads, sorted."""
        sources = [source for given in self.fields.values() for source in given]
        return tuple(sorted({source.path for source in sources if source.path is not None}))


@dataclass(frozen=True)
class Manifest:
    """A whole source: its files and the defaults that hold for all of them."""

    name: str
    files: tuple[FileSpec, ...]
    root: str = "."
    country: str = "KZ"
    currency: str = "KZT"
    time_zone: str = "UTC"
    date_order: str = "dmy"
    max_bad_share: float = 0.05
    linking: Mapping[str, Any] | None = None
    rings: Mapping[str, Any] | None = None
    twin: Mapping[str, Any] | None = None

    @property
    def parties(self) -> tuple[FileSpec, ...]:
        """The files that hold people or organisations."""
        return tuple(spec for spec in self.files if spec.holds in PARTY_HOLDS)


def parse_manifest(text: str, where: str) -> Manifest:
    """The manifest written in YAML in `text`; `where` names it in errors.

    Raises: ManifestError for malformed YAML, unknown or missing keys, wrong types and references to datasets
    that the manifest does not have; it names the entry and key and lists what is allowed.
    """
    root = _Node(_load_yaml(text, where), where)
    root.check_keys(_MANIFEST_KEYS, required=("name", "files"))
    share = root.share("max_bad_share", 0.05)
    files = tuple(_parse_file(node, share) for node in root.children("files"))
    _check_names(files, where)
    return Manifest(
        name=root.text("name"),
        files=files,
        root=root.text("root", "."),
        country=_parse_country(root),
        currency=_parse_currency(root),
        time_zone=_parse_time_zone(root),
        date_order=root.choice("date_order", ("dmy", "mdy"), "dmy"),
        max_bad_share=share,
        linking=root.mapping("linking"),
        rings=root.mapping("rings"),
        twin=root.mapping("twin"),
    )


def _load_yaml(text: str, where: str) -> Any:
    try:
        return load_yaml(text)
    except YAML_ERRORS as error:
        raise ManifestError(f"{where}{yaml_problem(error)}") from None


@dataclass(frozen=True)
class _Node:
    """A mapping of the manifest, with its place for error messages."""

    content: Any
    where: str

    def fail(self, message: str) -> ManifestError:
        return ManifestError(f"{self.where}: {message}")

    def check_keys(self, allowed: tuple[str, ...], required: tuple[str, ...] = ()) -> None:
        if not isinstance(self.content, dict):
            raise self.fail(f"must be a mapping with the keys {', '.join(allowed)}")
        if unknown := sorted(str(key) for key in self.content if key not in allowed):
            raise self.fail(f"unknown key {', '.join(map(repr, unknown))}; allowed are {', '.join(allowed)}")
        if missing := [key for key in required if key not in self.content]:
            raise self.fail(
                f"key {', '.join(map(repr, missing))} is missing; allowed are {', '.join(allowed)}"
            )

    def text(self, key: str, default: str | None = None) -> str:
        value = self.content.get(key, default)
        if not isinstance(value, str) or not value:
            raise self.fail(f"key {key!r} must be a text")
        return value

    def texts(self, key: str) -> tuple[str, ...]:
        value = self.content.get(key, [])
        values = [value] if isinstance(value, str) else value
        if not isinstance(values, list) or not all(isinstance(item, str) and item for item in values):
            raise self.fail(f"key {key!r} must be a list of texts")
        return tuple(values)

    def choice(self, key: str, allowed: tuple[str, ...], default: str | None = None) -> str:
        value = self.content.get(key, default)
        if value not in allowed:
            raise self.fail(f"key {key!r} must be one of {', '.join(allowed)}")
        return str(value)

    def optional_choice(self, key: str, allowed: tuple[str, ...]) -> str | None:
        return self.choice(key, allowed) if key in self.content else None

    def flag(self, key: str) -> bool:
        value = self.content.get(key, False)
        if not isinstance(value, bool):
            raise self.fail(f"key {key!r} must be true or false")
        return value

    def share(self, key: str, default: float) -> float:
        value = self.content.get(key, default)
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
            raise self.fail(f"key {key!r} must be a number from 0 to 1")
        return float(value)

    def mapping(self, key: str) -> dict[str, Any] | None:
        value = self.content.get(key)
        if value is not None and not isinstance(value, dict):
            raise self.fail(f"key {key!r} must be a mapping")
        return value

    def children(self, key: str) -> list[_Node]:
        value = self.content[key]
        if not isinstance(value, list) or not value:
            raise self.fail(f"key {key!r} must be a list with at least one entry")
        return [_Node(item, f"{self.where}, {_place(key, item, i)}") for i, item in enumerate(value, start=1)]


def _place(key: str, item: Any, position: int) -> str:
    name = item.get("name") if isinstance(item, dict) else None
    return f"file {name!r}" if isinstance(name, str) else f"{key} entry {position}"


def _parse_country(root: _Node) -> str:
    country = root.text("country", "KZ").upper()
    if country not in phonenumbers.SUPPORTED_REGIONS:
        raise root.fail("key 'country' must be a two-letter ISO code such as KZ")
    return country


def _parse_currency(root: _Node) -> str:
    currency = root.text("currency", "KZT").upper()
    if not re.fullmatch(r"[A-Z]{3}", currency):
        raise root.fail("key 'currency' must be a three-letter ISO code such as KZT")
    return currency


def _parse_time_zone(root: _Node) -> str:
    name = root.text("time_zone", "UTC")
    try:
        pl.Series([None], dtype=pl.Datetime("us")).dt.replace_time_zone(name)  # knows fewer zones
        return ZoneInfo(name).key
    except (ZoneInfoNotFoundError, ValueError, OSError, pl.exceptions.ComputeError):
        raise root.fail("key 'time_zone' must be an IANA name such as Asia/Almaty") from None


def _parse_file(node: _Node, max_bad_share: float) -> FileSpec:
    node.check_keys(_FILE_KEYS, required=("name", "path", "holds"))
    holds = node.choice("holds", tuple(FIELDS))
    spec = FileSpec(
        name=_parse_dataset_name(node),
        path=node.text("path"),
        format=_parse_format(node, holds),
        holds=holds,
        fields=_parse_fields(node, holds),
        csv=_parse_csv(node),
        party_type=node.optional_choice("party_type", PARTY_TYPES),
        label=node.optional_choice("label", LABEL_KINDS),
        use=node.optional_choice("use", LABEL_USES),
        variables=node.texts("variables"),
        skip_where_blank=node.texts("skip_where_blank"),
        max_bad_share=node.share("max_bad_share", max_bad_share),
    )
    _check_file(node, spec)
    return spec


def _parse_dataset_name(node: _Node) -> str:
    name = node.text("name")
    if not re.fullmatch(r"[\w.-]+", name) or name == "outside":
        raise node.fail("key 'name' must be letters, digits, '_', '-' and '.', and not 'outside'")
    return name


def _parse_format(node: _Node, holds: str) -> str:
    suffixes = [suffix for suffix in PurePosixPath(node.text("path")).suffixes if suffix != ".gz"]
    guess = SUFFIX_FORMATS.get(suffixes[-1].lower()) if suffixes else None
    chosen = node.choice("format", FORMATS, guess)
    if (chosen == "yaml") != (holds == "price_book"):
        raise node.fail("a price_book is a yaml file, and a yaml file holds a price_book")
    return chosen


def _parse_csv(node: _Node) -> CsvOptions:
    csv = _Node(node.content.get("csv") or {}, f"{node.where}, key 'csv'")
    csv.check_keys(_CSV_KEYS)
    delimiter, encoding = csv.text("delimiter", ","), csv.text("encoding", "utf-8")
    if len(delimiter.encode()) != 1 or delimiter in '"\r\n':
        raise csv.fail("key 'delimiter' must be one ASCII character")
    try:
        "".encode(encoding)
        codecs.getincrementaldecoder(encoding)("replace").decode(b"\xd0")
    except (LookupError, ValueError):
        raise csv.fail("key 'encoding' must name a text encoding such as utf-8 or windows-1251") from None
    return CsvOptions(delimiter, encoding, csv.flag("trim"))


def _check_file(node: _Node, spec: FileSpec) -> None:
    needs_label = spec.holds == "labels"
    if needs_label != (spec.label is not None) or needs_label != (spec.use is not None):
        raise node.fail(
            f"labels, and only labels, have the keys 'label' ({', '.join(LABEL_KINDS)}) "
            f"and 'use' ({', '.join(LABEL_USES)})"
        )
    if (spec.holds == "panel") != bool(spec.variables):
        raise node.fail("a panel, and only a panel, has the key 'variables', a list of its numeric columns")
    if taken := sorted(set(spec.variables) & set(PANEL_KEYS)):
        raise node.fail(
            f"key 'variables' names {taken[0]!r}, which is a column of every panel; rename the variable"
        )
    if spec.party_type is not None and spec.holds not in PARTY_HOLDS:
        raise node.fail(f"key 'party_type' goes with {', '.join(PARTY_HOLDS)} only")
    if unknown := sorted(set(spec.skip_where_blank) - set(spec.fields)):
        raise node.fail(f"key 'skip_where_blank' names {', '.join(unknown)}, which 'fields' does not map")


def _parse_fields(node: _Node, holds: str) -> dict[str, tuple[FieldSource, ...]]:
    fields = _Node(node.content.get("fields") or {}, f"{node.where}, key 'fields'")
    required = REQUIRED_FIELDS[holds]
    fields.check_keys(FIELDS[holds], required)
    given = {name: _parse_sources(fields, name) for name in sorted(fields.content)}
    defaults = {name: (FieldSource(value=value),) for name, value in DEFAULT_VALUES.get(holds, {}).items()}
    return {**defaults, **given}


def _parse_sources(fields: _Node, name: str) -> tuple[FieldSource, ...]:
    content = fields.content[name]
    items = content if isinstance(content, list) else [content]
    where = fields.where.removesuffix(", key 'fields'")
    if not items:
        raise ManifestError(f"{where}, field {name!r}: must name at least one column")
    sources = tuple(_parse_source(_Node(item, f"{where}, field {name!r}")) for item in items)
    if len({(source.unit, source.origin) for source in sources}) > 1:
        raise ManifestError(
            f"{where}, field {name!r}: all its columns must have the same 'unit' and 'origin'"
        )
    return sources


def _parse_source(node: _Node) -> FieldSource:
    if isinstance(node.content, str) and node.content:
        return FieldSource(column=node.content)
    node.check_keys(_SOURCE_KEYS)
    if sum(key in node.content for key in _ORIGINS) != 1:
        raise node.fail(f"must have exactly one of {', '.join(_ORIGINS)}")
    unit = node.optional_choice("unit", UNITS)
    return FieldSource(
        column=_optional_text(node, "column"),
        path=_parse_path(node),
        template=_parse_template(node),
        value=_parse_constant(node),
        formats=_parse_formats(node),
        match=_parse_match(node),
        dataset=_optional_text(node, "dataset"),
        unit=unit,
        origin=_parse_origin(node, unit),
        optional=node.flag("optional"),
    )


def _parse_formats(node: _Node) -> tuple[str, ...]:
    formats = node.texts("format")
    if not all(re.search(r"%-?[YyFDcx]", text) for text in formats):
        raise node.fail("key 'format' must be a strptime format with day, month and year, such as '%d.%m.%Y'")
    return formats


def _optional_text(node: _Node, key: str) -> str | None:
    return node.text(key) if key in node.content else None


def _parse_path(node: _Node) -> str | None:
    path = _optional_text(node, "path")
    if path is not None and not re.fullmatch(r"[^.\[\]]+(\[\])?(\.[^.\[\]]+(\[\])?)*", path):
        raise node.fail("key 'path' must look like FEATURES[].NAME_FIRST or address.city")
    return path


def _parse_template(node: _Node) -> str | None:
    template = _optional_text(node, "template")
    if template is not None and not re.fullmatch(r"[^{}]*({[^{}]+}[^{}]*)+", template):
        raise node.fail("key 'template' must name at least one column in braces, such as '{SYSTEM}:{ID}'")
    return template


def _parse_constant(node: _Node) -> str | None:
    if "value" not in node.content:
        return None
    value = node.content["value"]
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict | list) or value is None:
        raise node.fail("key 'value' must be one text, number, date or true/false")
    return str(value)


def _parse_match(node: _Node) -> str | None:
    """The expression in a form that polars' linear-time engine takes: no backtracking, no look-around."""
    match = _optional_text(node, "match")
    if match is None:
        return None
    try:
        pl.Series([""]).str.extract(match, 1)
        n_groups = re.compile(match).groups
    except (re.error, pl.exceptions.ComputeError, OverflowError, RecursionError):
        raise node.fail(
            "key 'match' is not a valid regular expression (look-around is not supported)"
        ) from None
    if n_groups < 1:
        raise node.fail("key 'match' needs a group in parentheses: its text becomes the value")
    return match


def _parse_origin(node: _Node, unit: str | None) -> str | None:
    """The day that steps are counted from, as YYYY-MM-DD."""
    if (unit in STEP_UNITS) != ("origin" in node.content):
        raise node.fail(f"key 'origin' goes with the units {', '.join(STEP_UNITS)}, and they with it")
    if unit not in STEP_UNITS:
        return None
    try:
        return date.fromisoformat(str(node.content["origin"])).isoformat()
    except ValueError:
        raise node.fail("key 'origin' must be a date such as 2024-01-01") from None


def _check_names(files: tuple[FileSpec, ...], where: str) -> None:
    names = [spec.name for spec in files]
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise ManifestError(f"{where}: the file name {', '.join(map(repr, repeated))} is used more than once")
    datasets = sorted(spec.name for spec in files if spec.holds in PARTY_HOLDS)
    for spec in files:
        for name, sources in spec.fields.items():
            _check_dataset(spec, name, sources, datasets, where)


def _check_dataset(
    spec: FileSpec, name: str, sources: tuple[FieldSource, ...], datasets: list[str], where: str
) -> None:
    for source in sources:
        if source.dataset is not None and source.dataset not in datasets:
            allowed = ", ".join(datasets) or "none: no file holds parties"
            raise ManifestError(
                f"{where}, file {spec.name!r}, field {name!r}: there is no party file {source.dataset!r}; "
                f"there are {allowed}"
            )
