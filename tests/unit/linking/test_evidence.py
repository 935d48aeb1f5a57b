"""EM recovers known m and u, adds up over partitions, and says when it cannot tell."""

from __future__ import annotations

import numpy as np
import pytest

from terag_pipelines.linking.encoding import encode_records
from terag_pipelines.linking.evidence import ChanceAgreement, EvidenceParams, fit_evidence
from terag_pipelines.linking.levels import FIELD_BY_NAME, rank
from terag_pipelines.linking.patterns import PatternCounts, count_patterns, merge_counts, pattern_keys
from terag_pipelines.linking.scoring import ScoringParams, count_random_pairs
from terag_pipelines.linking.seeds import find_seeds
from tests.unit.linking.records import make_population

FIELDS = ("given_name", "family_name", "birth_date", "phone", "email")
SHARE = 0.2


def draw_pairs(
    n: int, seed: int
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Levels of n pairs by known m and u (a fifth missing), and those m and u."""
    rng = np.random.default_rng(seed)
    is_match = rng.random(n) < SHARE
    levels, true_m, true_u = {}, {}, {}
    for field in FIELDS:
        n_levels = len(FIELD_BY_NAME[field].levels)
        m = np.sort(rng.dirichlet(np.ones(n_levels) * 2))[::-1]
        u = np.sort(rng.dirichlet(np.ones(n_levels) * 2))
        drawn = np.where(is_match, rng.choice(n_levels, n, p=m), rng.choice(n_levels, n, p=u)) + 1
        levels[field] = np.where(rng.random(n) < 0.2, 0, drawn).astype(np.int8)
        true_m[field], true_u[field] = m, u
    return levels, true_m, true_u


def count(levels: dict[str, np.ndarray]) -> PatternCounts:
    return count_patterns(FIELDS, pattern_keys(levels))


def test_em_recovers_the_truth() -> None:
    levels, true_m, true_u = draw_pairs(200_000, seed=4)
    fitted = fit_evidence("person", count(levels), EvidenceParams())
    assert fitted.diagnostics.converged
    assert fitted.diagnostics.fallback == ""
    assert fitted.match_share == pytest.approx(SHARE, abs=0.01)
    for at, field in enumerate(fitted.fields):
        assert fitted.m[at] == pytest.approx(true_m[field], abs=0.02)
        assert fitted.u[at] == pytest.approx(true_u[field], abs=0.02)


def test_counts_of_partitions_add_up() -> None:
    levels, _, _ = draw_pairs(5_000, seed=1)
    parts = [count({f: v[i::3] for f, v in levels.items()}) for i in range(3)]
    merged, whole = merge_counts(parts), count(levels)
    assert (merged.patterns == whole.patterns).all()
    assert (merged.counts == whole.counts).all()


def test_a_missing_field_is_neutral() -> None:
    levels, _, _ = draw_pairs(20_000, seed=2)
    fitted = fit_evidence("person", count(levels), EvidenceParams())
    nothing = np.zeros((1, len(FIELDS)), np.int8)
    assert fitted.pattern_weights(nothing)[0] == pytest.approx(fitted.prior_weight)


def test_too_few_pairs_fall_back_to_the_defaults_and_say_so() -> None:
    levels, _, _ = draw_pairs(300, seed=3)
    fitted = fit_evidence("person", count(levels), EvidenceParams())
    assert "too few" in fitted.diagnostics.fallback
    stated = [level.m for level in FIELD_BY_NAME["given_name"].levels]
    assert fitted.m[0] == pytest.approx(np.array(stated) / sum(stated))


def test_levels_never_seen_are_named_and_keep_a_finite_weight() -> None:
    levels, _, _ = draw_pairs(50_000, seed=5)
    levels["birth_date"] = np.where(levels["birth_date"] == 2, 1, levels["birth_date"])
    fitted = fit_evidence("person", count(levels), EvidenceParams())
    assert "birth_date:swapped" in fitted.diagnostics.levels_never_seen
    assert np.isfinite(fitted.level_weights("birth_date")).all()


def test_classes_that_are_not_matches_are_not_believed() -> None:
    rng = np.random.default_rng(6)
    is_match = rng.random(20_000) < 0.5
    upside_down = {f: np.where(is_match, len(FIELD_BY_NAME[f].levels), 1).astype(np.int8) for f in FIELDS}
    constant = {f: np.ones(20_000, np.int8) for f in FIELDS}
    assert fit_evidence("person", count(constant), EvidenceParams()).diagnostics.fallback
    fitted = fit_evidence("person", count(upside_down), EvidenceParams())
    assert fitted.level_weights("phone")[1] > 0


HOUSEHOLD_FIELDS = ("given_name", "family_name", "birth_date", "phone", "email", "address")


def draw_households(n: int, seed: int) -> tuple[PatternCounts, np.ndarray]:
    """Patterns of n pairs, one in fifty a match, three in fifty of one household; and which are matches."""
    rng = np.random.default_rng(seed)
    kind = rng.choice(3, n, p=[0.02, 0.06, 0.92])  # matches, households, strangers
    agree = {  # the share of pairs at the first level, by kind; the others are at the last
        "given_name": (0.85, 0.02, 0.02),
        "family_name": (0.9, 0.98, 0.3),
        "birth_date": (0.9, 0.001, 0.01),
        "phone": (0.7, 0.5, 0.01),
        "email": (0.8, 0.001, 0.001),
        "address": (0.8, 0.98, 0.02),
    }
    levels = {
        f: np.where(rng.random(n) < np.array(agree[f])[kind], 1, len(FIELD_BY_NAME[f].levels)).astype(np.int8)
        for f in HOUSEHOLD_FIELDS
    }
    return count_patterns(HOUSEHOLD_FIELDS, pattern_keys(levels)), kind == 0


def test_many_households_are_not_taken_for_the_few_matches() -> None:
    counts, is_match = draw_households(50_000, seed=9)
    fitted = fit_evidence("person", counts, EvidenceParams(most_other_names=1.0))
    assert fitted.diagnostics.start == "seeds"
    assert fitted.diagnostics.n_never_matches > 0.8 * counts.n_pairs
    assert fitted.match_share == pytest.approx(is_match.mean(), rel=0.1)
    assert fitted.m[fitted.fields.index("given_name")][0] == pytest.approx(0.85, abs=0.05)
    assert fitted.m[fitted.fields.index("birth_date")][0] == pytest.approx(0.9, abs=0.05)


def test_a_field_is_not_learned_from_pairs_that_it_chose() -> None:
    first = np.ones((1, len(HOUSEHOLD_FIELDS)), np.int8)
    no_phone = first.copy()
    no_phone[0, HOUSEHOLD_FIELDS.index("phone")] = 3
    counts = PatternCounts(HOUSEHOLD_FIELDS, np.vstack([first, no_phone]), np.array([10.0, 10.0]))
    seeds = find_seeds(counts)
    assert seeds.without("phone").tolist() == [True, True]  # by e-mail or address
    assert seeds.without("given_name").tolist() == [False, False]
    alone = PatternCounts(counts.fields[:4], counts.patterns[:, :4], counts.counts)
    assert find_seeds(alone).matches.tolist() == [True, False]
    assert not find_seeds(alone).without("phone").any()


def test_what_rules_of_both_kinds_take_is_left_open() -> None:
    unlike = [rank("given_name", "other"), rank("birth_date", "different")]
    patterns = np.array([[*unlike, rank("identifiers", level)] for level in ("shared", "different")], np.int8)
    seeds = find_seeds(PatternCounts(("given_name", "birth_date", "identifiers"), patterns, np.ones(2)))
    assert seeds.matches.tolist() == [False, False]
    assert seeds.others.tolist() == [False, True]


def test_with_few_seeds_em_starts_from_the_defaults() -> None:
    counts, _ = draw_households(50_000, seed=9)
    fitted = fit_evidence("person", counts, EvidenceParams(min_seeds=1e6))
    assert fitted.diagnostics.start == "defaults, with relatives as a third class"


def test_an_iteration_limit_is_reported() -> None:
    levels, _, _ = draw_pairs(20_000, seed=7)
    fitted = fit_evidence("person", count(levels), EvidenceParams(max_iterations=2, most_other_names=1.0))
    assert not fitted.diagnostics.converged
    assert fitted.diagnostics.n_iterations == 2


def test_random_pairs_are_counted_for_as_many_as_were_wanted_and_never_more_drawn() -> None:
    records = encode_records(make_population(500, seed=8)[0])
    pairs = PatternCounts(("given_name",), np.ones((1, 1), np.int8), np.array([40_000.0]))
    few = count_random_pairs(records, "person", pairs, ScoringParams(max_random_pairs=2_000))
    many = count_random_pairs(records, "person", pairs, ScoringParams())
    assert few.n_pairs == pytest.approx(many.n_pairs, rel=0.01)
    exact = [float(drawn.counts[drawn.patterns[:, 0] == 1].sum() / drawn.n_pairs) for drawn in (few, many)]
    assert exact[0] == pytest.approx(exact[1], abs=0.03)


def test_two_fields_are_too_few_to_tell_the_classes_apart() -> None:
    levels, _, _ = draw_pairs(20_000, seed=3)
    two = {name: levels[name] for name in FIELDS[:2]}
    fitted = fit_evidence("person", count_patterns(FIELDS[:2], pattern_keys(two)), EvidenceParams())
    assert "fewer than three fields" in fitted.diagnostics.fallback
    assert fitted.match_share == EvidenceParams().default_match_share
    assert fitted.m[0] == pytest.approx([level.m for level in FIELD_BY_NAME["given_name"].levels])


def test_agreement_that_speaks_against_a_match_is_not_believed() -> None:
    rng = np.random.default_rng(2)
    levels, _, _ = draw_pairs(20_000, seed=2)
    is_match = levels["birth_date"] == 1
    n_levels = len(FIELD_BY_NAME["given_name"].levels)
    turned = np.where(is_match, rng.integers(2, n_levels, 20_000), 1).astype(np.int8)
    fitted = fit_evidence("person", count(levels | {"given_name": turned}), EvidenceParams())
    assert fitted.diagnostics.fallback == "agreement would speak against a match in given_name"


@pytest.mark.parametrize(("n_records", "is_evidence"), [(100_000, False), (30, True)])
def test_what_nearly_all_share_is_no_evidence_by_default_either(n_records: int, is_evidence: bool) -> None:
    """Of very few records, those drawn at random may be matches."""
    one = np.ones(300, np.int8)
    far = {name: np.full(300, len(FIELD_BY_NAME[name].levels), np.int8) for name in FIELDS}
    chance = ChanceAgreement(n_records, count(far | {"birth_date": one}))
    fitted = fit_evidence("person", count(dict.fromkeys(FIELDS, one)), EvidenceParams(), chance)
    assert fitted.diagnostics.fallback
    assert bool(fitted.level_weights("birth_date")[1] > 1) is is_evidence
    assert fitted.level_weights("given_name")[1] > 3


def test_matches_that_mostly_differ_in_birth_date_are_not_believed() -> None:
    """Records of a placeholder for a name, with the birth dates of different people, and few true matches."""
    rng = np.random.default_rng(6)
    kind = rng.choice(3, 20_000, p=(0.05, 0.4, 0.55))  # true matches, placeholders, strangers
    agree = {"birth_date": (1, 0, 0.03), "phone": (0.8, 0, 0)}
    agree |= dict.fromkeys(("given_name", "family_name"), (1, 1, 0))
    last = {name: len(FIELD_BY_NAME[name].levels) for name in FIELDS}
    levels = {
        name: np.where(rng.random(20_000) < np.array(shares)[kind], 1, last[name]).astype(np.int8)
        for name, shares in agree.items()
    }
    levels["email"] = np.zeros(20_000, np.int8)
    fitted = fit_evidence(
        "person", count({name: levels[name] for name in FIELDS}), EvidenceParams(min_seeds=1e6)
    )
    assert "birth_date" in fitted.diagnostics.fallback
    assert fitted.level_weights("birth_date")[last["birth_date"]] < -3
