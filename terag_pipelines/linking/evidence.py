"""Evidence: how much each level of agreement speaks for a match, learned from patterns of levels by EM.

Fellegi and Sunter (1969), "A theory for record linkage"; Winkler (1988) for EM over patterns. Two classes of
candidate pairs, matches and non-matches; fields independent within a class; missing fields neutral. Only the
counts of distinct patterns are needed, and counts of partitions add up. EM starts from the pairs that
deterministic rules take for matches, where there are enough, and never takes for a match what is none.
Where the matches found are relatives, a third class is learned for these (linking.latent_classes).

u is that of candidate pairs which do not match, not of random pairs: households and namesakes are what a
candidate is mistaken for, and u of random pairs, measured beside it on four data sets, trusted them too much.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from terag_pipelines.linking.latent_classes import LatentClass, fit_classes
from terag_pipelines.linking.levels import FIELD_BY_NAME, HOME_FIELDS, Levels, rank
from terag_pipelines.linking.patterns import PatternCounts
from terag_pipelines.linking.seeds import Seeds, find_seeds

Floats = npt.NDArray[np.float64]
FEWEST_FIELDS = 3
"""Two classes are not identified by fewer fields (Goodman, 1974, "Exploratory latent structure analysis")."""
LEAST_ODDS = 0.5
"""Of agreement in a field: blocking by a field takes its weight, but does not turn it round."""

OWN_FIELDS = ("given_name", "birth_date", "iin", "bin")
"""In which most pairs of records of one party do not differ, whatever their state."""
ROUNDS_OF_THREE_CLASSES = 5
"""Times the rounds of two classes: three settle more slowly."""
MOST_MATCHES = 50
"""Of one record. More agreement among random pairs than so many would make is chance."""


@dataclass(frozen=True)
class EvidenceParams:
    """How EM is run and when its answer is not trusted.

    `prior_strength`: the defaults count as this many pairs in each field and class. With fewer expected
    matches or non-matches than `min_expected_pairs` the defaults are used unchanged. From `min_seeds` pairs
    that are matches by deterministic rules EM starts with them, else with the defaults.
    Where more than `most_other_names` of the matches bear two given names that are each well known, they are
    relatives: a third class is learned for these, in the beginning `default_household_share` of the pairs.
    """

    prior_strength: float = 25.0
    default_match_share: float = 0.15
    min_expected_pairs: float = 250.0
    min_seeds: float = 50.0
    most_other_names: float = 0.1
    default_household_share: float = 0.15
    max_iterations: int = 200
    tolerance: float = 1e-6
    least_probability: float = 1e-6


@dataclass(frozen=True)
class EvidenceDiagnostics:
    """How the fit went. `fallback` says why the defaults were used, "" where EM was.

    `start` is where EM began: "seeds", pairs that are matches by deterministic rules, "defaults", or
    "defaults, with relatives as a third class". Of the
    `n_pairs`, random ones among them, rules took `n_seeds` for matches and `n_never_matches` for none.
    """

    party_type: str
    n_pairs: int
    n_patterns: int
    n_iterations: int
    converged: bool
    match_share: float
    expected_matches: float
    levels_never_seen: tuple[str, ...]
    fallback: str
    start: str
    n_seeds: float
    n_never_matches: float


@dataclass(frozen=True)
class FittedEvidence:
    """m and u of every level of every field, and the share of matches among candidate pairs.

    `m[f][k]` belongs to field f and level k + 1. Weights are log2 Bayes factors.
    """

    party_type: str
    fields: tuple[str, ...]
    m: tuple[Floats, ...]
    u: tuple[Floats, ...]
    match_share: float
    level_counts: tuple[Floats, ...]
    diagnostics: EvidenceDiagnostics

    @property
    def prior_weight(self) -> float:
        """log2 of the odds that a candidate pair is a match before any field is looked at."""
        return float(np.log2(self.match_share / (1 - self.match_share)))

    @property
    def is_stand_in(self) -> bool:
        """Whether m and u are the defaults, for EM identified nothing."""
        return bool(self.diagnostics.fallback)

    def level_weights(self, field: str) -> Floats:
        """Match weight by level number; 0 for level 0, missing."""
        at = self.fields.index(field)
        return np.append(0.0, np.log2(self.m[at] / self.u[at]))

    def pattern_weights(self, patterns: Levels) -> Floats:
        """Match weight of each pattern (n_patterns, n_fields): the prior and the sum over its fields."""
        total = np.full(len(patterns), self.prior_weight)
        for at, field in enumerate(self.fields):
            total += self.level_weights(field)[patterns[:, at]]
        return total


@dataclass(frozen=True)
class ChanceAgreement:
    """Patterns of pairs drawn at random among so many records."""

    n_records: int
    counts: PatternCounts

    def levels(self, field: str) -> Levels:
        """The level of a field in each pattern."""
        return self.counts.patterns[:, self.counts.fields.index(field)]


def fit_evidence(
    party_type: str, counts: PatternCounts, params: EvidenceParams, chance: ChanceAgreement | None = None
) -> FittedEvidence:
    """m, u and the share of matches, by EM from seeds, with the defaults as a weak prior.

    Where there are too few fields, too few matches or non-matches are expected, or matches do not agree more
    than non-matches do, EM has not identified the classes: the defaults are returned and the diagnostics say
    why. But of levels that random pairs reach more often than the defaults think, u is what these show.
    """
    defaults = _Estimate.of_defaults(counts.fields, params.default_match_share)
    seeds = find_seeds(counts)
    run = _iterate(_start(defaults, counts, seeds, params), defaults, counts, seeds, params)
    if _are_relatives(run.estimate, counts.fields, params):
        run = _iterate_with_households(defaults, counts, seeds, params)
    if reason := _doubt(run.estimate, counts, params):
        run = replace(
            run, estimate=defaults if chance is None else _by_chance(defaults, counts.fields, chance, params)
        )
    return _finish(party_type, run, reason, counts, seeds)


@dataclass(frozen=True)
class _Estimate:
    m: tuple[Floats, ...]
    u: tuple[Floats, ...]
    share: float

    @classmethod
    def of_defaults(cls, fields: Sequence[str], share: float) -> _Estimate:
        levels = [FIELD_BY_NAME[field].levels for field in fields]
        m = tuple(_normalised(np.array([level.m for level in known])) for known in levels)
        u = tuple(_normalised(np.array([level.u for level in known])) for known in levels)
        return cls(m, u, share)

    def posteriors(self, patterns: Levels) -> Floats:
        log_odds = np.full(len(patterns), np.log(self.share / (1 - self.share)))
        for at, (m, u) in enumerate(zip(self.m, self.u, strict=True)):
            log_odds += np.append(0.0, np.log(m / u))[patterns[:, at]]
        return np.asarray(1 / (1 + np.exp(-np.clip(log_odds, -500, 500))))


def _by_chance(
    estimate: _Estimate, fields: Sequence[str], chance: ChanceAgreement, params: EvidenceParams
) -> _Estimate:
    """With u of levels that speak for a match not below that of random pairs, where these are no matches."""
    u = []
    for field, m0, u0 in zip(fields, estimate.m, estimate.u, strict=True):
        shown = _shares(chance.levels(field), chance.counts.counts, u0, params)
        is_chance = (m0 > u0) & (shown > MOST_MATCHES / chance.n_records)
        agreeing = np.where(is_chance, np.maximum(u0, shown), u0)[:-1]
        u.append(np.append(agreeing, max(1 - float(agreeing.sum()), float(u0.min()))))
    return replace(estimate, u=tuple(u))


def _normalised(values: Floats) -> Floats:
    return np.asarray(values / values.sum())


@dataclass(frozen=True)
class _Run:
    """Where EM got to, from where, and how."""

    estimate: _Estimate
    start: str
    n_iterations: int
    converged: bool


def _start(
    defaults: _Estimate, counts: PatternCounts, seeds: Seeds, params: EvidenceParams
) -> _Estimate | None:
    """m as seeds have it, each field's by rules without it; u as all other pairs. None for too few seeds."""
    is_seed = seeds.matches
    n_seeds = float(counts.counts[is_seed].sum())
    if n_seeds < params.min_seeds or n_seeds == counts.n_pairs:
        return None
    others = _maximise(is_seed.astype(np.float64), counts, defaults, params)
    m = tuple(
        _shares(counts.patterns[:, i], counts.counts * seeds.without(field), m0, params)
        for i, (field, m0) in enumerate(zip(counts.fields, defaults.m, strict=True))
    )
    return replace(others, m=m)


def _iterate(
    start: _Estimate | None,
    prior: _Estimate,
    counts: PatternCounts,
    seeds: Seeds,
    params: EvidenceParams,
) -> _Run:
    estimate, name = (prior, "defaults") if start is None else (start, "seeds")
    may_match = ~seeds.others
    posteriors = estimate.posteriors(counts.patterns) * may_match
    for iteration in range(1, params.max_iterations + 1):
        estimate = _maximise(posteriors, counts, prior, params)
        updated = estimate.posteriors(counts.patterns) * may_match
        moved = float(np.abs(updated - posteriors).max(initial=0))
        posteriors = updated
        if moved < params.tolerance:
            return _Run(estimate, name, iteration, True)
    return _Run(estimate, name, params.max_iterations, False)


def _are_relatives(estimate: _Estimate, fields: Sequence[str], params: EvidenceParams) -> bool:
    """Whether many of the pairs taken for matches bear two well known given names: no slip makes these."""
    if "given_name" not in fields:
        return False
    other = rank("given_name", "other") - 1
    return bool(estimate.m[fields.index("given_name")][other] > params.most_other_names)


def _iterate_with_households(
    start: _Estimate, counts: PatternCounts, seeds: Seeds, params: EvidenceParams
) -> _Run:
    """The same with a class of relatives, who agree in what a home shares and differ in what is their own."""
    share = params.default_household_share
    at_home = tuple(
        m if field in HOME_FIELDS else u for field, m, u in zip(counts.fields, start.m, start.u, strict=True)
    )
    prior = (
        LatentClass(start.share, start.m),
        LatentClass(share, at_home),
        LatentClass(1 - start.share - share, start.u),
    )
    n_rounds = ROUNDS_OF_THREE_CLASSES * params.max_iterations
    found = fit_classes(prior, counts, params.prior_strength, n_rounds, params.tolerance)
    estimate = _maximise(found.posteriors[0] * ~seeds.others, counts, start, params)
    return _Run(estimate, "defaults, with relatives as a third class", found.n_iterations, found.converged)


def _maximise(
    posteriors: Floats, counts: PatternCounts, prior: _Estimate, params: EvidenceParams
) -> _Estimate:
    matches, others = counts.counts * posteriors, counts.counts * (1 - posteriors)
    m = tuple(_shares(counts.patterns[:, i], matches, m0, params) for i, m0 in enumerate(prior.m))
    u = tuple(_shares(counts.patterns[:, i], others, u0, params) for i, u0 in enumerate(prior.u))
    strength = params.prior_strength
    share = (matches.sum() + strength * prior.share) / (counts.counts.sum() + strength)
    return _Estimate(m, u, float(np.clip(share, 1e-9, 1 - 1e-9)))


def _shares(levels: Levels, weights: Floats, prior: Floats, params: EvidenceParams) -> Floats:
    seen = np.bincount(levels, weights, minlength=len(prior) + 1)[1:] + params.prior_strength * prior
    return np.maximum(_normalised(seen), params.least_probability)


def _doubt(estimate: _Estimate, counts: PatternCounts, params: EvidenceParams) -> str:
    if len(counts.fields) < FEWEST_FIELDS:
        return "fewer than three fields were compared, which cannot tell two classes apart"
    matches = estimate.share * counts.n_pairs
    if min(matches, counts.n_pairs - matches) < params.min_expected_pairs:
        return "too few pairs of one class to learn from"
    odds = np.array([m[0] / u[0] for m, u in zip(estimate.m, estimate.u, strict=True)])
    if np.mean(odds >= 1) <= 0.5:
        return "the classes found are not matches and non-matches"
    against = [field for field, odd in zip(counts.fields, odds, strict=True) if odd < LEAST_ODDS]
    if against:
        return f"agreement would speak against a match in {', '.join(against)}"
    differing = [f for f, m in zip(counts.fields, estimate.m, strict=True) if f in OWN_FIELDS and m[-1] > 0.5]
    return f"most matches would differ in {', '.join(differing)}" if differing else ""


def _finish(party_type: str, run: _Run, reason: str, counts: PatternCounts, seeds: Seeds) -> FittedEvidence:
    estimate = run.estimate
    seen = tuple(
        np.bincount(counts.patterns[:, i], counts.counts, minlength=len(m) + 1)[1:].astype(np.float64)
        for i, m in enumerate(estimate.m)
    )
    never = tuple(
        f"{field}:{level.name}"
        for field, found in zip(counts.fields, seen, strict=True)
        for level, n in zip(FIELD_BY_NAME[field].levels, found, strict=True)
        if n == 0
    )
    diagnostics = EvidenceDiagnostics(
        party_type=party_type,
        n_pairs=int(counts.n_pairs),
        n_patterns=len(counts.counts),
        n_iterations=run.n_iterations,
        converged=run.converged,
        match_share=estimate.share,
        expected_matches=float(counts.counts @ estimate.posteriors(counts.patterns)),
        levels_never_seen=never,
        fallback=reason,
        start=run.start,
        n_seeds=float(counts.counts[seeds.matches].sum()),
        n_never_matches=float(counts.counts[seeds.others].sum()),
    )
    return FittedEvidence(
        party_type, counts.fields, estimate.m, estimate.u, estimate.share, seen, diagnostics
    )
