"""Boxes, the widths of texts, and curves: what is needed to draw without one thing lying on another."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Point = tuple[float, float]

_NARROW = frozenset("iljtfrI.,:;'|!()[] -/·іїј")
_WIDE = frozenset("mwMWшщжюыфдцъљњәөқҗҢ^ЪмШЩЖЮЫФДМОҒҮӘӨЉЊOQ@%—…×+=<>&#~")
_NARROW_EM, _LOWER_EM, _UPPER_EM, _WIDE_EM, _FULL_EM = 0.43, 0.67, 0.84, 1.1, 1.1


@dataclass(frozen=True)
class Box:
    """A rectangle; y grows downwards."""

    left: float
    top: float
    right: float
    bottom: float

    def overlaps(self, other: Box, gap: float = 0.0) -> bool:
        """Whether the two share some area, or come nearer than `gap`."""
        across = self.left < other.right + gap and other.left < self.right + gap
        return across and self.top < other.bottom + gap and other.top < self.bottom + gap

    def is_free_of(self, others: Iterable[Box], gap: float = 0.0) -> bool:
        """Whether it overlaps none of the others."""
        return not any(self.overlaps(other, gap) for other in others)

    def count_inside(self, points: Floats) -> int:
        """How many of the n x 2 points lie in it."""
        x, y = points[:, 0], points[:, 1]
        return int(((x > self.left) & (x < self.right) & (y > self.top) & (y < self.bottom)).sum())


def box_around(centre: Point, width: float, height: float) -> Box:
    """The box of this size with its middle there."""
    (x, y), w, h = centre, width / 2, height / 2
    return Box(x - w, y - h, x + w, y + h)


def grow(box: Box, by: float) -> Box:
    """The box with so much more on every side."""
    return Box(box.left - by, box.top - by, box.right + by, box.bottom + by)


def bounds(boxes: Sequence[Box]) -> Box:
    """The smallest box that holds all of these, of which there is at least one."""
    return Box(
        min(box.left for box in boxes),
        min(box.top for box in boxes),
        max(box.right for box in boxes),
        max(box.bottom for box in boxes),
    )


def text_width(text: str, size: float) -> float:
    """At most how wide a text is in one of the wide sans-serif fonts (DejaVu, Verdana) of this size."""
    return size * sum(_em(letter) for letter in text)


def _em(letter: str) -> float:
    if unicodedata.combining(letter):
        return 0.0
    if unicodedata.east_asian_width(letter) in "WF":
        return _FULL_EM
    if letter in _NARROW:
        return _NARROW_EM
    if letter in _WIDE:
        return _WIDE_EM
    return _LOWER_EM if letter.islower() or letter.isdigit() else _UPPER_EM


def shorten_to(text: str, width: float, size: float) -> str:
    """The text, or as much of it as fits into the width, with an ellipsis."""
    if text_width(text, size) <= width:
        return text
    kept = len(text)
    while kept and text_width(text[:kept], size) + size * _WIDE_EM > width:
        kept -= 1
    return text[:kept].rstrip() + "…"


def wrap(text: str, width: float, size: float) -> tuple[str, ...]:
    """The text in one line, or in two parted at a space, each as much as fits into the width."""
    if text_width(text, size) <= width or " " not in text.strip():
        return (shorten_to(text, width, size),)
    words = text.split()
    n_first = len(words) - 1
    while n_first > 1 and text_width(" ".join(words[:n_first]), size) > width:
        n_first -= 1
    parts = (" ".join(words[:n_first]), " ".join(words[n_first:]))
    return tuple(shorten_to(part, width, size) for part in parts)


@dataclass(frozen=True)
class Curve:
    """A quadratic Bézier curve (a straight line where the middle point lies between the ends)."""

    start: Point
    middle: Point
    end: Point

    def at(self, share: float) -> Point:
        """The point after this share of the way, 0 to 1."""
        x, y = self.points(np.array([share]))[0]
        return float(x), float(y)

    def points(self, shares: Floats) -> Floats:
        """n x 2 points after these shares of the way."""
        t = shares[:, None]
        start, middle, end = (np.array(point) for point in (self.start, self.middle, self.end))
        found: Floats = (1 - t) ** 2 * start + 2 * t * (1 - t) * middle + t**2 * end
        return found


def bend(start: Point, end: Point, by: float) -> Curve:
    """From start to end, bowed to the left of the way: its middle point by this share of the distance."""
    (x1, y1), (x2, y2) = start, end
    middle = ((x1 + x2) / 2 + (y2 - y1) * by, (y1 + y2) / 2 - (x2 - x1) * by)
    return Curve(start, middle, end)


def trim(curve: Curve, at_start: float, at_end: float) -> Curve:
    """The curve without its first and last pixels, so that it ends at the rims of what it joins."""
    start, end = (
        _towards(end, curve.middle, by) for end, by in ((curve.start, at_start), (curve.end, at_end))
    )
    return Curve(start, curve.middle, end)


def _towards(point: Point, other: Point, by: float) -> Point:
    (x, y), (ox, oy) = point, other
    far = max(float(np.hypot(ox - x, oy - y)), 1e-9)
    return x + (ox - x) * by / far, y + (oy - y) * by / far
