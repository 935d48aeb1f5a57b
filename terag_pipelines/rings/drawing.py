"""The drawing of a ring: who is in it in which role, who pays whom, what is shared. SVG, the same bytes for
the same ring; its texts are numbers, amounts, kinds and the names that are handed in.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from terag_pipelines.rings.geometry import Box, Curve, box_around, text_width
from terag_pipelines.rings.layouts import INNER
from terag_pipelines.rings.routes import Arrow, Label, Plan, Tag, plan_drawing
from terag_pipelines.rings.scenes import ROLES, Member, RingScene, busiest
from terag_pipelines.rings.svg import (
    arrow,
    document,
    grouped,
    line,
    mark,
    rectangle,
    watchlist_mark,
    words,
)
from terag_pipelines.rings.words import name_currency, plain_kind, risk_of, say_count, say_kinds, say_sums

MAX_DRAWN = 40
LEAST_WIDTH = 620.0
MARGIN = 18.0
LINE = 19.0  # height of a line of the legend


def draw_ring(scene: RingScene, names: Mapping[int, str] | None = None) -> str:
    """A ring as SVG. Members are called by `names`, by number; without them by their entity ids.

    Of more than MAX_DRAWN members those with most flow are drawn, and the picture says how many are not.
    """
    drawn = busiest(scene, MAX_DRAWN)
    if not drawn.members:
        return document(Box(0, 0, LEAST_WIDTH, 40), "no members", [words("no members", (MARGIN, 20))])
    called = {one.number: one.entity_id for one in drawn.members} if names is None else names
    plan = plan_drawing(drawn, called)
    room = _widen(plan.bounds())
    legend, height = _legend(drawn, plan, room)
    box = Box(room.left, room.top - 2 * LINE, room.right, room.bottom + height)
    title = words(say_title(scene), (room.left + MARGIN, box.top + 20), kind="strong")
    return document(box, say_title(scene), [title, *_parts(drawn, plan, called), *legend])


def say_title(scene: RingScene) -> str:
    """A ring in one line, without anybody's name."""
    ring = scene.ring
    risk = f"{'probability' if ring['is_calibrated'] else 'score'} {risk_of(ring):.2f}"
    return (
        f"{ring['ring_id']}: {say_count(len(scene.members), 'member')}, {plain_kind(scene.kind)}, risk {risk}"
    )


def _widen(room: Box) -> Box:
    """At least LEAST_WIDTH, with a margin."""
    more = max(LEAST_WIDTH - (room.right - room.left) - 2 * MARGIN, 0) / 2 + MARGIN
    return Box(room.left - more, room.top - MARGIN, room.right + more, room.bottom + MARGIN)


def _parts(scene: RingScene, plan: Plan, names: Mapping[int, str]) -> list[str]:
    """From what lies below to what lies above."""
    arrows = plan.arrows[::-1]  # the largest last, over the others
    spots = plan.layout.spots
    return [
        *(line(spots[one].point, spots[other].point, "plain-tie") for one, other in scene.ties),
        *(_ties(tag, plan) for tag in plan.tags),
        *(_arrow(one) for one in arrows),
        *(_arrow_label(one) for one in arrows if one.label),
        *(_tag(tag) for tag in plan.tags),
        *(_member(member, plan, names[member.number]) for member in scene.members),
    ]


def _ties(tag: Tag, plan: Plan) -> str:
    return "".join(line(tag.middle, plan.layout.spots[number].point, "tie") for number in tag.holders)


def _arrow(one: Arrow) -> str:
    flow = one.flow
    told = f"{flow.payer} → {flow.payee}: {say_count(flow.n_transfers, 'transfer')}, {say_sums(flow.sums)}"
    return grouped(told, arrow(one.curve, one.width))


def _arrow_label(one: Arrow) -> str:
    if one.label is None:
        return ""
    box = one.label.box
    middle = (box.left + box.right) / 2, (box.top + box.bottom) / 2
    return rectangle(box, "under", 2) + words(one.label.lines[0], middle, "middle", "small")


def _tag(tag: Tag) -> str:
    told = f"{say_kinds(tag.shared)}, held by {', '.join(map(str, tag.holders))}"
    drawn = rectangle(tag.label.box, "tag", 3) + words(tag.label.lines[0], tag.middle, "middle", "small")
    return grouped(told, drawn)


def _member(member: Member, plan: Plan, name: str) -> str:
    spot, radius = plan.layout.spots[member.number], plan.layout.radius
    told = f"{member.number}: {name}, {plain_kind(member.role)}"
    return grouped(
        told + (", on a watchlist" if member.is_watchlist else ""),
        mark(member.role, spot.point, radius, str(member.number)),
        watchlist_mark(spot.point, radius) if member.is_watchlist else "",
        _name(plan.names[member.number], spot.side),
    )


def _name(label: Label, side: str) -> str:
    box = label.box
    anchor = {"left": "end", "right": "start"}.get(side, "middle")
    x = {"end": box.right, "start": box.left}.get(anchor, (box.left + box.right) / 2)
    kind = "" if label.size > 11 else "small"
    under = rectangle(box, "under", 2) if side == INNER else ""
    return under + "".join(words(text, (x, y), anchor, kind) for text, y in label.heights())


# The legend


def _legend(scene: RingScene, plan: Plan, room: Box) -> tuple[list[str], float]:
    """The marks with their meanings in lines below the drawing, then what is not drawn; and their height."""
    x, y = room.left + MARGIN, room.bottom + LINE / 2
    parts: list[str] = []
    for drawn, told in _legend_entries(scene, plan):
        width = 30 + text_width(told, 10.5) + 18
        if x + width > room.right and x > room.left + MARGIN:
            x, y = room.left + MARGIN, y + LINE + 3
        parts += [_at(drawn, x + 12, y), words(told, (x + 30, y), kind="small")]
        x += width
    for told in say_left_out(scene, plan.n_untagged):
        y += LINE
        parts.append(words(told, (room.left + MARGIN, y), kind="small quiet"))
    return parts, y + LINE - room.bottom


def _at(drawn: str, x: float, y: float) -> str:
    return f'<g transform="translate({x:.1f} {y:.1f})">{drawn}</g>'


def _legend_entries(scene: RingScene, plan: Plan) -> list[tuple[str, str]]:
    roles = {member.role for member in scene.members}
    known = [role for role in ROLES if role in roles]
    entries = [(mark(role, (0, 0), 7), plain_kind(role)) for role in [*known, *sorted(roles - set(known))]]
    if any(member.is_watchlist for member in scene.members):
        entries.append((watchlist_mark((-3, 1), 4), "on a watchlist"))
    if plan.arrows:
        sample = arrow(Curve((-12, 0), (0, 0), (12, 0)), 2)
        entries.append((sample, f"money; wider is more{_say_currency(scene)}; ×n: n transfers"))
    if scene.ties:
        entries.append((line((-12, 0), (12, 0), "plain-tie"), "tied"))
    if plan.tags:
        box = rectangle(box_around((0, 0), 20, 12), "tag", 3)
        entries.append((box, "shared by those it is tied to"))
    return entries


def _say_currency(scene: RingScene) -> str:
    currencies = sorted({one.currency for one in scene.transfers})
    return f", in {name_currency(currencies[0])}" if len(currencies) == 1 else ""


def say_left_out(scene: RingScene, n_untagged: int = 0) -> Sequence[str]:
    """What the picture does not show, in words; nothing where it shows all."""
    n_members, n_transfers, n_shared = scene.n_left_out
    told = []
    if n_members:
        with_them = f"{say_count(n_transfers, 'transfer')} and {say_count(n_shared, 'shared identifier')}"
        told.append(f"{say_count(n_members, 'member')} with less flow not drawn, and with them {with_them}.")
    if n_untagged:
        told.append(f"{say_count(n_untagged, 'shared identifier')} of fewer holders not drawn.")
    return told
