"""Blocking: which pairs are worth comparing, under a budget that keeps them linear in the records."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from terag_pipelines.linking.block_rules import GROUPS, LADDERS, BlockingRule
from terag_pipelines.linking.blocking_keys import build_key
from terag_pipelines.linking.blocks import Blocks, Codes, Rows, make_blocks, sort_numbers, without_doubles
from terag_pipelines.linking.copies import NO_COPIES, Copies
from terag_pipelines.linking.encoding import EncodedRecords, encode_records
from terag_pipelines.linking.model import CANDIDATE_PAIRS
from terag_pipelines.linking.rule_choice import RuleChoice, RuleChoiceParams, choose_rules
from terag_pipelines.side_by_side import N_AT_ONCE, run_side_by_side

COPIES = "copies"  # the name of the rule that pairs records that say the same
RULE_BITS = 6  # up to 64 rungs ride in the low bits of a pair's key
_BIT_OF = np.uint64(1) << np.arange(1 << RULE_BITS, dtype=np.uint64)
MOST_RUNGS = (1 << RULE_BITS) - 1  # the last bit is that of copies
_SMALL_BLOCK = 5  # rows


@dataclass(frozen=True)
class BlockingParams:
    """Which rules, and how many pairs they may make.

    `rules` pins them; without, they are chosen from the data, and LADDERS follow as long as there are fewer
    pairs than `free_pairs`, which cost next to nothing. `pairs_per_record` bounds the pairs of all rules
    together (before doubles are removed), `rule_pairs_per_record` those of one rule; neither binds below
    `free_pairs`. A rule that would have to leave out more than `max_purged_share` of its records is skipped.
    With `across_datasets` only records of different data sets are paired.
    """

    rules: tuple[BlockingRule, ...] | None = None
    max_block_size: int = 100
    pairs_per_record: float = 8.0
    rule_pairs_per_record: float = 1.0
    free_pairs: int = 100_000
    max_purged_share: float = 0.9
    across_datasets: bool = False
    choice: RuleChoiceParams = field(default_factory=RuleChoiceParams)


@dataclass(frozen=True)
class RungReport:
    """What one rung of one rule did."""

    rule: str
    n_blocks: int
    n_pairs: int
    n_new_pairs: int  # found by no rung before it
    largest_block: int
    n_purged_blocks: int  # over the cap, with no tighter rung left
    n_purged_records: int


@dataclass(frozen=True)
class BlockingReport:
    """What blocking did, rung by rung, and which rules took no part and why.

    `n_crowded` records are in no pair, though they share keys: with more records than a block may have.
    `choice` says how the rules were chosen; None where they were pinned or the records too few to choose.
    """

    n_records: int
    n_pairs: int
    rungs: tuple[RungReport, ...]
    skipped: tuple[tuple[str, str], ...]  # rule, reason
    choice: RuleChoice | None = None
    n_crowded: int = 0

    @property
    def pairs_per_record(self) -> float:
        """Candidate pairs for each record."""
        return self.n_pairs / max(self.n_records, 1)


@dataclass(frozen=True)
class PairIndex:
    """Candidate pairs as rows of EncodedRecords, ordered by (left, right); left < right."""

    left: Codes
    right: Codes
    rule_mask: npt.NDArray[np.uint64]  # bit i: rung i of the report found the pair
    report: BlockingReport

    def __len__(self) -> int:
        return len(self.left)


@dataclass(frozen=True)
class CandidatePairs:
    """The table of candidate pairs (CANDIDATE_PAIRS) and how it came about."""

    table: pa.Table
    report: BlockingReport


def find_candidate_pairs(records: pa.Table, params: BlockingParams = BlockingParams()) -> CandidatePairs:
    """Pairs of ENTITY_RECORDS worth comparing. A person and an organisation are never a pair.

    Every rule whose columns are present takes part. The result does not depend on the order of the records.
    """
    encoded = encode_records(records)
    pairs = index_pairs(encoded, params)
    return CandidatePairs(tabulate_pairs(encoded, pairs), pairs.report)


def tabulate_pairs(records: EncodedRecords, pairs: PairIndex) -> pa.Table:
    """CANDIDATE_PAIRS out of row numbers."""
    masks, which = np.unique(pairs.rule_mask, return_inverse=True)
    names = [rung.rule for rung in pairs.report.rungs]
    lists = [[name for i, name in enumerate(names) if int(mask) >> i & 1] for mask in masks]
    columns = {
        "left_id": records.record_ids.take(pa.array(pairs.left)),
        "right_id": records.record_ids.take(pa.array(pairs.right)),
        "rules": pa.array(lists, pa.list_(pa.string())).take(pa.array(which)),
    }
    return CANDIDATE_PAIRS.conform(pa.table(columns))


def index_pairs(records: EncodedRecords, params: BlockingParams) -> PairIndex:
    """The candidate pairs as row numbers, for callers that hold the encoded records.

    Records that follow others are paired with the first of these alone.
    """
    copies = records.copies
    if not len(copies):
        return _index_apart(records, params)
    kept = np.delete(np.arange(len(records), dtype=np.int64), copies.follower)
    return _add_copies(_index_apart(records.select(kept), params), kept, copies, params)


def _add_copies(found: PairIndex, kept: Rows, copies: Copies, params: BlockingParams) -> PairIndex:
    """Pairs among the kept rows, by the rows of all records, and those of copies as one more rule."""
    n, report = len(kept) + len(copies), found.report
    if params.across_datasets:  # copies are of one data set
        copies = NO_COPIES
    first, other = copies.pairs()
    keys = np.concatenate([kept[found.left] * n + kept[found.right], first * n + other])
    bit = np.uint64(1) << np.uint64(len(report.rungs))
    masks = np.concatenate([found.rule_mask, np.full(len(first), bit)])
    pairs, which = np.unique(keys, return_inverse=True)
    mask = np.zeros(len(pairs), np.uint64)
    np.bitwise_or.at(mask, which, masks)
    sizes = copies.sizes()
    rung = RungReport(
        COPIES, len(sizes), len(first), len(pairs) - len(found), int(sizes.max(initial=0)), 0, 0
    )
    report = replace(report, n_records=n, n_pairs=len(pairs), rungs=(*report.rungs, rung))
    return PairIndex((pairs // n).astype(np.int32), (pairs % n).astype(np.int32), mask, report)


def _index_apart(records: EncodedRecords, params: BlockingParams) -> PairIndex:
    """The candidate pairs of records of which none is one of many copies."""
    search = _Search(records, params)
    choice = None if params.rules is not None else search.choose()
    chosen = choice.rules if choice else params.rules or ()
    search.apply_all(chosen)
    if params.rules is None:
        search.spend_free_pairs([rule for rule in LADDERS if rule not in chosen])
    return search.finish(choice)


@dataclass
class _Search:
    """The pairs found so far: keys hold left * n + right, and below it the rung that found them."""

    records: EncodedRecords
    params: BlockingParams
    found: list[Rows] = field(default_factory=list)
    rungs: list[RungReport] = field(default_factory=list)
    skipped: list[tuple[str, str]] = field(default_factory=list)
    keys: dict[str, Codes | None] = field(default_factory=dict)
    n_free: int | None = None  # pairs still free; None while rules have to be worth their pairs
    crowded: list[Rows] = field(default_factory=list)  # rows of blocks that were left out
    ready: dict[str, Blocks] = field(default_factory=dict)  # blocks of the first rung, by rule
    ran: set[tuple[frozenset[str], bool]] = field(default_factory=set)  # keys, and if partial records count

    def choose(self) -> RuleChoice | None:
        """The rules that the records themselves speak for; None where they are too few to tell."""
        names = [name for listed in GROUPS.values() for name in listed]
        run_side_by_side([partial(self._key, name) for name in names])
        keys = {name: codes for name in names if (codes := self._key(name)) is not None}
        return choose_rules(keys, len(self.records), self._budget(), self.params.choice) if keys else None

    def spend_free_pairs(self, rules: Sequence[BlockingRule]) -> None:
        """Adds the pairs of further rules until there are `free_pairs` different ones."""
        pairs, n_seen = np.zeros(0, np.int64), 0
        for rule in rules:
            if sum(map(len, self.found)) > MOST_RUNGS * self.params.free_pairs:
                return
            pairs = np.unique(np.concatenate([pairs, *(keys >> RULE_BITS for keys in self.found[n_seen:])]))
            n_seen, self.n_free = len(self.found), self.params.free_pairs - len(pairs)
            if self.n_free <= 0:
                return
            self.apply(rule)

    def apply_all(self, rules: Sequence[BlockingRule]) -> None:
        """Adds the pairs of rules in their order; the blocks of two at a time are made side by side."""
        for at in range(0, len(rules), N_AT_ONCE):
            some = rules[at : at + N_AT_ONCE]
            blocks = run_side_by_side([partial(self._first_block, rule) for rule in some])
            self.ready = {rule.name: made for rule, made in zip(some, blocks, strict=True) if made}
            for rule in some:
                self.apply(rule)

    def _first_block(self, rule: BlockingRule) -> Blocks | None:
        rungs = self._rungs_of(rule)
        return self._block(rungs[0], self._rows_of(rule)) if rungs else None

    def _rungs_of(self, rule: BlockingRule) -> list[tuple[str, ...]]:
        """The rungs of which the records have every column."""
        return [rung for rung in rule.rungs if all(self._key(name) is not None for name in rung)]

    def apply(self, rule: BlockingRule) -> None:
        """Adds the pairs of one rule."""
        rungs = self._rungs_of(rule)
        if not rungs:
            self.skipped.append((rule.name, "the records lack a column"))
        elif len(self.rungs) + len(rungs) > MOST_RUNGS:
            self.skipped.append((rule.name, f"there are {MOST_RUNGS} rules already"))
        elif rule.belongs_to_one:
            self._chain(rule.name, self._block(rungs[0], self._rows_of(rule)))
        else:
            ready = self.ready.pop(rule.name, None)
            self._climb(rungs, self._rows_of(rule), rule.holds_identifier, ready)

    def _rows_of(self, rule: BlockingRule) -> Rows | None:
        """The rows that take part; None for all."""
        if rule.holds_identifier or not self.records.is_partial.any():
            return None
        return np.flatnonzero(~self.records.is_partial)

    def _chain(self, name: str, blocks: Blocks) -> None:
        """All pairs of the blocks within the cap; in those over it only of each row with the next.

        One party with very many records is not lost so: its number belongs to nobody else.
        """
        over = blocks.sizes > blocks.cap_for(self._budget_of_rule(), self.params.max_block_size)
        parts = blocks.select(~over).pairs(), blocks.select(over).neighbours()
        left, right = (np.concatenate(sides) for sides in zip(*parts, strict=True))
        self._note(name, blocks, (left, right), np.zeros_like(over))

    def _climb(
        self,
        rungs: list[tuple[str, ...]],
        rows: Rows | None,
        takes_partial: bool | None,
        ready: Blocks | None = None,
    ) -> None:
        """The pairs of a rung, and of those behind it for its blocks over the cap.

        `takes_partial` is None where the rows are only those that a rung before it left over.
        """
        blocks = self._block(rungs[0], rows) if ready is None else ready
        budget, most = int(self._budget_of_rule() * self._repeats(blocks)), self.params.max_block_size
        if blocks.n_pairs(most) > budget and len(rungs) > 1:
            self._climb(rungs[1:], rows, takes_partial)
            return
        over, is_last = blocks.sizes > blocks.cap_for(budget, most), len(rungs) == 1
        run = None if takes_partial is None else (frozenset(rungs[0]), takes_partial)
        if run in self.ran:
            pass  # another rule has found its pairs, in whatever order it names the keys
        elif is_last and blocks.sizes[over].sum() > self.params.max_purged_share * blocks.sizes.sum():
            self.skipped.append(("+".join(rungs[0]), "too many of its records are in blocks over the budget"))
            self.crowded.append(blocks.select(over).rows)
        else:
            if run is not None:
                self.ran.add(run)
            purged = over if is_last else np.zeros_like(over)
            self.crowded.append(blocks.select(purged).rows)
            self._note("+".join(rungs[0]), blocks, blocks.select(~over).pairs(), purged)
        if over.any() and not is_last:
            self._climb(rungs[1:], np.unique(blocks.select(over).rows), None)

    def _repeats(self, blocks: Blocks) -> float:
        """How often small blocks hold each of their pairs: texts that are alike share many of their keys."""
        if len(blocks.rows) <= len(self.records):
            return 1.0
        left, right = blocks.select(blocks.sizes <= _SMALL_BLOCK).pairs()
        n_distinct = len(without_doubles(sort_numbers(left * len(self.records) + right)))
        return max(len(left) / max(n_distinct, 1), 1.0)

    def _budget(self) -> int:
        """Pairs that the rules still to come may make together."""
        n, spent = len(self.records), sum(map(len, self.found))
        left = max(self.params.pairs_per_record * n, self.params.free_pairs) - spent
        return int(max(left if self.n_free is None else self.n_free, 0))

    def _budget_of_rule(self) -> int:
        one = max(self.params.rule_pairs_per_record * len(self.records), self.params.free_pairs / 5)
        return int(min(one, self._budget()))

    def _note(
        self, name: str, blocks: Blocks, pairs: tuple[Rows, Rows], purged: npt.NDArray[np.bool_]
    ) -> None:
        keys = self._pair_keys(*pairs)
        report = RungReport(
            rule=name,
            n_blocks=len(blocks.sizes),
            n_pairs=len(keys),
            n_new_pairs=0,
            largest_block=int(blocks.sizes.max(initial=0)),
            n_purged_blocks=int(purged.sum()),
            n_purged_records=int(blocks.sizes[purged].sum()),
        )
        self.found.append((keys << RULE_BITS) | len(self.rungs))
        self.rungs.append(report)

    def _key(self, name: str) -> Codes | None:
        if name not in self.keys:
            self.keys[name] = build_key(self.records, name)
        return self.keys[name]

    def _block(self, rung: tuple[str, ...], rows: Rows | None) -> Blocks:
        return make_blocks([codes for name in rung if (codes := self._key(name)) is not None], rows)

    def _pair_keys(self, left: Rows, right: Rows) -> Rows:
        """A number for each distinct pair of rows; a person and an organisation are no pair."""
        kinds = self.records.party_types
        if (kinds == 0).any() and (kinds == 1).any():
            alike = kinds[left] + kinds[right] != 1  # person 0 and organisation 1
            left, right = left[alike], right[alike]
        if self.params.across_datasets:
            across = self.records.datasets[left] != self.records.datasets[right]
            left, right = left[across], right[across]
        apart = left != right
        keys = np.minimum(left, right)[apart] * len(self.records) + np.maximum(left, right)[apart]
        return without_doubles(sort_numbers(keys)) if self._may_repeat else keys

    @property
    def _may_repeat(self) -> bool:
        """Whether a record may be in several blocks of one rule, so that a pair may be found twice."""
        return any(codes is not None and codes.shape[1] > 1 for codes in self.keys.values())

    def finish(self, choice: RuleChoice | None) -> PairIndex:
        """All pairs, each once, with the rungs that found it."""
        n = max(len(self.records), 1)
        found = np.concatenate([np.zeros(0, np.int64), *self.found])
        self.found.clear()
        keys = sort_numbers(found)
        del found
        rung = (keys & MOST_RUNGS).astype(np.uint8)
        keys >>= RULE_BITS
        is_first = np.append(True, keys[1:] != keys[:-1])[: len(keys)]
        first = np.flatnonzero(is_first)
        mask = np.bitwise_or.reduceat(_BIT_OF[rung], first) if len(first) else np.zeros(0, np.uint64)
        # keys are sorted: the first rung that found a pair comes first
        new = np.bincount(rung[first], minlength=len(self.rungs)).tolist()
        rungs = tuple(replace(rung, n_new_pairs=n_new) for rung, n_new in zip(self.rungs, new, strict=True))
        left, right = np.divmod(keys[first], n)
        report = BlockingReport(
            len(self.records),
            len(first),
            rungs,
            tuple(self.skipped),
            choice,
            self._count_crowded(left, right),
        )
        return PairIndex(left.astype(np.int32), right.astype(np.int32), mask, report)

    def _count_crowded(self, left: Rows, right: Rows) -> int:
        """Records in blocks that were left out which are in no pair of rows."""
        is_alone = np.zeros(len(self.records), bool)
        for rows in self.crowded:
            is_alone[rows] = True
        is_alone[left] = is_alone[right] = False
        return int(is_alone.sum())
