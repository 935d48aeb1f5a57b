"""Why a pair of records weighs what it does: the waterfall of its match weight, as data.

The parts are those of Fellegi and Sunter (1969): the prior, log2(m / u) of the level of each field, and what
term frequencies and the like add. Any two records can be explained, also those that blocking never paired.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from terag_pipelines.entities.model import ENTITY_RECORDS
from terag_pipelines.errors import NotFoundError
from terag_pipelines.linking.adjustments import AdjustmentParams, adjustment_parts
from terag_pipelines.linking.block_rules import LADDERS
from terag_pipelines.linking.blocks import Codes
from terag_pipelines.linking.chance import CHANCE, StandIn, chance_part
from terag_pipelines.linking.clusters import UNIQUE_IDENTITIES, ClusterParams, identities_of
from terag_pipelines.linking.comparison import ORGANISATION, PERSON, compare_pairs
from terag_pipelines.linking.encoding import EncodedRecords, encode_records, sort_records
from terag_pipelines.linking.evidence import EvidenceParams
from terag_pipelines.linking.explanation_values import shown_values
from terag_pipelines.linking.explanation_words import (
    BY_IIN,
    FORBIDDEN,
    JOINT_PHRASES,
    NAMES,
    TIDIED,
    TRANSLITERATED,
    Silence,
    find_silence,
    say_adjustment,
    say_level,
    say_share,
    say_silence,
    say_weight,
    title_field,
)
from terag_pipelines.linking.levels import FIELD_BY_NAME, FIELDS, IDENTIFYING, Compared
from terag_pipelines.linking.links import Calibrator, LinkParams, link_probabilities
from terag_pipelines.linking.model import LABELS_FIELD
from terag_pipelines.linking.patterns import describe_patterns
from terag_pipelines.linking.scoring import weights_to_probabilities
from terag_pipelines.linking.validity import DATED_FIELDS, apart_in_time

Floats = npt.NDArray[np.float64]
Pair = tuple[str, str]
ROUNDING = 1e-6  # bits


@dataclass(frozen=True)
class ExplanationParams:
    """The threshold and adjustments that the batch was linked with, and how much is told.

    `n_candidates` of a record are told, `n_reasons` of each; `n_weakest` links of an entity. A minimum cut is
    looked for in entities of at most `max_cut_members` records: its time grows with their cube. A record is a
    candidate only where fields that agree weigh `least_agreement` bits together: more than the sex can tell.
    `clusters` are what the entities were resolved with; what would split one is tried with them.
    """

    links: LinkParams = field(default_factory=LinkParams)
    adjustments: AdjustmentParams = field(default_factory=AdjustmentParams)
    clusters: ClusterParams = field(default_factory=ClusterParams)
    n_candidates: int = 5
    n_reasons: int = 3
    n_weakest: int = 3
    max_cut_members: int = 60
    least_agreement: float = 1.0


@dataclass(frozen=True)
class LinkedBatch:
    """What was linked, as tables: ENTITY_RECORDS, PAIR_SCORES, LINK_MODEL, LINKS, ENTITY_MEMBERS.

    With `candidates` (CANDIDATE_PAIRS) explanations name the blocking rules; `applied` are those that were
    tried, for where candidates are not kept. `decisions` (PAIR_DECISIONS) are what people decided. `prepared`
    are the records as codes, where the caller has them already. With `across` only pairs of a record of this
    dataset with one of another were compared.
    """

    records: pa.Table
    scores: pa.Table
    model: pa.Table
    links: pa.Table
    members: pa.Table
    candidates: pa.Table | None = None
    decisions: pa.Table | None = None
    calibrator: Calibrator | None = None
    prepared: EncodedRecords | None = None
    params: ExplanationParams = field(default_factory=ExplanationParams)
    applied: tuple[str, ...] | None = None
    across: str | None = None

    @cached_property
    def ordered(self) -> pa.Table:
        """The records in the order of record_id: row i is row i of `encoded`."""
        return sort_records(self.records)

    @cached_property
    def encoded(self) -> EncodedRecords:
        """All records as codes: how rare a value is depends on all of them."""
        return encode_records(self.ordered) if self.prepared is None else self.prepared

    @cached_property
    def models(self) -> Mapping[str, PartyModel]:
        """What the link model says of persons and of organisations."""
        return {party: PartyModel.read(self.model, party) for party in (PERSON, ORGANISATION)}

    def rows_of(self, record_ids: Sequence[str]) -> Codes:
        """The rows of records. Raises: NotFoundError where the batch lacks one."""
        rows = self.encoded.positions(pa.chunked_array([pa.array(record_ids, pa.string())]))
        if (rows < 0).any():
            missing = record_ids[int(np.flatnonzero(rows < 0)[0])]
            raise NotFoundError(f"the batch has no record {missing[:60]!r}")
        return rows.astype(np.int32)

    @cached_property
    def rules(self) -> tuple[str, ...]:
        """The blocking rules that found pairs in this batch; where that is not known, all there are."""
        if self.applied is not None:
            return self.applied
        if self.candidates is None or not self.candidates.num_rows:
            return tuple("+".join(rung) for rule in LADDERS for rung in rule.rungs)
        lists = self.candidates["rules"].combine_chunks()
        return tuple(sorted(pc.unique(pc.list_flatten(lists)).to_pylist()))

    def entities_of(self, record_ids: Sequence[str]) -> dict[str, str]:
        """The entities of records, by record. Raises: NotFoundError where one has none."""
        wanted = pa.array(sorted(set(record_ids)), pa.string())
        found = self.members.filter(pc.is_in(self.members["record_id"], value_set=wanted))
        entities = dict(zip(found["record_id"].to_pylist(), found["entity_id"].to_pylist(), strict=True))
        if missing := sorted(set(record_ids) - entities.keys()):
            raise NotFoundError(f"the batch has no record {missing[0][:60]!r}")
        return entities

    def records_of(self, record_ids: Sequence[str]) -> dict[str, dict[str, Any]]:
        """Rows of ENTITY_RECORDS by record. Raises: NotFoundError where the batch lacks one."""
        rows = self.ordered.take(pa.array(self.rows_of(sorted(set(record_ids)))))
        return {row["record_id"]: row for row in rows.to_pylist()}

    def find_pairs(self, table: pa.Table | None, pairs: Sequence[Pair]) -> dict[Pair, dict[str, Any]]:
        """The rows of a table with left_id and right_id for these pairs, by pair."""
        if table is None or not pairs:
            return {}
        lefts, rights = (pa.array(sorted(set(side)), pa.string()) for side in zip(*pairs, strict=True))
        mask = pc.and_(
            pc.is_in(table["left_id"], value_set=lefts), pc.is_in(table["right_id"], value_set=rights)
        )
        found = {(row["left_id"], row["right_id"]): row for row in table.filter(mask).to_pylist()}
        return {pair: found[pair] for pair in pairs if pair in found}


@dataclass(frozen=True)
class PartyModel:
    """One party type's part of LINK_MODEL: by field, m, u and weight by level number; 0 is missing, weight 0.

    Fields and party types that the batch had no candidate pairs of have the default probabilities.
    """

    match_share: float
    prior_weight: float
    is_learned: bool  # by EM from this batch; else the defaults, for want of pairs to learn from
    m: Mapping[str, Floats]
    u: Mapping[str, Floats]
    weights: Mapping[str, Floats]
    n_labels: int = 0  # labelled pairs that match weights were learned from; 0 where they were not

    @classmethod
    def read(cls, model: pa.Table, party_type: str) -> PartyModel:
        """The model of a party type. Raises: NotFoundError where a field or level in it is not known here."""
        share = EvidenceParams().default_match_share
        prior, is_learned, n_labels = float(np.log2(share / (1 - share))), False, 0
        m = {known.name: np.array([1.0, *(level.m for level in known.levels)]) for known in FIELDS}
        u = {known.name: np.array([1.0, *(level.u for level in known.levels)]) for known in FIELDS}
        weights = {name: np.log2(m[name] / u[name]) for name in m}
        for row in model.filter(pc.equal(model["party_type"], party_type)).to_pylist():
            name, number = row["field"], row["level_rank"]
            if name == "prior":
                share, prior = row["m_probability"], row["match_weight"]
                is_learned = row["source"] == "em"
                continue
            if name == LABELS_FIELD:
                n_labels = int(row["n_pairs"])
                continue
            if name not in m or number >= len(m[name]):
                raise NotFoundError(f"the link model has a level that is not compared: {name} {row['level']}")
            m[name][number], u[name][number] = row["m_probability"], row["u_probability"]
            weights[name][number] = row["match_weight"]
        return cls(share, prior, is_learned, m, u, weights, n_labels)


@dataclass(frozen=True)
class FieldEvidence:
    """One step of the waterfall: what was compared, how far it agrees, and what that weighs, in bits.

    `told` says in words how far it agrees, without any value. `level` is "" and every figure neutral where
    the field says nothing, and then `silence` is why. m and u are shares among matches and among candidate
    pairs that do not match; None for what is no comparison of a field.
    """

    field: str
    left: tuple[str, ...]
    right: tuple[str, ...]
    level: str
    m_probability: float | None
    u_probability: float | None
    level_weight: float
    adjustment: float
    told: str
    silence: Silence | None = None

    @property
    def weight(self) -> float:
        """What the field adds to the match weight, in bits."""
        return self.level_weight + self.adjustment

    @property
    def account(self) -> str:
        """How far it agrees, how often that happens, and what it weighs."""
        if self.silence is not None:
            return self.told
        if self.m_probability is None or self.u_probability is None:
            return f"{self.told}: {say_weight(self.weight)}"
        shares = f"{say_share(self.m_probability)} of matches, {say_share(self.u_probability)} of non-matches"
        told = f"{self.told}; {shares}: {say_weight(self.level_weight)}"
        adjusted = say_adjustment(self.field, self.adjustment)
        return f"{told}; {adjusted}" if adjusted else told

    @property
    def sentence(self) -> str:
        """The account, with the field that it is of."""
        return f"{title_field(self.field)}: {self.account}"

    def as_json(self) -> dict[str, Any]:
        """The step for machines."""
        said = {"title": title_field(self.field), "weight": self.weight, "sentence": self.sentence}
        return asdict(self) | said


@dataclass(frozen=True)
class WeighedPair:
    """The waterfall of one pair: prior and evidence add up to the match weight.

    m and u were learned from the batch where `is_learned`, else they are defaults. `unexplained_weight` is
    what the stored match weight has beyond them: 0 unless it was scored otherwise.
    """

    left_id: str
    right_id: str
    party_type: str
    prior_probability: float
    prior_weight: float
    is_learned: bool
    evidence: tuple[FieldEvidence, ...]
    unexplained_weight: float
    match_weight: float
    match_probability: float

    @property
    def known(self) -> tuple[FieldEvidence, ...]:
        """The evidence that says something."""
        return tuple(part for part in self.evidence if part.level)

    @property
    def missing(self) -> tuple[FieldEvidence, ...]:
        """Fields that are not known of both."""
        return tuple(part for part in self.evidence if not part.level)

    @property
    def at_other_times(self) -> tuple[FieldEvidence, ...]:
        """Of the missing those that both have, but had at different times."""
        return tuple(part for part in self.missing if part.silence is Silence.OTHER_TIMES)

    def reasons(self, is_for: bool, n: int) -> tuple[FieldEvidence, ...]:
        """The evidence that speaks most for the pair, or against it, strongest first."""
        found = [part for part in self.known if part.weight != 0 and (part.weight > 0) == is_for]
        return tuple(sorted(found, key=lambda part: -abs(part.weight))[:n])

    @property
    def prior_account(self) -> str:
        """What is held before any field is looked at, and what that weighs."""
        share = say_share(self.prior_probability)
        pairs = "the pairs learned from are matches" if self.is_learned else "pairs are taken to be matches"
        return f"{share} of {pairs}: {say_weight(self.prior_weight)}"

    @property
    def prior_sentence(self) -> str:
        """The account of the prior, and that it comes first."""
        return f"before any field: {self.prior_account}"

    def as_json(self) -> dict[str, Any]:
        """The waterfall for machines."""
        return asdict(self) | {
            "prior_sentence": self.prior_sentence,
            "evidence": [part.as_json() for part in self.evidence],
        }


def infer_threshold(scores: pa.Table, links: pa.Table, calibrator: Calibrator | None) -> float:
    """The threshold behind LINKS: the default, or, where a batch had another, its least link probability."""
    usual = LinkParams().threshold_probability
    probabilities = link_probabilities(scores["match_probability"].to_numpy(), calibrator)
    least = float(np.min(links["link_probability"].to_numpy(), initial=1.0))
    is_usual = least >= usual and int((probabilities >= usual).sum()) == links.num_rows
    return usual if is_usual or not links.num_rows else least


def order_pair(left_id: str, right_id: str) -> Pair:
    """The pair as every table of pairs has it: the smaller id on the left."""
    return (left_id, right_id) if left_id <= right_id else (right_id, left_id)


def weigh_anew(batch: LinkedBatch, pairs: Sequence[Pair]) -> list[WeighedPair]:
    """The waterfalls of pairs of records, candidates or not, aligned with the pairs.

    Raises: NotFoundError where the batch lacks a record.
    """
    ordered = [order_pair(*pair) for pair in pairs]
    left, right = (batch.rows_of([pair[side] for pair in ordered]) for side in (0, 1))
    stored = batch.find_pairs(batch.scores, ordered)
    records = batch.records_of([record_id for pair in ordered for record_id in pair])
    weighed: dict[int, WeighedPair] = {}
    for compared in compare_anew(batch, left, right):
        for at, place in enumerate(compared.places.tolist()):
            row, sides = stored.get(ordered[place]), [records[name] for name in ordered[place]]
            weighed[place] = _waterfall(sides, compared, at, row)
    return [weighed[place] for place in range(len(pairs))]


@dataclass(frozen=True)
class ComparedRows:
    """Pairs of rows of one party type: `places` among those asked for, levels and adjustments by field.

    `apart` tells by field where what both had was theirs at different times.
    """

    party_type: str
    model: PartyModel
    places: npt.NDArray[np.int64]
    left: Codes
    right: Codes
    levels: Compared
    adjustments: Mapping[str, Floats]
    apart: Mapping[str, npt.NDArray[np.bool_]]

    def weights(self) -> Floats:
        """The match weights, in bits."""
        total = np.full(len(self.places), self.model.prior_weight)
        for name, levels in self.levels.items():
            total += self.model.weights[name][levels]
        for bits in self.adjustments.values():
            total += bits
        return total

    def agreement(self) -> Floats:
        """What the fields that agree weigh together, in bits; those that differ are left out."""
        total = np.zeros(len(self.places))
        for name, levels in self.levels.items():
            bits = self.model.weights[name][levels] + self.adjustments.get(name, 0.0)
            total += np.where(levels > 0, np.maximum(bits, 0.0), 0.0)
        return total

    def pattern(self, at: int) -> str:
        """The levels of one pair as PAIR_SCORES has them."""
        levels = np.array([[int(found[at]) for found in self.levels.values()]], np.int8)
        return describe_patterns(tuple(self.levels), levels)[0]


def compare_anew(batch: LinkedBatch, left: Codes, right: Codes) -> list[ComparedRows]:
    """Pairs of rows compared anew, those of persons and of organisations apart."""
    kinds = batch.encoded.party_types
    is_organisation = (kinds[left] == 1) | (kinds[right] == 1)
    found = []
    for party_type, mask in ((PERSON, ~is_organisation), (ORGANISATION, is_organisation)):
        places = np.flatnonzero(mask)
        if len(places):
            found.append(_compare_party(batch, party_type, places, left[places], right[places]))
    return found


def _compare_party(
    batch: LinkedBatch, party_type: str, places: npt.NDArray[np.int64], left: Codes, right: Codes
) -> ComparedRows:
    compared = compare_pairs(batch.encoded, left, right)
    levels = {
        name: found for name, found in compared.items() if party_type in FIELD_BY_NAME[name].party_types
    }
    parts = adjustment_parts(batch.encoded, left, right, levels, batch.params.adjustments)
    bits = {name: np.broadcast_to(part, len(places)) for name, part in parts.items()}
    model = batch.models[party_type]
    if not model.is_learned:
        usual = batch.params.adjustments.usual_holders
        evidence = StandIn(model.prior_weight, model.weights, model.match_share, usual)
        bits[CHANCE] = chance_part(batch.encoded, (left, right), levels, bits, evidence)
    found = {name: apart_in_time(batch.encoded, kind, left, right) for name, kind in DATED_FIELDS.items()}
    apart = {name: mask for name, mask in found.items() if mask is not None}
    return ComparedRows(party_type, model, places, left, right, levels, bits, apart)


def _waterfall(
    records: Sequence[Mapping[str, Any]], rows: ComparedRows, at: int, stored: Mapping[str, Any] | None
) -> WeighedPair:
    """The waterfall of one pair; `stored` is its row of PAIR_SCORES, None for a pair that was not scored.

    What labels changed is known in total only. It is named so where the pair compares today as it did when
    it was scored: a remainder of any other cause stays unexplained.
    """
    evidence = [_field_evidence(rows, name, at, records) for name in rows.levels]
    evidence += [
        _joint_evidence(name, float(bits[at]))
        for name, bits in rows.adjustments.items()
        if name not in rows.levels and bits[at]
    ]
    explained = rows.model.prior_weight + sum(part.weight for part in evidence)
    weight = explained if stored is None else stored["match_weight"]
    if rows.model.n_labels and stored is not None and stored["pattern"] == rows.pattern(at):
        evidence.append(_label_evidence(rows.model.n_labels, weight - explained))
        explained = weight
    unexplained = weight - explained
    return WeighedPair(
        left_id=records[0]["record_id"],
        right_id=records[1]["record_id"],
        party_type=rows.party_type,
        prior_probability=rows.model.match_share,
        prior_weight=rows.model.prior_weight,
        is_learned=rows.model.is_learned,
        evidence=tuple(evidence),
        unexplained_weight=unexplained if abs(unexplained) > ROUNDING else 0.0,
        match_weight=weight,
        match_probability=float(weights_to_probabilities(np.array([weight]))[0]),
    )


def _field_evidence(
    rows: ComparedRows, name: str, at: int, records: Sequence[Mapping[str, Any]]
) -> FieldEvidence:
    number = int(rows.levels[name][at])
    level = FIELD_BY_NAME[name].levels[number - 1].name if number else ""
    adjustment = float(rows.adjustments[name][at]) if name in rows.adjustments else 0.0
    m, u = (float(table[name][number]) if number else None for table in (rows.model.m, rows.model.u))
    weight = float(rows.model.weights[name][number])
    left, right = (_values_compared(record, name, level) for record in records)
    if level:
        told, silence = say_level(name, level_as_told(name, level, left, right)), None
    else:
        is_apart = name in rows.apart and bool(rows.apart[name][at])
        is_apart &= name != "identifiers" or bool(set(left) & set(right))  # of documents only cards are
        stand_in = _stand_in(rows, at)
        silence = find_silence(name, (bool(left), bool(right)), stand_in, is_apart)
        told = say_silence(name, silence, stand_in)
        if silence is Silence.KNOWN_OF_ONE:  # what was compared with nothing need not be shown
            told = f"known of {records[0 if left else 1]['record_id']} only"
            left, right = (), ()
    return FieldEvidence(name, left, right, level, m, u, weight, adjustment, told, silence)


def _values_compared(record: Mapping[str, Any], name: str, level: str) -> tuple[str, ...]:
    """The values of a field; of a name that changed places also that of the other place."""
    values = shown_values(record, name)
    if name != "given_name" or level != "swapped":
        return values
    return (
        *values,
        *(f"{title_field('family_name')}: {value}" for value in shown_values(record, "family_name")),
    )


def level_as_told(name: str, level: str, left: Sequence[str], right: Sequence[str]) -> str:
    """The level in words' terms: names that agree but do not look alike were transliterated or tidied.

    Birth dates that agree but are not the same do so by the IIN.
    """
    if level == "exact" and name == "birth_date" and left != right:
        return BY_IIN
    if level != "exact" or name not in NAMES or not left or not right:
        return level
    alike = {value.casefold() for value in left} & {value.casefold() for value in right}
    if alike:
        return level
    return TIDIED if _scripts_of(left) & _scripts_of(right) else TRANSLITERATED


def _scripts_of(values: Sequence[str]) -> set[str]:
    """The scripts of letters, by the first word of their Unicode names."""
    letters = {letter for value in values for letter in value if letter.isalpha()}
    return {unicodedata.name(letter, "").partition(" ")[0] for letter in letters}


def _stand_in(rows: ComparedRows, at: int) -> str:
    """The name field that speaks for the others: the full name, or a given name that changed places."""
    compared = {
        name: int(rows.levels[name][at]) for name in ("full_name", "given_name") if name in rows.levels
    }
    if compared.get("full_name"):
        return "full_name"
    return "given_name" if compared.get("given_name") else ""


def _joint_evidence(name: str, bits: float) -> FieldEvidence:
    """What fields tell together, beyond what each does by itself."""
    return FieldEvidence(name, (), (), "different", None, None, 0.0, bits, JOINT_PHRASES[name])


def _label_evidence(n_labels: int, bits: float) -> FieldEvidence:
    """What a scorer learned from labels makes of the weight that was learned without them."""
    level = f"learned from {n_labels:,} labels"
    told = f"{level}, for all fields together"
    return FieldEvidence(LABELS_FIELD, (), (), level, None, None, 0.0, bits, told)


def forbidden_because(left: Mapping[str, Any], right: Mapping[str, Any], evidence: WeighedPair) -> str:
    """The identity rule that keeps two rows of ENTITY_RECORDS out of one entity; "" where there is none."""
    held = identities_of(pa.Table.from_pylist([dict(left), dict(right)], ENTITY_RECORDS.schema))
    for column, (one, other) in zip(UNIQUE_IDENTITIES, held.unique, strict=True):
        if one >= 0 and other >= 0 and one != other:
            return FORBIDDEN.get(column, f"they have two different {title_field(column)}s")
    agrees = any(part.field in IDENTIFYING and part.level in ("same", "shared") for part in evidence.known)
    return FORBIDDEN["partial"] if held.is_partial.any() and not agrees else ""
