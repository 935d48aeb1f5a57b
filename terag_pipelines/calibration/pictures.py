"""The reliability diagram: what was said against what happened, before and after, with counts."""

from __future__ import annotations

from matplotlib.axes import Axes

from terag_pipelines.calibration.fit import Calibration
from terag_pipelines.calibration.metrics import ReliabilityCurve
from terag_pipelines.pictures import ACCENT, INK, MUTED, SECOND, new_picture, png


def draw_reliability(calibration: Calibration) -> bytes:
    """PNG of both curves with 95% intervals over the counts of each bin; the reason where none was fitted."""
    row = calibration.row.to_pylist()[0]
    if calibration.before is None or calibration.after is None:
        return _draw_reason(f"{row['calibrator_id']}: not calibrated", row["reason"])
    figure, axes = new_picture(
        f"{row['calibrator_id']}: {row['method']}, ECE {row['ece_before']:.3f} → {row['ece_after']:.3f}"
        f", {row['n_labels']:,} labels",
        height_inches=4.6,
    )
    counts = axes.twinx()
    axes.plot([0, 1], [0, 1], color=MUTED, linewidth=1, linestyle="--", label="says what happens")
    for curve, colour, name, shift in (
        (calibration.before, SECOND, "before", -0.006),
        (calibration.after, ACCENT, "after, held out", 0.006),
    ):
        _draw_curve(axes, curve, colour, name)
        counts.bar(curve.mean_probability + shift, curve.n, width=0.012, color=colour, alpha=0.35)
    _label(axes, counts)
    return png(figure)


def _draw_curve(axes: Axes, curve: ReliabilityCurve, colour: str, name: str) -> None:
    below, above = curve.observed_share - curve.observed_low, curve.observed_high - curve.observed_share
    axes.errorbar(
        curve.mean_probability,
        curve.observed_share,
        yerr=[below.clip(0), above.clip(0)],
        color=colour,
        label=name,
        marker="o",
        markersize=4,
        linewidth=1.4,
        capsize=2,
        elinewidth=1,
    )


def _label(axes: Axes, counts: Axes) -> None:
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), xlabel="probability said", ylabel="share that was right")
    axes.legend(frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=(0, -0.12), ncols=3)
    counts.set_ylim(0, counts.get_ylim()[1] * 3)
    counts.set_ylabel("labels (bars)", color=MUTED)
    counts.spines[["top", "right"]].set_visible(False)
    counts.tick_params(colors=MUTED, labelsize=8)


def _draw_reason(title: str, reason: str) -> bytes:
    figure, axes = new_picture(title, height_inches=1.4)
    axes.set_axis_off()
    axes.text(0.0, 0.5, reason, color=INK, fontsize=10, va="center", wrap=True)
    return png(figure)
