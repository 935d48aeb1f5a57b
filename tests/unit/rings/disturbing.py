"""Small changes of an input: of some nodes a third is removed, a third is tied to others, and as many as a
third are new.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from terag_pipelines.calibration.fit import fit_calibrator
from terag_pipelines.graph.row_hashes import code_values
from terag_pipelines.rings.communities import Communities, CommunityParams, find_communities
from terag_pipelines.rings.detection import RingDetection
from terag_pipelines.rings.following import EarlierPartition
from terag_pipelines.rings.leiden import Keys
from terag_pipelines.rings.naming import NamedRings, name_rings
from tests.unit.rings.worlds import World

SHARE = 0.015


@dataclass(frozen=True)
class Ties:
    """A graph by entity ids, sorted; `ends` are their places, one pair for each tie, of weight 1."""

    ids: npt.NDArray[np.str_]
    ends: npt.NDArray[np.int64]

    @property
    def edges(self) -> pl.DataFrame:
        """As a Projection has them."""
        low, high = self.ends.min(axis=1), self.ends.max(axis=1)
        frame = pl.DataFrame({"left": low, "right": high, "weight": np.ones(len(low))})
        return frame.filter(pl.col("left") < pl.col("right")).sort("left", "right")

    @property
    def keys(self) -> Keys:
        """An entity's own."""
        return code_values(pa.array(self.ids.tolist(), pa.string()))

    def communities(self, params: CommunityParams, earlier: EarlierPartition | None = None) -> Communities:
        """Those of the graph."""
        return find_communities(len(self.ids), self.edges, params, keys=self.keys, earlier=earlier)

    def groups(self, found: Communities, least: int = 3) -> list[list[str]]:
        """The members of communities of that many or more, by entity id."""
        members = pl.DataFrame({"community": found.membership, "id": self.ids})
        grouped = members.group_by("community", maintain_order=True).agg("id")
        return [ids for ids in grouped["id"].to_list() if len(ids) >= least]


def plant_ties(n_nodes: int, size: int, seed: int, n_outside: float = 1.0) -> Ties:
    """Groups of `size` in which half of the pairs are tied, and so many chance ties for each node."""
    rng = np.random.default_rng(seed)
    one, other = np.triu_indices(size, k=1)
    starts = np.arange(0, n_nodes - size + 1, size)[:, None]
    inside = np.stack([starts + one, starts + other], axis=2).reshape(-1, 2)
    kept = inside[rng.random(len(inside)) < 0.5]
    chance = rng.integers(0, n_nodes, (int(n_outside * n_nodes / 2), 2))
    ids = np.array([f"e:{number:07d}" for number in range(n_nodes)])
    return Ties(ids, np.vstack([kept, chance]))


def disturb_ties(ties: Ties, seed: int, share: float = SHARE) -> Ties:
    """The graph after a small change; who is new is tied to members of one community, as the planted are."""
    rng, n = np.random.default_rng(seed), len(ties.ids)
    removed, moved, models = np.array_split(rng.permutation(n)[: int(share * n)], 3)
    ends = ties.ends.copy()
    goes = np.isin(ends, moved)
    ends[goes.any(axis=1) & ~goes[:, 1], 1] = rng.integers(0, n, (goes.any(axis=1) & ~goes[:, 1]).sum())
    ends[goes[:, 1], 0] = rng.integers(0, n, goes[:, 1].sum())
    copied = ends[np.isin(ends[:, 0], models)]
    place = np.full(n, -1)
    place[models] = n + np.arange(len(models))
    new = np.c_[place[copied[:, 0]], copied[:, 1]]
    ids = np.r_[ties.ids, [f"n:{seed}-{number:05d}" for number in range(len(models))]]
    return _without(Ties(ids, np.vstack([ends, new])), removed)


def _without(ties: Ties, removed: npt.NDArray[np.int64]) -> Ties:
    kept = np.setdiff1d(np.arange(len(ties.ids)), removed)
    order = kept[np.argsort(ties.ids[kept])]
    place = np.full(len(ties.ids), -1)
    place[order] = np.arange(len(order))
    ends = place[ties.ends]
    return Ties(ties.ids[order], ends[(ends >= 0).all(axis=1)])


def place_labels(ties: Ties, before: Ties, found: Communities) -> EarlierPartition:
    """The communities of another graph by the nodes of this one."""
    label_of = dict(zip(before.ids.tolist(), found.membership.tolist(), strict=True))
    label = np.array([label_of.get(one, -1) for one in ties.ids.tolist()])
    return EarlierPartition(label, np.zeros(len(label), dtype=bool))


def make_town(n_people: int, n_rings: int, seed: int = 3) -> World:
    """Ordinary payments and rings of five, cycles and fan-ins, all labelled, and six times as many cleared.

    No two rings have anybody in common, nor anybody who pays both.
    """
    rng = np.random.default_rng(seed)
    world = World(n_people).live(5 * n_people // 2)
    fives = rng.permutation(n_people)[: 35 * n_rings].reshape(-1, 5)
    victims = iter(rng.permutation(n_people).tolist())
    for number, members in enumerate(fives[:n_rings].tolist()):
        for day in (5 + number % 40, 45 + number % 40):
            if number % 2:
                world.plant_cycle(members, day)
            else:
                _plant_fan_in(world, members, day, victims)
        world.label(members, "fraud", "1", "training", "truth")
    return world.label(fives[n_rings:].ravel().tolist(), "fraud", "0", "training", "truth")


def _plant_fan_in(world: World, members: list[int], day: float, victims: Iterator[int]) -> None:
    hub, *mules = members
    for place, mule in enumerate(mules):
        amount, at = 3_000_000 + 50_000 * place, day + place / 10
        world.pay(next(victims), mule, amount, at)
        world.pay(mule, hub, amount - 100_000, at + 0.1)


def name_calibrated(detection: RingDetection, tables: dict[str, pa.Table]) -> NamedRings:
    """The rings of a bank by the probabilities that its labels give the scores, as a batch names them."""
    labelled = detection.labelled_scores(tables["labels"])
    return name_rings(detection.scores, tables, fit_calibrator("rings", *labelled).fitted)


def disturb_tables(tables: dict[str, pa.Table], seed: int, share: float = SHARE) -> dict[str, pa.Table]:
    """The tables of a bank after a small change: some accounts are silent, some pay others than they did,
    some holders are new and pay whom another one pays.
    """
    rng = np.random.default_rng(seed)
    accounts = tables["accounts"]["account_id"].to_pylist()
    silent, moved, models = (
        set(part.tolist())
        for part in np.array_split(rng.permutation(accounts)[: int(share * len(accounts))], 3)
    )
    rows = pl.DataFrame(pl.from_arrow(tables["transfers"]))
    rows = rows.filter(~pl.col("source_account").is_in(silent) & ~pl.col("target_account").is_in(silent))
    goes = rows["source_account"].is_in(moved)
    targets = pl.Series(np.where(goes, rng.choice(accounts, len(rows)), rows["target_account"]).tolist())
    rows = rows.with_columns(target_account=targets)
    copied = rows.filter(pl.col("source_account").is_in(models)).with_columns(
        pl.format("new-{}", "source_account").alias("source_account"),
        pl.format("new-{}", "transfer_id").alias("transfer_id"),
    )
    schema = tables["transfers"].schema
    return {**tables, "transfers": pl.concat([rows, copied]).to_arrow().cast(schema)}
