"""How the resolution of communities was chosen, as SVG: how well partitions agree at each one tried."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import polars as pl

from terag_pipelines.pictures import ACCENT, ALARM
from terag_pipelines.rings.geometry import Box, Point, text_width
from terag_pipelines.rings.resolution import ResolutionChoice
from terag_pipelines.rings.svg import QUIET, document, line, n, words

LEFT, TOP, WIDTH, HEIGHT = 60.0, 46.0, 640.0, 190.0
BOTTOM = TOP + HEIGHT
SMALL = 10.5


@dataclass(frozen=True)
class _Scale:
    """Places in the picture: resolutions by their logarithm, agreement from 0 to 1."""

    least: float
    most: float

    def at(self, resolution: float, agreement: float) -> Point:
        span = max(math.log10(self.most / self.least), 1e-9)
        x = LEFT + WIDTH * math.log10(resolution / self.least) / span
        return x, BOTTOM - HEIGHT * min(max(agreement, 0.0), 1.0)


def draw_profile(choice: ResolutionChoice, resolution: float) -> str:
    """The agreement of seeds at every resolution that was tried, and the one that was taken."""
    tried = choice.profile["resolution"].to_list()
    scale = _Scale(min(*tried, resolution), max(*tried, resolution))
    title = "how well partitions from different seeds agree, by resolution"
    parts = [
        words(title, (LEFT, 14), kind="strong"),
        *_axes(scale),
        *_curve(choice.profile, scale),
        *_chance(choice, scale),
        *_taken(choice, resolution, scale),
        *_legend(),
    ]
    return document(Box(0, 0, LEFT + WIDTH + 30, BOTTOM + 76), title, parts)


def _axes(scale: _Scale) -> Iterator[str]:
    for agreement in (0.0, 0.25, 0.5, 0.75, 1.0):
        y = scale.at(scale.least, agreement)[1]
        yield line((LEFT, y), (LEFT + WIDTH, y), "lane")
        yield words(f"{agreement:g}", (LEFT - 8, y), "end", "small quiet")
    decades = range(math.ceil(math.log10(scale.least)), math.floor(math.log10(scale.most)) + 1)
    ticks = [10.0**power for power in decades] or [scale.least, scale.most]
    for value in ticks:
        x = scale.at(value, 0)[0]
        yield line((x, BOTTOM), (x, BOTTOM + 5), "axis")
        yield words(f"{value:.3g}", (x, BOTTOM + 14), "middle", "small quiet")
    yield line((LEFT, BOTTOM), (LEFT + WIDTH, BOTTOM), "axis")
    yield words("resolution", (LEFT + WIDTH, BOTTOM + 30), "end", "small quiet")


def _curve(profile: pl.DataFrame, scale: _Scale) -> Iterator[str]:
    rows = list(profile.select("resolution", "seed_agreement", "is_trivial", "n_communities").iter_rows())
    points = [scale.at(resolution, agreement) for resolution, agreement, *_ in rows]
    yield _path(points)
    free = 0.0
    for (x, y), (*_, is_trivial, n_communities) in zip(points, rows, strict=True):
        yield _dot((x, y), is_hollow=is_trivial)
        width = text_width(f"{n_communities:,}", SMALL)
        if x - width / 2 >= free and y - 18 > TOP:
            yield words(f"{n_communities:,}", (x, y - 11), "middle", "small quiet")
            free = x + width / 2 + 4


def _path(points: Sequence[Point]) -> str:
    steps = "L".join(f"{n(x)} {n(y)}" for x, y in points)
    return f'<path d="M{steps}" fill="none" stroke="{ACCENT}" stroke-width="2"/>'


def _dot(at: Point, is_hollow: bool) -> str:
    fill = "#ffffff" if is_hollow else ACCENT
    return f'<circle cx="{n(at[0])}" cy="{n(at[1])}" r="3.5" fill="{fill}" stroke="{ACCENT}"/>'


def _chance(choice: ResolutionChoice, scale: _Scale) -> Iterator[str]:
    yield _cross(scale.at(choice.resolution, choice.chance_agreement), 9)


def _cross(at: Point, reach: float) -> str:
    x, y = at
    across, down = f"M{n(x - reach)} {n(y)}h{n(2 * reach)}", f"M{n(x)} {n(y - reach)}v{n(2 * reach)}"
    return f'<path d="{across}{down}" stroke="{QUIET}" stroke-width="2.5"/>'


def _taken(choice: ResolutionChoice, resolution: float, scale: _Scale) -> Iterator[str]:
    x = scale.at(resolution, 0)[0]
    told = f"taken: {resolution:.3g}" + ("" if choice.is_clear else ", the usual one")
    dashed = f'stroke="{ALARM}" stroke-width="1.5" stroke-dasharray="5 4"'
    yield f'<path d="M{n(x)} {n(TOP - 8)}V{n(BOTTOM)}" {dashed}/>'
    side = "end" if x > LEFT + WIDTH / 2 else "start"
    yield words(told, (x + (-5 if side == "end" else 5), TOP - 12), side, "small strong")


def _legend() -> Iterator[str]:
    y = BOTTOM + 46
    yield _dot((LEFT + 4, y), is_hollow=False)
    yield words("agreement of seeds, with the number of communities", (LEFT + 14, y), kind="small")
    yield _dot((LEFT + 384, y), is_hollow=True)
    yield words("nearly all in one community, or each alone", (LEFT + 394, y), kind="small")
    yield _cross((LEFT + 4, y + 18), 6)
    yield words("agreement on the same ties dealt out at random", (LEFT + 14, y + 18), kind="small")
