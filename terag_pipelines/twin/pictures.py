"""Pictures of effects: with their intervals beside what correlation would say, and spread over clients."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from terag_pipelines.pictures import ACCENT, ALARM, INK, MUTED, SECOND, new_picture, png

MAX_QUESTIONS = 8


def draw_effects(effects: pa.Table) -> bytes:
    """PNG of each effect with its interval beside the naive difference and DoWhy's figure.

    Each question is drawn in units of its own largest figure, since outcomes have different units; the
    numbers stand beside. A refused question shows its reason.
    """
    rows = effects.slice(0, MAX_QUESTIONS).to_pylist()
    figure, axes = new_picture("What a change would do", 8.6, 1.4 + 0.75 * max(len(rows), 1))
    axes.axvline(0, color=MUTED, linewidth=1)
    for place, row in enumerate(rows):
        _draw_effect(axes, -place, row)
    if not rows:
        axes.text(0, 0, "no causal question was asked", color=INK, ha="center")
    names = [f"{row['treatment']}\n→ {row['outcome']}" for row in rows]
    axes.set_yticks([-place for place in range(len(rows))], names, fontsize=8)
    axes.set(xlim=(-1.25, 1.25), ylim=(0.6 - max(len(rows), 1), 0.75), xticks=[])
    axes.set_xlabel("each question in its own units; the line is no effect", fontsize=8, color=MUTED)
    axes.grid(visible=False)
    for colour, marker, name in ((ACCENT, "o", "effect, 95%"), (SECOND, "D", "DoWhy"), (ALARM, "x", "naive")):
        axes.plot([], [], color=colour, marker=marker, linestyle="", label=name)
    axes.legend(frameon=False, fontsize=8, ncols=3, loc="lower right", bbox_to_anchor=(1.0, 1.0))
    return png(figure)


def draw_client_effects(twins: pa.Table, treatment: str, outcome: str) -> bytes:
    """PNG of how the effect of one question spreads over clients, with how many could not be answered."""
    asked = pc.and_(pc.equal(twins["treatment"], treatment), pc.equal(twins["outcome"], outcome))
    effect = twins.filter(asked)["effect"].to_numpy()
    known = effect[np.isfinite(effect)]
    figure, axes = new_picture(f"{treatment} → {outcome}: effect by client")
    if len(known):
        axes.hist(known, bins=40, color=ACCENT)
        axes.axvline(known.mean(), color=SECOND, linewidth=1.5, label=f"mean {known.mean():.3g}")
        axes.axvline(0, color=MUTED, linewidth=1)
        axes.legend(frameon=False, fontsize=8)
    told = f"clients ({len(known):,} answered, {len(effect) - len(known):,} refused)"
    axes.set(xlabel="change of the outcome for one unit of treatment", ylabel=told)
    return png(figure)


def _draw_effect(axes: Any, place: int, row: dict[str, Any]) -> None:
    shown = [row[name] for name in ("effect_low", "effect_high", "naive_difference", "dowhy_effect")]
    unit = max((abs(value) for value in shown if value is not None), default=0.0) or 1.0
    if row["naive_difference"] is not None:
        axes.plot(row["naive_difference"] / unit, place, color=ALARM, marker="x", markersize=8, linestyle="")
    if not row["is_answerable"]:
        axes.text(-1.2, place + 0.22, f"refused: {row['reason']}"[:110], color=ALARM, fontsize=7)
        return
    axes.plot(row["dowhy_effect"] / unit, place - 0.14, color=SECOND, marker="D", markersize=5, linestyle="")
    low, middle, high = (row[name] / unit for name in ("effect_low", "effect", "effect_high"))
    axes.plot([low, high], [place, place], color=ACCENT, linewidth=3, solid_capstyle="butt")
    axes.plot(middle, place, color=ACCENT, marker="o", markersize=6, linestyle="")
    told = f"{row['effect']:.3g} [{row['effect_low']:.3g}, {row['effect_high']:.3g}]"
    told += f"   naive {row['naive_difference']:.3g}, DoWhy {row['dowhy_effect']:.3g}"
    axes.text(-1.2, place + 0.22, told, fontsize=7, color=INK)
