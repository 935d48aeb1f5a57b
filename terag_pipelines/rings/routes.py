"""The lines and labels of a ring's drawing, once its members have their places: nothing lies on anything."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from terag_pipelines.rings.geometry import (
    Box,
    Curve,
    Floats,
    Point,
    bend,
    bounds,
    box_around,
    grow,
    shorten_to,
    text_width,
    trim,
    wrap,
)
from terag_pipelines.rings.layouts import INNER, Layout, Spot, lay_out
from terag_pipelines.rings.scenes import Flow, Member, RingScene, SharedIdentifier
from terag_pipelines.rings.words import say_kinds, say_short

LABEL_SIZE, SMALL_SIZE = 12.0, 10.5
LABEL_WIDTH = 185.0
LEADING = 2.0  # between the lines of a label
MAX_TAGS = 20
MAX_LABELLED = 80  # arrows, the largest; where there are more there is no room anyway
THICKEST, THINNEST = 6.0, 1.0
SHARES = np.linspace(0.04, 0.96, 24)
SIDES = {  # to the right and down
    "left": (-1, 0),
    "right": (1, 0),
    "above": (0, -1),
    "below": (0, 1),
    "below right": (1, 1),
    "above right": (1, -1),
    "below left": (-1, 1),
    "above left": (-1, -1),
}
INNER_SIDES = ("below", "above", "below right", "above right", "below left", "above left")
ALONG = (0.5, 0.4, 0.6, 0.32, 0.68, 0.25, 0.75, 0.18, 0.82)  # where on an arrow its label may stand
ONE_WAY = (0.0, 0.12, -0.12, 0.24, -0.24, 0.4, -0.4)
AT_START, AT_END = 3.0, 4.0  # between a mark and the arrow from it or to it
NEAR = (1.2, -1.2)  # round the outside, where marks stand too close for an arrow between them
LEAST_LENGTH = 4.0
BOTH_WAYS = (0.12, 0.2, 0.32, 0.45)  # always to the left of the way, so that the two are apart


@dataclass(frozen=True)
class Label:
    """A text of one line or two in a box that no other label overlaps."""

    lines: tuple[str, ...]
    box: Box
    size: float

    def heights(self) -> list[tuple[str, float]]:
        """Each line with the height of its middle."""
        step = (self.box.bottom - self.box.top) / len(self.lines)
        return [(text, self.box.top + (at + 0.5) * step) for at, text in enumerate(self.lines)]


@dataclass(frozen=True)
class Arrow:
    """What one member paid another; `label` is None where there is no room for one."""

    flow: Flow
    curve: Curve
    width: float
    label: Label | None = None


@dataclass(frozen=True)
class Tag:
    """Things that the same members share, as one small box, tied to each of them."""

    shared: tuple[SharedIdentifier, ...]
    holders: tuple[int, ...]
    label: Label

    @property
    def middle(self) -> Point:
        """Where the ties meet."""
        box = self.label.box
        return (box.left + box.right) / 2, (box.top + box.bottom) / 2


@dataclass(frozen=True)
class Plan:
    """All that is drawn of a ring, in place; `n_untagged` shared identifiers found no room among MAX_TAGS."""

    layout: Layout
    names: Mapping[int, Label]
    arrows: tuple[Arrow, ...]
    tags: tuple[Tag, ...]
    n_untagged: int

    def marks(self) -> list[Box]:
        """The boxes of the members' marks."""
        return [mark_box(spot, self.layout.radius) for spot in self.layout.spots.values()]

    def bounds(self) -> Box:
        """The box that holds everything."""
        curves = [_hull(arrow.curve) for arrow in self.arrows]
        labels = [label.box for label in self.names.values()] + [tag.label.box for tag in self.tags]
        amounts = [arrow.label.box for arrow in self.arrows if arrow.label]
        return bounds([*self.marks(), *labels, *curves, *amounts])


def plan_drawing(scene: RingScene, names: Mapping[int, str]) -> Plan:
    """Places for the members of a scene, their names, what they share, the arrows and what those carry."""
    layout, flows = lay_out(scene), scene.flows()
    taken = [_room_of(member, layout) for member in scene.members]
    labels = _place_names(names, layout, taken, flows)
    beside = [labels[number].box for number, spot in layout.spots.items() if spot.side != INNER]
    arrows = _route(flows, layout, beside, _thickest(scene, len(flows)))
    taken += [label.box for label in labels.values()]
    groups = group_shared(scene.shared)
    tags = _place_tags(groups[:MAX_TAGS], layout, taken, arrows, has_hub=scene.kind == "shared_identity")
    taken += [tag.label.box for tag in tags]
    n_untagged = sum(len(group) for group in groups[MAX_TAGS:])
    return Plan(layout, labels, _label_arrows(arrows, taken), tags, n_untagged)


def _thickest(scene: RingScene, n_arrows: int) -> float:
    """Many arrows are thinner; money is in the background where what is shared makes the ring."""
    most = 3.0 if scene.kind == "shared_identity" else THICKEST
    return max(1.8, min(most, 12 * THICKEST / max(n_arrows, 1)))


def _room_of(member: Member, layout: Layout) -> Box:
    """The room of a member's mark, and of the flag of those on a watchlist."""
    flag = 7 if member.is_watchlist else 0
    return mark_box(layout.spots[member.number], layout.radius + flag)


def mark_box(spot: Spot, radius: float) -> Box:
    """The room of a member's mark."""
    return box_around(spot.point, 2 * radius + 4, 2 * radius + 4)


def group_shared(shared: Sequence[SharedIdentifier]) -> list[tuple[SharedIdentifier, ...]]:
    """Identifiers by who holds them, those of most members first."""
    groups: dict[tuple[int, ...], list[SharedIdentifier]] = {}
    for one in shared:
        groups.setdefault(one.holders, []).append(one)
    return [tuple(groups[holders]) for holders in sorted(groups, key=lambda h: (-len(h), h))]


def _hull(curve: Curve) -> Box:
    points = curve.points(np.linspace(0, 1, 9))
    return Box(*map(float, (*points.min(axis=0), *points.max(axis=0))))


# Names


def _place_names(
    names: Mapping[int, str], layout: Layout, marks: Sequence[Box], flows: Sequence[Flow]
) -> dict[int, Label]:
    """Names beside the outer members; those of inner columns above or below, where fewest arrows pass."""
    spots = layout.spots
    labels = {n: _name_label(names[n], s, layout.radius, s.side) for n, s in spots.items() if s.side != INNER}
    ways = [bend(spots[flow.payer].point, spots[flow.payee].point, 0).points(SHARES) for flow in flows]
    lines = np.concatenate([np.empty((0, 2)), *ways])
    for number, spot in spots.items():
        if spot.side == INNER:
            full = [*marks, *(label.box for label in labels.values())]
            tried = [_name_label(names[number], spot, layout.radius, side) for side in INNER_SIDES]
            free = [label for label in tried if label.box.is_free_of(full, 1)] or tried[:1]
            labels[number] = min(free, key=lambda label: label.box.count_inside(lines))
    return {number: labels[number] for number in spots}


def _name_label(name: str, spot: Spot, radius: float, side: str) -> Label:
    size = LABEL_SIZE if radius > 12 else SMALL_SIZE
    lines = wrap(name, LABEL_WIDTH, size)
    width = max(text_width(line, size) for line in lines)
    height = len(lines) * (size + LEADING)
    right, down = SIDES[side]
    if down == 0:
        x, y = spot.x + right * (radius + 9 + width / 2), spot.y
    else:
        x, y = spot.x + right * (width / 2 - 8), spot.y + down * (radius + 5 + height / 2)
    return Label(lines, box_around((x, y), width, height), size)


# Arrows


def _route(flows: Sequence[Flow], layout: Layout, labels: Sequence[Box], thickest: float) -> list[Arrow]:
    """The arrows, largest first, each bent as little as it takes to pass by the other members."""
    largest = max((flow.size for flow in flows), default=1.0) or 1.0
    pairs = {(flow.payer, flow.payee) for flow in flows}
    arrows = []
    for flow in sorted(flows, key=lambda flow: (-flow.size, flow.payer, flow.payee)):
        width = THINNEST + (thickest - THINNEST) * math.sqrt(flow.size / largest)
        is_both = (flow.payee, flow.payer) in pairs
        curve = _pass_by((flow.payer, flow.payee), layout, labels, _bends(flow, layout, is_both))
        arrows.append(Arrow(flow, curve, width))
    return arrows


def _bends(flow: Flow, layout: Layout, is_both: bool) -> Sequence[float]:
    """The bends to try; those of two ways are all to the left, so that the two are apart."""
    far = math.dist(layout.spots[flow.payer].point, layout.spots[flow.payee].point)
    if far < 2 * layout.radius + AT_START + AT_END + LEAST_LENGTH:
        return NEAR[:1] if is_both else NEAR
    return BOTH_WAYS if is_both else ONE_WAY


def _pass_by(ends: tuple[int, int], layout: Layout, labels: Sequence[Box], bends: Sequence[float]) -> Curve:
    start, end = (layout.spots[number].point for number in ends)
    others = np.array([spot.point for number, spot in layout.spots.items() if number not in ends])
    curves = [trim(bend(start, end, by), layout.radius + AT_START, layout.radius + AT_END) for by in bends]
    costs = [_cost(curve, others, labels, layout.radius) for curve in curves]
    return curves[int(np.argmin(np.array(costs) + 0.5 * np.abs(bends)))]


def _cost(curve: Curve, others: Floats, labels: Sequence[Box], radius: float) -> float:
    points = curve.points(SHARES)
    over_labels = sum(box.count_inside(points) for box in labels)
    if not len(others):
        return float(over_labels)
    near = np.hypot(*(points[:, None, :] - others[None, :, :]).transpose(2, 0, 1)) < radius + 5
    return 4.0 * float(near.sum()) + over_labels


def _label_arrows(arrows: Sequence[Arrow], taken: Sequence[Box]) -> tuple[Arrow, ...]:
    """What each arrow carries, the largest first, where neither a box nor another arrow is in the way."""
    has_one_currency = len({money.currency for arrow in arrows for money in arrow.flow.sums}) == 1
    paths = [arrow.curve.points(np.linspace(0, 1, 60)) for arrow in arrows]
    full, labelled = list(taken), []
    for at, arrow in enumerate(arrows[:MAX_LABELLED]):
        head = paths[at][-_head_points(arrow, paths[at]) :]
        others = np.concatenate([head, *paths[:at], *paths[at + 1 :]])
        label = _find_room(arrow.curve, say_short(arrow.flow, has_one_currency), full, others)
        full += [label.box] if label else []
        labelled.append(replace(arrow, label=label))
    return (*labelled, *arrows[MAX_LABELLED:])


def _head_points(arrow: Arrow, path: Floats) -> int:
    """How many of the last points of an arrow's path its head covers."""
    step = max(float(np.hypot(*np.diff(path, axis=0).T).mean()), 1e-9)
    return max(1, math.ceil((9 + 1.6 * arrow.width) / step))


def _find_room(curve: Curve, text: str, taken: Sequence[Box], others: Floats) -> Label | None:
    width, height = text_width(text, SMALL_SIZE) + 4, SMALL_SIZE + 3
    for share in ALONG:
        box = box_around(curve.at(share), width, height)
        if box.is_free_of(taken, 1) and not box.count_inside(others):
            return Label((text,), box, SMALL_SIZE)
    return None


# What is shared


def _place_tags(
    groups: Sequence[tuple[SharedIdentifier, ...]],
    layout: Layout,
    taken: Sequence[Box],
    arrows: Sequence[Arrow],
    has_hub: bool,
) -> tuple[Tag, ...]:
    """A box for each group; with a hub the first, of most holders, stands in their middle at any price."""
    lines = np.concatenate([np.empty((0, 2)), *(arrow.curve.points(SHARES) for arrow in arrows)])
    full, tags = list(taken), []
    for at, group in enumerate(groups):
        text, holders = shorten_to(say_kinds(group), LABEL_WIDTH, SMALL_SIZE), group[0].holders
        avoided = lines[:0] if has_hub and at == 0 else lines
        box = _nearest_room(text, holders, layout, full, avoided)
        full.append(box)
        tags.append(Tag(group, holders, Label((text,), box, SMALL_SIZE)))
    return tuple(tags)


def _nearest_room(
    text: str, holders: Sequence[int], layout: Layout, full: Sequence[Box], lines: Floats
) -> Box:
    """The free place near the middle of its holders that hides the least."""
    ends = np.array([layout.spots[number].point for number in holders])
    own = [mark_box(layout.spots[number], layout.radius) for number in holders]
    crossed = np.array([(b.left, b.top, b.right, b.bottom) for b in full if b not in own]).reshape(-1, 4)
    width, height = text_width(text, SMALL_SIZE) + 12, SMALL_SIZE + 8
    best, least = None, math.inf
    for centre in _round_about(ends.mean(axis=0)):
        far = float(np.hypot(*(ends.mean(axis=0) - centre)))
        if far >= least:
            break  # the places come by distance, and that alone costs more already
        box = box_around((float(centre[0]), float(centre[1])), width, height)
        if box.is_free_of(full, 4):
            cost = far + 20 * grow(box, 5).count_inside(lines) + 25 * _n_crossed(centre, ends, crossed)
            best, least = (box, cost) if cost < least else (best, least)
    return best or _below_everything(full, width, height)


def _round_about(middle: Floats) -> Floats:
    """Places on a grid round a point, the nearest first."""
    steps = np.arange(-264, 265, 24.0)
    grid = np.stack(np.meshgrid(steps, steps), axis=-1).reshape(-1, 2)
    order = np.lexsort((grid[:, 0], grid[:, 1], np.hypot(grid[:, 0], grid[:, 1])))
    places: Floats = middle + grid[order]
    return places


def _n_crossed(centre: Floats, ends: Floats, boxes: Floats) -> int:
    """How many marks and labels the ties from there would cross."""
    shares = np.linspace(0.1, 0.95, 16)[:, None, None]
    x, y = (centre + shares * (ends - centre)).reshape(-1, 2).T[:, :, None]
    left, top, right, bottom = boxes.T
    return int(((x > left) & (x < right) & (y > top) & (y < bottom)).any(axis=0).sum())


def _below_everything(full: Sequence[Box], width: float, height: float) -> Box:
    room = bounds(full)
    return box_around(((room.left + room.right) / 2, room.bottom + 10 + height / 2), width, height)
