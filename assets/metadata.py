"""Dagster metadata that a person would look at."""

import base64
from collections.abc import Iterable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import dagster as dg
import pyarrow as pa

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


def picture(png: bytes) -> dg.MarkdownMetadataValue:
    """A PNG picture, shown in the asset's page."""
    return dg.MetadataValue.md(f"![picture](data:image/png;base64,{base64.b64encode(png).decode()})")


def drawing(*svgs: str) -> dg.MarkdownMetadataValue:
    """SVG pictures, shown in the asset's page one below the other."""
    return dg.MetadataValue.md("\n\n".join(_as_image(svg) for svg in svgs))


def _as_image(svg: str) -> str:
    return f"![picture](data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode()})"


def score(text: str) -> dg.TextMetadataValue:
    """How well the asset did against the truth that the source carries; the run's summary shows it."""
    return dg.MetadataValue.text(text)


def described(**values: Any) -> dict[str, Any]:
    """Metadata by name, without those that are None."""
    return {name: value for name, value in values.items() if value is not None}


def rows_as_markdown(rows: "Iterable[DataclassInstance]") -> dg.MarkdownMetadataValue:
    """Dataclasses of one type as a table, one row each."""
    return _as_markdown([asdict(row) for row in rows])


def table_as_markdown(table: pa.Table) -> dg.MarkdownMetadataValue:
    """All rows of a small table without personal columns."""
    return _as_markdown(table.to_pylist())


def _as_markdown(values: list[dict[str, Any]]) -> dg.MarkdownMetadataValue:
    if not values:
        return dg.MetadataValue.md("nothing")
    lines = ["| " + " | ".join(values[0]) + " |", "|" + " --- |" * len(values[0])]
    lines += ["| " + " | ".join(shown(value) for value in row.values()) + " |" for row in values]
    return dg.MetadataValue.md("\n".join(lines))


def shown(value: object) -> str:
    """A figure as a person reads it: four digits of a fraction, thousands apart."""
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: ""}[value]
    if isinstance(value, float):
        return f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) else str(value).replace("|", "\\|")
