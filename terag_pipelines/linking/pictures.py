"""Pictures of linking: what blocking found, how match weights fall apart, why a pair weighs what it does."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from terag_pipelines.errors import NotFoundError
from terag_pipelines.linking.blocking import BlockingReport
from terag_pipelines.pictures import ACCENT, ALARM, INK, MUTED, SECOND, new_picture, png

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
        axes.legend(frameon=False, fontsize=8, loc="lower right")
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


def explain_weight(pair: pa.Table, model: pa.Table, party_type: str) -> list[tuple[str, float]]:
    """The match weight of one row of PAIR_SCORES or LINKS as named parts that add up to it, in bits.

    The prior, one part for each level in its pattern, and what term frequencies and the like add.

    Raises: NotFoundError where the model does not know a level of the pattern.
    """
    known = model.filter(pc.equal(model["party_type"], party_type))
    names = zip(known["field"].to_pylist(), known["level"].to_pylist(), strict=True)
    weight_of = dict(zip(names, known["match_weight"].to_pylist(), strict=True))
    pattern = pair["pattern"][0].as_py()
    levels = [tuple(part.split(":")) for part in pattern.split("|") if part]
    try:
        parts = [("prior", weight_of["prior", "match"])]
        parts += [(f"{field}: {level}", weight_of[field, level]) for field, level in levels]
    except KeyError as error:
        raise NotFoundError(f"the link model of {party_type} has no {error}") from error
    rest = pair["match_weight"][0].as_py() - sum(weight for _, weight in parts)
    return [*parts, ("how common the values are", rest)] if abs(rest) > 1e-9 else parts


def draw_waterfall(parts: list[tuple[str, float]]) -> bytes:
    """The parts of one match weight, each starting where the one above it ends, and their sum. PNG."""
    weights = np.array([weight for _, weight in parts])
    total = float(weights.sum())
    starts = np.append(0.0, np.cumsum(weights)[:-1])
    probability = 1 / (1 + 2.0**-total)
    title = f"Match weight {total:+.1f} bits, probability {probability:.3f}"
    figure, axes = new_picture(title, height_inches=1.2 + 0.27 * len(parts))
    places = np.arange(len(parts) + 1)
    colours = [ACCENT if weight >= 0 else ALARM for weight in weights]
    axes.barh(places[:-1], weights, left=starts, height=0.7, color=colours)
    axes.barh(places[-1:], [total], height=0.7, color=SECOND)
    for place, start, weight in zip(places, [*starts, 0.0], [*weights, total], strict=True):
        axes.annotate(
            f" {weight:+.1f} ", (max(start, start + weight), place), va="center", fontsize=7, color=INK
        )
    axes.set_yticks(places, [*(name for name, _ in parts), "together"], fontsize=8, color=INK)
    axes.set_ylim(len(parts) + 0.6, -0.6)
    axes.margins(x=0.12)
    axes.axvline(0, color=INK, linewidth=0.8)
    axes.grid(axis="y", visible=False)
    axes.set_xlabel("bits", fontsize=8, color=INK)
    return png(figure)
