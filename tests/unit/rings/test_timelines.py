"""Timelines with few transfers and with many: nothing is missing, totals are exact."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise

import pytest

from terag_pipelines.rings.scenes import RingScene
from terag_pipelines.rings.timelines import LEFT, MAX_ARROWS, WIDTH, draw_timeline
from tests.unit.rings.scene_makers import START, elements_of, make_scene

HOSTILE = "</text><script>alert(1)</script>"


def many(n: int, hours: float, currencies: tuple[str, ...] = ("KZT",)) -> RingScene:
    moves = [(at % 11 + 1, 12) for at in range(n)]
    scene = make_scene("fan_in", ["mule"] * 11 + ["collector"], moves, currencies=currencies)
    transfers = [
        replace(one, occurred_at=START + timedelta(hours=hours * at))
        for at, one in enumerate(scene.transfers)
    ]
    return replace(scene, transfers=tuple(transfers))


@pytest.mark.parametrize("n", [1, 2, 30, MAX_ARROWS])
@pytest.mark.parametrize("hours", [0, 0.01, 24, 1000])
def test_a_few_transfers_are_an_arrow_each_in_the_order_of_time(n: int, hours: float) -> None:
    drawn = draw_timeline(many(n, hours))
    places = [float(x) for x in re.findall(r'<circle class="head" cx="([\d.]+)"', drawn)]
    assert len(places) == n
    assert drawn.count('class="flow"') == n
    assert places == sorted(places)
    assert all(LEFT <= x <= LEFT + WIDTH for x in places)
    assert n < 2 or min(b - a for a, b in pairwise(places)) >= 7.9


@pytest.mark.parametrize("hours", [0.1, 6, 50, 400])
def test_many_transfers_are_summed_and_every_one_counts(hours: float) -> None:
    n = 2000
    drawn = draw_timeline(many(n, hours))
    summed = re.findall(r"<title>([\d,]+) transfers?, ", drawn)
    assert sum(int(count.replace(",", "")) for count in summed) == n
    assert 1 <= len(summed) <= 130
    assert 'class="flow"' not in drawn
    assert drawn.count('class="out"') >= 11


def test_totals_are_exact_in_every_currency_and_in_words() -> None:
    scene = many(5, 24, ("KZT", "USD", ""))
    drawn = draw_timeline(scene)
    kzt = sum(one.amount_minor for one in scene.transfers if one.currency == "KZT")
    whole = f"{kzt // 100:,}".replace(",", " ")
    assert f"{whole}.{kzt % 100:02d} KZT (Kazakhstani tenge) in 2 transfers" in drawn
    assert "USD (US dollars) in 2 transfers" in drawn
    assert "minor units of an unknown currency in 1 transfer<" in drawn


def test_bars_are_of_the_currency_of_most_transfers() -> None:
    drawn = draw_timeline(many(300, 1, ("KZT", "KZT", "USD")))
    assert "Kazakhstani tenge, by day" in drawn
    assert sum(map(int, re.findall(r"<title>(\d+) transfers?, ", drawn))) == 200


def test_no_transfers_are_said_to_be_none() -> None:
    drawn = draw_timeline(make_scene("shared_identity", ["shared_identity"] * 3))
    assert "0 transfers between members" in drawn
    assert "svg" in elements_of(drawn)


def test_members_that_are_left_out_are_counted() -> None:
    moves = [(at, 1) for at in range(2, 50)]
    drawn = draw_timeline(make_scene("fan_in", ["collector", *["mule"] * 48], moves))
    assert "9 members with less flow not drawn, and with them 9 transfers" in drawn
    assert "48 transfers between members" in drawn


@pytest.mark.parametrize("n", [5, 500])
def test_the_same_transfers_give_the_same_picture_and_hostile_names_stay_text(n: int) -> None:
    names = dict.fromkeys(range(1, 13), HOSTILE)
    drawn = draw_timeline(many(n, 5), names)
    assert drawn == draw_timeline(many(n, 5), names)
    assert "<script" not in drawn
    assert "svg" in elements_of(drawn)
