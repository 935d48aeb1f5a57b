"""The report of one linking: a single HTML page that needs nothing but itself. Holds personal values."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from terag_pipelines.linking.blocking import CandidatePairs
from terag_pipelines.linking.clusters import ResolvedEntities
from terag_pipelines.linking.encoding import EncodedRecords
from terag_pipelines.linking.evidence import EvidenceDiagnostics
from terag_pipelines.linking.explanation import ExplanationParams, LinkedBatch
from terag_pipelines.linking.explanation_pairs import choose_examples, explain_pairs
from terag_pipelines.linking.explanation_pictures import pair_section
from terag_pipelines.linking.explanation_values import shorten
from terag_pipelines.linking.explanation_words import (
    say_bits,
    say_level,
    say_probability,
    say_share,
    title_field,
    title_rule,
)
from terag_pipelines.linking.levels import FIELD_BY_NAME
from terag_pipelines.linking.links import Calibrator, LinkParams
from terag_pipelines.linking.recall import estimate_recall
from terag_pipelines.linking.scoring import PairScores
from terag_pipelines.linking.web_pages import heading, page, paragraph, plain, share_bar, table, text
from terag_pipelines.tables import as_frame

WIDEST_WEIGHT = 40.0  # bits; weights beyond it are drawn at the edge
HISTOGRAM_BINS = 80
HISTOGRAM_SIZE = (880, 220)
LEFT_MARGIN, BOTTOM_MARGIN = 60, 36


class LinkedTables(Protocol):
    """What every stage of linking gave: linking.pipeline.LinkedRecords and the like."""

    @property
    def pairs(self) -> CandidatePairs:
        """Candidate pairs and how blocking found them."""

    @property
    def scores(self) -> PairScores:
        """Scores, model and diagnostics."""

    @property
    def links(self) -> pa.Table:
        """LINKS."""

    @property
    def resolved(self) -> ResolvedEntities:
        """Entities, members and what clustering did."""


class ColumnRead(Protocol):
    """What one column of a source was taken for (None: not used), and why."""

    @property
    def column(self) -> str:
        """The column's name in the source."""

    @property
    def field(self) -> str | None:
        """The field that it is."""

    @property
    def reason(self) -> str:
        """Why."""


@dataclass(frozen=True)
class ReportParams:
    """The page's title, the threshold that the pairs were linked with, whether one to one, what became of
    labels, how much is listed."""

    title: str = "Linked records"
    threshold_probability: float = LinkParams().threshold_probability
    n_largest: int = 10
    labels_told: str = ""
    one_to_one: bool = False


def render_report(
    linked: LinkedTables,
    records: pa.Table,
    readings: Mapping[str, Sequence[ColumnRead]] | None = None,
    warnings: Iterable[str] = (),
    calibrator: Calibrator | None = None,
    prepared: EncodedRecords | None = None,
    params: ReportParams = ReportParams(),
) -> str:
    """The report of what linking did with ENTITY_RECORDS, as one HTML page.

    `readings` say by source how its columns were read; `warnings` are told first; `prepared` are the
    records as codes, where the caller has them already. The page holds personal values: the examples and the
    largest entities show names.
    """
    parts = [
        _counts(linked, records, params),
        _warnings(warnings),
        _readings(readings or {}),
        _blocking(linked),
        _histogram(linked.scores.scores, linked.links),
        _fits(linked.scores.diagnostics),
        _model(linked.scores.model),
        _examples(linked, _batch_of(linked, records, calibrator, prepared, params)),
        _largest(linked.resolved, params.n_largest),
    ]
    return page(params.title, *parts)


def _counts(linked: LinkedTables, records: pa.Table, params: ReportParams) -> str:
    report, clusters = linked.pairs.report, linked.resolved.report
    calibrated = linked.links["is_calibrated"].to_pylist()[:1] == [True]
    how = ", one to one" if params.one_to_one else ""
    rows = [
        ("records", f"{records.num_rows:,}"),
        ("candidate pairs", f"{report.n_pairs:,} ({report.pairs_per_record:.1f} a record)"),
        ("links", f"{linked.links.num_rows:,}, from probability {params.threshold_probability:g} on{how}"),
        (
            "probabilities",
            "calibrated by labels" if calibrated else "as the model holds them, not calibrated by labels",
        ),
        *([("learned from labels", params.labels_told)] if params.labels_told else []),
        ("entities", f"{clusters.n_entities:,}, the largest of {clusters.largest_entity:,} records"),
        ("groups taken apart", f"{clusters.n_refined:,} of {clusters.n_components:,} were looked into"),
        ("links not allowed", f"{clusters.n_forbidden_links:,}: other IIN or BIN, or a partial record"),
    ]
    return table(("", ""), [(text(name), plain(value)) for name, value in rows])


def _warnings(warnings: Iterable[str]) -> str:
    told = "".join(f"<li>{text(warning)}</li>" for warning in warnings)
    return f"{heading('Mind this')}<ul>{told}</ul>" if told else ""


def _readings(readings: Mapping[str, Sequence[ColumnRead]]) -> str:
    parts = []
    for source in sorted(readings):
        rows = [
            (text(shorten(one.column)), text(one.field or "not used"), text(shorten(one.reason)))
            for one in readings[source]
        ]
        parts += [heading(source, 3), table(("column", "read as", "because"), rows)]
    return "\n".join([heading("How the columns were read"), *parts]) if parts else ""


def _blocking(linked: LinkedTables) -> str:
    report = linked.pairs.report
    most = max((rung.n_pairs for rung in report.rungs), default=0)
    rows = [
        (
            text(title_rule(rung.rule)),
            share_bar(rung.n_pairs / max(most, 1), "rest"),
            f"{rung.n_pairs:,}",
            f"{rung.n_new_pairs:,}",
            f"{rung.n_blocks:,}",
            f"{rung.largest_block:,}",
            f"{rung.n_purged_records:,}",
        )
        for rung in report.rungs
    ]
    head = ("records that share", "", "pairs", "new pairs", "blocks", "largest", "records left out")
    told = "New pairs: not found by a rule above. Left out: records in blocks too large for the budget."
    skipped = "".join(f"<li>{text(title_rule(rule))}: {text(why)}</li>" for rule, why in report.skipped)
    rules = f"<details><summary>rules that took no part</summary><ul>{skipped}</ul></details>"
    return "\n".join(
        [
            heading("Which pairs were compared"),
            table(head, rows, numeric=(2, 3, 4, 5, 6)),
            paragraph(told, "quiet"),
            paragraph(_say_recall(linked), "quiet"),
            rules if skipped else "",
        ]
    )


def _say_recall(linked: LinkedTables) -> str:
    """Where the rules come from, and how many matches they may have missed."""
    choice = linked.pairs.report.choice
    told = "The rules were pinned, or the records too few to choose from."
    if choice is not None:
        learned = f"The rules were learned from {choice.n_examples:,} pairs that agree beyond chance"
        told = f"{learned}, to find {choice.expected_recall:.1%} of matches."
    found = estimate_recall(linked.pairs.table, linked.scores.scores)
    if not found.n_found:
        return told
    return f"{told} By capture and recapture among them, at most {found.recall_at_most:.1%} were found."


# Match weights


def _histogram(scores: pa.Table, links: pa.Table) -> str:
    """Match weights of all pairs and of links, counts on a logarithmic scale."""
    if not scores.num_rows:
        return ""
    bins = np.linspace(-WIDEST_WEIGHT, WIDEST_WEIGHT, HISTOGRAM_BINS + 1)
    counts = [
        np.histogram(np.clip(rows["match_weight"].to_numpy(), -WIDEST_WEIGHT, WIDEST_WEIGHT), bins)[0]
        for rows in (scores, links)
    ]
    (width, height), most = HISTOGRAM_SIZE, int(counts[0].max())
    bars = [_histogram_bars(count, most, kind) for count, kind in zip(counts, ("rest", "for"), strict=True)]
    told = "Grey: all candidate pairs; coloured: those that became links. Counts on a logarithmic scale."
    svg = (
        f'<svg width="{width}" height="{height}" viewBox="0 0 {width} {height}" role="img" '
        f'aria-label="histogram of match weights">{"".join(bars)}{_histogram_axes(most)}</svg>'
    )
    return f'{heading("Match weights")}<div class="wide">{svg}</div>{paragraph(told, "quiet")}'


def _histogram_bars(counts: npt.NDArray[np.int64], most: int, kind: str) -> str:
    step = (HISTOGRAM_SIZE[0] - LEFT_MARGIN) / HISTOGRAM_BINS
    base = HISTOGRAM_SIZE[1] - BOTTOM_MARGIN
    heights = [_log_height(int(n), most) for n in counts]
    return "".join(
        f'<rect class="{kind}" x="{LEFT_MARGIN + at * step:.1f}" y="{base - tall:.1f}" '
        f'width="{step - 1:.1f}" height="{tall:.1f}"/>'
        for at, tall in enumerate(heights)
        if tall > 0
    )


def _log_height(n: int, most: int) -> float:
    room = HISTOGRAM_SIZE[1] - BOTTOM_MARGIN - 14
    return room * math.log10(1 + n) / math.log10(1 + most) if n else 0.0


def _histogram_axes(most: int) -> str:
    width, height = HISTOGRAM_SIZE
    base, span = height - BOTTOM_MARGIN, width - LEFT_MARGIN
    lines = [f'<line class="axis" x1="{LEFT_MARGIN}" x2="{width}" y1="{base}" y2="{base}"/>']
    for bits in range(-40, 41, 10):
        x = LEFT_MARGIN + span * (bits + WIDEST_WEIGHT) / (2 * WIDEST_WEIGHT)
        anchor = "end" if bits == 40 else "middle"
        lines.append(
            f'<text x="{x:.0f}" y="{base + 15}" text-anchor="{anchor}">{f"{bits:+d}" if bits else "0"}</text>'
        )
    middle = LEFT_MARGIN + span / 2
    lines.append(f'<text x="{middle:.0f}" y="{base + 31}" text-anchor="middle">bits, 0 is even odds</text>')
    for n in (10**power for power in range(len(str(most)))):
        y = base - _log_height(n, most)
        lines.append(f'<text x="{LEFT_MARGIN - 6}" y="{y + 4:.0f}" text-anchor="end">{n:,}</text>')
    return "".join(lines)


# The model


def _fits(diagnostics: Sequence[EvidenceDiagnostics]) -> str:
    rows = [
        (
            plain(one.party_type),
            f"{one.n_pairs:,}",
            plain(say_share(one.match_share)),
            f"{one.expected_matches:,.0f}",
            text(_say_fit(one)),
        )
        for one in diagnostics
    ]
    head = ("model of", "pairs learned from", "share of matches", "matches expected", "how the fit went")
    told = paragraph("Pairs learned from: those that were compared, and some drawn at random.", "quiet")
    return heading("What was learned") + table(head, rows, numeric=(1, 2, 3)) + told if rows else ""


def _say_fit(one: EvidenceDiagnostics) -> str:
    if one.fallback:
        return f"EM not trusted, defaults used: {one.fallback}"
    if not one.converged:
        return f"EM stopped after {one.n_iterations} iterations, not converged"
    unseen = (level.split(":") for level in one.levels_never_seen)
    words = "; ".join(f"{title_field(field)}: {say_level(field, level)}" for field, level in unseen)
    never = f". Never seen, so by default: {words}" if words else ""
    return f"EM from {one.start} converged after {one.n_iterations} iterations{never}"


def _model(model: pa.Table) -> str:
    order = {name: at for at, name in enumerate(FIELD_BY_NAME)}
    rows = [row for row in model.to_pylist() if row["field"] in order]
    rows.sort(key=lambda row: (row["party_type"], order[row["field"]], row["level_rank"]))
    cells = [
        (
            plain(row["party_type"]),
            text(title_field(row["field"])),
            text(say_level(row["field"], row["level"])),
            share_bar(row["m_probability"], "for", width=110),
            plain(say_share(row["m_probability"])),
            share_bar(row["u_probability"], "against", width=110),
            plain(say_share(row["u_probability"])),
            say_bits(row["match_weight"]),
            plain("learned" if row["source"] == "em" else "default"),
        )
        for row in rows
    ]
    head = ("", "field", "level", "m", "of matches", "u", "of non-matches", "bits", "")
    return table(head, cells, numeric=(4, 6, 7)) if cells else ""


# Examples and entities


def _batch_of(
    linked: LinkedTables,
    records: pa.Table,
    calibrator: Calibrator | None,
    prepared: EncodedRecords | None,
    params: ReportParams,
) -> LinkedBatch:
    return LinkedBatch(
        records,
        linked.scores.scores,
        linked.scores.model,
        linked.links,
        linked.resolved.members,
        linked.pairs.table,
        calibrator=calibrator,
        prepared=prepared,
        params=ExplanationParams(links=LinkParams(params.threshold_probability, params.one_to_one)),
    )


def _examples(linked: LinkedTables, batch: LinkedBatch) -> str:
    chosen = choose_examples(linked.scores.scores, linked.links, batch.members)
    told = explain_pairs(batch, list(chosen.values())) if chosen else []
    parts = [heading(name, 3) + pair_section(pair) for name, pair in zip(chosen, told, strict=True)]
    return "\n".join([heading("Examples, field by field"), *parts]) if parts else ""


def _largest(resolved: ResolvedEntities, n: int) -> str:
    members = as_frame(resolved.members, ["entity_id", "link_probability"])
    least = members.group_by("entity_id").agg(least=pl.col("link_probability").min())
    entities = as_frame(resolved.entities).sort(["n_records", "entity_id"], descending=[True, False])
    several = entities.filter(pl.col("n_records") > 1).head(n).join(least, on="entity_id", how="left")
    rows = [
        (
            text(row["entity_id"]),
            text(shorten(row["display_name"] or "")),
            plain(row["party_type"]),
            f"{row['n_records']:,}",
            plain("" if row["least"] is None else say_probability(row["least"])),
        )
        for row in several.sort(["n_records", "entity_id"], descending=[True, False]).to_dicts()
    ]
    head = ("entity", "name", "what it is", "records", "least sure member")
    return heading("Largest entities") + table(head, rows, numeric=(3, 4)) if rows else ""
