"""Pictures of linking: what blocking found, how match weights fall apart."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from terag_pipelines.linking.blocking import BlockingReport
from terag_pipelines.pictures import ACCENT, INK, MUTED, new_picture, png

WIDEST_WEIGHT = 40.0  # bits; weights beyond it are drawn at the edge


def draw_blocking(report: BlockingReport) -> bytes:
    """Bars for each blocking rule: pairs it found, and those that no rule before it had found. PNG."""
    rungs = [rung for rung in report.rungs if rung.n_pairs]
    title = f"{report.n_pairs:,} candidate pairs, {report.pairs_per_record:.1f} a record"
    figure, axes = new_picture(title, height_inches=max(1.6, 0.6 + 0.19 * len(rungs)))
    places = np.arange(len(rungs))
    axes.barh(places, [rung.n_pairs for rung in rungs], height=0.75, color=MUTED, label="pairs")
    new = [rung.n_new_pairs for rung in rungs]
    axes.barh(places, new, height=0.75, color=ACCENT, label="not found by a rule above")
    axes.set_yticks(places, [rung.rule for rung in rungs], fontsize=7, color=INK)
    axes.set_ylim(len(rungs) - 0.4, -0.6)
    axes.grid(axis="y", visible=False)
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.tick_params(axis="x", labelsize=7)
    if rungs:
        axes.legend(frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=(0, -0.05), ncols=2)
    return png(figure)


def draw_weights(pair_scores: pa.Table, links: pa.Table) -> bytes:
    """Histogram of the match weights of PAIR_SCORES, those of LINKS apart, counts on a log scale. PNG."""
    weights = np.clip(pair_scores["match_weight"].to_numpy(), -WIDEST_WEIGHT, WIDEST_WEIGHT)
    linked = np.clip(links["match_weight"].to_numpy(), -WIDEST_WEIGHT, WIDEST_WEIGHT)
    figure, axes = new_picture(f"{links.num_rows:,} links among {pair_scores.num_rows:,} candidate pairs")
    bins = np.linspace(-WIDEST_WEIGHT, WIDEST_WEIGHT, 81)
    apart = np.histogram(weights, bins)[0] - np.histogram(linked, bins)[0]
    width = bins[1] - bins[0]
    joined = np.histogram(linked, bins)[0]
    axes.bar(bins[:-1], apart, width, align="edge", color=MUTED, label="not linked")
    axes.bar(bins[:-1], joined, width, align="edge", bottom=apart, color=ACCENT, label="linked")
    axes.set_yscale("symlog", linthresh=1)
    axes.set_ylim(0, 2 * max(1, (apart + joined).max()))
    axes.set_xlabel("match weight, bits (0: as likely as not)", fontsize=8, color=INK)
    axes.axvline(0, color=INK, linewidth=0.8)
    axes.legend(frameon=False, fontsize=8)
    return png(figure)
