"""Small worlds whose effects are known, for the tests of the twin."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from scipy.special import expit

from terag_pipelines.entities.model import CLIENT_PANEL
from terag_pipelines.twin.spec import TwinSpec

Floats = npt.NDArray[np.float64]
CONFOUNDED = [["need", "offer"], ["need", "balance"], ["age", "balance"], ["offer", "balance"]]
QUESTION = [{"treatment": "offer", "outcome": "balance"}]


@dataclass(frozen=True)
class World:
    """A panel and the true effect of every client, in order of client id."""

    panel: pa.Table
    client_effect: Floats

    @property
    def effect(self) -> float:
        """The true average effect."""
        return float(self.client_effect.mean())


def make_world(
    n_clients: int = 400,
    n_months: int = 6,
    seed: int = 1,
    slope: float = 1.0,
    effect: float = 2.0,
    is_binary: bool = True,
) -> World:
    """Need drives the offer (by `slope`) and the balance; age moves the effect; clients have a level."""
    random = np.random.default_rng(seed)
    client = np.repeat(np.arange(n_clients), n_months)
    level = random.normal(0, 1, n_clients)[client]
    age = random.normal(0, 1, n_clients)
    need = random.normal(0, 1, len(client)) + 0.5 * level
    push = slope * need
    offer = random.random(len(client)) < expit(push) if is_binary else push + random.normal(0, 1, len(client))
    offer = np.asarray(offer, np.float64)
    client_effect = effect + (0.5 if effect else 0.0) * age
    balance = 3 * need + need**2 + age[client] + client_effect[client] * offer
    balance += 0.5 * random.normal(0, 1, n_clients)[client] + random.normal(0, 1, len(client))
    return World(
        as_panel(client, n_months, need=need, age=age[client], offer=offer, balance=balance), client_effect
    )


def as_panel(client: npt.NDArray[np.int64], n_months: int, **variables: Floats) -> pa.Table:
    """A CLIENT_PANEL of these columns, months following each other within a client."""
    months = np.tile(np.arange(n_months), len(client) // n_months)
    ids = pa.array([f"people:{code:05d}" for code in client])
    named = pa.array([f"2026-{month + 1:02d}" for month in months])
    return CLIENT_PANEL.conform(pa.table({"client_id": ids, "month": named, **variables}))


def make_spec(edges: list[list[str]] | None = None, unobserved: list[str] | None = None) -> TwinSpec:
    """The one question over these edges; without any, the confounded world's own."""
    mapping = {"questions": QUESTION, "edges": edges or CONFOUNDED, "unobserved": unobserved or []}
    return TwinSpec.from_manifest(mapping)
