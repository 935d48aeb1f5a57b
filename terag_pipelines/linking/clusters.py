"""Clusters: links to entities, without chaining through one bad bridge, a household or a namesake."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from terag_pipelines.errors import LinkingError
from terag_pipelines.linking.agglomeration import Edges, Marks, Sizes, agglomerate
from terag_pipelines.linking.components import label_components
from terag_pipelines.linking.copies import NO_COPIES, Copies, follow_decisions
from terag_pipelines.linking.encoding import encode_sorted, plain_texts, sort_records
from terag_pipelines.linking.entity_tables import tabulate_entities, tabulate_members
from terag_pipelines.linking.known_pairs import EarlierEntities
from terag_pipelines.linking.levels import AGREED_IDENTIFIER, NAMESAKES
from terag_pipelines.linking.lineage import name_entities
from terag_pipelines.linking.roles import UNITS, units_of
from terag_pipelines.linking.scored_rows import DecidedRows, Mask, Rows, ScoredRows

UNIQUE_NUMBERS = ("iin", "bin")
UNIQUE_IDENTITIES = (*UNIQUE_NUMBERS, "party_type", *UNITS)  # two different ones never share an entity


@dataclass(frozen=True)
class ClusterParams:
    """How suspicious components are taken apart.

    Weights are bits, clipped to `max_weight` either way so that no single agreement overrules everything;
    a pair inside a component that was never compared counts `unseen_weight`. Where records were compared only
    with those of one data set, `across` names it: two of one side that say the same in all were not compared
    either, which is no evidence; two that do not are mostly two, and count as unseen. With `one_to_one`
    a copy that stands for itself has not the link of the one that it says the same as.
    """

    across: str | None = None
    one_to_one: bool = False
    unseen_weight: float = -3.0
    max_weight: float = 12.0
    least_density: float = 0.6


@dataclass(frozen=True)
class ClusterReport:
    """What clustering did beyond taking connected components."""

    n_components: int
    n_refined: int
    n_entities: int
    n_forbidden_links: int  # different IIN or BIN, a partial record linked on name alone, or by decision
    largest_entity: int


@dataclass(frozen=True)
class ResolvedEntities:
    """ENTITIES and ENTITY_MEMBERS: every record belongs to exactly one entity.

    `changes` are ENTITY_CHANGES since the earlier run; none without one.
    """

    entities: pa.Table
    members: pa.Table
    changes: pa.Table
    report: ClusterReport


@dataclass(frozen=True)
class Identities:
    """What must not differ within an entity, codes by row, -1 where unknown; who is known in part; and, where
    only pairs across two sides were compared, rows of one side that say the same, by one code."""

    unique: tuple[Rows, ...]  # in the order of UNIQUE_IDENTITIES
    is_partial: Mask
    equals: Rows | None = None


def resolve_entities(
    records: pa.Table,
    links: pa.Table,
    pair_scores: pa.Table,
    params: ClusterParams = ClusterParams(),
    decisions: pa.Table | None = None,
    earlier: EarlierEntities | None = None,
) -> ResolvedEntities:
    """Entities out of LINKS over ENTITY_RECORDS; PAIR_SCORES speak against doubtful merges.

    Connected components of the links; those with contradicting evidence, conflicting identities or few
    links are merged anew, best evidence first (average linkage). Few links are no reason where all members
    hold the same IIN or BIN: of a party with very many records not all pairs are compared. Two different
    valid IINs or BINs never share an entity, nor do a head office and its branch or branches in two towns,
    and a partial record joins one only by an identifier or a contact; parent and child of one name at one
    address are not brought together by records without birth date. But what people decided (PAIR_DECISIONS)
    holds exactly; decisions about records that are not among these have no effect. Entities keep the ids that
    they had in the earlier run.

    Raises: LinkingError where a link names a record that is not there, or decisions contradict each other.
    """
    ordered = sort_records(records)
    scored = rows_of_tables(ordered, links, pair_scores)
    encoded, decided = encode_sorted(ordered), rows_of_decisions(ordered, decisions)
    identities = identities_of(ordered, None if params.across is None else encoded.label_equals())
    labels, report = cluster_rows(ordered, identities, scored, params, decided, encoded.copies)
    links_held = scored.select(scored.is_link & ~forbidden_links(identities, scored))
    named = name_entities(ordered, labels, earlier, links_held, decisions)
    members = tabulate_members(ordered, labels, named.ids, links_held)
    return ResolvedEntities(tabulate_entities(ordered, members), members, named.changes, report)


def cluster_rows(
    ordered: pa.Table,
    identities: Identities,
    scored: ScoredRows,
    params: ClusterParams,
    decided: DecidedRows,
    copies: Copies = NO_COPIES,
) -> tuple[Rows, ClusterReport]:
    """The number of the entity of each row of sorted records, and what was done to find it.

    Copies follow those that they say the same as, but where people decided on them.
    """
    copies, scored = follow_decisions(copies, scored, decided, inherits_links=not params.one_to_one)
    if (follows := copies.follows(ordered.num_rows)) is not None:
        scored = scored.select(~(follows[scored.left] | follows[scored.right]))
    banned = scored.is_link & forbidden_links(identities, scored)
    allowed = scored.is_link & ~banned
    components = label_components(scored.left[allowed], scored.right[allowed], ordered.num_rows)
    suspicious = _suspicious(components, scored, allowed, identities, params)
    components, suspicious = _join_decided(components, suspicious, decided)
    labels = _refine(components, suspicious, (scored, allowed), identities, decided, params)
    labels = copies.spread(labels)
    _check_decisions(ordered, labels, decided)
    report = ClusterReport(
        n_components=int(components.max(initial=-1)) + 1,
        n_refined=int(suspicious.sum()),
        n_entities=int(labels.max(initial=-1)) + 1,
        n_forbidden_links=int(banned.sum()),
        largest_entity=int(np.bincount(labels).max(initial=0)),
    )
    return labels, report


def identities_of(ordered: pa.Table, equals: Rows | None = None) -> Identities:
    """The identities of sorted records."""
    partial = ordered["is_partial"].fill_null(False).to_numpy().astype(bool)
    known = ordered.select([*UNIQUE_NUMBERS, "party_type"])
    for name, units in units_of(ordered).items():
        known = known.append_column(name, units)
    return Identities(tuple(_codes(known, column) for column in UNIQUE_IDENTITIES), partial, equals)


def forbidden_links(identities: Identities, scored: ScoredRows) -> Mask:
    """Pairs of different identities, and pairs of a partial record that rest on its name alone."""
    partial = identities.is_partial[scored.left] | identities.is_partial[scored.right]
    forbidden = partial & ~scored.rests_on_identifier
    for codes in identities.unique:
        one, other = codes[scored.left], codes[scored.right]
        forbidden |= (one >= 0) & (other >= 0) & (one != other)
    return np.asarray(forbidden)


def _codes(records: pa.Table, column: str) -> Rows:
    values = plain_texts(records[column])
    known = pc.if_else(pc.equal(values, "unknown"), pa.scalar(None, values.type), values).dictionary_encode()
    return np.asarray(known.indices.fill_null(-1).to_numpy(zero_copy_only=False), dtype=np.int64)


def _positions(records: pa.Table, ids: pa.ChunkedArray) -> Rows:
    found = pc.index_in(ids, value_set=records["record_id"].combine_chunks()).fill_null(-1)
    return np.asarray(found.to_numpy(), dtype=np.int64)


def rows_of_tables(ordered: pa.Table, links: pa.Table, pair_scores: pa.Table) -> ScoredRows:
    """PAIR_SCORES as pairs of rows of sorted records, with which of them are LINKS.

    Raises: LinkingError where a pair names a record that is not there.
    """
    left, right = (_positions(ordered, pair_scores[side]) for side in ("left_id", "right_id"))
    linked = [_positions(ordered, links[side]) for side in ("left_id", "right_id")]
    if min(side.min(initial=0) for side in (left, right, *linked)) < 0:
        raise LinkingError("a pair names a record_id that entity_records do not have")
    n = ordered.num_rows
    order = np.argsort(linked[0] * n + linked[1])
    keys = (linked[0] * n + linked[1])[order]
    at = np.searchsorted(keys, left * n + right)
    is_link = (
        (at < len(keys)) & (keys[np.minimum(at, len(keys) - 1)] == left * n + right) if len(keys) else at < 0
    )
    probability = pair_scores["match_probability"].to_numpy().copy()
    probability[is_link] = links["link_probability"].to_numpy()[order[at[is_link]]]
    known = (
        pc.match_substring_regex(pair_scores["pattern"], AGREED_IDENTIFIER.pattern).to_numpy().astype(bool)
    )
    weight = pair_scores["match_weight"].to_numpy()
    namesakes = pc.match_substring_regex(pair_scores["pattern"], NAMESAKES.pattern).to_numpy().astype(bool)
    return ScoredRows(left, right, weight, probability, is_link, known, namesakes & (weight < 0))


def rows_of_decisions(ordered: pa.Table, decisions: pa.Table | None) -> DecidedRows:
    """PAIR_DECISIONS as pairs of rows of sorted records; those of records that are not there are left out."""
    none = np.zeros(0, np.int64)
    if decisions is None or decisions.num_rows == 0:
        return DecidedRows((none, none), (none, none))
    left, right = (_positions(ordered, decisions[side]) for side in ("left_id", "right_id"))
    there, same = (left >= 0) & (right >= 0), decisions["is_match"].to_numpy().astype(bool)
    together, apart = there & same, there & ~same
    return DecidedRows((left[together], right[together]), (left[apart], right[apart]))


def _join_decided(components: Rows, suspicious: Mask, decided: DecidedRows) -> tuple[Rows, Mask]:
    """Components of links and of what people decided to be one, and which are suspicious: also those that a
    decision made, or in which one parts two. A decision that says what links say makes nothing suspicious."""
    left, right = (components[side] for side in decided.together)
    joined = label_components(left, right, len(suspicious))
    at = np.zeros(int(joined.max(initial=-1)) + 1, bool)
    at[joined[suspicious]] = True
    at[joined[left[left != right]]] = True
    components = joined[components]
    one, other = (components[side] for side in decided.apart)
    at[one[one == other]] = True
    return components, at


def _suspicious(
    components: Rows, scored: ScoredRows, allowed: Mask, identities: Identities, params: ClusterParams
) -> Mask:
    """Components of three or more with few links, evidence against a pair, or conflicting identities."""
    n = int(components.max(initial=-1)) + 1
    sizes = np.bincount(components, minlength=n)
    within = components[scored.left]
    links = np.bincount(within[allowed], minlength=n)
    sparse = links < params.least_density * sizes * (sizes - 1) / 2
    negative = (scored.weight < 0) & (within == components[scored.right])
    against = np.bincount(within[negative], minlength=n) > 0
    conflicting, same_number = np.zeros(n, bool), np.zeros(n, bool)
    for name, codes in zip(UNIQUE_IDENTITIES, identities.unique, strict=True):
        n_known, differ = _spread(components, codes, n)
        conflicting |= differ
        if name in UNIQUE_NUMBERS:
            same_number |= ~differ & (n_known == sizes)
    return (sizes > 2) & ((sparse & ~same_number) | against | conflicting)


def _spread(components: Rows, codes: Rows, n: int) -> tuple[Rows, Mask]:
    """By component, how many rows have a code, and whether two of them differ."""
    known = codes >= 0
    held, values = components[known], codes[known]
    example = np.full(n, -1)
    example[held] = values
    differ = np.bincount(held[example[held] != values], minlength=n) > 0
    return np.bincount(held, minlength=n), differ


def _refine(
    components: Rows,
    suspicious: Mask,
    pairs: tuple[ScoredRows, Mask],
    identities: Identities,
    decided: DecidedRows,
    params: ClusterParams,
) -> Rows:
    """Labels of clusters, without gaps: components, but suspicious ones taken apart.

    Of equal merges the first counts: rows that a decision parts from others come last, so that who says the
    same as them stays with those of whom nobody decided.
    """
    rows = np.flatnonzero(suspicious[components])
    if len(rows) == 0:
        return components
    is_parted = np.isin(rows, np.concatenate(decided.apart))
    rows = np.concatenate([rows[~is_parted], rows[is_parted]])
    place = np.full(len(components), -1)
    place[rows] = np.arange(len(rows))
    edges = _edges_within(components, place, pairs, decided, params)
    marks = [Marks(codes[rows]) for codes in identities.unique]
    at = place[decided.together[0]] >= 0
    together = place[decided.together[0][at]], place[decided.together[1][at]]
    sizes = Sizes(len(rows), None if identities.equals is None else identities.equals[rows])
    clusters = agglomerate(sizes, edges, marks, together, params.unseen_weight)
    labels = components.copy()
    labels[rows] = int(components.max()) + 1 + clusters
    return np.asarray(np.unique(labels, return_inverse=True)[1], dtype=np.int64)


def _edges_within(
    components: Rows,
    place: Rows,
    pairs: tuple[ScoredRows, Mask],
    decided: DecidedRows,
    params: ClusterParams,
) -> Edges:
    """The scored pairs and the decisions inside the components whose rows have a place, by those places."""
    scored, allowed = pairs
    inside = (place[scored.left] >= 0) & (components[scored.left] == components[scored.right])
    found = scored.select(inside)
    left, right = decided.apart
    near = (place[left] >= 0) & (components[left] == components[right])
    n_apart = int(near.sum())
    return Edges(
        np.concatenate([place[found.left], place[left[near]]]),
        np.concatenate([place[found.right], place[right[near]]]),
        np.concatenate([np.clip(found.weight, -params.max_weight, params.max_weight), np.zeros(n_apart)]),
        np.concatenate([np.ones(len(found.left), np.int64), np.zeros(n_apart, np.int64)]),
        np.concatenate([allowed[inside], np.zeros(n_apart, bool)]),
        np.concatenate([found.are_namesakes, np.ones(n_apart, bool)]),
    )


def _check_decisions(ordered: pa.Table, labels: Rows, decided: DecidedRows) -> None:
    clash = np.flatnonzero(labels[decided.apart[0]] == labels[decided.apart[1]])
    if len(clash):
        one, other = (ordered["record_id"][int(side[clash[0]])].as_py() for side in decided.apart)
        raise LinkingError(
            f"decisions contradict each other: {one} and {other} were decided to be apart, "
            f"but other decisions tie them together; undo one of them"
        )
