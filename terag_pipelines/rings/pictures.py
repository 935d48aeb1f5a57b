"""Pictures of rings: who pays whom within one, and how risk is spread. No name or identifier is drawn."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from terag_pipelines.errors import NotFoundError
from terag_pipelines.pictures import ACCENT, ALARM, INK, MUTED, SECOND, new_picture, png
from terag_pipelines.rings.nodes import Tables
from terag_pipelines.rings.projection import Projection, ProjectionParams, project_entities

Floats = npt.NDArray[np.float64]

ROLE_COLOURS = {
    "collector": ALARM,
    "distributor": SECOND,
    "mule": ACCENT,
    "beneficiary": "#be185d",
    "link": "#7c3aed",
    "shared_identity": "#2563eb",
    "associate": MUTED,
}
CENTRAL_ROLES = ("collector", "distributor")


def draw_ring(ring_id: str, fraud_rings: pa.Table, ring_members: pa.Table, tables: Tables) -> bytes:
    """PNG of one ring: members numbered in the order of their ids and coloured by role, arrows as wide as
    the money, dashes where two share an identifier. The same ring gives the same bytes.

    Raises: NotFoundError where there is no such ring.
    """
    members = pl.DataFrame(pl.from_arrow(ring_members)).filter(pl.col("ring_id") == ring_id).sort("entity_id")
    rings = pl.DataFrame(pl.from_arrow(fraud_rings)).filter(pl.col("ring_id") == ring_id)
    if members.is_empty() or rings.is_empty():
        raise NotFoundError(f"there is no ring {ring_id!r}")
    projection = project_entities(tables, ProjectionParams())
    placed = members.join(
        projection.index.nodes.select("entity_id", "node"), on="entity_id", maintain_order="left"
    )
    flows, shared = _inner_flows(placed, projection), _inner_shares(placed, projection)
    figure, axes = new_picture(_title(rings.to_dicts()[0]), 6.4, 6.8)
    axes.axis("off")
    axes.set_aspect("equal")
    points = place_members(placed["role"].to_list(), flows)
    _draw_shares(axes, points, shared)
    _draw_flows(axes, points, flows)
    _draw_members(axes, points, placed["role"].to_list())
    return png(figure)


def place_members(roles: list[str], flows: pl.DataFrame) -> Floats:
    """n x 2 positions: collectors and distributors near the centre, the others round them in the order
    money takes.
    """
    n = len(roles)
    central = [i for i, role in enumerate(roles) if role in CENTRAL_ROLES]
    if len(central) > max(1, n // 3):
        central = []
    outer = [i for i in _follow_money(n, flows) if i not in central]
    points = np.zeros((n, 2))
    for ring, radius in ((central, 0.0 if len(central) == 1 else 0.25), (outer, 1.0)):
        angle = np.pi / 2 - 2 * np.pi * np.arange(len(ring)) / max(len(ring), 1)
        points[ring] = radius * np.column_stack([np.cos(angle), np.sin(angle)])
    return points


def draw_risk_histogram(ring_scores: pa.Table, threshold: float = 0.5) -> bytes:
    """PNG of how many entities have which score, on a logarithmic scale, with the threshold for members of
    rings.
    """
    figure, axes = new_picture("Ring scores of all entities")
    axes.hist(ring_scores["score"].to_numpy(), bins=np.linspace(0, 1, 41).tolist(), color=ACCENT, log=True)
    axes.axvline(threshold, color=ALARM, linewidth=1, label=f"member of a ring from {threshold:g}")
    axes.set_xlabel("score")
    axes.set_ylabel("entities")
    axes.legend(frameon=False, fontsize=8)
    return png(figure)


def _title(ring: dict[str, object]) -> str:
    risk = ring["risk_probability"] if ring["is_calibrated"] else ring["risk_score"]
    kind = str(ring["kind"]).replace("_", " ")
    return f"{ring['ring_id']}: {ring['n_members']} members, {kind}, risk {float(str(risk)):.2f}"


def _inner_flows(placed: pl.DataFrame, projection: Projection) -> pl.DataFrame:
    """a, b, amount: positions of payer and payee among the members, and the sum in typical transfers."""
    place = placed.with_row_index("place").select("node", pl.col("place").cast(pl.Int64))
    moved = projection.transfers.join(place.rename({"node": "source", "place": "a"}), on="source")
    both = moved.join(place.rename({"node": "target", "place": "b"}), on="target")
    return both.sort("a", "b", "at").group_by("a", "b", maintain_order=True).agg(pl.col("amount").sum())


def _inner_shares(placed: pl.DataFrame, projection: Projection) -> pl.DataFrame:
    place = placed.with_row_index("place").select("node", pl.col("place").cast(pl.Int64))
    pairs = projection.shared.select("left", "right").unique()
    left = pairs.join(place.rename({"node": "left", "place": "a"}), on="left")
    return (
        left.join(place.rename({"node": "right", "place": "b"}), on="right").select("a", "b").sort("a", "b")
    )


def _follow_money(n: int, flows: pl.DataFrame) -> list[int]:
    sums = np.zeros((n, n))
    sums[flows["a"].to_numpy(), flows["b"].to_numpy()] = flows["amount"].to_numpy()
    order = [int(sums.sum(axis=1).argmax())]
    left = np.ones(n, dtype=bool)
    left[order[0]] = False
    while left.any():
        following = np.where(left, sums[order[-1]], -1.0)
        order.append(int(following.argmax()))
        left[order[-1]] = False
    return order


def _draw_shares(axes: Axes, points: Floats, shared: pl.DataFrame) -> None:
    for a, b in shared.iter_rows():
        axes.plot(
            *points[[a, b]].T, color="#2563eb", linewidth=0.8, linestyle=(0, (3, 3)), alpha=0.5, zorder=1
        )


def _draw_flows(axes: Axes, points: Floats, flows: pl.DataFrame) -> None:
    largest = float(flows["amount"].to_numpy().max(initial=1e-12))
    for a, b, amount in flows.iter_rows():
        axes.annotate(
            "",
            xy=points[b],
            xytext=points[a],
            arrowprops={
                "arrowstyle": "-|>",
                "color": INK,
                "alpha": 0.3 + 0.5 * (amount / largest) ** 0.5,
                "linewidth": 0.6 + 2.4 * (amount / largest) ** 0.5,
                "shrinkA": 9,
                "shrinkB": 9,
                "connectionstyle": "arc3,rad=0.12",
            },
            zorder=2,
        )


def _draw_members(axes: Axes, points: Floats, roles: list[str]) -> None:
    colours = [ROLE_COLOURS[role] for role in roles]
    axes.scatter(points[:, 0], points[:, 1], s=230, c=colours, edgecolors="white", linewidths=1.2, zorder=3)
    for number, (x, y) in enumerate(points, start=1):
        axes.text(x, y, str(number), color="white", fontsize=7, ha="center", va="center", zorder=4)
    axes.set_xlim(-1.2, 1.2)
    axes.set_ylim(-1.2, 1.2)
    present = [role for role in ROLE_COLOURS if role in roles]
    marks = [
        Line2D([], [], marker="o", linestyle="", color=ROLE_COLOURS[role], label=role.replace("_", " "))
        for role in present
    ]
    lines = [
        Line2D([], [], color=INK, label="money, wider is more"),
        Line2D([], [], color="#2563eb", linestyle=(0, (3, 3)), linewidth=0.8, label="shared identifier"),
    ]
    axes.legend(
        handles=[*marks, *lines],
        loc="upper center",
        bbox_to_anchor=(0.5, 0.0),
        ncols=4,
        frameon=False,
        fontsize=8,
    )
