"""Drawings of rings of every kind and size: nothing lies on anything, nothing is missing or breaks out."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from itertools import combinations, pairwise

import pytest

from terag_pipelines.rings.drawing import MAX_DRAWN, draw_ring
from terag_pipelines.rings.geometry import Box
from terag_pipelines.rings.layouts import lay_out
from terag_pipelines.rings.routes import LEAST_LENGTH, MAX_TAGS, Plan, mark_box, plan_drawing
from terag_pipelines.rings.scenes import RingScene, busiest
from tests.unit.rings.scene_makers import KINDS, elements_of, make_scene, typical_scene

SIZES = (3, 4, 5, 7, 8, 11, 12, 13, 14, 17, 24, 25, 31, 40)
NAMES = ("Қуаныш Өтегенұлы Сәрсенбаев-Жұмағұлов", "WOLFGANG AMADEUS MÜLLER", "Ким", 'ТОО "Север"', "Ли Бо")
HOSTILE = '</text></svg><script>alert("1")</script>&amp;\x00\x1b[2J\u202e'


def names_of(scene: RingScene) -> dict[int, str]:
    return {member.number: NAMES[member.number % len(NAMES)] for member in scene.members}


def text_boxes(plan: Plan) -> list[Box]:
    names = [label.box for label in plan.names.values()]
    amounts = [arrow.label.box for arrow in plan.arrows if arrow.label]
    return names + amounts + [tag.label.box for tag in plan.tags]


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", [0, 1])
def test_no_label_lies_on_another_or_on_a_member(kind: str, n: int, seed: int) -> None:
    scene = typical_scene(kind, n, seed)
    plan = plan_drawing(scene, names_of(scene))
    boxes, marks = text_boxes(plan), plan.marks()
    assert len(plan.names) == n
    assert [(a, b) for a, b in combinations(boxes, 2) if a.overlaps(b)] == []
    assert [(a, b) for a in boxes for b in marks if a.overlaps(b)] == []
    assert [(a, b) for a, b in combinations(marks, 2) if a.overlaps(b)] == []


@pytest.mark.parametrize("kind", KINDS)
def test_every_flow_is_an_arrow_that_ends_at_its_members_rims(kind: str) -> None:
    scene = typical_scene(kind, 17)
    plan = plan_drawing(scene, names_of(scene))
    drawn = {(arrow.flow.payer, arrow.flow.payee): arrow for arrow in plan.arrows}
    assert drawn.keys() == {(one.payer, one.payee) for one in scene.transfers}
    for (payer, payee), arrow in drawn.items():
        for number, end in ((payer, arrow.curve.start), (payee, arrow.curve.end)):
            near = mark_box(plan.layout.spots[number], plan.layout.radius + 8)
            assert near.left < end[0] < near.right
            assert near.top < end[1] < near.bottom
    assert draw_ring(scene).count('class="head"') == len(drawn) + 1  # and the one of the legend


@pytest.mark.parametrize("n", [15, 40])
def test_arrows_between_neighbours_in_a_column_are_seen_and_point_at_the_payee(n: int) -> None:
    mules = range(2, n + 1)
    steps = [*pairwise(mules), (9, 8)]
    scene = make_scene("fan_in", ["collector", *["mule"] * (n - 1)], [*((at, 1) for at in mules), *steps])
    plan = plan_drawing(scene, names_of(scene))
    for arrow in plan.arrows:
        payee = plan.layout.spots[arrow.flow.payee].point
        assert math.dist(arrow.curve.start, payee) > math.dist(arrow.curve.end, payee)
        assert math.dist(arrow.curve.start, arrow.curve.middle) >= LEAST_LENGTH / 2


def test_the_flag_of_a_watchlist_lies_over_the_mark() -> None:
    scene = make_scene("fan_in", ["collector", "mule", "mule"], [(2, 1), (3, 1)], watched=[1])
    told = next(part for part in draw_ring(scene).split("<g>") if "on a watchlist</title>" in part)
    assert told.index('<path d="M') < told.index(">!</text>")


def test_an_amount_at_the_edge_is_not_cut_off() -> None:
    mules = range(4, 16)
    moves = [(mule, taker) for taker in (1, 2, 3) for mule in mules]
    scene = make_scene("fan_in", ["collector"] * 3 + ["mule"] * 12, [*moves, *[(1, 3), (3, 1), (1, 2)] * 9])
    plan = plan_drawing(scene, dict.fromkeys(range(1, 16), "7"))
    room = plan.bounds()
    boxes = [arrow.label.box for arrow in plan.arrows if arrow.label]
    assert max(box.right for box in boxes) <= room.right
    assert min(box.left for box in boxes) >= room.left


def test_more_money_is_a_wider_arrow() -> None:
    scene = make_scene("fan_in", ["collector", "mule", "mule"], [(2, 1), *[(3, 1)] * 5])
    width = {arrow.flow.payer: arrow.width for arrow in plan_drawing(scene, names_of(scene)).arrows}
    assert width[3] > width[2]


def test_a_fan_in_stands_in_columns_from_payers_to_beneficiary() -> None:
    spots = lay_out(typical_scene("fan_in", 9)).spots
    assert all(spots[number].x < spots[1].x < spots[2].x for number in range(3, 10))


def test_a_fan_out_stands_in_columns_from_the_payer() -> None:
    spots = lay_out(typical_scene("fan_out", 9)).spots
    assert all(spots[1].x < spots[number].x for number in range(2, 10))


def test_money_that_is_spread_and_gathered_again_goes_from_left_to_right() -> None:
    roles = ["collector", "distributor", *["mule"] * 5]
    between = [*((2, at) for at in range(3, 8)), *((at, 1) for at in range(3, 8))]
    spots = lay_out(make_scene("mixed", roles, between)).spots
    assert all(spots[2].x < spots[at].x < spots[1].x for at in range(3, 8))
    after = [(1, 2), *((at, 1) for at in range(3, 6)), (2, 6), (2, 7)]
    spots = lay_out(make_scene("mixed", roles, after)).spots
    assert spots[3].x < spots[1].x < spots[2].x < spots[6].x


@pytest.mark.parametrize("n", [3, 12, 13, 40])
def test_a_cycle_is_a_circle_in_its_own_order(n: int) -> None:
    spots = lay_out(typical_scene("cycle", n)).spots
    assert len({round(spot.x**2 + spot.y**2) for spot in spots.values()}) == 1
    turns = [spots[at].x * spots[at % n + 1].y - spots[at].y * spots[at % n + 1].x for at in range(1, n + 1)]
    assert all(turn > 0 for turn in turns)  # clockwise, as y grows downwards


def test_what_all_share_is_the_hub() -> None:
    scene = typical_scene("shared_identity", 12)
    tag = plan_drawing(scene, names_of(scene)).tags[0]
    assert len(tag.holders) == 12
    assert max(map(abs, tag.middle)) < 60


def test_things_that_the_same_members_share_are_one_box() -> None:
    shared = [("phone", (1, 2)), ("device", (1, 2)), ("device", (1, 2)), ("iin", (2, 3))]
    scene = make_scene("shared_identity", ["shared_identity"] * 3, shared=shared)
    texts = [tag.label.lines[0] for tag in plan_drawing(scene, names_of(scene)).tags]
    assert texts == ["device ×2, phone", "iin"]


def test_shared_things_beyond_those_drawn_are_counted() -> None:
    pairs = list(combinations(range(1, 9), 2))[: MAX_TAGS + 5]
    scene = make_scene("shared_identity", ["shared_identity"] * 8, shared=[("phone", who) for who in pairs])
    assert "5 shared identifiers of fewer holders not drawn." in draw_ring(scene)


def test_of_many_members_those_with_most_flow_are_drawn_and_the_others_counted() -> None:
    moves = [(at, 1) for at in range(2, 61) for _ in range(at)]
    scene = make_scene("fan_in", ["collector", *["mule"] * 59], moves, shared=[("phone", (2, 3))])
    kept = busiest(scene, MAX_DRAWN)
    assert {member.number for member in kept.members} == {1, *range(22, 61)}
    n_left = sum(range(2, 22))
    assert kept.n_left_out == (20, n_left, 1)
    told = f"20 members with less flow not drawn, and with them {n_left} transfers and 1 shared identifier."
    drawn = draw_ring(scene)
    assert told in drawn
    assert "60 members" in drawn
    assert not draw_ring(kept).count("ent_0000000000000002")


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_ring_gives_the_same_picture(kind: str) -> None:
    assert draw_ring(typical_scene(kind, 19)) == draw_ring(typical_scene(kind, 19))


def test_roles_have_shapes_of_their_own_and_a_legend() -> None:
    roles = ["collector", "distributor", "link", "beneficiary", "mule", "shared_identity", "associate", "new"]
    drawn = draw_ring(make_scene("mixed", roles, [(2, 1)], watched=[4]))
    for role in [*roles, "on a watchlist"]:
        assert f">{role.replace('_', ' ')}</text>" in drawn
    corners = [
        len(path.split("L")) for path in re.findall(r'<path d="(M[^"]+Z)" fill="#[^"]+" stroke', drawn)
    ]
    assert {3, 4, 6} <= set(corners)


def test_a_member_on_a_watchlist_is_marked_where_it_stands() -> None:
    scene = make_scene("cycle", ["link"] * 3, [(1, 2), (2, 3), (3, 1)])
    watched = make_scene("cycle", ["link"] * 3, [(1, 2), (2, 3), (3, 1)], watched=[2])
    flag = ">!</text>"
    assert (draw_ring(scene).count(flag), draw_ring(watched).count(flag)) == (0, 2)  # it, and the legend


def test_hostile_names_stay_text() -> None:
    scene = make_scene("fan_in", ["collector", "mule", "mule"], [(2, 1), (3, 1)], [("phone", (1, 2))])
    drawn = draw_ring(scene, dict.fromkeys((1, 2, 3), HOSTILE))
    assert elements_of(drawn) <= {
        "svg", "style", "rect", "line", "g", "title", "path", "text", "circle"
    }  # fmt: skip
    assert "\x1b" not in drawn
    assert "<script" not in drawn


def test_without_names_members_are_called_by_their_entity_ids() -> None:
    scene = make_scene("fan_in", ["collector", "mule", "mule"], [(2, 1), (3, 1)])
    named = replace(scene, transfers=tuple(replace(one, payer_name="Айгүл") for one in scene.transfers))
    drawn = draw_ring(named)
    assert all(member.entity_id in drawn for member in scene.members)
    assert "Айгүл" not in drawn


@pytest.mark.parametrize("kind", KINDS)
def test_a_ring_without_transfers_is_drawn(kind: str) -> None:
    drawn = draw_ring(make_scene(kind, ["associate"] * 5, shared=[("iin", (1, 2, 3, 4, 5))]))
    assert 'class="flow"' not in drawn
    assert ">iin</text>" in drawn


def test_one_transfer_and_no_member_are_drawn_too() -> None:
    assert draw_ring(make_scene("mixed", ["mule"] * 3, [(1, 2)])).count('class="head"') == 2
    assert "no members" in draw_ring(make_scene("mixed", []))


def test_amounts_of_several_currencies_are_told_apart() -> None:
    roles, moves = ["collector", "mule", "mule"], [(2, 1), (2, 1), (3, 1)]
    several = draw_ring(make_scene("fan_in", roles, moves, currencies=("KZT", "USD")))
    assert "10k KZT + 11.4k USD ×2" in several
    assert "in Kazakhstani tenge" not in several
    assert "in Kazakhstani tenge" in draw_ring(make_scene("fan_in", roles, moves))
    assert "1M ? + 11.4k USD ×2" in draw_ring(make_scene("fan_in", roles, moves, currencies=("", "USD")))


def test_plain_ties_are_lines_and_those_of_members_not_drawn_are_left_out() -> None:
    scene = replace(make_scene("dense_group", ["associate"] * 4), ties=((1, 2), (1, 3), (2, 4)))
    drawn = draw_ring(scene)
    assert drawn.count('class="plain-tie"') == 3 + 1  # and the one of the legend
    assert busiest(scene, 3).ties == ((1, 2), (1, 3))
