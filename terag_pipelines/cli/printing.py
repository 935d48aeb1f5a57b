"""Texts of other people's files as they may be printed."""

from __future__ import annotations

from rich.markup import escape


def printable(told: str) -> str:
    """One line of text that neither steers the terminal nor is markup."""
    return escape("".join(c if c.isprintable() else "\ufffd" for c in told))
