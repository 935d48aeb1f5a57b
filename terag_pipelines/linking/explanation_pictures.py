"""Explanations as pictures: self-contained HTML pages, and the waterfall alone as SVG without any values."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa

from terag_pipelines.linking.explanation import LinkedBatch, WeighedPair, weigh_anew
from terag_pipelines.linking.explanation_entities import EntityExplanation, TreeEdge
from terag_pipelines.linking.explanation_pairs import PairExplanation, choose_examples, say_blocking
from terag_pipelines.linking.explanation_records import RecordExplanation
from terag_pipelines.linking.explanation_words import (
    ACROSS_SCRIPTS,
    Silence,
    count,
    say_bits,
    say_probability,
    say_weight,
    title_field,
)
from terag_pipelines.linking.links import decide_links
from terag_pipelines.linking.model import ENTITY_MEMBERS
from terag_pipelines.linking.web_pages import heading, listed, page, paragraph, plain, table, text

BAR_WIDTH = 260
ROW_HEIGHT = 22
LETTER_WIDTH = 7.4  # of 12 px text, on the wide side
MAX_DRAWN_MEMBERS = 40
MAX_LISTED_MEMBERS = 300
MAX_DEPTH = 12  # of the tree on the page; deeper branches stand at this depth
RADIUS = 170  # of the circle of many records
MARGIN = 22


@dataclass(frozen=True)
class Step:
    """One bar of a waterfall: from where to where, in bits."""

    label: str
    start: float
    end: float
    kind: str  # "for", "against", "rest" or "sum": its colour


def waterfall_steps(pair: WeighedPair) -> list[Step]:
    """The bars: prior, each field that says something, and their sum; each starts where the last ended."""
    parts = [("prior", pair.prior_weight)]
    parts += [(f"{title_field(e.field)}: {e.told}", e.weight) for e in pair.known]
    if pair.unexplained_weight:
        parts.append(("not explained", pair.unexplained_weight))
    steps, total = [], 0.0
    for label, weight in parts:
        kind = "rest" if label == "prior" else "for" if weight >= 0 else "against"
        steps.append(Step(label, total, total + weight, kind))
        total += weight
    return [*steps, Step("together", 0.0, pair.match_weight, "sum")]


def draw_waterfall(pair: WeighedPair, name: str = "Match weight") -> str:
    """The waterfall of a pair as one SVG document on white; it shows levels and weights, no values."""
    steps = waterfall_steps(pair)
    label_width = max(len(step.label) for step in steps) * LETTER_WIDTH + 12
    width, height = label_width + BAR_WIDTH + 90, ROW_HEIGHT * (len(steps) + 1) + 16
    figures = f"{say_weight(pair.match_weight)}, probability {say_probability(pair.match_probability)}"
    title = f"{name}: {figures}"
    width = max(width, len(title) * LETTER_WIDTH + 12)
    lines = [f'<text x="6" y="16" font-weight="600">{plain(title)}</text>']
    for at, step in enumerate(steps):
        y = ROW_HEIGHT * (at + 1)
        lines.append(f'<text x="6" y="{y + 15}">{plain(step.label)}</text>')
        lines.append(f'<g transform="translate({label_width:.0f} {y})">{_bar(step, steps)}</g>')
        x = label_width + BAR_WIDTH + 8
        lines.append(f'<text x="{x:.0f}" y="{y + 15}">{plain(say_weight(step.end - step.start))}</text>')
    style = (
        "text{font:12px 'DejaVu Sans',Verdana,sans-serif;fill:#1f2937}.for{fill:#0f766e}"
        ".against{fill:#b91c1c}.sum{fill:#b45309}.rest{fill:#64748b}.axis{stroke:#94a3b8}"
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height}" '
        f'viewBox="0 0 {width:.0f} {height}"><style>{style}</style>'
        f'<rect width="100%" height="100%" fill="#ffffff"/>{"".join(lines)}</svg>'
    )


def draw_examples(records: pa.Table, scores: pa.Table, model: pa.Table) -> dict[str, str]:
    """Waterfalls of a few pairs of PAIR_SCORES by what they show, as SVG without values, for metadata."""
    links = decide_links(scores)
    chosen = choose_examples(scores, links)
    batch = LinkedBatch(records, scores, model, links, ENTITY_MEMBERS.empty())
    weighed = weigh_anew(batch, list(chosen.values()))
    return {name: draw_waterfall(pair, name) for name, pair in zip(chosen, weighed, strict=True)}


def _bar(step: Step, steps: Sequence[Step]) -> str:
    """The bar of one step on the scale of all, and the line of zero; BAR_WIDTH by ROW_HEIGHT."""
    ends = [0.0, *(value for each in steps for value in (each.start, each.end))]
    low, scale = min(ends), BAR_WIDTH / max(max(ends) - min(ends), 1e-9)
    left, right = sorted(((step.start - low) * scale, (step.end - low) * scale))
    zero = -low * scale
    return (
        f'<line class="axis" x1="{zero:.1f}" x2="{zero:.1f}" y1="0" y2="{ROW_HEIGHT}"/>'
        f'<rect class="{step.kind}" x="{left:.1f}" y="4" width="{max(right - left, 1):.1f}" height="14"/>'
    )


def _cell(step: Step, steps: Sequence[Step]) -> str:
    return (
        f'<svg width="{BAR_WIDTH}" height="{ROW_HEIGHT}" role="img" '
        f'aria-label="{plain(step.label)}: {say_bits(step.end - step.start)} bits">{_bar(step, steps)}</svg>'
    )


def waterfall_table(pair: WeighedPair) -> str:
    """The waterfall as an HTML table with the values compared, a bar for each step; missing fields below."""
    steps = waterfall_steps(pair)
    rest = [("", "", "the stored weight has this beyond what is known here")] * bool(pair.unexplained_weight)
    told = [("", "", pair.prior_account)]
    told += [(listed(e.left), listed(e.right), e.account) for e in pair.known]
    rows = []
    for step, (left, right, sentence) in zip(steps[:-1], told + rest, strict=True):
        name = step.label.partition(": ")[0]
        weight = plain(say_bits(step.end - step.start))
        told_whole = text(sentence).replace(" bits", "&nbsp;bits")
        rows.append((text(name), left, right, told_whole, _cell(step, steps), weight))
    total = f"probability {say_probability(pair.match_probability)}"
    rows.append(
        ("together", "", "", text(total), _cell(steps[-1], steps), plain(say_bits(pair.match_weight)))
    )
    head = ("what", pair.left_id, pair.right_id, "how far it agrees", "bits", "")
    return table(head, rows, numeric=(5,), kind="waterfall") + _missing(pair) + _source(pair)


def _missing(pair: WeighedPair) -> str:
    if not pair.missing:
        return ""
    rows = [
        (text(title_field(e.field)), listed(e.left), listed(e.right), text(e.told))
        for e in sorted(pair.missing, key=lambda part: part.silence is Silence.NOT_KNOWN)
    ]
    told = table(("neither for nor against", pair.left_id, pair.right_id, "why"), rows)
    summary = count(len(rows), "field says nothing here", "fields say nothing here")
    return f"<details><summary>{summary}</summary>{told}</details>"


def _source(pair: WeighedPair) -> str:
    if pair.is_learned:
        return paragraph("The shares of matches and non-matches were learned from this batch.", "quiet")
    return paragraph(
        "The shares are default ones: this batch has too few pairs of this kind to learn them from.", "quiet"
    )


def render_pair(explanation: PairExplanation) -> str:
    """The page of a pair. Holds personal values."""
    pair = explanation.weighed
    title = f"Why {pair.left_id} and {pair.right_id} {'are' if explanation.is_same_entity else 'are not'} one"
    return page(title, pair_section(explanation), paragraph(SCALE, "quiet"))


SCALE = (
    "Each step is a weight in bits: one bit doubles the odds that two records are one. 0 bits are even "
    "odds, +10 bits about a thousand to one. Matches are pairs that are one, non-matches pairs that are not."
)


def pair_section(explanation: PairExplanation) -> str:
    """What came of a pair, its waterfall, and what blocking did with it."""
    near = "".join(f"<li>{text(rule.sentence)}</li>" for rule in explanation.near_rules)
    parts = [
        paragraph(explanation.sentence, "big"),
        waterfall_table(explanation.weighed),
        paragraph(say_blocking(explanation), "quiet"),
        f"<p>Rules that came nearest:</p><ul>{near}</ul>" if near else "",
    ]
    return "\n".join(part for part in parts if part)


def reasons_line(pair: PairExplanation, n: int) -> str:
    """What speaks most for a pair, what against it, and which names could not be compared, in one line."""
    told = []
    for is_for, word in ((True, "For"), (False, "Against")):
        parts = pair.weighed.reasons(is_for, n)
        names = "; ".join(
            f"{title_field(part.field)}: {part.told} ({say_bits(part.weight)})" for part in parts
        )
        told += [f"{word}: {names}."] if names else []
    if any(part.silence is Silence.ACROSS_SCRIPTS for part in pair.weighed.missing):
        told.append(f"The names are {ACROSS_SCRIPTS}.")
    return " ".join(told)


def render_entity(explanation: EntityExplanation, n_reasons: int = 3) -> str:
    """The page of an entity: its records, the tree that holds them, what would split it. Personal values."""
    weak = "".join(f"<li>{text(weakness.sentence)}</li>" for weakness in explanation.weakest)
    held = [*([explanation.cut.sentence] if explanation.cut else []), *explanation.pillar_sentences]
    return page(
        f"Why the records of {explanation.entity_id} are one",
        paragraph(explanation.sentence, "big"),
        _draw_links(explanation),
        heading("Its records"),
        _member_table(explanation),
        heading("The tree of its strongest links") if explanation.tree else "",
        _tree(explanation, n_reasons),
        heading("What would split it") if weak else "",
        paragraph("The weakest links of the tree:") if weak else "",
        f"<ul>{weak}</ul>" if weak else "",
        "".join(paragraph(sentence) for sentence in held),
        paragraph(SCALE, "quiet") if explanation.tree else "",
    )


def _member_table(explanation: EntityExplanation) -> str:
    shown = explanation.members[:MAX_LISTED_MEMBERS]
    rows = [
        (
            str(at + 1),
            text(member.record_id),
            text(member.name),
            text(member.birth_date),
            listed(member.numbers),
            str(member.degree),
        )
        for at, member in enumerate(shown)
    ]
    head = ("", "record", "name", "born", "numbers", "links")
    left_out = len(explanation.members) - len(shown)
    more = paragraph(f"… and {left_out:,} more records; all are in the JSON.", "quiet") if left_out else ""
    return table(head, rows, numeric=(0, 5)) + more


def _tree(explanation: EntityExplanation, n_reasons: int) -> str:
    children: dict[str, list[TreeEdge]] = defaultdict(list)
    for edge in explanation.tree[:MAX_LISTED_MEMBERS]:
        children[edge.parent_id].append(edge)
    inner = {edge.child_id for edge in explanation.tree}
    roots = [parent for parent in children if parent not in inner]
    rows = [
        f'<ul class="tree"><li><b>{text(root)}</b>{_branches(root, children, n_reasons)}</li></ul>'
        for root in roots
    ]
    left_out = len(explanation.tree) - MAX_LISTED_MEMBERS
    more = f"… and {left_out:,} more links; all are in the JSON."
    return "".join(rows) + (paragraph(more, "quiet") if left_out > 0 else "")


def _branches(root: str, children: dict[str, list[TreeEdge]], n_reasons: int) -> str:
    """Nested lists below a record; beyond MAX_DEPTH branches stand side by side, so that nothing runs off."""
    out: list[str] = []
    pending: list[tuple[str, TreeEdge | None, int]] = [("open", edge, 1) for edge in children[root][::-1]]
    pending = [("close-list", None, 0), *pending, ("open-list", None, 0)]
    while pending:
        what, edge, depth = pending.pop()
        if edge is None:
            out.append({"open-list": "<ul>", "close-list": "</ul>", "close-item": "</li>"}[what])
            continue
        out.append(f"<li>{_edge_line(edge, n_reasons)}")
        below = [("open", child, depth + 1) for child in children.get(edge.child_id, [])[::-1]]
        if below and depth < MAX_DEPTH:
            pending += [("close-item", None, 0), ("close-list", None, 0), *below, ("open-list", None, 0)]
        else:
            out.append("</li>")
            pending += below
    return "".join(out)


def _edge_line(edge: TreeEdge, n_reasons: int) -> str:
    figures = f"{say_weight(edge.weight)}, probability {say_probability(edge.pair.link_probability)}"
    return (
        f"<b>{text(edge.child_id)}</b> <span class=chip>{plain(figures)}</span>"
        f" <span class=quiet>to {text(edge.parent_id)}</span>"
        f"<br><span class=quiet>{text(reasons_line(edge.pair, n_reasons))}</span>"
        f"<details><summary>waterfall</summary>{waterfall_table(edge.pair.weighed)}</details>"
    )


def _draw_links(explanation: EntityExplanation) -> str:
    """The records on a circle, numbered as in the table: tree links bold, the weakest red, others thin."""
    ids = [member.record_id for member in explanation.members]
    if not 2 < len(ids) <= MAX_DRAWN_MEMBERS:
        return ""
    spot = {name: _on_circle(at, len(ids)) for at, name in enumerate(ids)}
    weakest = {(weak.left_id, weak.right_id) for weak in explanation.weakest[:1]}
    lines = [_line(spot[a], spot[b], "loose", 1.5) for a, b, _ in explanation.other_links]
    for edge in explanation.tree:
        ends = (edge.pair.weighed.left_id, edge.pair.weighed.right_id)
        kind = "weak" if ends in weakest else "edge"
        lines.append(_line(spot[ends[0]], spot[ends[1]], kind, 1.5 + min(max(edge.weight, 0), 20) / 5))
    for at, name in enumerate(ids):
        x, y = spot[name]
        lines.append(
            f'<circle class="node" cx="{x:.1f}" cy="{y:.1f}" r="13"><title>{plain(name)}</title></circle>'
        )
        lines.append(f'<text x="{x:.1f}" y="{y + 4:.1f}" text-anchor="middle">{at + 1}</text>')
    size = 2 * (_radius(len(ids)) + MARGIN)
    told = "Bold: the tree of strongest links; red: the weakest of them; thin: further links."
    return (
        f'<svg width="{size:.0f}" height="{size:.0f}" viewBox="0 0 {size:.0f} {size:.0f}" role="img" '
        f'aria-label="{plain(told)}">{"".join(lines)}</svg>{paragraph(told, "quiet")}'
    )


def _radius(n: int) -> float:
    return RADIUS * min(1.0, 0.35 + n / 16)


def _on_circle(at: int, n: int) -> tuple[float, float]:
    angle, radius = 2 * math.pi * at / n - math.pi / 2, _radius(n)
    return MARGIN + radius * (1 + math.cos(angle)), MARGIN + radius * (1 + math.sin(angle))


def _line(one: tuple[float, float], other: tuple[float, float], kind: str, width: float) -> str:
    ends = f'x1="{one[0]:.1f}" y1="{one[1]:.1f}" x2="{other[0]:.1f}" y2="{other[1]:.1f}"'
    return f'<line class="{kind}" {ends} stroke-width="{width:.1f}"/>'


def render_record(explanation: RecordExplanation, n_reasons: int = 3) -> str:
    """The page of a record: what it is linked to, and the nearest records that it was not joined with."""
    record = explanation.record
    known = [record.name, record.birth_date, *record.numbers]
    parts = [
        paragraph(explanation.sentence, "big"),
        f"<p>{' '.join(f'<span class=chip>{text(value)}</span>' for value in known if value)}</p>",
    ]
    for title, pairs in (("Linked with", explanation.linked), ("Nearest of the others", explanation.nearest)):
        if pairs:
            parts.append(heading(title))
        for pair in pairs:
            parts.append(heading(explanation.other_id(pair), 3))
            parts.append(paragraph(reasons_line(pair, n_reasons), "quiet"))
            parts.append(pair_section(pair))
    parts.append(paragraph(SCALE, "quiet") if explanation.linked or explanation.nearest else "")
    is_alone = explanation.n_entity_records == 1
    return page(f"Why {record.record_id} {'is alone' if is_alone else 'joined what it joined'}", *parts)
