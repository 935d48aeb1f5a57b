"""A console that remembers what was printed."""

from __future__ import annotations

import io

from rich.console import Console


def listening_console() -> tuple[Console, io.StringIO]:
    """A console of 120 columns and what it has printed."""
    heard = io.StringIO()
    return Console(file=heard, width=120), heard
