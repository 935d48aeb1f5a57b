"""Clusters: links to entities, without chaining through one bad bridge, a household or a namesake."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
from rapidfuzz import fuzz, process
from rapidfuzz.distance import JaroWinkler
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from terag_pipelines.errors import LinkingError
from terag_pipelines.linking.agglomeration import Agglomeration, Edge, Marks
from terag_pipelines.linking.encoding import sort_records
from terag_pipelines.linking.levels import IDENTIFYING
from terag_pipelines.linking.model import ENTITIES, ENTITY_MEMBERS

Rows = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
UNIQUE_NUMBERS = ("iin", "bin")
UNIQUE_IDENTITIES = (*UNIQUE_NUMBERS, "party_type")  # two different valid ones never share an entity
LEAST_ALIKE = 0.8  # Jaro-Winkler similarity of two spellings of one family name
COMPLETENESS = (
    "given_name",
    "family_name",
    "patronymic",
    "organisation_key",
    "birth_date",
    "sex",
    "iin",
    "bin",
    "street",
    "postcode",
    "phones",
    "emails",
    "identifiers",
)


@dataclass(frozen=True)
class ClusterParams:
    """How suspicious components are taken apart.

    Weights are bits, clipped to `max_weight` either way so that no single agreement overrules everything;
    a pair inside a component that was never compared counts `unseen_weight`.
    """

    unseen_weight: float = -3.0
    max_weight: float = 12.0
    least_density: float = 0.6


@dataclass(frozen=True)
class ClusterReport:
    """What clustering did beyond taking connected components."""

    n_components: int
    n_refined: int
    n_entities: int
    n_forbidden_links: int  # different IIN or BIN, or a partial record linked on name alone
    largest_entity: int


@dataclass(frozen=True)
class ResolvedEntities:
    """ENTITIES and ENTITY_MEMBERS: every record belongs to exactly one entity."""

    entities: pa.Table
    members: pa.Table
    report: ClusterReport


def resolve_entities(
    records: pa.Table, links: pa.Table, pair_scores: pa.Table, params: ClusterParams = ClusterParams()
) -> ResolvedEntities:
    """Entities out of LINKS over ENTITY_RECORDS; PAIR_SCORES speak against doubtful merges.

    Connected components of the links; those with contradicting evidence, conflicting identities or few
    links are merged anew, best evidence first (average linkage). Few links are no reason where all members
    hold the same IIN or BIN: of a party with very many records not all pairs are compared. Two different
    valid IINs or BINs never share an entity, and a partial record joins one only by an identifier or a
    contact.

    Raises: LinkingError where a link names a record that is not there.
    """
    ordered = sort_records(records)
    found = _Links.of(ordered, links)
    allowed = found.select(~_forbidden(ordered, found, links))
    evidence = _Links.of(ordered, pair_scores)
    components = label_components(ordered.num_rows, allowed)
    suspicious = _suspicious(ordered, components, allowed, evidence, params)
    labels = _refine(ordered, components, suspicious, (allowed, evidence), params)
    first = _first_members(ordered, labels)
    members = _tabulate_members(ordered, labels, first, allowed)
    entities = _tabulate_entities(ordered, members)
    report = ClusterReport(
        n_components=int(components.max(initial=-1)) + 1,
        n_refined=int(suspicious.sum()),
        n_entities=entities.num_rows,
        n_forbidden_links=len(found.left) - len(allowed.left),
        largest_entity=int(np.bincount(labels).max(initial=0)),
    )
    return ResolvedEntities(entities, members, report)


@dataclass(frozen=True)
class _Links:
    """Scored pairs as rows of the sorted records."""

    left: Rows
    right: Rows
    weight: Floats
    probability: Floats

    @classmethod
    def of(cls, records: pa.Table, pairs: pa.Table) -> _Links:
        ids = records["record_id"].combine_chunks()
        left, right = (
            pc.index_in(pairs[s], value_set=ids).fill_null(-1).to_numpy() for s in ("left_id", "right_id")
        )
        if (left < 0).any() or (right < 0).any():
            raise LinkingError("a pair names a record_id that entity_records do not have")
        column = "link_probability" if "link_probability" in pairs.column_names else "match_probability"
        return cls(
            left.astype(np.int64),
            right.astype(np.int64),
            pairs["match_weight"].to_numpy(),
            pairs[column].to_numpy(),
        )

    def select(self, mask: Mask) -> _Links:
        return _Links(self.left[mask], self.right[mask], self.weight[mask], self.probability[mask])


def label_components(n: int, links: _Links) -> Rows:
    """The number of the connected component of each row."""
    ones = np.ones(len(links.left), np.int8)
    graph = coo_matrix((ones, (links.left, links.right)), shape=(n, n))
    return np.asarray(connected_components(graph, directed=False)[1], dtype=np.int64)


def _identities(records: pa.Table, column: str) -> pa.Array:
    """The values that must not differ within an entity; null where they say nothing."""
    values = records[column].combine_chunks()
    return pc.if_else(pc.equal(values, "unknown"), pa.scalar(None, values.type), values)


def _codes(records: pa.Table, column: str) -> Rows:
    values = _identities(records, column).dictionary_encode()
    return np.asarray(values.indices.fill_null(-1).to_numpy(zero_copy_only=False), dtype=np.int64)


def _forbidden(records: pa.Table, found: _Links, links: pa.Table) -> Mask:
    """Links across different identities, and links of a partial record that rest on its name alone."""
    forbidden = np.zeros(len(found.left), bool)
    for column in UNIQUE_IDENTITIES:
        codes = _codes(records, column)
        one, other = codes[found.left], codes[found.right]
        forbidden |= (one >= 0) & (other >= 0) & (one != other)
    partial = records["is_partial"].fill_null(False).to_numpy().astype(bool)
    agreement = "|".join(f"{field}:(?:same|shared)" for field in sorted(IDENTIFYING))
    known = pc.match_substring_regex(links["pattern"], agreement).to_numpy().astype(bool)
    return np.asarray(forbidden | ((partial[found.left] | partial[found.right]) & ~known))


def _suspicious(
    records: pa.Table, components: Rows, links: _Links, evidence: _Links, params: ClusterParams
) -> Mask:
    """Components of three or more with few links, evidence against a pair, or conflicting identities."""
    n = int(components.max(initial=-1)) + 1
    sizes = np.bincount(components, minlength=n)
    possible = np.maximum(sizes * (sizes - 1) / 2, 1)
    density = np.bincount(components[links.left], minlength=n) / possible
    within = evidence.select(components[evidence.left] == components[evidence.right])
    against = np.bincount(components[within.left], within.weight < 0, minlength=n) > 0
    conflicting, same_number = np.zeros(n, bool), np.zeros(n, bool)
    for column in UNIQUE_IDENTITIES:
        codes = _codes(records, column)
        known = codes >= 0
        held = np.unique(components[known] * (codes.max(initial=0) + 1) + codes[known])
        n_values = np.bincount(held // (codes.max(initial=0) + 1), minlength=n)
        conflicting |= n_values > 1
        if column in UNIQUE_NUMBERS:
            same_number |= (n_values == 1) & (np.bincount(components[known], minlength=n) == sizes)
    sparse = (density < params.least_density) & ~same_number
    return (sizes > 2) & (sparse | against | conflicting)


def _refine(
    records: pa.Table,
    components: Rows,
    suspicious: Mask,
    pairs: tuple[_Links, _Links],
    params: ClusterParams,
) -> Rows:
    """Labels of clusters: components, but suspicious ones taken apart."""
    labels = components.copy()
    following = int(components.max(initial=-1)) + 1
    marks = _identity_marks(records, np.flatnonzero(suspicious[components])) if suspicious.any() else {}
    for rows, edges in _edges_by_component(components, suspicious, pairs, params):
        local = [marks.get(int(row), frozenset()) for row in rows]
        for cluster in Agglomeration(local, edges, params.unseen_weight).run():
            labels[rows[cluster]] = following
            following += 1
    return np.asarray(np.unique(labels, return_inverse=True)[1], dtype=np.int64)


def _identity_marks(records: pa.Table, rows: Rows) -> dict[int, Marks]:
    marks: dict[int, set[tuple[str, str]]] = {}
    for column in UNIQUE_IDENTITIES:
        values = _identities(records, column).take(pa.array(rows)).to_pylist()
        for row, value in zip(rows.tolist(), values, strict=True):
            if value is not None:
                marks.setdefault(row, set()).add((column, value))
    return {row: frozenset(held) for row, held in marks.items()}


def _edges_by_component(
    components: Rows, suspicious: Mask, pairs: tuple[_Links, _Links], params: ClusterParams
) -> list[tuple[Rows, list[Edge]]]:
    """For each suspicious component its rows and its scored pairs, numbered within it."""
    rows = np.flatnonzero(suspicious[components])
    rows = rows[np.argsort(components[rows], kind="stable")]
    groups, starts = np.unique(components[rows], return_index=True)
    place = np.zeros(len(components), np.int64)
    place[rows] = np.arange(len(rows)) - np.repeat(starts, np.diff(np.append(starts, len(rows))))
    links, evidence = pairs
    n = len(components)
    is_link = np.isin(evidence.left * n + evidence.right, links.left * n + links.right)
    inside = (components[evidence.left] == components[evidence.right]) & suspicious[components[evidence.left]]
    chosen = evidence.select(inside)
    order = np.argsort(components[chosen.left], kind="stable")
    weights = np.clip(chosen.weight, -params.max_weight, params.max_weight)[order].tolist()
    left, right = place[chosen.left][order].tolist(), place[chosen.right][order].tolist()
    bounds = np.searchsorted(components[chosen.left][order], np.append(groups, np.iinfo(np.int64).max))
    edges = list(zip(left, right, weights, is_link[inside][order].tolist(), strict=True))
    members = np.split(rows, starts[1:])
    return (
        [(member, edges[bounds[k] : bounds[k + 1]]) for k, member in enumerate(members)]
        if len(groups)
        else []
    )


def _first_members(records: pa.Table, labels: Rows) -> Rows:
    """For each cluster the row of its earliest member: by first_seen, unknown last, then by record_id."""
    seen = records["first_seen"].cast(pa.int64()).fill_null(np.iinfo(np.int64).max).to_numpy()
    order = np.lexsort((np.arange(len(labels)), seen, labels))
    ordered = labels[order]
    return order[np.append(True, ordered[1:] != ordered[:-1])] if len(labels) else order


def name_entity(record_id: str) -> str:
    """The canonical id of the entity whose earliest member this is."""
    return "ent_" + blake2b(record_id.encode(), digest_size=8).hexdigest()


def _tabulate_members(records: pa.Table, labels: Rows, first: Rows, links: _Links) -> pa.Table:
    ids = pa.array(
        [name_entity(i) for i in records["record_id"].take(pa.array(first)).to_pylist()], pa.string()
    )
    same = labels[links.left] == labels[links.right]
    strongest = np.full(len(labels), np.nan)
    for side in (links.left[same], links.right[same]):
        np.fmax.at(strongest, side, links.probability[same])
    return ENTITY_MEMBERS.from_columns(
        record_id=records["record_id"].combine_chunks(),
        entity_id=ids.take(pa.array(labels)),
        link_probability=pa.array(strongest, from_pandas=True),
    )


def _tabulate_entities(records: pa.Table, members: pa.Table) -> pa.Table:
    """One row for each entity: the name of the most complete record, the most common birth date."""
    frame = order_members(records, members["entity_id"].combine_chunks())
    kinds = pl.col("party_type")
    entities = frame.group_by("entity_id", maintain_order=True).agg(
        party_type=kinds.filter(kinds != "unknown").first(),
        display_name=pl.col("display_name").drop_nulls().first(),
        birth_date=pl.col("birth_date").drop_nulls().mode().min(),
        iin=pl.col("iin").drop_nulls().first(),
        bin=pl.col("bin").drop_nulls().first(),
        n_records=pl.len().cast(pl.Int64),
        is_partial=pl.col("is_partial").fill_null(False).all(),
        is_watchlist=pl.col("is_watchlist").fill_null(False).any(),
    )
    return ENTITIES.conform(entities.with_columns(pl.col("party_type").fill_null("unknown")).to_arrow())


def order_members(records: pa.Table, entity_ids: pa.Array) -> pl.DataFrame:
    """The records by entity, those to take a value from first; `bears_former_name` is told beside them.

    Whole records before partial ones, the latest family name before former ones, then the most complete.
    """
    filled = [
        pl.col(c).is_not_null() if c not in ("phones", "emails", "identifiers") else pl.col(c).list.len() > 0
        for c in COMPLETENESS
    ]
    frame = pl.DataFrame(pl.from_arrow(records)).with_columns(pl.Series("entity_id", entity_ids))
    frame = _tell_former_names(frame)
    frame = frame.with_columns(n_filled=pl.sum_horizontal(pl.concat_list(filled).list.sum().fill_null(0)))
    most_first = -pl.col("n_filled").cast(pl.Int64)
    return frame.sort("entity_id", "is_partial", "bears_former_name", most_first, "record_id")


def _tell_former_names(frame: pl.DataFrame) -> pl.DataFrame:
    """Whether each record bears a family name unlike that of its entity's latest dated record: it married."""
    dated = frame.filter(pl.col("first_seen").is_not_null() & pl.col("family_key").is_not_null())
    latest = dated.sort("first_seen", "record_id").group_by("entity_id", maintain_order=True)
    names = latest.agg(latest_key=pl.col("family_key").last(), n_names=pl.col("family_key").n_unique())
    names = names.filter(pl.col("n_names") > 1).drop("n_names")
    if not names.height:
        return frame.with_columns(bears_former_name=pl.lit(False))
    frame = frame.join(names, on="entity_id", how="left", maintain_order="left")
    former = are_unlike(frame["family_key"], frame["latest_key"])
    return frame.drop("latest_key").with_columns(bears_former_name=former)


def are_unlike(names: pl.Series, others: pl.Series) -> pl.Series:
    """Whether two aligned series of name keys are different names, not spellings or halves of one."""
    known = (names.is_not_null() & others.is_not_null()).to_numpy()
    pairs = names.fill_null(""), others.fill_null("")
    alike = process.cpdist(*(side.to_list() for side in pairs), scorer=JaroWinkler.similarity)
    whole = process.cpdist(*(side.to_list() for side in pairs), scorer=fuzz.token_set_ratio)
    return pl.Series((alike < LEAST_ALIKE) & (whole < 100) & known)
