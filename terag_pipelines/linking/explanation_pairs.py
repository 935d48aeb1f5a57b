"""Why two records are one, or are not: the waterfall of the pair, what blocking did, what was decided."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from terag_pipelines.entities.model import ENTITY_RECORDS
from terag_pipelines.errors import LinkingError
from terag_pipelines.linking.blocking_keys import BLOCKING_KEYS, build_key
from terag_pipelines.linking.encoding import EncodedRecords, encode_records
from terag_pipelines.linking.explanation import (
    LinkedBatch,
    Pair,
    WeighedPair,
    forbidden_because,
    order_pair,
    weigh_anew,
)
from terag_pipelines.linking.explanation_words import count, say_probability, say_weight, title_rule
from terag_pipelines.tables import as_frame

N_NEAR_RULES = 4
ONE_SIDE = "both records are of one side, and only records of the two sides are compared"
MAX_FELLOWS = 30  # records of an entity that are asked what they say of a pair
DECISIONS = {
    "linked": "they are linked, and in one entity",
    "joined_through_others": "they are in one entity, joined through other records",
    "decided_same": "a person decided that they are the same",
    "decided_different": "a person decided that they are not the same",
    "forbidden": "they must not be one entity",
    "taken_apart": "the two are over the threshold, but other records of their entities speak against it",
    "below_threshold": "the probability is below the threshold",
    "better_match": "a record links with one of the other side only, and other links weigh more together",
    "never_compared": "no blocking rule brought them together",
}


@dataclass(frozen=True)
class NearRule:
    """A blocking rule that did not bring a pair together: the keys that agree, differ, or are not known."""

    rule: str
    agreeing: tuple[str, ...]
    differing: tuple[str, ...]
    missing: tuple[str, ...]

    @property
    def sentence(self) -> str:
        """What kept the rule from finding the pair."""
        if not self.differing + self.missing:
            return f"{title_rule(self.rule)}: agrees, but more records share it than the rule may pair"
        parts = [
            f"{', '.join(map(title_rule, keys))} {verb}"
            for keys, verb in (
                (self.agreeing, "agree" + ("s" if len(self.agreeing) == 1 else "")),
                (self.differing, "differ" + ("s" if len(self.differing) == 1 else "")),
                (self.missing, "not known of both"),
            )
            if keys
        ]
        return f"{title_rule(self.rule)}: {'; '.join(parts)}"


@dataclass(frozen=True)
class PairExplanation:
    """Everything about one pair: its waterfall, whether blocking found it and by what, and what came of it.

    `link_probability` is calibrated where `is_calibrated`, else the match probability. `decision` is one of
    DECISIONS. `rules` is None where it is not known which blocking rules found a pair; `may_be_compared` is
    False for two records of one side, where only two sources were linked with each other.
    """

    weighed: WeighedPair
    entities: tuple[str, str]
    is_candidate: bool
    may_be_compared: bool
    rules: tuple[str, ...] | None
    near_rules: tuple[NearRule, ...]
    link_probability: float
    is_calibrated: bool
    threshold_probability: float
    decision: str
    reason: str

    @property
    def is_same_entity(self) -> bool:
        """Whether both records are in one entity."""
        return self.entities[0] == self.entities[1]

    @property
    def sentence(self) -> str:
        """What came of the pair, with its figures."""
        figures = (
            f"{say_weight(self.weighed.match_weight)}, probability {say_probability(self.link_probability)}"
        )
        told = DECISIONS[self.decision]
        reason = f": {self.reason}" if self.reason else ""
        kind = "calibrated" if self.is_calibrated else "uncalibrated"
        threshold = f"the threshold is {self.threshold_probability:g}"
        return f"{told[0].upper()}{told[1:]} ({figures}, {kind}; {threshold}){reason}."

    def as_json(self) -> dict[str, Any]:
        """The explanation for machines; its keys are stable."""
        return {
            "waterfall": self.weighed.as_json(),
            "entities": list(self.entities),
            "is_same_entity": self.is_same_entity,
            "is_candidate": self.is_candidate,
            "may_be_compared": self.may_be_compared,
            "rules": None if self.rules is None else list(self.rules),
            "near_rules": [vars(rule) | {"sentence": rule.sentence} for rule in self.near_rules],
            "link_probability": self.link_probability,
            "is_calibrated": self.is_calibrated,
            "threshold_probability": self.threshold_probability,
            "decision": self.decision,
            "reason": self.reason,
            "sentence": self.sentence,
        }


def explain_pair(batch: LinkedBatch, left_id: str, right_id: str) -> PairExplanation:
    """Why these two records are one entity, or are not. The order of the ids does not matter.

    Raises: NotFoundError where the batch lacks one of them; LinkingError for a record and itself.
    """
    return explain_pairs(batch, [(left_id, right_id)])[0]


def explain_pairs(batch: LinkedBatch, pairs: Sequence[Pair]) -> list[PairExplanation]:
    """The explanations of several pairs, aligned with them. Raises: as explain_pair."""
    if any(left == right for left, right in pairs):
        raise LinkingError("a record is not explained against itself; name two records")
    ordered = [order_pair(*pair) for pair in pairs]
    tables = (batch.scores, batch.links, batch.candidates, batch.decisions)
    scored, linked, candidates, decided = (batch.find_pairs(table, ordered) for table in tables)
    ids = [record_id for pair in ordered for record_id in pair]
    records, entities = batch.records_of(ids), batch.entities_of(ids)
    explained = []
    for pair, weighed in zip(ordered, weigh_anew(batch, ordered), strict=True):
        found = Found(pair in scored, linked.get(pair), candidates.get(pair), decided.get(pair))
        sides = records[pair[0]], records[pair[1]]
        explained.append(_explain(batch, weighed, sides, (entities[pair[0]], entities[pair[1]]), found))
    return explained


@dataclass(frozen=True)
class Found:
    """What the tables of a batch have of a pair: rows of LINKS, CANDIDATE_PAIRS and PAIR_DECISIONS."""

    is_scored: bool
    link: dict[str, Any] | None
    candidate: dict[str, Any] | None
    decided: dict[str, Any] | None


def _explain(
    batch: LinkedBatch,
    weighed: WeighedPair,
    sides: tuple[dict[str, Any], dict[str, Any]],
    entities: tuple[str, str],
    found: Found,
) -> PairExplanation:
    forbidden = forbidden_because(*sides, weighed)
    of_one_side = batch.across is not None and len({side["dataset"] == batch.across for side in sides}) == 1
    probability, is_calibrated = _link_probability(batch, weighed, found.link)
    threshold = batch.params.links.threshold_probability
    decision = _decide(found, entities[0] == entities[1], bool(forbidden))
    if decision == "below_threshold" and batch.params.links.one_to_one and probability >= threshold:
        decision = "better_match"
    return PairExplanation(
        weighed=weighed,
        entities=entities,
        is_candidate=found.is_scored,
        may_be_compared=not of_one_side,
        rules=tuple(found.candidate["rules"]) if found.candidate else None,
        near_rules=() if found.is_scored or of_one_side else find_near_rules(batch.rules, sides),
        link_probability=probability,
        is_calibrated=is_calibrated,
        threshold_probability=threshold,
        decision=decision,
        reason=ONE_SIDE
        if of_one_side and decision == "never_compared"
        else _reason(batch, weighed, decision, forbidden, probability >= threshold),
    )


def _decide(found: Found, is_same: bool, is_forbidden: bool) -> str:
    if found.decided is not None:
        return "decided_same" if found.decided["is_match"] else "decided_different"
    if is_same:
        return "linked" if found.link else "joined_through_others"
    if is_forbidden:
        return "forbidden"
    if not found.is_scored:
        return "never_compared"
    return "taken_apart" if found.link else "below_threshold"


def _reason(batch: LinkedBatch, weighed: WeighedPair, decision: str, forbidden: str, is_over: bool) -> str:
    if decision == "forbidden":
        return forbidden
    if decision == "taken_apart":
        return _what_others_say(batch, weighed)
    if decision == "never_compared":
        told = f"compared now, they {'would' if is_over else 'would not'} have been over the threshold"
        learned = batch.models[weighed.party_type].n_labels
        return f"{told}, by the weights before labels changed them" if learned else told
    return ""


def _what_others_say(batch: LinkedBatch, weighed: WeighedPair) -> str:
    """How the other records of the two entities weigh against each other, on average and at worst."""
    left, right = (_fellow_records(batch, name) for name in (weighed.left_id, weighed.right_id))
    pairs = [order_pair(one, other) for one in left for other in right]
    others = [pair for pair in pairs if pair != (weighed.left_id, weighed.right_id)]
    if not others:
        return "the groups that they were in at first were too little alike"
    found = weigh_anew(batch, others)
    worst = min(found, key=lambda pair: (pair.match_weight, pair.left_id, pair.right_id))
    mean = float(np.mean([pair.match_weight for pair in found]))
    if len(others) == 1:
        return f"{worst.left_id} and {worst.right_id} weigh {say_weight(worst.match_weight)}"
    told = f"the other {count(len(others), 'pair')} between them weigh {say_weight(mean)} on average"
    return f"{told}, the least {worst.left_id} and {worst.right_id} with {say_weight(worst.match_weight)}"


def _fellow_records(batch: LinkedBatch, record_id: str) -> list[str]:
    """The records of the entity of a record, the first MAX_FELLOWS of them."""
    inside = pc.equal(batch.members["entity_id"], batch.entities_of([record_id])[record_id])
    return sorted(batch.members.filter(inside)["record_id"].to_pylist())[:MAX_FELLOWS]


def _link_probability(
    batch: LinkedBatch, weighed: WeighedPair, link: dict[str, Any] | None
) -> tuple[float, bool]:
    if link is not None:
        return link["link_probability"], link["is_calibrated"]
    if batch.calibrator is None:
        return weighed.match_probability, False
    return float(batch.calibrator.apply(np.array([weighed.match_probability]))[0]), True


def find_near_rules(rules: Sequence[str], sides: Sequence[dict[str, Any]]) -> tuple[NearRule, ...]:
    """Of blocking rules those that came nearest to pairing two rows of ENTITY_RECORDS, nearest first."""
    two = encode_records(pa.Table.from_pylist(list(sides), ENTITY_RECORDS.schema))
    keys = sorted({key for rule in rules for key in rule.split("+")} & BLOCKING_KEYS.keys())
    state = {key: _key_state(two, key) for key in keys}
    near = [_near_rule(rule, state) for rule in rules if all(key in state for key in rule.split("+"))]
    near = [rule for rule in near if rule.agreeing]
    near.sort(key=lambda rule: (len(rule.differing), len(rule.missing), -len(rule.agreeing), rule.rule))
    return tuple(_without_wider(near)[:N_NEAR_RULES])


def _key_state(two: EncodedRecords, key: str) -> str:
    codes = build_key(two, key)
    if codes is None:
        return "missing"
    left, right = (set(row[row >= 0].tolist()) for row in codes)
    if not left or not right:
        return "missing"
    return "agreeing" if left & right else "differing"


def _near_rule(rule: str, state: dict[str, str]) -> NearRule:
    parts = {
        kind: tuple(key for key in rule.split("+") if state[key] == kind)
        for kind in ("agreeing", "differing", "missing")
    }
    return NearRule(rule, **parts)


def _without_wider(rules: list[NearRule]) -> list[NearRule]:
    """Without rules whose agreeing keys all stand in one before it: they say nothing new."""
    kept: list[NearRule] = []
    for rule in rules:
        if not any(set(rule.agreeing) <= set(other.agreeing) for other in kept):
            kept.append(rule)
    return kept


def say_blocking(explanation: PairExplanation) -> str:
    """Which rules made the pair a candidate, or that none did."""
    if not explanation.may_be_compared:
        return f"Never compared: {ONE_SIDE}; the prior is that of pairs that were."
    if not explanation.is_candidate:
        return "No blocking rule brought these two records together; the prior is that of pairs that one did."
    if explanation.rules is None:
        return "Blocking brought these two records together."
    rules = ", ".join(title_rule(rule) for rule in explanation.rules)
    return f"Brought together by {count(len(explanation.rules), 'blocking rule')}: {rules}."


def choose_examples(scores: pa.Table, links: pa.Table, members: pa.Table | None = None) -> dict[str, Pair]:
    """Pairs worth a look, by what they show: a sure match, a doubtful one, a near miss, a sure non-match.

    PAIR_SCORES and LINKS give the heaviest and lightest link, the heaviest and lightest pair that is none.
    With ENTITY_MEMBERS a match is a link within an entity, and a miss or non-match is a pair of two entities.
    Ties go to the smaller ids.
    """
    pairs = as_frame(scores, ["left_id", "right_id", "match_weight"])
    linked = as_frame(links, ["left_id", "right_id"])
    matches, others = (pairs.join(linked, on=["left_id", "right_id"], how=how) for how in ("semi", "anti"))
    if members is not None:
        matches = matches.filter(_are_one(matches, members))
        others = pairs.filter(~_are_one(pairs, members))
    kinds = {
        "A sure match": (matches, True),
        "A doubtful match": (matches, False),
        "A near miss": (others, True),
        "A sure non-match": (others, False),
    }
    found: dict[str, Pair] = {}
    for name, (rows, is_heaviest) in kinds.items():
        if rows.height:
            keep = pl.col("match_weight").max() if is_heaviest else pl.col("match_weight").min()
            row = rows.filter(pl.col("match_weight") == keep).sort("left_id", "right_id").row(0)
            if row[:2] not in found.values():
                found[name] = (row[0], row[1])
    return found


def _are_one(pairs: pl.DataFrame, members: pa.Table) -> pl.Series:
    """Whether the records of each pair are in one entity."""
    ids, entities = members["record_id"].combine_chunks(), members["entity_id"].combine_chunks()
    left, right = (
        entities.take(pc.index_in(pairs[side].to_arrow().cast(ids.type), value_set=ids))
        for side in ("left_id", "right_id")
    )
    return pl.Series(values=pc.equal(left, right))
