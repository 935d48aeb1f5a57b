"""Dagster metadata that a person would look at."""

import base64
from typing import Any

import dagster as dg


def picture(png: bytes) -> dg.MarkdownMetadataValue:
    """A PNG picture, shown in the asset's page."""
    return dg.MetadataValue.md(f"![picture](data:image/png;base64,{base64.b64encode(png).decode()})")


def score(text: str) -> dg.TextMetadataValue:
    """How well the asset did against the truth that the source carries; the run's summary shows it."""
    return dg.MetadataValue.text(text)


def described(**values: Any) -> dict[str, Any]:
    """Metadata by name, without those that are None."""
    return {name: value for name, value in values.items() if value is not None}
