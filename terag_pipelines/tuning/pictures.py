"""Pictures of tuning: what an index did."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow as pa
from matplotlib.axes import Axes

from terag_pipelines.pictures import ACCENT, INK, MUTED, new_picture, png

BAR = 0.36


def draw_trials(trials: pa.Table) -> bytes:
    """Db hits of the sampled queries before and after each index that was tried, as PNG.

    `trials`: INDEX_TRIALS, or INDEX_DECISIONS of many runs.
    """
    tried = [row for row in trials.to_pylist() if row["db_hits_before"] is not None]
    figure, axes = new_picture(
        "Indexes tried: db hits of the sampled queries", height_inches=1.8 + 0.9 * len(tried)
    )
    if not tried:
        axes.set_axis_off()
        axes.text(0, 0.5, "No index was tried: " + _reasons(trials), color=INK, fontsize=9, wrap=True)
        return png(figure)
    for place, row in enumerate(reversed(tried)):
        _draw_pair(axes, place, row)
    axes.set_yticks(range(len(tried)), [_label(row) for row in reversed(tried)], fontsize=8, color=INK)
    axes.set_xlim(0, 1.45 * max(max(row["db_hits_before"], row["db_hits_after"]) for row in tried))
    axes.grid(axis="y", visible=False)
    axes.grid(axis="x", color="#e5e7eb", linewidth=0.6)
    return png(figure)


def _draw_pair(axes: Axes, place: int, row: Mapping[str, Any]) -> None:
    for offset, when, colour in ((BAR / 2, "before", MUTED), (-BAR / 2, "after", ACCENT)):
        hits = row[f"db_hits_{when}"]
        axes.barh(place + offset, hits, BAR, color=colour)
        count = f"{hits:,}".replace(",", " ")
        text = f" {when}: {count} hits, {row[f'latency_{when}_ms']:.1f} ms"
        axes.text(hits, place + offset, text, va="center", fontsize=8, color=INK)


def _label(row: Mapping[str, Any]) -> str:
    when = f", {row['decided_at']:%Y-%m-%d}" if "decided_at" in row else ""
    return f"{row['label']}.{row['property']}\n{row['index_kind']}, {row['decision']}{when}"


def _reasons(trials: pa.Table) -> str:
    return "; ".join(sorted(set(trials["reason"].to_pylist()))) or "no trial"
