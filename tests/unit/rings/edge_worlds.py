"""Lists of edges with rings planted in them, as a person would hand them in."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import numpy as np
import pyarrow as pa

from tests.unit.rings.worlds import CYCLE, FAN_IN, START, World

DENSE = [22, 52, 82, 112, 142, 172, 202, 232]


def node(number: int) -> str:
    """The id of a person of a world."""
    return f"KZ{number:06d}"


def nodes(members: Sequence[int]) -> set[str]:
    """The ids of several."""
    return {node(number) for number in members}


def transfers(world: World, shuffle: int | None = None) -> pa.Table:
    """The payments of a world as edges."""
    order = np.arange(len(world.payments))
    order = order if shuffle is None else np.random.default_rng(shuffle).permutation(order)
    rows = [world.payments[at] for at in order]
    return pa.table(
        {
            "source": [node(source) for source, *_ in rows],
            "target": [node(target) for _, target, *_ in rows],
            "amount": [f"{amount / 100:.2f}" for *_, amount, _ in rows],
            "time": [f"{START + timedelta(days=day):%Y-%m-%d %H:%M:%S}" for *_, day in rows],
        }
    )


def world_with_rings() -> World:
    """300 people, 60 at other banks, 900 ordinary payments, a circle and a collector with six mules."""
    world = World(300, n_outside=60).live(900)
    for day in (10, 40, 70):
        world.plant_cycle(CYCLE, day)
        world.plant_fan_in(FAN_IN, day)
    return world


def listed_people() -> pa.Table:
    """The nodes of world_with_rings that are clients, with their names."""
    return pa.table({"node": [node(i) for i in range(300)], "name": [f"Айгүл {i}" for i in range(300)]})


def plain_ties(n_nodes: int = 400, n_ties: int = 700, seed: int = 1, shuffle: int | None = None) -> pa.Table:
    """Ties at random, and one group of eight in which nine of ten pairs are tied."""
    rng = np.random.default_rng(seed)
    pairs = {tuple(sorted(map(int, rng.integers(0, n_nodes, 2)))) for _ in range(n_ties)}
    pairs |= {(a, b) for a in DENSE for b in DENSE if a < b and rng.random() < 0.9}
    rows = sorted((a, b) for a, b in pairs if a != b)
    if shuffle is not None:
        turned = np.random.default_rng(shuffle)
        rows = [rows[at] if turned.random() < 0.5 else rows[at][::-1] for at in turned.permutation(len(rows))]
    return pa.table({"u": [node(a) for a, _ in rows], "v": [node(b) for _, b in rows]})
