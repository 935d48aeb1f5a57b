"""What the ring finder found as one HTML page that needs nothing but itself, and prints on A4."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import polars as pl

from terag_pipelines.linking.web_pages import page, plain, text
from terag_pipelines.rings.case_files import CaseFile, Person, Provenance, meet_members
from terag_pipelines.rings.case_pages import STYLE
from terag_pipelines.rings.drawing import draw_ring
from terag_pipelines.rings.edge_reading import FileRead, count_reasons, say_reasons
from terag_pipelines.rings.evidence import evidence_of
from terag_pipelines.rings.findings import N_HUBS_NAMED, Findings
from terag_pipelines.rings.resolution_pictures import draw_profile
from terag_pipelines.rings.scenes import Member, RingScene, look_at_rings
from terag_pipelines.rings.sections import (
    Block,
    Folded,
    Listed,
    Row,
    Rows,
    Section,
    Shown,
    Told,
    render_sections,
)
from terag_pipelines.rings.timelines import draw_timeline
from terag_pipelines.rings.words import (
    KIND_SENTENCES,
    ROLE_SENTENCES,
    innocent_readings,
    plain_kind,
    say_amount,
    say_count,
    say_instant,
)

N_DRAWN = 10
N_LISTED = 200  # rings in the table
N_MEMBERS = 60  # of a ring in its table
N_REASONS = 3
N_KINDS = 8  # of plain ties, in the caption

RING_STYLE = """
.case h3 { margin-top: .4rem } .case td.why { min-width: 16rem }
.ring > section { margin-top: .8rem } .ring > section h2 { font-size: 1rem; border-bottom: 0 }
.ring > h2 { border-bottom: 2px solid var(--line); padding-bottom: .15rem; margin-top: 2.2rem }
@media print { dl.facts { grid-template-columns: repeat(4, 1fr) } .ring { break-before: page }
  .ring figure svg { max-height: 150mm } }
"""


def render_found(found: Findings) -> str:
    """The page of a search: the same bytes for the same findings."""
    title = f"Fraud rings in {found.given.files[0].file}"
    worst = "\n".join(_render_ring(found, at, case) for at, case in enumerate(_worst_cases(found), start=1))
    body = f"{_head(found)}\n{render_sections(_overview(found))}\n{worst}\n{render_sections(_method(found))}"
    return page(title, f'<div class="case">{body}</div>', style=STYLE + RING_STYLE)


def _head(found: Findings) -> str:
    edges, report = found.given.files[0], found.report
    n_left_out = edges.n_quarantined + edges.n_outside
    facts = [
        ("rows of edges read", f"{edges.n_rows:,}"),
        ("of these left out", f"{n_left_out:,}"),
        ("nodes", f"{report.n_entities:,}"),
        ("transfers, plain ties", f"{found.given.transfers.height:,}, {found.given.ties.height:,}"),
        ("communities", f"{report.n_communities:,}, the largest of {report.largest_community:,}"),
        ("rings", f"{found.rings.num_rows:,}"),
        ("nodes in rings", f"{found.named.members.num_rows:,}"),
        ("times", _say_span(found)),
    ]
    cells = "".join(f"<div><dt>{plain(name)}</dt><dd>{text(value)}</dd></div>" for name, value in facts)
    return f'<dl class="facts">{cells}</dl>'


def _say_span(found: Findings) -> str:
    at = found.given.transfers["at"].drop_nulls()
    at = at if len(at) else found.given.ties["at"].drop_nulls()
    return f"{say_instant(at.min())} to {say_instant(at.max())}" if len(at) else "none"  # type: ignore[arg-type]


def _overview(found: Findings) -> tuple[Section, ...]:
    rings = found.rings.slice(0, N_LISTED).to_pylist()
    rows = tuple(_ring_row(at, ring) for at, ring in enumerate(rings, start=1))
    head = ("", "ring", "kind", "severity", "risk", "members", "moved", "last transfer", "why")
    blocks: list[Block] = [Told(f"Risk: {found.say_risk()}. A score ranks rings and is no probability.")]
    if rows:
        blocks.append(Rows(head, rows, (0, 4, 5, 6)))
    else:
        blocks.append(Told(f"There is no ring: {found.named.why_none}."))
    if found.rings.num_rows > len(rows):
        blocks.append(Told(f"{len(rows)} of {found.rings.num_rows:,} shown; rings.parquet has all.", True))
    first = (*found.notes(), *_say_quarantine(found))
    known = (Listed(first),) if first else ()
    return Section("What to know first", known), Section("Rings by risk", tuple(blocks))


def _say_quarantine(found: Findings) -> Iterator[str]:
    for one in found.given.files:
        if one.n_quarantined:
            why = say_reasons(found.quarantine, one.file)
            yield f"{one.file}: {say_count(one.n_quarantined, 'row')} in quarantine: {why}"


def _ring_row(at: int, ring: Mapping[str, Any]) -> Row:
    return (
        f"{at}",
        ring["ring"],
        plain_kind(ring["kind"]),
        ring["severity"],
        f"{ring['risk']:.2f}",
        f"{ring['n_members']:,}",
        _say_moved(ring),
        say_instant(ring["last_at"]),
        "\n".join(ring["reasons"][:N_REASONS]),
    )


def _say_moved(ring: Mapping[str, Any]) -> str:
    if ring["amount"] is None:
        return "-"
    return f"{ring['amount'].normalize():,f} {ring['currency'] or ''}".replace(",", " ").strip()


# The worst rings


def _worst_cases(found: Findings) -> Iterator[CaseFile]:
    """A case for each of the riskiest rings, in the order of the table."""
    ring_ids = found.rings["ring"].slice(0, N_DRAWN).to_pylist()
    tables = dict(found.graph.tables) | {"ring_scores": found.scores}
    scenes = look_at_rings(ring_ids, found.named.rings, found.named.members, tables) if ring_ids else []
    provenance = Provenance("", params=found.params.naming)
    for scene in scenes:
        pairs = _plain_ties(scene, found).select(
            pl.min_horizontal("one", "other"), pl.max_horizontal("one", "other").alias("second")
        )
        whole = replace(scene, ties=tuple(sorted(pairs.rows())))
        yield CaseFile(whole, meet_members(whole, tables), provenance)


def _plain_ties(scene: RingScene, found: Findings) -> pl.DataFrame:
    """one, other (numbers of members) and kinds of the plain ties between the members of a scene."""
    entities = [member.entity_id for member in scene.members]
    numbers = pl.DataFrame({"entity_id": entities, "number": [member.number for member in scene.members]})
    placed = found.detection.index.nodes.select("node", "entity_id").join(numbers, on="entity_id")
    one = placed.select(left="node", one="number")
    other = placed.select(right="node", other="number")
    return found.graph.ties.join(one, on="left").join(other, on="right").select("one", "other", "kinds")


def _render_ring(found: Findings, at: int, case: CaseFile) -> str:
    ring = case.ring
    told = f"{plain_kind(case.scene.kind)}, risk {ring['risk_score']:.2f}, {ring['severity']}"
    title = f"{at}. {ring['ring_id']}: {told}"
    sections = (
        Section("Why", tuple(_why(case))),
        Section("How they are tied", (_drawing(found, case.scene, case.names),)),
        Section("When", _timeline(found, case)),
        Section("Members", _members(case)),
    )
    return f'<div class="ring"><h2>{text(title)}</h2>\n{render_sections(sections)}</div>'


def _why(case: CaseFile) -> Iterator[Block]:
    yield Told(KIND_SENTENCES.get(case.scene.kind, ""))
    for reason in case.ring["reasons"]:
        evidence = evidence_of(case, reason)
        yield Folded(reason, evidence, is_open=True) if evidence else Listed((reason,))


def _drawing(found: Findings, scene: RingScene, names: Mapping[int, str]) -> Shown:
    roles = {member.role for member in scene.members} - {"associate"}
    told = [f"{plain_kind(role)} {words}" for role, words in ROLE_SENTENCES.items() if role in roles]
    kinds = Counter(_plain_ties(scene, found)["kinds"].explode().drop_nulls().to_list())
    counted = [f"{kind} {n:,}" for kind, n in sorted(kinds.items(), key=lambda one: (-one[1], one[0]))]
    parts = (
        "Numbers are those of the table of members.",
        f"Roles: {'; '.join(told)}." if told else "",
        f"Pairs tied by: {', '.join(counted[:N_KINDS])}." if counted else "",
    )
    return Shown(draw_ring(scene, names), " ".join(filter(None, parts)))


def _timeline(found: Findings, case: CaseFile) -> tuple[Block, ...]:
    if not case.scene.transfers or not found.given.has_times:
        return ()
    return (Shown(draw_timeline(case.scene, case.names), ""),)


def _members(case: CaseFile) -> tuple[Block, ...]:
    """The table of members; what they got and paid only where members paid each other."""
    shown = case.scene.members[:N_MEMBERS]
    money = ("got from members", "paid to members") if case.scene.transfers else ()
    rows = tuple(
        (
            *_who(member, case.people[member.number]),
            *_got_and_paid(member, case.ring["currency"] or "")[: len(money)],
            "\n".join(case.people[member.number].reasons),
        )
        for member in shown
    )
    head = ("", "node", "role", "score", *money, "why it was scored so")
    more = len(case.scene.members) - len(shown)
    told = (Told(f"And {more:,} more, in memberships.parquet.", is_quiet=True),) if more else ()
    return Rows(head, rows, (0, 3, 4, 5)[: 2 + len(money)]), *told


def _who(member: Member, person: Person) -> Row:
    watched = "\n! on a watchlist" if member.is_watchlist else ""
    named = member.entity_id if person.name == member.entity_id else f"{person.name}\n{member.entity_id}"
    return f"{member.number}", named + watched, plain_kind(member.role), f"{member.score:.2f}"


def _got_and_paid(member: Member, currency: str) -> Row:
    return say_amount(member.in_amount_minor, currency), say_amount(member.out_amount_minor, currency)


# What was read, and how


def _method(found: Findings) -> tuple[Section, ...]:
    return (
        Section("What was read", tuple(_files(found))),
        Section("What was left out", tuple(_left_out(found))),
        Section("Communities", tuple(_communities(found))),
        Section("How to read this", tuple(_readings(found))),
    )


def _files(found: Findings) -> Iterator[Block]:
    head = ("file", "as", "rows", "in quarantine", "outside the window", "repeated")
    yield Rows(head, tuple(_file_row(one) for one in found.given.files), (2, 3, 4, 5))
    if found.given.window:
        yield Told(f"The window: {found.given.window}.")
    repeated = any(one.n_repeated for one in found.given.files)
    if repeated:
        yield Told(
            "Repeated edges say what an earlier row says: without an id of their own each counts.", True
        )
    for one in found.given.files:
        rows = tuple((column.column, column.field or "-", column.reason) for column in one.columns)
        yield Folded(f"Columns of {one.file}", (Rows(("column", "read as", "why"), rows),), is_open=True)


def _file_row(one: FileRead) -> Row:
    counts = (one.n_rows, one.n_quarantined, one.n_outside, one.n_repeated)
    return (one.file, one.role, *(f"{n:,}" for n in counts))


def _left_out(found: Findings) -> Iterator[Block]:
    reasons = count_reasons(found.quarantine)
    if reasons.is_empty():
        yield Told("Every row could be used.")
    else:
        rows = tuple(
            (file, name or "the whole row", reason, f"{n:,}") for file, name, reason, n in reasons.iter_rows()
        )
        yield Rows(("file", "field", "reason", "rows"), rows, (3,))
        yield Told("quarantine.csv names each row.", is_quiet=True)
    hubs = found.graph.hubs
    if hubs.height:
        most = found.params.rings.projection.max_counterparties
        shown = tuple((node, f"{n:,}") for node, n in hubs.head(N_HUBS_NAMED).iter_rows())
        yield Told(
            f"{say_count(hubs.height, 'hub')} with more than {most:,} partners: shops, payrolls, exchanges, "
            "which everybody deals with. Their edges tie nobody together and make no circle."
        )
        yield Rows(("hub", "partners"), shown, (1,))


def _communities(found: Findings) -> Iterator[Block]:
    choice = found.communities.choice
    yield Told(_say_resolution(found))
    if choice is not None:
        yield Shown(draw_profile(choice, found.communities.resolution), "")
    sizes = np.bincount(found.communities.membership)
    steps = (1, 2, 3, 6, 11, 26, 101, len(found.communities.membership) + 1)
    spans = [(low, high - 1) for low, high in pairwise(steps) if high > low]
    counted = [(low, high, int(((sizes >= low) & (sizes <= high)).sum())) for low, high in spans]
    rows = tuple(
        (f"{low:,}" if low == high else f"{low:,} to {high:,}", f"{n:,}") for low, high, n in counted if n
    )
    yield Rows(("nodes in the community", "communities"), rows, (0, 1))


def _say_resolution(found: Findings) -> str:
    choice, told = found.communities.choice, "as was asked"
    if choice is None and not found.params.rings.communities.resolution:
        told = "the usual one: there is too little to read it off"
    elif choice is not None:
        agreement = (
            f"{choice.agreement:.2f} against {choice.chance_agreement:.2f} on ties dealt out at random"
        )
        told = (
            "read off the graph: there partitions from different seeds agree clearly more than by chance "
            f"({agreement})"
            if choice.is_clear
            else "the usual one: none is clear in this graph; where partitions agree most they do so hardly "
            f"more than by chance ({agreement})"
        )
    resolution = f"{found.communities.resolution:.3g}"
    return f"Communities by Leiden (constant Potts model) at the resolution {resolution}, {told}."


def _readings(found: Findings) -> Iterator[Block]:
    dense, naming = found.params.dense, found.params.naming
    yield Told(
        "The anomaly score of a node, 0 to 1, adds up how rare each sign is among the nodes of this graph: "
        "circles, money passed on at once, many payers or payees within days, amounts that are rare here, "
        "repeats, closeness to a watchlist. It is one half for the evidence of "
        f"{found.params.rings.risk.half_evidence:g} signs in each of which a node is the most extreme of all."
    )
    yield Told(
        f"A dense group is the core of a community, of {dense.min_members} to {dense.max_members} nodes, in "
        f"which at least {dense.least_density:.0%} of the pairs are tied, and {dense.least_lift:g} times the "
        "share that is usual; it scores one half where one so dense would come about by chance in one of "
        f"{10**dense.half_evidence:,.0f} graphs like this."
    )
    yield Told(
        f"A ring is a connected group of at least {naming.min_members} nodes of one community that "
        f"score {naming.member_threshold:g} or more; its risk is their mean score."
    )
    kinds = sorted(set(found.rings["kind"].to_pylist()))
    n_told = None if found.given.transfers.height else -1  # the last one speaks of amounts
    told = [reading for kind in kinds for reading in innocent_readings(kind)[:n_told]]
    if told:
        yield Told("Innocent readings of these shapes:")
        yield Listed(tuple(dict.fromkeys(told)))
