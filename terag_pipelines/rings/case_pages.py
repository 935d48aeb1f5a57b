"""A case as one HTML page that needs nothing but itself, and prints on A4. Holds personal values."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from typing import Any

from terag_pipelines.linking.web_pages import page, plain, text
from terag_pipelines.rings.case_files import RUNBOOK, CaseFile, Person
from terag_pipelines.rings.drawing import draw_ring
from terag_pipelines.rings.evidence import SHARED_HEAD, evidence_of, shared_row
from terag_pipelines.rings.scenes import Member, Transfer, sum_money
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
    UNKNOWN_CURRENCY,
    innocent_readings,
    plain_kind,
    say_amount,
    say_count,
    say_instant,
    say_member,
    say_money,
    say_risk,
    say_sums,
)

N_TRANSFERS = 30  # listed at once, the largest
MAX_TRANSFERS = 2_000  # listed in the fold
N_SHARED = 40

STYLE = """
section { margin-top: 1.6rem } section h2 { border-bottom: 2px solid var(--line); padding-bottom: .15rem }
dl.facts { display: grid; grid-template-columns: repeat(auto-fill, minmax(13rem, 1fr)); gap: .5rem 1.2rem;
  margin: .8rem 0; padding: .8rem 1rem; background: var(--band); border-radius: .4rem }
dl.facts dt { color: var(--quiet); font-size: .8rem } dl.facts dd { margin: 0; font-weight: 600 }
.severity { display: inline-block; padding: 0 .55rem; border-radius: .6rem; border: 2px solid currentColor }
.severity.critical, .severity.high { color: var(--against) } .severity.medium { color: var(--total) }
figure { margin: .6rem 1px; background: #fff; border: 1px solid var(--line); border-radius: .4rem;
  padding: .3rem; overflow-x: auto; color: #1f2937 }
figure svg { max-width: 100%; height: auto; margin: 0 auto }
figcaption { color: #475569; font-size: .85rem; padding: .2rem .4rem }
.case table { font-size: .87rem } .case th { font-size: inherit }
.case td:first-child { white-space: nowrap } .case details { margin: .4rem 0 .8rem }
.case summary { color: var(--ink); font-weight: 600 } .case details > :not(summary) { margin-left: 1rem }
@page { size: A4; margin: 14mm 12mm;
  @bottom-right { content: counter(page) " / " counter(pages); font-size: 8pt } }
@media print {
  :root { color-scheme: light; --ink: #000; --paper: #fff; --line: #cbd5e1; --quiet: #475569;
    --for: #0f766e; --against: #b91c1c; --total: #b45309; --band: #f1f5f9 }
  html { font-size: 9.5pt } h1 { font-size: 15pt }
  body { font-size: 1rem; margin: 0; max-width: none; padding: 0 }
  h2, thead { break-after: avoid } tr, figure, li, summary { break-inside: avoid } .wide { overflow: visible }
  figure svg { max-height: 230mm } .case table { font-size: 8pt } td, th { padding: .18rem .4rem .18rem 0 }
  dl.facts { -webkit-print-color-adjust: exact; print-color-adjust: exact }
}
"""


def render_case(case: CaseFile) -> str:
    """The page of a case: the same bytes for the same case."""
    sections = render_sections(sections_of(case))
    return page(_title(case), f'<div class="case">{_head(case)}\n{sections}</div>', style=STYLE)


def sections_of(case: CaseFile) -> tuple[Section, ...]:
    """All sections in the order of the page, what others added before what else to check."""
    return (
        Section("Why", _why(case)),
        Section("Who pays whom, and what is shared", _drawing(case)),
        Section("When", _timeline(case)),
        Section("Members", _members(case)),
        Section("Shared identifiers", _shared(case)),
        Section("Records behind the members", _records(case)),
        Section("Transfers between members", _transfers(case)),
        *case.further,
        Section("What else to check", _checks(case)),
        Section("Where this comes from", _provenance(case)),
    )


def _title(case: CaseFile) -> str:
    return f"Case file: {case.ring['ring_id']}"


# The head


def _head(case: CaseFile) -> str:
    ring = case.ring
    severity = plain(ring["severity"])
    facts = [
        ("severity", f'<span class="severity {severity}">{severity}</span>'),
        ("kind", text(plain_kind(case.scene.kind))),
        ("risk", text(say_risk(ring))),
        ("members", text(_say_members(case))),
        ("moved between members", text(say_sums(sum_money(case.scene.transfers)))),
        ("transfers between members", text(f"{len(case.scene.transfers):,}")),
        ("first transfer (UTC)", text(say_instant(ring["first_at"]))),
        ("last transfer (UTC)", text(say_instant(ring["last_at"]))),
    ]
    cells = "".join(f"<div><dt>{plain(name)}</dt><dd>{value}</dd></div>" for name, value in facts)
    return f'<dl class="facts">{cells}</dl>'


def _say_members(case: CaseFile) -> str:
    n_watched = sum(member.is_watchlist for member in case.scene.members)
    return f"{len(case.scene.members):,}, {n_watched or 'none'} on a watchlist"


# Why, and pictures


def _why(case: CaseFile) -> tuple[Block, ...]:
    blocks: list[Block] = [Told(KIND_SENTENCES.get(case.scene.kind, ""))] if case.scene.kind else []
    for reason in case.ring["reasons"]:
        evidence = evidence_of(case, reason)
        blocks.append(Folded(reason, evidence, is_open=True) if evidence else Listed((reason,)))
    return tuple(blocks)


def _drawing(case: CaseFile) -> tuple[Block, ...]:
    roles = {member.role for member in case.scene.members}
    told = [f"{plain_kind(role)} {words}" for role, words in ROLE_SENTENCES.items() if role in roles]
    caption = f"Numbers are those of the table of members. Roles: {'; '.join(told)}."
    return (Shown(draw_ring(case.scene, case.names), caption),)


def _timeline(case: CaseFile) -> tuple[Block, ...]:
    if not case.scene.transfers:
        return (Told("Members paid each other nothing: what ties them is what they share."),)
    return (Shown(draw_timeline(case.scene, case.names), ""),)


# Members


def _members(case: CaseFile) -> tuple[Block, ...]:
    currency = case.ring["currency"] or ""
    rows = tuple(_member_row(member, case.people[member.number], currency) for member in case.scene.members)
    head = ("", "member", "role", "score", "got from members", "paid to members", "why it was scored so")
    told = "Score: 0 to 1, how suspicious the entity is by itself."
    if len({one.currency for one in case.scene.transfers}) > 1:
        main = currency or f"an {UNKNOWN_CURRENCY}"
        told += f" Got and paid: in {main} only, the ring's main currency."
    return Rows(head, rows, (0, 3, 4, 5)), Told(told, is_quiet=True)


def _member_row(member: Member, person: Person, currency: str) -> Row:
    watched = "\n! on a watchlist" if member.is_watchlist else ""
    named = person.name if person.name == member.entity_id else f"{person.name}\n{member.entity_id}"
    return (
        str(member.number),
        named + watched,
        plain_kind(member.role),
        f"{member.score:.2f}",
        say_amount(member.in_amount_minor, currency),
        say_amount(member.out_amount_minor, currency),
        "\n".join(person.reasons),
    )


def _shared(case: CaseFile) -> tuple[Block, ...]:
    shared = case.scene.shared
    if not shared:
        return (Told("Members share no document, telephone, e-mail, address or device."),)
    rows = tuple(shared_row(case, one) for one in shared[:N_SHARED])
    told = "What many others hold too, such as the number of a call centre, ties nobody."
    more = f" {len(rows)} of {len(shared):,} shown; all with --json." if len(shared) > len(rows) else ""
    return Rows(SHARED_HEAD, rows, (3,)), Told(told + more, is_quiet=True)


def _records(case: CaseFile) -> tuple[Block, ...]:
    """The records of members that have several: a wrong link makes two strangers one."""
    joined = [member for member in case.scene.members if len(case.people[member.number].records) > 1]
    if not joined:
        return (Told("Every member is one record: no link between records could be wrong."),)
    rows = tuple(
        (str(member.number), one.record_id, one.name, one.dataset, _say_probability(one.link_probability))
        for member in joined
        for one in case.people[member.number].records
    )
    told = (
        f"{say_count(len(joined), 'member')} made of several records. "
        "Probability: of the strongest link that ties the record in."
    )
    table = Rows(("member", "record", "name", "dataset", "link probability"), rows, (0, 4))
    return (
        Told(told),
        *_doubtful_links(case),
        Folded(say_count(len(rows), "record"), (table,), len(rows) <= 40),
    )


def _doubtful_links(case: CaseFile) -> tuple[Block, ...]:
    least = case.provenance.link_threshold
    doubtful = [
        member
        for member in case.scene.members
        if (case.people[member.number].weakest_probability or 1.0) < least
    ]
    told = tuple(
        f"{say_member(member.number, case.people[member.number].name)}: a link of "
        f"{_say_probability(case.people[member.number].weakest_probability)}, below {least:g}. Look at it: "
        f"terag explain entity {member.entity_id}"
        for member in doubtful
    )
    return (Listed(told),) if told else ()


def _say_probability(probability: float | None) -> str:
    """Never 1: a probability that rounds to it is shown as more than .999."""
    if probability is None:
        return "alone"
    return ">0.999" if probability > 0.999 else f"{probability:.3f}"


# Transfers


def _transfers(case: CaseFile) -> tuple[Block, ...]:
    every = case.scene.transfers
    if not every:
        return (Told("None."),)
    largest = sorted(every, key=lambda one: (-one.size, one.occurred_at, one.transfer_id))[:N_TRANSFERS]
    listed = _transfer_rows(case, largest)
    if len(every) <= N_TRANSFERS:
        return Told(f"All {say_count(len(every), 'transfer')}, the largest first."), listed
    told = (
        f"{len(largest)} of {len(every):,} shown, the largest first; all are in the batch's table transfers."
    )
    return Told(told), listed, _all_transfers(case)


def _all_transfers(case: CaseFile) -> Folded:
    every = case.scene.transfers
    shown = every[:MAX_TRANSFERS]
    title = f"All {len(every):,} in order of time"
    if len(shown) < len(every):
        title = f"The first {len(shown):,} of {len(every):,} in order of time; all with --json"
    return Folded(title, (_transfer_rows(case, shown),))


def _transfer_rows(case: CaseFile, transfers: tuple[Transfer, ...] | list[Transfer]) -> Rows:
    called = {number: say_member(number, name) for number, name in case.names.items()}
    rows = tuple(
        (
            say_instant(one.occurred_at),
            called[one.payer],
            called[one.payee],
            say_money(one.money),
            ", ".join(filter(None, (one.channel, "cash" if one.is_cash else "", one.purpose))),
            one.transfer_id,
        )
        for one in transfers
    )
    return Rows(("when (UTC)", "payer", "payee", "amount", "how, what for", "transfer"), rows, (3,))


# What else, and where from


def _checks(case: CaseFile) -> tuple[Block, ...]:
    calibrated = (
        "The risk is a probability among clients such as were reviewed; where the suspicious are reviewed "
        "first, middling risks are too high."
        if case.ring["is_calibrated"]
        else "The risk is no probability: it ranks rings and means nothing more."
    )
    return (
        Told("Innocent readings of this shape:"),
        Listed(innocent_readings(case.scene.kind)),
        Told("Before anything is done:"),
        Listed(
            (
                "Read the reasons above; each names something that can be checked.",
                "Check that the members are who they seem: weak links, identifiers that many others hold.",
                calibrated,
                f"Then follow the runbook: {RUNBOOK}",
            )
        ),
    )


def _provenance(case: CaseFile) -> tuple[Block, ...]:
    source = case.provenance
    digests = tuple(sorted(source.digests.items()))
    rows = tuple(_flat(source.params))
    return (
        Told(f"Batch {source.batch}, whose id is a hash of its content, parameters, decisions and code."),
        *((Told(f"This file was made by {source.code}."),) if source.code else ()),
        *((Told(f"Time in which rings were sought: {source.window}."),) if source.window else ()),
        Folded(say_count(len(digests), "table"), (Rows(("table", "digest of its content"), digests),)),
        Folded("Parameters of rings in this version", (Rows(("parameter", "value"), rows),)),
    )


def _flat(params: Any, prefix: str = "") -> list[Row]:
    """The values of nested dataclasses, each under its dotted name."""
    rows: list[Row] = []
    for one in fields(params):
        value = getattr(params, one.name)
        name = f"{prefix}{one.name}"
        rows += _flat(value, f"{name}.") if is_dataclass(value) else [(name, _say_parameter(value))]
    return rows


def _say_parameter(value: Any) -> str:
    if hasattr(value, "items"):
        return ", ".join(f"{key} {one:g}" for key, one in value.items())
    if isinstance(value, tuple):
        return ", ".join(" ".join(map(str, one)) if isinstance(one, tuple) else str(one) for one in value)
    return str(value)
