"""When money moved between the members of a ring: SVG, the same bytes for the same transfers.

A few transfers are arrows from the payer's line to the payee's, in the order of time, with long silences
shortened. Many are summed by day or longer: a bar for each period, and for each member what came in and went
out. Times are in UTC.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

from terag_pipelines.money import Money
from terag_pipelines.rings.drawing import MAX_DRAWN, say_left_out
from terag_pipelines.rings.geometry import Box, Curve, box_around, shorten_to, text_width
from terag_pipelines.rings.scenes import Member, RingScene, Transfer, busiest, sum_money
from terag_pipelines.rings.svg import (
    arrow,
    document,
    grouped,
    line,
    mark,
    n,
    rectangle,
    watchlist_mark,
    words,
)
from terag_pipelines.rings.words import (
    name_currency,
    say_count,
    say_day,
    say_in_words,
    say_instant,
    say_money,
    say_round,
    say_sums,
)

MAX_ARROWS = 85
MAX_PERIODS = 120
PERIODS = (1, 7, 28, 91, 364)  # days
WIDTH = 760.0  # of the part with time
NAME_WIDTH = 190.0
LEFT = NAME_WIDTH + 40.0
MARGIN = 16.0
BARS_HEIGHT, AXIS_HEIGHT = 110.0, 30.0
CLOSEST, WIDEST = 8.0, 60.0  # between one transfer and the next, where silences are shortened


@dataclass(frozen=True)
class _Frame:
    """Where the members' lines are: `lanes` by number, from `top` to `bottom`, time from LEFT to `right`."""

    lanes: Mapping[int, float]
    top: float
    bottom: float
    right: float


def draw_timeline(scene: RingScene, names: Mapping[int, str] | None = None) -> str:
    """The transfers between members over time as SVG. Names as for draw_ring; totals are exact."""
    drawn = busiest(scene, MAX_DRAWN)
    called = {one.number: one.entity_id for one in drawn.members} if names is None else names
    head, top = _head(scene)
    if not drawn.transfers:
        return document(Box(0, 0, LEFT + WIDTH + MARGIN, top + 10), "timeline without transfers", head)
    is_summed = len(drawn.transfers) > MAX_ARROWS
    draw = _draw_sums if is_summed else _draw_arrows
    parts, bottom = draw(drawn, called, top)
    foot = _foot(drawn, is_summed, bottom)
    box = Box(0, 0, LEFT + WIDTH + MARGIN, bottom + 20 + 18 * len(foot))
    return document(box, f"timeline of {say_count(len(scene.transfers), 'transfer')}", [*head, *parts, *foot])


def _head(scene: RingScene) -> tuple[list[str], float]:
    """The exact total of each currency, in words."""
    told = [f"{say_count(len(scene.transfers), 'transfer')} between members"]
    told += [f"{say_in_words(total)} in {n_moved}" for total, n_moved in _totals(scene.transfers)]
    if scene.transfers:
        first, last = scene.transfers[0].occurred_at, scene.transfers[-1].occurred_at
        told.append(f"from {say_instant(first)} to {say_instant(last)} UTC")
    texts = [words(text, (MARGIN, 16 + 18 * at), kind="" if at else "strong") for at, text in enumerate(told)]
    return texts, 16 + 18 * len(told)


def _totals(transfers: Sequence[Transfer]) -> Iterator[tuple[Money, str]]:
    for total in sum_money(transfers):
        n_moved = sum(one.currency == total.currency for one in transfers)
        yield total, say_count(n_moved, "transfer")


def _foot(scene: RingScene, is_summed: bool, bottom: float) -> list[str]:
    told = (
        "On each member's line: above it what came in from members, below it what went out."
        if is_summed
        else "Arrows go from payer to payee, wider for more; silences between them are shortened."
    )
    texts = [told, *say_left_out(scene)]
    return [words(text, (MARGIN, bottom + 18 + 18 * at), kind="small quiet") for at, text in enumerate(texts)]


def _lanes(members: Sequence[Member], top: float, right: float, height: float) -> _Frame:
    lanes = {member.number: top + (at + 0.5) * height for at, member in enumerate(members)}
    return _Frame(lanes, top, top + height * len(members), right)


def _draw_lanes(frame: _Frame, members: Sequence[Member], names: Mapping[int, str]) -> list[str]:
    parts = []
    for member in members:
        y = frame.lanes[member.number]
        name = shorten_to(names[member.number], NAME_WIDTH - MARGIN, 10.5)
        at = (LEFT - 18, y)
        parts += [
            line((LEFT, y), (frame.right, y), "lane"),
            mark(member.role, at, 5),
            watchlist_mark(at, 5) if member.is_watchlist else "",
            words(f"{member.number}", (LEFT - 32, y), "end", "small strong"),
            words(name, (LEFT - 50, y), "end", "small"),
        ]
    return parts


# A few transfers: arrows


def _draw_arrows(scene: RingScene, names: Mapping[int, str], top: float) -> tuple[list[str], float]:
    places = _spread(scene.transfers)
    frame = _lanes(scene.members, top + 34, LEFT + WIDTH, 24.0)
    ends = [(frame.lanes[one.payer], frame.lanes[one.payee]) for one in scene.transfers]
    largest = max(one.size for one in scene.transfers)
    arrows = [
        _transfer(one, x, *ys, 1 + 2.5 * math.sqrt(one.size / largest))
        for one, x, ys in zip(scene.transfers, places, ends, strict=True)
    ]
    lanes = _draw_lanes(frame, scene.members, names)
    labels = _label_amounts(scene.transfers, places, ends)
    return [*lanes, *_name_days(scene.transfers, places, frame), *arrows, *labels], frame.bottom


def _spread(transfers: Sequence[Transfer]) -> list[float]:
    """A place for each transfer: the longer the silence before it, the further, but within bounds."""
    steps = [
        CLOSEST + 6 * math.log2(1 + (later.occurred_at - one.occurred_at) / timedelta(hours=1))
        for one, later in pairwise(transfers)
    ]
    steps = [min(step, WIDEST) for step in steps]
    room, least = WIDTH - 60, CLOSEST * len(steps)
    shrink = min(1.0, (room - least) / max(sum(steps) - least, 1e-9))
    places = [LEFT + 30]
    for step in steps:
        places.append(places[-1] + CLOSEST + (step - CLOSEST) * shrink)
    return places


def _transfer(one: Transfer, x: float, payer_y: float, payee_y: float, width: float) -> str:
    way = 1 if payee_y > payer_y else -1
    curve = Curve((x, payer_y), (x, (payer_y + payee_y) / 2), (x, payee_y - way))
    told = f"{one.payer} → {one.payee}: {say_money(one.money)}, {say_instant(one.occurred_at)} UTC"
    dot = f'<circle class="head" cx="{n(x)}" cy="{n(payer_y)}" r="{n(1.5 + width / 2)}"/>'
    return grouped(told, dot, arrow(curve, width))


def _name_days(transfers: Sequence[Transfer], places: Sequence[float], frame: _Frame) -> list[str]:
    """A line where each day begins, with its date where there is room for it."""
    parts, free, known = [], 0.0, ""
    for one, x in zip(transfers, places, strict=True):
        day = say_day(one.occurred_at)
        if day == known:
            continue
        known, width = day, text_width(day, 10.5)
        parts.append(line((x - 5, frame.top - 4), (x - 5, frame.bottom), "lane"))
        left = min(x - 5, frame.right + MARGIN - width)
        if left >= free:
            parts.append(words(day, (left, frame.top - 14), kind="small quiet"))
            free = left + width + 6
    return parts


def _label_amounts(
    transfers: Sequence[Transfer], places: Sequence[float], ends: Sequence[tuple[float, float]]
) -> list[str]:
    """Rounded amounts beside the arrows, the largest first, where nothing else is."""
    several = len({one.currency for one in transfers}) > 1
    stems = [Box(x - 4, min(ys), x + 4, max(ys)) for x, ys in zip(places, ends, strict=True)]
    full, labels = list(stems), []
    for at in sorted(range(len(transfers)), key=lambda at: (-transfers[at].size, at)):
        text = say_round(transfers[at].money, with_currency=several)
        width = text_width(text, 10.5)
        box = box_around((places[at] + 7 + width / 2, sum(ends[at]) / 2), width, 13)
        if box.right <= LEFT + WIDTH and box.is_free_of(full):
            full.append(box)
            middle = ((box.left + box.right) / 2, (box.top + box.bottom) / 2)
            labels.append(rectangle(box, "under") + words(text, middle, "middle", "small"))
    return labels


# Many transfers: sums by period


def _draw_sums(scene: RingScene, names: Mapping[int, str], top: float) -> tuple[list[str], float]:
    first, last = (scene.transfers[at].occurred_at for at in (0, -1))
    days = _choose_period(first, last)
    start = first.replace(hour=0, minute=0, second=0, microsecond=0)
    n_periods = (last - start).days // days + 1
    step = WIDTH / n_periods

    def period_of(one: Transfer) -> int:
        return (one.occurred_at - start).days // days

    bars_bottom = top + 30 + BARS_HEIGHT
    frame = _lanes(scene.members, bars_bottom + AXIS_HEIGHT, LEFT + WIDTH, 26.0)
    parts = [
        *_bars(scene.transfers, period_of, step, days, (top + 30, bars_bottom)),
        *_ticks(start, n_periods, days, step, (bars_bottom, frame.bottom)),
        *_draw_lanes(frame, scene.members, names),
        *_in_and_out(scene, period_of, step, frame),
    ]
    return parts, frame.bottom


def _choose_period(first: datetime, last: datetime) -> int:
    n_days = (last - first).days + 2
    return next((days for days in PERIODS if n_days <= days * MAX_PERIODS), PERIODS[-1])


def _bars(
    transfers: Sequence[Transfer],
    period_of: Callable[[Transfer], int],
    step: float,
    days: int,
    heights: tuple[float, float],
) -> list[str]:
    """The sum of each period in the currency of most transfers; the others are in the totals only."""
    currency = sum_money(transfers)[0].currency
    told = f"{name_currency(currency)}, {'by day' if days == 1 else f'by {days} days'}"
    sums: dict[int, list[Transfer]] = {}
    for one in transfers:
        if one.currency == currency:
            sums.setdefault(period_of(one), []).append(one)
    totals = {at: sum_money(moved)[0] for at, moved in sums.items()}
    largest = max(totals.values(), key=lambda total: total.amount_minor)
    top, bottom = heights
    parts = [words(told, (LEFT, top - 14), kind="small quiet")]
    parts += [
        words(say_round(largest), (LEFT - 6, top), "end", "small quiet"),
        line((LEFT - 4, top), (LEFT + WIDTH, top), "lane"),
    ]
    for at, total in sorted(totals.items()):
        height = max(1.0, (bottom - top) * total.amount_minor / largest.amount_minor)
        box = _slot(at, step, bottom - height, bottom)
        parts.append(
            grouped(f"{say_count(len(sums[at]), 'transfer')}, {say_money(total)}", rectangle(box, "head"))
        )
    return parts


def _slot(at: int, step: float, top: float, bottom: float) -> Box:
    gap = min(1.0, step / 8)
    return Box(LEFT + at * step + gap, top, LEFT + (at + 1) * step - gap, bottom)


def _ticks(
    start: datetime, n_periods: int, days: int, step: float, heights: tuple[float, float]
) -> list[str]:
    """Dates below the bars, as many as there is room for, and lines down through the members."""
    each = max(1, math.ceil(90 / step))
    parts = [line((LEFT, heights[0]), (LEFT + WIDTH, heights[0]), "axis")]
    for at in range(0, n_periods, each):
        x = LEFT + at * step
        parts.append(line((x, heights[0]), (x, heights[1]), "lane"))
        if x + 80 <= LEFT + WIDTH + MARGIN or at == 0:
            day = say_day(start + timedelta(days=at * days))
            parts.append(words(day, (x + 2, heights[0] + 12), kind="small quiet"))
    return parts


def _in_and_out(
    scene: RingScene, period_of: Callable[[Transfer], int], step: float, frame: _Frame
) -> list[str]:
    """Bars up from a member's line for what came in, down for what went out; their height as the root."""
    moved: dict[tuple[int, int, bool], list[Transfer]] = {}
    for one in scene.transfers:
        moved.setdefault((one.payee, period_of(one), True), []).append(one)
        moved.setdefault((one.payer, period_of(one), False), []).append(one)
    sizes = {key: sum(one.size for one in transfers) for key, transfers in moved.items()}
    largest = max(sizes.values())
    parts = []
    for (number, at, is_in), transfers in sorted(moved.items()):
        y, height = frame.lanes[number], max(1.0, 11 * math.sqrt(sizes[number, at, is_in] / largest))
        box = _slot(at, step, y - height, y) if is_in else _slot(at, step, y, y + height)
        told = f"{number} {'got' if is_in else 'paid'} {say_sums(sum_money(transfers))}"
        parts.append(grouped(told, rectangle(box, "in" if is_in else "out")))
    return parts
