"""When an alert that nobody takes is told again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class EscalationPolicy:
    """After how many hours an open alert that nobody acknowledged is told again, by severity, ascending."""

    hours: Mapping[str, tuple[float, ...]] = field(
        default_factory=lambda: {"critical": (1.0, 4.0), "high": (8.0, 24.0), "medium": (48.0,)}
    )
