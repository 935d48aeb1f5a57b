"""SVG by hand: a document on white with the styles of ring pictures, and the few elements they are made of.

Every text is escaped here; numbers are rounded, so that the same picture is the same bytes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from terag_pipelines.linking.web_pages import plain
from terag_pipelines.pictures import ACCENT, ALARM, INK, MUTED
from terag_pipelines.rings.geometry import Box, Curve, Point

FONT = "'DejaVu Sans',Verdana,'Segoe UI','Noto Sans',Arial,sans-serif"
QUIET = "#475569"
SHARED = "#1d4ed8"

# Shape and colour by role: shapes alone tell roles apart, so that a picture reads in black and white too.
ROLE_STYLES: dict[str, tuple[str, str]] = {
    "collector": ("triangle down", ALARM),
    "distributor": ("triangle up", "#b45309"),
    "link": ("hexagon", "#6d28d9"),
    "beneficiary": ("diamond", "#be185d"),
    "mule": ("circle", ACCENT),
    "shared_identity": ("square", SHARED),
    "associate": ("ring", QUIET),
}
_CORNERS = {  # of regular polygons: their number, the angle of the first in degrees, and their reach
    "triangle down": (3, 90, 1.5),
    "triangle up": (3, -90, 1.5),
    "hexagon": (6, 0, 1.1),
    "diamond": (4, 0, 1.25),
    "square": (4, 45, 1.3),
}
_SHIFT = {"triangle down": -0.3, "triangle up": 0.35}  # of the middle, in radii, so that it looks centred
STYLE = (
    f".ring-picture text{{font-family:{FONT};font-size:12px;fill:{INK};stroke:none}}"
    f".ring-picture .small{{font-size:10.5px}}.ring-picture .quiet{{fill:{QUIET}}}"
    ".ring-picture .inside{fill:#fff;font-weight:bold;font-size:11px}"
    f".ring-picture .on-white{{fill:{INK};font-weight:bold;font-size:11px}}"
    ".ring-picture .strong{font-weight:bold}"
    f".ring-picture .tie{{stroke:{SHARED};stroke-width:1.1;stroke-dasharray:4 3;fill:none;opacity:.75}}"
    f".ring-picture .plain-tie{{stroke:{QUIET};stroke-width:1.4;opacity:.7}}"
    f".ring-picture .tag{{fill:#fff;stroke:{SHARED};stroke-width:1.1;stroke-dasharray:4 3}}"
    f".ring-picture .flow{{stroke:{INK};fill:none}}.ring-picture .head{{fill:{INK}}}"
    f".ring-picture .lane{{stroke:#e2e8f0;stroke-width:1}}"
    f".ring-picture .axis{{stroke:{MUTED};stroke-width:1}}"
    f".ring-picture .in{{fill:{ACCENT}}}.ring-picture .out{{fill:#b45309}}"
    ".ring-picture .under{fill:#fff;fill-opacity:.88}"
)


def document(box: Box, told: str, parts: Sequence[str]) -> str:
    """A whole picture of what lies in the box; `told` says in words what it shows."""
    width, height = box.right - box.left, box.bottom - box.top
    view = " ".join(n(value) for value in (box.left, box.top, width, height))
    paper = (
        f'<rect x="{n(box.left)}" y="{n(box.top)}" width="{n(width)}" height="{n(height)}" fill="#ffffff"/>'
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="ring-picture" width="{n(width)}" '
        f'height="{n(height)}" viewBox="{view}" role="img" aria-label="{plain(told)}">'
        f"<style>{STYLE}</style>{paper}{''.join(parts)}</svg>"
    )


def n(value: float) -> str:
    """A coordinate to a tenth of a pixel."""
    text = f"{value:.1f}".removesuffix(".0")
    return "0" if text == "-0" else text


def words(text: str, at: Point, anchor: str = "start", kind: str = "") -> str:
    """A text whose line is centred on the point's height."""
    names = f' class="{kind}"' if kind else ""
    where = "" if anchor == "start" else f' text-anchor="{anchor}"'
    return f'<text{names} x="{n(at[0])}" y="{n(at[1] + 4)}"{where}>{plain(text)}</text>'


def rectangle(box: Box, kind: str, corner: float = 0) -> str:
    """A box, filled and lined as its class says."""
    round_off = f' rx="{n(corner)}"' if corner else ""
    return (
        f'<rect class="{kind}" x="{n(box.left)}" y="{n(box.top)}" width="{n(box.right - box.left)}" '
        f'height="{n(box.bottom - box.top)}"{round_off}/>'
    )


def line(start: Point, end: Point, kind: str) -> str:
    """A straight line."""
    ends = f'x1="{n(start[0])}" y1="{n(start[1])}" x2="{n(end[0])}" y2="{n(end[1])}"'
    return f'<line class="{kind}" {ends}/>'


def grouped(told: str, *parts: str) -> str:
    """Elements that belong together, with what a pointer over them shows."""
    return f"<g><title>{plain(told)}</title>{''.join(parts)}</g>"


def arrow(curve: Curve, width: float, opacity: float = 0.85) -> str:
    """A line along the curve with a head at its end that is wider than the line."""
    long, half = 7 + 1.6 * width, 3 + 1.1 * width
    (x, y), (fx, fy) = curve.end, curve.middle
    if math.dist(curve.end, curve.middle) < long:
        fx, fy = curve.start
    far = max(math.hypot(x - fx, y - fy), 1e-9)
    dx, dy = (x - fx) / far, (y - fy) / far
    foot = (x - dx * long, y - dy * long)
    corners = [(x, y), (foot[0] - dy * half, foot[1] + dx * half), (foot[0] + dy * half, foot[1] - dx * half)]
    stem = (
        f"M{n(curve.start[0])} {n(curve.start[1])}Q{n(curve.middle[0])} {n(curve.middle[1])} "
        f"{n(foot[0] + dx)} {n(foot[1] + dy)}"
    )
    return (
        f'<g opacity="{opacity:.2f}"><path class="flow" d="{stem}" stroke-width="{width:.1f}"/>'
        f'<path class="head" d="{_path(corners)}"/></g>'
    )


def mark(role: str, at: Point, radius: float, inside: str = "") -> str:
    """The mark of a member by its role, with a number in it."""
    shape, colour = ROLE_STYLES.get(role, ROLE_STYLES["associate"])
    if shape in ("circle", "ring"):
        fill = colour if shape == "circle" else "#ffffff"
        drawn = (
            f'<circle cx="{n(at[0])}" cy="{n(at[1])}" r="{n(radius)}" fill="{fill}" stroke="{colour}" '
            'stroke-width="1.8"/>'
        )
    else:
        drawn = f'<path d="{_path(_corners(shape, at, radius))}" fill="{colour}" stroke="#ffffff"/>'
    kind = "on-white" if shape == "ring" else "inside"
    return drawn + (words(inside, at, "middle", kind) if inside else "")


def watchlist_mark(at: Point, radius: float) -> str:
    """The ring round a member on a watchlist, and a black flag with an exclamation mark."""
    x, y = at[0] + (radius + 5) * 0.75, at[1] - (radius + 5) * 0.75
    return (
        f'<circle cx="{n(at[0])}" cy="{n(at[1])}" r="{n(radius + 4)}" fill="none" stroke="#000" '
        f'stroke-width="2"/><circle cx="{n(x)}" cy="{n(y)}" r="7" fill="#000" stroke="#fff"/>'
        + words("!", (x, y), "middle", "inside")
    )


def _corners(shape: str, at: Point, radius: float) -> list[Point]:
    n_corners, first, reach = _CORNERS[shape]
    y = at[1] + _SHIFT.get(shape, 0.0) * radius
    angles = [math.radians(first + 360 * corner / n_corners) for corner in range(n_corners)]
    return [(at[0] + reach * radius * math.cos(a), y + reach * radius * math.sin(a)) for a in angles]


def _path(corners: Sequence[Point]) -> str:
    return "M" + "L".join(f"{n(x)} {n(y)}" for x, y in corners) + "Z"
