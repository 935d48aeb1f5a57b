"""E-mail addresses in one form."""

from __future__ import annotations

import re

_IN_BRACKETS = re.compile(r"<\s*([^<>\s]+)\s*>\s*$")
_ADDRESS = re.compile(r"[^@\s<>\"(),;:]{1,64}@(?:[\w-]{1,63}\.)+[\w-]{2,63}")


def plain_email(text: str) -> str | None:
    """The address in lower case, without a display name or 'mailto:'; None where it is not one address."""
    inner = _IN_BRACKETS.search(text)
    address = (inner[1] if inner else text).strip().removeprefix("mailto:").strip(".,;").casefold()
    return address if _ADDRESS.fullmatch(address) else None
