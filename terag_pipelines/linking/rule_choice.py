"""Which blocking rules find most matches within a budget of pairs, learned from the records themselves.

Adaptive blocking after Bilenko, Kamath and Mooney (2006), "Adaptive blocking: learning to scale up record
linkage", without labels: pairs that agree in more than chance can explain serve as examples. A budgeted
greedy cover of matches composed of them (Khuller, Moss and Naor, 1999) gives the rules.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations

import numpy as np
import numpy.typing as npt

from terag_pipelines.linking.block_rules import EVENTS, GROUPS, BlockingRule, list_rules
from terag_pipelines.linking.blocks import Codes, Rows, SampledBlocks, sort_numbers, without_doubles

Mask = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]
Keys = Mapping[str, Codes]

_SEED_RULES = (("iin",), ("bin",), ("identifier",), ("phone",), ("email",), ("swappable_names", "birth_date"),
               ("swappable_names", "postcode"), ("swappable_names", "locality"), ("birth_date", "postcode"),
               ("birth_date", "locality"), ("birth_date", "street"), ("organisation", "postcode"),
               ("organisation", "locality"), ("organisation", "street"), ("given", "birth_date"),
               ("family", "birth_date"))  # fmt: skip
_ADDRESS_GROUPS = EVENTS["address"]
_OWN = ("given", "both_names", "birth_date", "email", "iin", "identifiers", "bin", "organisation")


@dataclass(frozen=True)
class RuleChoiceParams:
    """How rules are chosen.

    Examples are looked for in blocks of about `n_sampled` records; fewer than `min_examples` of them do not
    tell enough. An example agrees by `surplus` bits more than the luckiest of all pairs of records would by
    chance. `n_composed` matches are composed of the examples, each kind of field `hedge` more often in
    disagreement: a record in a bad state is bad in several fields, few such are among the examples. A rule
    must find at least `min_gain` of the matches beyond the rules before it, one match in at most
    1 / `min_yield` pairs; `overhead` is what a rule costs besides its pairs, as pairs for each record. A rule
    with fewer than `next_to_nothing` chance pairs for each record is never made tighter.
    """

    n_sampled: int = 30_000
    min_examples: int = 300
    surplus: float = 7.0
    n_composed: int = 8_192
    hedge: float = 0.1
    min_gain: float = 0.0005
    min_yield: float = 0.01
    overhead: float = 0.02
    next_to_nothing: float = 0.001
    max_rules: int = 30
    max_block_size: int = 1_000
    seed: int = 0


@dataclass(frozen=True)
class RuleChoice:
    """The rules in the order in which they were chosen, and the estimated share of matches that each adds."""

    rules: tuple[BlockingRule, ...]
    gains: tuple[float, ...]
    n_examples: int

    @property
    def expected_recall(self) -> float:
        """The share of matches that some rule finds, by estimate."""
        return float(sum(self.gains))


def choose_rules(keys: Keys, n: int, budget: float, params: RuleChoiceParams) -> RuleChoice | None:
    """Rules over the keys (n records each) for about `budget` pairs; None where examples are too few."""
    chance = {name: _chance(codes) for name, codes in keys.items()}
    samples = SampledBlocks(keys, max(n // params.n_sampled, 1))
    examples = _find_examples(samples, chance, n, params)
    if len(examples.agrees) < params.min_examples:
        return None
    composed = _compose(examples, params)
    cover = _Cover(samples, chance, n, examples.n_estimated, composed, params)
    return cover.choose(budget, len(examples.agrees))


def _chance(codes: Codes) -> float:
    """The probability that two records drawn at random share a value."""
    counts = np.bincount(codes[codes >= 0]).astype(np.float64)
    return float(max((counts * (counts - 1)).sum() / max(float(len(codes)) ** 2, 1.0), 1e-18))


@dataclass(frozen=True)
class _Examples:
    """Pairs that agree beyond chance: which keys each shares, and the bits of surprise by event."""

    names: tuple[str, ...]
    agrees: Mask  # (n_examples, n_keys)
    bits: Mapping[str, Floats]
    threshold: float
    n_estimated: float  # such pairs among all records


def _find_examples(
    samples: SampledBlocks, chance: Mapping[str, float], n: int, params: RuleChoiceParams
) -> _Examples:
    keys, pairs = samples.keys, _sampled_pairs(samples, n)
    names = tuple(keys)
    agrees = np.zeros((len(pairs), len(names)), bool)
    for at, name in enumerate(names):
        agrees[:, at] = _share_value(keys[name], pairs // n, pairs % n)
    bits = _surprise(names, agrees, chance)
    threshold = np.log2(max(n * (n - 1) / 2, 1)) + params.surplus
    own = np.isin([_group_of(name) for name in names], _OWN)
    sure = (sum(bits.values(), np.zeros(len(pairs))) >= threshold) & agrees[:, own].any(axis=1)
    kept = {event: held[sure] for event, held in bits.items()}
    return _Examples(names, agrees[sure], kept, float(threshold), float(samples.every * sure.sum()))


def _sampled_pairs(samples: SampledBlocks, n: int) -> Rows:
    """Pairs of the seed rules as left * n + right, in the sampled blocks."""
    found = []
    for rule in _SEED_RULES:
        if all(name in samples.keys for name in rule):
            blocks = samples.of(rule)
            left, right = blocks.select(blocks.sizes <= 20).pairs()
            found.append(left * n + right)
    return without_doubles(sort_numbers(np.concatenate(found))) if found else np.zeros(0, np.int64)


def _share_value(codes: Codes, left: Rows, right: Rows) -> Mask:
    shared = np.zeros(len(left), bool)
    for i in range(codes.shape[1]):
        one = codes[left, i]
        for j in range(codes.shape[1]):
            shared |= (one >= 0) & (one == codes[right, j])
    return shared


def _group_of(name: str) -> str:
    return next(group for group, names in GROUPS.items() if name in names)


def _surprise(names: Sequence[str], agrees: Mask, chance: Mapping[str, float]) -> dict[str, Floats]:
    """By event, how many bits of chance its agreement defies: the best key of each of its groups.

    The parts of an address depend on each other: only the best and the house count.
    """
    of_key = {name: np.where(agrees[:, at], -np.log2(chance[name]), 0.0) for at, name in enumerate(names)}

    def best(groups: Sequence[str]) -> Floats:
        held = [of_key[name] for group in groups for name in GROUPS[group] if name in of_key]
        return np.asarray(np.max(held, axis=0) if held else np.zeros(len(agrees)))

    bits = {event: best(groups) for event, groups in EVENTS.items()}
    bits["name"] = np.maximum(best(("given",)) + best(("family",)), best(("both_names",)))
    others = [group for group in _ADDRESS_GROUPS if group != "house"]
    bits["address"] = np.minimum(
        best(others) + best(("house",)), max(best(("address",)).max(initial=0), 16.0)
    )
    return bits


def _compose(examples: _Examples, params: RuleChoiceParams) -> dict[str, Mask]:
    """By key, whether each of `n_composed` made-up matches shares it.

    Each event is drawn by itself from the examples that are sure without it, for a rule that found an example
    must not vouch for its own field.
    """
    random = np.random.default_rng(params.seed)
    total = sum(examples.bits.values(), np.zeros(len(examples.agrees)))
    composed: dict[str, Mask] = {}
    for event, groups in EVENTS.items():
        columns = [at for at, name in enumerate(examples.names) if _group_of(name) in groups]
        if not columns:
            continue
        eligible = np.flatnonzero(total - examples.bits[event] >= examples.threshold)
        if len(eligible) < params.min_examples // 6:
            eligible = np.arange(len(total))
        drawn = random.choice(eligible, params.n_composed)
        spoilt = random.random(params.n_composed) < params.hedge
        composed |= {examples.names[at]: examples.agrees[drawn, at] & ~spoilt for at in columns}
    return composed


def _packed(mask: Mask) -> npt.NDArray[np.uint64]:
    """A mask as bits, 64 to a number."""
    return np.packbits(mask).view(np.uint64)


def _parts(rule: tuple[str, ...]) -> Iterator[frozenset[str]]:
    """Every looser rule: fewer of its keys, at least one."""
    return (frozenset(part) for size in range(1, len(rule)) for part in combinations(rule, size))


@dataclass
class _Cover:
    """Greedy choice of rules: most matches not yet found for each pair that they cost."""

    samples: SampledBlocks
    chance: Mapping[str, float]
    n: int
    n_matches: float
    composed: Mapping[str, Mask]
    params: RuleChoiceParams
    chosen: list[tuple[str, ...]] = field(default_factory=list)
    gains: list[float] = field(default_factory=list)

    def choose(self, budget: float, n_examples: int) -> RuleChoice:
        rules = self._affordable(budget)
        covers = np.array([_packed(self._covered(rule)) for rule in rules])
        costs = np.array([self._chance_pairs(rule) for rule in rules])
        counted = np.zeros(len(rules), bool)
        open_matches, spent = _packed(np.ones(self.params.n_composed, bool)), 0.0
        while len(rules) and len(self.chosen) < self.params.max_rules:
            gains = np.bitwise_count(covers & open_matches).sum(axis=1) / self.params.n_composed
            found = gains * self.n_matches
            price = costs + found + self.params.overhead * self.n
            worth = np.where(
                self._is_worth(gains, costs) & (spent + costs + found <= budget), found / price, 0.0
            )
            best = int(worth.argmax())
            if worth[best] <= 0:
                break
            if not counted[best]:
                costs[best], counted[best] = self._count_chance_pairs(rules[best], covers[best]), True
                continue
            self.chosen.append(rules[best])
            self.gains.append(float(gains[best]))
            spent += costs[best] + found[best]
            open_matches &= ~covers[best]
        return RuleChoice(tuple(map(self._ladder, self.chosen)), tuple(self.gains), n_examples)

    def _is_worth(self, gains: Floats, costs: Floats) -> Mask:
        found = gains * self.n_matches
        return (gains >= self.params.min_gain) & (found >= self.params.min_yield * costs)

    def _affordable(self, budget: float) -> list[tuple[str, ...]]:
        """Rules within the budget, but for those that are tighter than a rule that costs next to nothing."""
        price = {frozenset(rule): self._chance_pairs(rule) for rule in list_rules(self.samples.keys)}
        free = {keys for keys, cost in price.items() if cost <= self.params.next_to_nothing * self.n}
        rules = [rule for rule in list_rules(self.samples.keys) if price[frozenset(rule)] <= budget]
        return [rule for rule in rules if not any(part in free for part in _parts(rule))]

    def _chance_pairs(self, rule: tuple[str, ...]) -> float:
        """Pairs that share the keys by chance, if keys had nothing to do with each other."""
        return float(self.n**2 / 2 * np.prod([self.chance[name] for name in rule]))

    def _covered(self, rule: tuple[str, ...]) -> Mask:
        return np.asarray(np.logical_and.reduce([self.composed[name] for name in rule]))

    def _count_chance_pairs(self, rule: tuple[str, ...], covered: Mask) -> float:
        """Pairs of the rule that are no matches, counted in a share of its blocks."""
        n_pairs = self.samples.every * self.samples.of(rule).n_pairs(self.params.max_block_size)
        return max(n_pairs - float(covered.mean()) * self.n_matches, 0.0)

    def _ladder(self, rule: tuple[str, ...]) -> BlockingRule:
        """The rule, and tighter rungs for its largest blocks: one more key that matches share."""
        if len(rule) == 1 and rule[0] in ("iin", "bin"):
            return BlockingRule((rule,))
        groups = {_group_of(name) for name in rule}
        others = [
            name for name in self.samples.keys if _group_of(name) not in groups and self.chance[name] <= 0.2
        ]
        others.sort(key=lambda name: (-float(self.composed[name].mean()), name))
        return BlockingRule((rule, *((*rule, name) for name in others[:2])))
