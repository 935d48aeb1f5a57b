"""Blocking: which pairs are worth comparing, under a budget that keeps them linear in the records."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from terag_pipelines.linking.blocking_keys import build_key
from terag_pipelines.linking.encoding import Codes, EncodedRecords, encode_records
from terag_pipelines.linking.model import CANDIDATE_PAIRS

Rows = npt.NDArray[np.int64]
RULE_BITS = 6  # up to 64 rules ride in the low bits of a pair's key


@dataclass(frozen=True)
class BlockingRule:
    """Keys that two records must share, as a ladder from loose to tight.

    The first rung whose pairs fit the budget is taken; blocks over the cap go on to the next rung.
    `holds_identifier`: agreement says who someone is, so that partial records may take part.
    `belongs_to_one`: no two parties have the value, so that in blocks over the cap each record is paired with
    the next one, and one party with very many records is not lost.
    """

    rungs: tuple[tuple[str, ...], ...]
    holds_identifier: bool = False
    belongs_to_one: bool = False


def _rule(*rungs: str, holds_identifier: bool = False, belongs_to_one: bool = False) -> BlockingRule:
    return BlockingRule(tuple(tuple(rung.split("+")) for rung in rungs), holds_identifier, belongs_to_one)


DEFAULT_RULES = (
    _rule("iin", holds_identifier=True, belongs_to_one=True),
    _rule("bin", holds_identifier=True, belongs_to_one=True),
    _rule("identifier", holds_identifier=True),
    _rule("phone", "phone+family_initial", "phone+given_start", holds_identifier=True),
    _rule("email", "email+family_initial", holds_identifier=True),
    _rule("name+birth_date"),
    _rule("family+birth_date"),
    _rule("given+birth_date"),
    _rule("swappable_names", "swappable_names+birth_year", "swappable_names+birth_year+postcode"),
    _rule("name", "name+birth_year", "name+locality", "name+postcode"),
    _rule("organisation", "organisation+locality"),
    _rule("organisation_start", "organisation_start+locality"),
    _rule("organisation_word", "organisation_word+locality", "organisation_word+street"),
    _rule("postcode+birth_date"),
    _rule("street+house", "street+house+postcode", "street+house+family"),
    _rule("swappable_starts+birth_year"),
    _rule("given_start+family_start", "given_start+family_start+birth_year"),
    _rule("family+postcode", "family+postcode+house", "family+postcode+street"),
    _rule("given+postcode", "given+postcode+house", "given+postcode+street"),
    _rule("birth_date", "birth_date+given_initial", "birth_date+given_start"),
    _rule("birth_day+family", "birth_day+family+given_initial"),
    _rule("birth_day+given", "birth_day+given+family_initial"),
    _rule("family+birth_year", "family+birth_year+given_initial"),
    _rule("given+birth_year", "given+birth_year+family_initial"),
    _rule("address"),
    _rule("email_local", "email_local+birth_year"),
    _rule("family+locality", "family+locality+given_initial", "family+locality+birth_year"),
    _rule("given+locality", "given+locality+family_initial", "given+locality+birth_year"),
    _rule("family"),
    _rule("given+street"),
    _rule("family+street"),
)


@dataclass(frozen=True)
class BlockingParams:
    """How many pairs may be made.

    `pairs_per_record` bounds the pairs of all rules together (before doubles are removed),
    `rule_pairs_per_record` those of one rule; neither binds below `free_pairs`. A rule that would have to
    leave out more than `max_purged_share` of its records is skipped.
    """

    rules: tuple[BlockingRule, ...] = DEFAULT_RULES
    max_block_size: int = 100
    pairs_per_record: float = 25.0
    rule_pairs_per_record: float = 1.0
    free_pairs: int = 20_000
    max_purged_share: float = 0.9


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
    """What blocking did, rung by rung, and which rules took no part and why."""

    n_records: int
    n_pairs: int
    rungs: tuple[RungReport, ...]
    skipped: tuple[tuple[str, str], ...]  # rule, reason

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
    """The candidate pairs as row numbers, for callers that hold the encoded records."""
    search = _Search(records, params)
    for rule in params.rules:
        search.apply(rule)
    return search.finish()


@dataclass(frozen=True)
class _Blocks:
    """Rows ordered by block: block b is rows[starts[b] : starts[b] + sizes[b]]."""

    rows: Rows
    starts: Rows
    sizes: Rows

    def n_pairs(self, cap: int) -> int:
        kept = self.sizes[self.sizes <= cap]
        return int((kept * (kept - 1) // 2).sum())

    def select(self, mask: npt.NDArray[np.bool_]) -> _Blocks:
        keep = np.repeat(mask, self.sizes)
        sizes = self.sizes[mask]
        return _Blocks(self.rows[keep], np.cumsum(sizes) - sizes, sizes)

    def cap_for(self, budget: int, most: int) -> int:
        """The largest block size up to `most` whose blocks together keep within the budget."""
        counts = np.bincount(self.sizes[self.sizes <= most], minlength=most + 1)
        sizes = np.arange(len(counts))
        within = np.cumsum(counts * (sizes * (sizes - 1) // 2)) <= budget
        return int(np.flatnonzero(within).max(initial=0))


@dataclass
class _Search:
    """The pairs found so far: keys hold left * n + right, and below it the rung that found them."""

    records: EncodedRecords
    params: BlockingParams
    found: list[Rows] = field(default_factory=list)
    rungs: list[RungReport] = field(default_factory=list)
    skipped: list[tuple[str, str]] = field(default_factory=list)
    cache: dict[str, Codes | None] = field(default_factory=dict)

    def apply(self, rule: BlockingRule) -> None:
        rungs = [rung for rung in rule.rungs if all(self._key(name) is not None for name in rung)]
        if not rungs:
            self.skipped.append(("+".join(rule.rungs[0]), "the records lack a column"))
            return
        rows = np.arange(len(self.records), dtype=np.int64)
        if not rule.holds_identifier:
            rows = rows[~self.records.is_partial]
        if rule.belongs_to_one:
            self._chain("+".join(rungs[0]), self._block(rungs[0], rows))
        else:
            self._climb(rungs, rows)

    def _chain(self, name: str, blocks: _Blocks) -> None:
        """All pairs of the blocks within the cap; in those over it only of each row with the next."""
        over = blocks.sizes > blocks.cap_for(self._budget(), self.params.max_block_size)
        all_pairs, next_ones = _pairs_within(blocks.select(~over)), _neighbours(blocks.select(over))
        keys = self._pair_keys(*(np.concatenate(sides) for sides in zip(all_pairs, next_ones, strict=True)))
        self._note(name, blocks, keys, np.zeros_like(over))

    def _climb(self, rungs: list[tuple[str, ...]], rows: Rows) -> None:
        blocks = self._block(rungs[0], rows)
        budget, most = self._budget(), self.params.max_block_size
        if blocks.n_pairs(most) > budget and len(rungs) > 1:
            self._climb(rungs[1:], rows)
            return
        over = blocks.sizes > blocks.cap_for(budget, most)
        if len(rungs) == 1 and blocks.sizes[over].sum() > self.params.max_purged_share * blocks.sizes.sum():
            self.skipped.append(("+".join(rungs[0]), "too many of its records are in blocks over the budget"))
            return
        self._take("+".join(rungs[0]), blocks, over, is_last=len(rungs) == 1)
        if over.any() and len(rungs) > 1:
            self._climb(rungs[1:], np.unique(blocks.select(over).rows))

    def _budget(self) -> int:
        n, spent = len(self.records), sum(len(keys) for keys in self.found)
        one = max(self.params.rule_pairs_per_record * n, self.params.free_pairs / 2)
        left = max(self.params.pairs_per_record * n, self.params.free_pairs) - spent
        return int(max(min(one, left), 0))

    def _take(self, name: str, blocks: _Blocks, over: npt.NDArray[np.bool_], is_last: bool) -> None:
        keys = self._pair_keys(*_pairs_within(blocks.select(~over)))
        self._note(name, blocks, keys, over if is_last else np.zeros_like(over))

    def _note(self, name: str, blocks: _Blocks, keys: Rows, purged: npt.NDArray[np.bool_]) -> None:
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
        if name not in self.cache:
            self.cache[name] = build_key(self.records, name)
        return self.cache[name]

    def _block(self, rung: tuple[str, ...], rows: Rows) -> _Blocks:
        group = np.zeros(len(rows), np.int64)
        for name in rung:
            codes = self._key(name)
            assert codes is not None  # noqa: S101 - apply() took only rungs whose keys exist
            rows, group = _split_groups(rows, group, codes)
        order = np.argsort(group)
        rows, group = rows[order], group[order]
        starts = np.flatnonzero(np.append(True, group[1:] != group[:-1])) if len(group) else rows
        sizes = np.diff(np.append(starts, len(rows)))
        return _Blocks(rows, starts, sizes).select(sizes > 1)

    def _pair_keys(self, left: Rows, right: Rows) -> Rows:
        """The distinct keys of pairs of rows, ordered; a person and an organisation are no pair."""
        kinds = self.records.party_types
        unlike = (kinds[left] + kinds[right] == 1) | (left == right)  # person 0 and organisation 1
        low, high = np.minimum(left, right)[~unlike], np.maximum(left, right)[~unlike]
        return _without_doubles(np.sort(low * len(self.records) + high))

    def finish(self) -> PairIndex:
        n = max(len(self.records), 1)
        keys = np.sort(np.concatenate(self.found)) if self.found else np.zeros(0, np.int64)
        pair, rung = keys >> RULE_BITS, keys & ((1 << RULE_BITS) - 1)
        first = np.flatnonzero(np.append(True, pair[1:] != pair[:-1])) if len(pair) else np.zeros(0, np.int64)
        bits = np.uint64(1) << rung.astype(np.uint64)
        mask = np.bitwise_or.reduceat(bits, first) if len(first) else bits
        new = np.bincount(
            rung[first], minlength=len(self.rungs)
        )  # keys are sorted: the first rung comes first
        reports = tuple(
            RungReport(**{**vars(report), "n_new_pairs": int(count)})
            for report, count in zip(self.rungs, new, strict=True)
        )
        report = BlockingReport(len(self.records), len(first), reports, tuple(self.skipped))
        left, right = (pair[first] // n).astype(np.int32), (pair[first] % n).astype(np.int32)
        return PairIndex(left, right, mask, report)


def _without_doubles(ordered: Rows) -> Rows:
    return ordered[np.append(True, ordered[1:] != ordered[:-1])] if len(ordered) else ordered


def _split_groups(rows: Rows, group: Rows, codes: Codes) -> tuple[Rows, Rows]:
    """Groups split by one more key; a row with several values goes into several groups."""
    slots = codes[rows]
    at, slot = np.nonzero(slots >= 0)
    values = slots[at, slot].astype(np.int64)
    width, group = int(values.max(initial=0)) + 1, group[at]
    if int(group.max(initial=0)) >= 2**62 // width:
        group = np.unique(group, return_inverse=True)[1].astype(np.int64)
    return rows[at], group * width + values


def _neighbours(blocks: _Blocks) -> tuple[Rows, Rows]:
    """Each row of a block with the next one, in the order of the rows."""
    block = np.repeat(np.arange(len(blocks.sizes)), blocks.sizes)
    rows = blocks.rows[np.lexsort((blocks.rows, block))]
    at = np.flatnonzero(block[1:] == block[:-1])
    return rows[at], rows[at + 1]


def _pairs_within(blocks: _Blocks) -> tuple[Rows, Rows]:
    """Every pair of rows that share a block."""
    ends = np.repeat(blocks.starts + blocks.sizes, blocks.sizes)
    after = ends - np.arange(len(blocks.rows)) - 1  # rows that follow within the block
    left = np.repeat(np.arange(len(blocks.rows)), after)
    offset = np.arange(len(left)) - np.repeat(np.cumsum(after) - after, after)
    return blocks.rows[left], blocks.rows[left + 1 + offset]
