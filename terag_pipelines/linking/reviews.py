"""The review queue: the pairs whose decision by a person changes most, and why each is asked about."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import igraph
import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import breadth_first_order

from terag_pipelines.errors import LinkingError
from terag_pipelines.linking.components import label_components
from terag_pipelines.linking.decisions import PAIR_COLUMNS, TWO_NUMBERS, decided_records
from terag_pipelines.linking.links import Calibrator, link_probabilities
from terag_pipelines.linking.model import PAIR_DECISIONS, REVIEW_QUEUE
from terag_pipelines.linking.ports import Pair
from terag_pipelines.linking.scoring import weights_to_probabilities
from terag_pipelines.tables import as_frame

Rows = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

QUESTIONS = ("two_numbers", "kept_apart", "join", "bridge", "unlike_inside", "spare_link")
TWO_NUMBERS_Q, KEPT_APART, JOIN, BRIDGE, UNLIKE_INSIDE, SPARE_LINK = range(6)
"""What a decision is about: two valid numbers that differ in a pair that otherwise matches; a link that
clustering did not follow; two entities that may be one; a link that alone holds an entity together; two
records of one entity that do not look alike; a doubtful link without which its entity holds all the same."""

TWO_PARTIES = (
    r"(?:^|\|)(?:given_name|full_name|birth_date|generation|sex|organisation_name):different(?:\||$)"
)
"""In a pattern: a field of the person or company itself that differs."""


@dataclass(frozen=True)
class ReviewParams:
    """How much a person is asked.

    The queue has room for `max_pairs`; no kind of question takes more than `max_share` of it while others
    wait: in a large bank namesakes alone would fill it. A pair is asked about from
    `least_uncertainty_bits` on (0.2 bits: a probability between 3% and 97%), or where an identity rule stands
    against evidence of at least `strong_probability`.
    """

    max_pairs: int = 1_000
    max_share: float = 0.5
    least_uncertainty_bits: float = 0.2
    strong_probability: float = 0.9


@dataclass(frozen=True)
class LinkedTables:
    """What one batch of linking gave: ENTITY_RECORDS, PAIR_SCORES, LINK_MODEL, LINKS, ENTITY_MEMBERS."""

    records: pa.Table
    scores: pa.Table
    model: pa.Table
    links: pa.Table
    members: pa.Table


@dataclass(frozen=True)
class Stake:
    """A pair on which more hangs than its records: `reason` says what, without any value of them."""

    left_id: str
    right_id: str
    reason: str


@dataclass(frozen=True)
class QuestionCount:
    """How many questions of a kind there are, and how many of them the queue has room for."""

    question: str
    n_worth_a_look: int
    n_in_queue: int


@dataclass(frozen=True)
class ReviewQueue:
    """REVIEW_QUEUE and, for each kind of question, what was found and what was left out for want of room."""

    table: pa.Table
    counts: tuple[QuestionCount, ...]


def queue_reviews(
    linked: LinkedTables,
    decisions: pa.Table | None = None,
    calibrator: Calibrator | None = None,
    params: ReviewParams = ReviewParams(),
    stakes: Sequence[Stake] = (),
) -> ReviewQueue:
    """The pairs most worth a look: uncertainty (bits) times impact (pairs of records), the greatest first.

    Pairs with a stake come before all others, in the order given, and however little uncertain they are.

    Impact is what the other decision would change: all pairs between two entities that would become one; all
    pairs between the two halves of an entity that a bridge holds together; of an entity whose records do not
    look alike at least one record against the rest; of a link that is no bridge only its own pair. Where an
    identity rule or clustering stands against the evidence, the uncertainty is one bit.

    One question for each two entities, and one for each bridge: the rest follows from its answer. Pairs that
    PAIR_DECISIONS settle are left out, and so is what follows from decisions.

    Raises: LinkingError where a scored pair names a record that has no entity.
    """
    known = PAIR_DECISIONS.empty() if decisions is None else decisions
    pairs = _undecided(_candidates(linked, calibrator, params), known)
    entities = _Entities.of(linked, known)
    asked = _ask(pairs, entities, linked.records).join(
        entities.kept_apart(known), on=["one_entity", "other_entity"], how="anti"
    )
    asked = _stake(asked, stakes)
    in_doubt = pl.col("uncertainty_bits") >= params.least_uncertainty_bits
    asked = asked.filter(in_doubt | pl.col("stake").is_not_null())
    ordered = asked.sort(
        "stake_place",
        "priority",
        "match_weight",
        *PAIR_COLUMNS,
        descending=[False, True, True, False, False],
        nulls_last=True,
    )
    worth = ordered.unique(["one_entity", "other_entity", "bridge"], keep="first", maintain_order=True)
    queued = _with_room(worth, params)
    return ReviewQueue(_tabulate(queued, calibrator is not None), _counted(worth, queued))


def _stake(asked: pl.DataFrame, stakes: Sequence[Stake]) -> pl.DataFrame:
    """The pairs with what hangs on them (`stake`, null for most) and its place among the stakes."""
    texts = dict.fromkeys((*PAIR_COLUMNS, "stake"), pl.String)
    rows = [(one.left_id, one.right_id, one.reason) for one in stakes]
    known = pl.DataFrame(rows, schema=texts, orient="row").with_row_index("stake_place")
    return asked.join(known.unique(PAIR_COLUMNS, keep="first"), on=PAIR_COLUMNS, how="left")


def _with_room(worth: pl.DataFrame, params: ReviewParams) -> pl.DataFrame:
    """As many questions as there is room for, in the order given."""
    share = int(params.max_share * params.max_pairs)
    nth = worth.select(pl.int_range(pl.len()).over("question")).to_series().to_numpy()
    chosen = np.argsort(nth >= share, kind="stable")[: params.max_pairs]
    return worth[np.sort(chosen)]


def open_questions(queue: pa.Table, decisions: pa.Table) -> pa.Table:
    """REVIEW_QUEUE without the pairs that were decided since it was made, by rank."""
    frame = as_frame(queue)
    decided = as_frame(decisions.select(PAIR_COLUMNS))
    still_open = frame.join(decided, on=PAIR_COLUMNS, how="anti").sort("rank")
    return still_open.to_arrow().cast(REVIEW_QUEUE.schema)


def list_pairs(queue: pa.Table) -> list[Pair]:
    """The pairs of a table that has left and right ids."""
    return list(zip(queue["left_id"].to_pylist(), queue["right_id"].to_pylist(), strict=True))


def _candidates(linked: LinkedTables, calibrator: Calibrator | None, params: ReviewParams) -> pl.DataFrame:
    """All links, and of the other scored pairs those in doubt or with two numbers against strong evidence."""
    scores = as_frame(linked.scores).select(
        *PAIR_COLUMNS,
        "pattern",
        "match_weight",
        match_probability="match_probability",
        probability=link_probabilities(linked.scores["match_probability"].to_numpy(), calibrator),
        else_probability=_without_numbers(linked.scores, linked.model, calibrator),
    )
    links = as_frame(linked.links).select(PAIR_COLUMNS).with_columns(is_link=True)
    marked = scores.join(links, on=PAIR_COLUMNS, how="left").with_columns(
        pl.col("is_link").fill_null(False),
        is_ruled_out=pl.col("else_probability") >= params.strong_probability,
    )
    in_doubt = _doubt() >= params.least_uncertainty_bits
    return marked.filter(in_doubt | pl.col("is_ruled_out") | pl.col("is_link"))


def _doubt() -> pl.Expr:
    """Entropy in bits, of the raw or of the calibrated probability, whichever is the more.

    A calibrator made of few labels says 0 or 1 where it has seen one outcome alone. If that settled the
    question, nobody would ever be asked there again, and it would never learn better.
    """
    return pl.max_horizontal(_entropy(pl.col("probability")), _entropy(pl.col("match_probability")))


def _entropy(p: pl.Expr) -> pl.Expr:
    """Of a yes or no with this probability, in bits."""
    inside = p.clip(1e-15, 1 - 1e-15)
    return -(inside * inside.log(2) + (1 - inside) * (1 - inside).log(2))


def _without_numbers(scores: pa.Table, model: pa.Table, calibrator: Calibrator | None) -> Floats:
    """The probability if nothing were known of IIN and BIN, of pairs in which two valid ones differ; else 0.

    0 too where a field of the person or company itself differs: relatives share name, address and phone, and
    their numbers differ because they are two people. Of the models for persons and organisations the one
    counts whose number weighs more.
    """
    patterns = scores["pattern"].fill_null("").combine_chunks().dictionary_encode()
    distinct = patterns.dictionary
    cost = np.zeros(len(distinct))
    for row in model.filter(pc.is_in(model["field"], value_set=pa.array(["iin", "bin"]))).to_pylist():
        if row["level"] in ("different", "typo"):
            level = rf"(?:^|\|){row['field']}:{row['level']}(?:\||$)"
            cost = np.where(_matches(distinct, level), np.minimum(cost, row["match_weight"]), cost)
    asked = _matches(distinct, TWO_NUMBERS) & ~_matches(distinct, TWO_PARTIES)
    at = patterns.indices.to_numpy()
    without = weights_to_probabilities(scores["match_weight"].to_numpy() - cost[at])
    return np.where(asked[at], link_probabilities(without, calibrator), 0.0)


def _matches(texts: pa.Array, pattern: str) -> Mask:
    return np.asarray(pc.match_substring_regex(texts, pattern).to_numpy(False), bool)


def _undecided(pairs: pl.DataFrame, decisions: pa.Table) -> pl.DataFrame:
    """Without pairs that are decided, that decisions tie together, or whose groups decisions keep apart."""
    if not decisions.num_rows:
        return pairs
    group = _decided_groups(decisions)
    known = as_frame(decisions, [*PAIR_COLUMNS, "is_match"])
    apart = _grouped(known.filter(~pl.col("is_match")), group).select("one_group", "other_group")
    marked = _grouped(pairs, group).filter(pl.col("one_group") != pl.col("other_group"))
    return marked.join(apart.unique(), on=["one_group", "other_group"], how="anti").select(pairs.columns)


def _decided_groups(decisions: pa.Table) -> pl.DataFrame:
    """The records of the decisions, each with the least id among those it is decided to be the same as."""
    ids = np.array(decided_records(decisions), object)
    must = decisions.filter(decisions["is_match"])
    left, right = (
        pc.index_in(must[side], value_set=pa.array(ids, pa.string())).to_numpy() for side in PAIR_COLUMNS
    )
    labels = label_components(left, right, len(ids))
    first = ids[np.unique(labels, return_index=True)[1]]
    return pl.DataFrame(
        {"record_id": list(ids), "group": list(first[labels])}, schema_overrides={"group": pl.String}
    )


def _grouped(pairs: pl.DataFrame, group: pl.DataFrame) -> pl.DataFrame:
    """The pairs with the groups of their records, in order; a record without decisions is its own group."""
    for side in ("left", "right"):
        named = group.rename({"record_id": f"{side}_id", "group": f"{side}_group"})
        pairs = pairs.join(named, on=f"{side}_id", how="left")
    groups = [pl.coalesce(f"{side}_group", f"{side}_id") for side in ("left", "right")]
    return pairs.with_columns(one_group=pl.min_horizontal(groups), other_group=pl.max_horizontal(groups))


@dataclass(frozen=True)
class _Entities:
    """Records as rows of ENTITY_MEMBERS, and what holds the entities together."""

    record_ids: pa.Array
    entity_ids: pa.Array  # distinct
    entity: Rows  # of each row, an index of entity_ids
    sizes: Rows  # of each entity, records
    held_by: Rows  # edges inside entities as left * n + right, sorted
    sides: Rows  # of each edge the pairs of records that only it ties together; 0 where it is no bridge

    @classmethod
    def of(cls, linked: LinkedTables, decisions: pa.Table) -> _Entities:
        members = linked.members
        encoded = members["entity_id"].combine_chunks().dictionary_encode()
        entity = encoded.indices.to_numpy().astype(np.int64)
        ids = members["record_id"].combine_chunks()
        must = decisions.filter(decisions["is_match"])
        tied = pa.concat_tables([linked.links.select(PAIR_COLUMNS), must.select(PAIR_COLUMNS)])
        left, right = _rows_of(ids, tied)
        inside = (left >= 0) & (right >= 0)
        inside[inside] = entity[left[inside]] == entity[right[inside]]
        edges = np.unique(left[inside] * len(ids) + right[inside])
        sides = separated_pairs(len(ids), edges // max(len(ids), 1), edges % max(len(ids), 1))
        return cls(ids, encoded.dictionary, entity, np.bincount(entity), edges, sides)

    def separated(self, left: Rows, right: Rows) -> Rows:
        """For each pair of rows how many pairs fall apart without its edge; 0 where it is no bridge."""
        if not len(self.held_by):
            return np.zeros(len(left), np.int64)
        key = left * len(self.record_ids) + right
        at = np.minimum(np.searchsorted(self.held_by, key), len(self.held_by) - 1)
        return np.where(self.held_by[at] == key, self.sides[at], 0)

    def kept_apart(self, decisions: pa.Table) -> pl.DataFrame:
        """Pairs of entities that hold two records which are decided different."""
        left, right = _rows_of(self.record_ids, decisions.filter(pc.invert(decisions["is_match"])))
        there = (left >= 0) & (right >= 0)
        one, other = self.entity[left[there]], self.entity[right[there]]
        apart = {"one_entity": np.minimum(one, other), "other_entity": np.maximum(one, other)}
        return pl.DataFrame(apart).filter(pl.col("one_entity") != pl.col("other_entity")).unique()


def _rows_of(ids: pa.Array, pairs: pa.Table) -> tuple[Rows, Rows]:
    left, right = (
        pc.index_in(pairs[side], value_set=ids).fill_null(-1).to_numpy().astype(np.int64)
        for side in PAIR_COLUMNS
    )
    return left, right


def separated_pairs(n: int, left: Rows, right: Rows) -> Rows:
    """For each edge of a simple graph of n nodes: the pairs of nodes that are not connected without it.

    That is s * (c - s) for a bridge of a component of c nodes with s of them beyond it, 0 for any other edge.
    Bridges by igraph; the blocks between them form trees, whose subtrees are added up level by level.
    """
    is_bridge = np.zeros(len(left), bool)
    is_bridge[igraph.Graph(n=n, edges=np.column_stack([left, right])).bridges()] = True
    block = label_components(left[~is_bridge], right[~is_bridge], n)
    below, parent, whole = _subtrees(np.bincount(block), block[left[is_bridge]], block[right[is_bridge]])
    one, other = block[left[is_bridge]], block[right[is_bridge]]
    child = np.where(parent[one] == other, one, other)
    separated = np.zeros(len(left), np.int64)
    separated[is_bridge] = below[child] * (whole[child] - below[child])
    return separated


def _subtrees(weights: Rows, one: Rows, other: Rows) -> tuple[Rows, Rows, Rows]:
    """Of each node of a forest: the weight of its subtree, its parent, the weight of its tree."""
    n = len(weights)
    tree = label_components(one, other, n)
    roots = np.unique(tree, return_index=True)[1]
    edges = (
        np.append(one, np.full(len(roots), n)),
        np.append(other, roots),
    )  # node n ties the trees together
    graph = coo_matrix((np.ones(len(edges[0]), np.int8), edges), shape=(n + 1, n + 1)).tocsr()
    order, parent = breadth_first_order(graph, n, directed=False, return_predecessors=True)
    place = np.zeros(n + 1, np.int64)
    place[order] = np.arange(n + 1)
    parent_place = place[parent[order[1:]]]  # not decreasing: a level is a run
    below = np.append(weights, 0).astype(np.int64)
    for start, end in _levels(parent_place):
        level = order[start:end]
        np.add.at(below, parent[level], below[level])
    return below, parent.astype(np.int64), np.bincount(tree, weights).astype(np.int64)[tree]


def _levels(parent_place: Rows) -> list[tuple[int, int]]:
    """Runs of breadth-first places that are equally deep, the deepest first, without the roots' own."""
    bounds = [0, 1]
    while bounds[-1] <= len(parent_place):
        bounds.append(1 + int(np.searchsorted(parent_place, bounds[-1])))
    return list(pairwise(bounds[2:]))[::-1]


def _ask(pairs: pl.DataFrame, entities: _Entities, records: pa.Table) -> pl.DataFrame:
    """The pairs with their entities, question, uncertainty, impact and priority."""
    left, right = _rows_of(entities.record_ids, pairs.select(PAIR_COLUMNS).to_arrow())
    if (left < 0).any() or (right < 0).any():
        raise LinkingError("pair_scores name a record_id that entity_members do not have")
    one, other = entities.entity[left], entities.entity[right]
    bridge = entities.separated(left, right)
    partial = pc.is_in(
        entities.record_ids, value_set=records.filter(records["is_partial"])["record_id"].combine_chunks()
    ).to_numpy(False)
    flags = {name: pairs[name].to_numpy() for name in ("is_link", "is_ruled_out")}
    question = _name_questions(flags, one == other, bridge > 0, partial[left] | partial[right])
    sizes = entities.sizes
    impact = np.select(
        [question <= JOIN, question == BRIDGE, question == UNLIKE_INSIDE],
        [sizes[one] * sizes[other], bridge, sizes[one] - 1],
        1,
    )
    placed = {
        "question": question,
        "impact": impact,
        "left_size": sizes[one],
        "right_size": sizes[other],
        "one_entity": np.minimum(one, other),
        "other_entity": np.maximum(one, other),
        "bridge": np.where(question == BRIDGE, np.arange(len(question)), -1),
        "left_entity_id": entities.entity_ids.take(pa.array(one)),
        "right_entity_id": entities.entity_ids.take(pa.array(other)),
    }
    doubt = pl.when(pl.col("question") <= KEPT_APART).then(1.0).otherwise(_doubt())
    asked = pairs.with_columns(**{name: pl.Series(name, values) for name, values in placed.items()})
    asked = asked.with_columns(uncertainty_bits=doubt)
    return asked.with_columns(priority=pl.col("uncertainty_bits") * pl.col("impact"))


def _name_questions(flags: dict[str, Mask], is_same: Mask, is_bridge: Mask, is_partial: Mask) -> Rows:
    """Which of QUESTIONS each pair asks; a partial record kept apart for its name alone is a mere doubt."""
    linked, ruled_out = flags["is_link"], flags["is_ruled_out"]
    return np.select(
        [
            ~is_same & ruled_out,
            ~is_same & linked & ~is_partial,
            ~is_same,
            linked & is_bridge,
            ~linked,
        ],
        [TWO_NUMBERS_Q, KEPT_APART, JOIN, BRIDGE, UNLIKE_INSIDE],
        SPARE_LINK,
    ).astype(np.int64)


def _tabulate(queued: pl.DataFrame, is_calibrated: bool) -> pa.Table:
    named = queued.with_columns(
        pl.col("question").replace_strict(dict(enumerate(QUESTIONS)), return_dtype=pl.String),
        rank=pl.int_range(1, pl.len() + 1, dtype=pl.Int64),
        reason=pl.Series([_reason(row) for row in queued.to_dicts()], dtype=pl.String),
        is_calibrated=pl.lit(is_calibrated),
        link_probability="probability",
    )
    return REVIEW_QUEUE.conform(named.select(REVIEW_QUEUE.schema.names).to_arrow())


def _reason(row: dict[str, object]) -> str:
    """Why a person is asked; the queue is short, so row by row."""
    sizes = f"{row['left_size']} and {row['right_size']} records"
    said, raw, other = (f"{row[f'{name}probability']:.0%}" for name in ("", "match_", "else_"))
    matched = f"{said} likely to match" + (f" ({raw} before calibration)" if raw != said else "")
    asked = {
        TWO_NUMBERS_Q: f"two different valid numbers (IIN or BIN), else {other} likely; entities of {sizes}",
        KEPT_APART: f"{matched}, yet kept apart by other evidence or a rule; entities of {sizes}",
        JOIN: f"{matched}; entities of {sizes} would become one",
        BRIDGE: f"{matched}; without this link an entity of {row['left_size']} records falls in two",
        UNLIKE_INSIDE: f"{matched}, yet in one entity of {row['left_size']} records through others",
        SPARE_LINK: f"{matched}; the entity of {row['left_size']} records holds without this link",
    }[int(str(row["question"]))]
    return f"{row['stake']}; {asked}" if row["stake"] else asked


def _counted(worth: pl.DataFrame, queued: pl.DataFrame) -> tuple[QuestionCount, ...]:
    n_worth, n_queued = (
        np.bincount(frame["question"].to_numpy(), minlength=len(QUESTIONS)) for frame in (worth, queued)
    )
    return tuple(
        QuestionCount(name, int(n_worth[i]), int(n_queued[i]))
        for i, name in enumerate(QUESTIONS)
        if n_worth[i]
    )
