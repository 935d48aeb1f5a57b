"""The picture of name parity: how often each group goes wrong, with intervals."""

from __future__ import annotations

import numpy as np

from terag_pipelines.linking.parity import GroupRate
from terag_pipelines.pictures import ACCENT, ALARM, INK, SECOND, new_picture, png

COLOURS = {"false merge": SECOND, "miss": ACCENT}
SHIFT = 0.17


def draw_parity(rates: list[GroupRate]) -> bytes:
    """One line for each group: both rates with their 95% intervals; a group that is worse in red. PNG."""
    groups = list(dict.fromkeys((rate.dimension, rate.group) for rate in rates))
    figure, axes = new_picture(
        "Records that go wrong, by group", height_inches=max(1.8, 0.9 + 0.24 * len(groups))
    )
    for kind, shift in zip(COLOURS, (-SHIFT, SHIFT), strict=True):
        shown = [rate for rate in rates if rate.kind == kind]
        places = np.array([groups.index((rate.dimension, rate.group)) for rate in shown]) + shift
        share, low, high = (
            np.array([getattr(rate, name) for rate in shown]) for name in ("rate", "rate_low", "rate_high")
        )
        colours = [ALARM if rate.is_worse else COLOURS[kind] for rate in shown]
        axes.hlines(places, low, high, color=colours, linewidth=1.5)
        axes.scatter(share, places, color=colours, s=14, label=kind)
    axes.set_yticks(range(len(groups)), [f"{dimension}: {group}" for dimension, group in groups], fontsize=7)
    axes.set_ylim(len(groups) - 0.4, -0.6)
    axes.tick_params(axis="both", labelsize=7, labelcolor=INK)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:.1%}")
    if groups:
        axes.legend(frameon=False, fontsize=8)
    return png(figure)
