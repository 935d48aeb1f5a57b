"""Where the members of a ring stand in its drawing, so that its shape is seen.

Money that goes round is a circle; what is gathered or spread stands in columns from payers to payees; those
who share an identity stand round what they share. Rows are so far apart that no label touches another.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from terag_pipelines.rings.geometry import Point
from terag_pipelines.rings.scenes import Flow, Member, RingScene

CENTRAL_ROLES = ("collector", "distributor")
MAX_COLUMNS = 5
INNER = "inner"  # the side of names in columns between others: above or below, where there is room
MAX_INNER_ROWS = 14  # as these names need more room
COLUMN_GAP = {2: 330, 3: 270, 4: 210, 5: 190}
EVEN_ANGLES = 12  # up to so many members stand at even angles of a circle, more in even rows
SMALL = 24  # more members than that are drawn smaller

Net = Mapping[int, Mapping[int, float]]


@dataclass(frozen=True)
class Spot:
    """Where a member stands, and on which side its name is: "left", "right", "above", "below" or INNER."""

    x: float
    y: float
    side: str

    @property
    def point(self) -> Point:
        """The place alone."""
        return self.x, self.y


@dataclass(frozen=True)
class Layout:
    """The spot of each member by its number; `radius` is that of a member's mark."""

    spots: Mapping[int, Spot]
    radius: float


def lay_out(scene: RingScene) -> Layout:
    """Spots for all members of a scene, of which there is at least one."""
    radius = 13.0 if len(scene.members) <= SMALL else 10.5
    columns = [] if scene.kind in ("cycle", "shared_identity", "dense_group") else place_in_columns(scene)
    if columns:
        return Layout(_spots_of_columns(columns, radius), radius)
    order = _by_what_is_shared(scene) if scene.kind != "cycle" else [one.number for one in scene.members]
    return Layout(_spots_of_circle(order), radius)


def place_in_columns(scene: RingScene) -> list[list[int]]:
    """Members by column, in the direction of the money; no columns where it has no clear direction."""
    flows = scene.flows()
    net = _net_flows(flows)
    for first in (_first_steps(scene.members, net), dict.fromkeys(_middle(scene.members), 0)):
        columns = _gather_columns(_spread_steps(scene.members, net, first))
        is_deep = len(columns) > MAX_COLUMNS or any(len(c) > MAX_INNER_ROWS for c in columns[1:-1])
        if len(columns) > 1 and not is_deep:
            return _untangle(columns, flows)
    return []


def _net_flows(flows: Sequence[Flow]) -> Net:
    """What each paid each other more than it got from it."""
    net: dict[int, dict[int, float]] = defaultdict(lambda: defaultdict(float))
    for flow in flows:
        net[flow.payer][flow.payee] += flow.size
        net[flow.payee][flow.payer] -= flow.size
    return net


def _gather_columns(steps: Mapping[int, int]) -> list[list[int]]:
    columns: dict[int, list[int]] = defaultdict(list)
    for number, step in sorted(steps.items()):
        columns[step].append(number)
    return [columns[step] for step in sorted(columns)]


def _spread_steps(members: Sequence[Member], net: Net, first: Mapping[int, int]) -> dict[int, int]:
    """How many steps after (or, negative, before) the central members money passes each of the others.

    Those that no money connects with them stand with the payers, in the first column.
    """
    steps = dict(first)
    while further := _next_steps(net, steps):
        steps |= further
    least = min(steps.values())
    return {member.number: steps.get(member.number, least) for member in members}


def _next_steps(net: Net, steps: Mapping[int, int]) -> dict[int, int]:
    """The members one payment further: each goes to the side to which most of its money goes."""
    pull: dict[int, dict[int, float]] = defaultdict(lambda: defaultdict(float))
    for number, step in steps.items():
        for other, paid in net.get(number, {}).items():
            if other not in steps:
                pull[other][step + (1 if paid > 0 else -1)] += abs(paid)
    return {
        number: max(sides, key=lambda step: (sides[step], -step)) for number, sides in sorted(pull.items())
    }


def _first_steps(members: Sequence[Member], net: Net) -> dict[int, int]:
    """The central members: distributors after the collectors that pay them, else before those in between."""
    roles = {member.number: member.role for member in members}
    middle = _middle(members)
    spread = [number for number in middle if roles[number] == "distributor"]
    gathered = [number for number in middle if number not in spread]
    if not (spread and gathered):
        return dict.fromkeys(middle, 0)
    passed_on = sum(net.get(one, {}).get(other, 0.0) for one in gathered for other in spread)
    return dict.fromkeys(gathered, 0) | dict.fromkeys(spread, 1 if passed_on > 0 else -2)


def _middle(members: Sequence[Member]) -> list[int]:
    """The collectors and distributors; where there are none, whoever moved most."""
    central = [member.number for member in members if member.role in CENTRAL_ROLES]
    if central and len(central) <= max(1, len(members) // 3):
        return central
    return [max(members, key=lambda member: (member.flow, -member.number)).number]


def _untangle(columns: list[list[int]], flows: Sequence[Flow]) -> list[list[int]]:
    """Each column in the order of its neighbours (barycentres, Sugiyama et al. 1981), four times over."""
    ends = [(flow.payer, flow.payee, flow.size) for flow in flows]
    for _ in range(4):
        height = {number: at / len(column) for column in columns for at, number in enumerate(column)}
        columns = [sorted(column, key=lambda n: (round(_pull(n, ends, height), 6), n)) for column in columns]
    return columns


def _pull(number: int, ends: Sequence[tuple[int, int, float]], height: Mapping[int, float]) -> float:
    near = [(b if a == number else a, size) for a, b, size in ends if number in (a, b)]
    weight = sum(size for _, size in near)
    return sum(height[other] * size for other, size in near) / weight if weight else 0.5


def _spots_of_columns(columns: Sequence[Sequence[int]], radius: float) -> dict[int, Spot]:
    spots: dict[int, Spot] = {}
    gap = COLUMN_GAP[len(columns)] + 5 * max(0, max(map(len, columns)) - 12)
    for at, column in enumerate(columns):
        side = "left" if at == 0 else "right" if at == len(columns) - 1 else INNER
        least = 68 if side == INNER else 2 * radius + 6
        step = min(max(400 / len(column), least), 96)
        for row, number in enumerate(column):
            spots[number] = Spot(at * gap, (row - (len(column) - 1) / 2) * step, side)
    return spots


def _spots_of_circle(order: Sequence[int]) -> dict[int, Spot]:
    n = len(order)
    places = _even_angles(n) if n <= EVEN_ANGLES else _even_rows(n)
    return dict(zip(order, places, strict=True))


def _even_angles(n: int) -> list[Spot]:
    """Clockwise; an odd number begins at the top, so that no two stand above each other at the poles."""
    radius, start = 115 + 9 * n, 0.0 if n % 2 else math.pi / n
    spots = []
    for at in range(n):
        angle = start + 2 * math.pi * at / n
        x, y = radius * math.sin(angle), -radius * math.cos(angle)
        side = "above" if abs(x) < 1 and y < 0 else "below" if abs(x) < 1 else "right" if x > 0 else "left"
        spots.append(Spot(x, y, side))
    return spots


def _even_rows(n: int) -> list[Spot]:
    """Clockwise on a circle, but each half in rows of one height, so that labels beside them are apart."""
    n_right = (n + 1) // 2
    radius = max(190.0, 18.5 * n_right)
    right = [-radius + (at + 0.5) * 2 * radius / n_right for at in range(n_right)]
    n_left = n - n_right
    left = [radius - (at + 0.5) * 2 * radius / n_left for at in range(n_left)]
    return [
        Spot(sign * math.sqrt(radius**2 - y**2), y, side)
        for sign, side, rows in ((1, "right", right), (-1, "left", left))
        for y in rows
    ]


def _by_what_is_shared(scene: RingScene) -> list[int]:
    """Members that share the same things beside each other."""
    held = {
        member.number: [at for at, shared in enumerate(scene.shared) if member.number in shared.holders]
        for member in scene.members
    }
    return sorted(held, key=lambda number: (not held[number], held[number], number))
