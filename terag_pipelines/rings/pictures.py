"""Pictures of ring scores: how risk is spread. No name or identifier is drawn."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from terag_pipelines.pictures import ACCENT, ALARM, new_picture, png


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
