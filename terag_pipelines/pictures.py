"""Drawing for reports and Dagster metadata: small PNG pictures, the same bytes for the same figures."""

from __future__ import annotations

from io import BytesIO

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

INK = "#1f2937"
ACCENT = "#0f766e"
SECOND = "#d97706"
ALARM = "#b91c1c"
MUTED = "#94a3b8"


def new_picture(title: str, width_inches: float = 6.4, height_inches: float = 3.6) -> tuple[Figure, Axes]:
    """A figure with one titled, lightly ruled set of axes. Not tied to any global plotting state."""
    figure = Figure(figsize=(width_inches, height_inches), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.set_title(title, loc="left", color=INK, fontsize=11)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color="#e5e7eb", linewidth=0.6)
    axes.set_axisbelow(True)
    return figure, axes


def png(figure: Figure, dots_per_inch: int = 110) -> bytes:
    """The figure as PNG bytes, without a creation time or software stamp."""
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=dots_per_inch, metadata={"Software": None})
    return buffer.getvalue()
