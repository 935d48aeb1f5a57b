"""The picture of name parity: how often each group goes wrong, with intervals."""

from __future__ import annotations

import numpy as np
from matplotlib.colors import to_rgba

from terag_pipelines.linking.parity import GroupRate, ParityParams
from terag_pipelines.pictures import ACCENT, ALARM, INK, SECOND, new_picture, png

COLOURS = {"false merge": SECOND, "miss": ACCENT}
DEFAULTS = ParityParams()
SHIFT = 0.17
PALE = 0.35  # opacity of groups too small to be judged
ROOM = 1.15  # the scale ends so far beyond the widest interval of the groups that are judged


def draw_parity(rates: list[GroupRate], params: ParityParams = DEFAULTS) -> bytes:
    """One line for each group: both rates with their 95% intervals; a group that is worse in red. PNG.

    Groups too small to be judged are pale, and their intervals may run off the scale.
    """
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
        colours = [_colour(rate, params) for rate in shown]
        axes.hlines(places, low, high, color=colours, linewidth=1.5)
        axes.scatter(share, places, color=colours, s=14)
        axes.scatter([], [], color=COLOURS[kind], s=14, label=kind)
    axes.set_yticks(range(len(groups)), [f"{dimension}: {group}" for dimension, group in groups], fontsize=7)
    axes.set_ylim(len(groups) - 0.4, -0.6)
    axes.tick_params(axis="both", labelsize=7, labelcolor=INK)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:.1%}")
    axes.set_xlabel("Share of the group's records, 95% intervals; pale: too few persons to judge", fontsize=7)
    widest = max((_reach(rate, params) for rate in rates), default=0.0)
    axes.set_xlim(-0.02 * widest, min(ROOM * widest, 1.02) or 1.0)
    if groups:
        figure.legend(loc="outside lower center", ncols=2, frameon=False, fontsize=8)
    return png(figure)


def _colour(rate: GroupRate, params: ParityParams) -> tuple[float, float, float, float]:
    is_judged = rate.n_persons >= params.min_persons
    return to_rgba(ALARM if rate.is_worse else COLOURS[rate.kind], 1.0 if is_judged else PALE)


def _reach(rate: GroupRate, params: ParityParams) -> float:
    """How far the scale must go for a group: to the end of its interval where it is judged."""
    return rate.rate_high if rate.n_persons >= params.min_persons else rate.rate
