"""Who lives together shares surname, address and telephone: that makes no one person of them."""

from __future__ import annotations

from collections import Counter
from itertools import combinations

import numpy as np
import polars as pl
import pytest

from terag_pipelines.linking.auto_linker import AutoLinked, AutoLinker, AutoLinkParams
from terag_pipelines.linking.evidence import EvidenceParams
from terag_pipelines.linking.latent_classes import LatentClass, fit_classes
from terag_pipelines.linking.patterns import PatternCounts, count_patterns, pattern_keys
from terag_pipelines.linking.pipeline import LinkingParams
from terag_pipelines.linking.scoring import ScoringParams
from tests.unit.linking.households import Person, make_people, make_rows

N_HOUSEHOLDS = 600
THREE_CLASSES = EvidenceParams()
FITS = (EvidenceParams(most_other_names=1.0), THREE_CLASSES)


def link(rows: pl.DataFrame, evidence: EvidenceParams = THREE_CLASSES) -> AutoLinked:
    params = AutoLinkParams(linking=LinkingParams(scoring=ScoringParams(evidence=evidence)))
    return AutoLinker(params).link(rows.drop("person"))


def found_people(linked: AutoLinked, rows: pl.DataFrame) -> list[list[int]]:
    """For each entity, whose records it holds."""
    members = pl.DataFrame(linked.members).select(id="native_id", entity="entity_id")
    held = members.join(rows.select("id", "person"), on="id").group_by("entity").agg("person")
    return held["person"].to_list()


def merged_relations(entities: list[list[int]], people: list[Person]) -> Counter[str]:
    """How many pairs of people are in one entity, by what they are to each other."""
    found: Counter[str] = Counter()
    for entity in entities:
        for one, other in combinations(sorted(set(entity)), 2):
            found[relation(people[one], people[other])] += 1
    return found


def relation(one: Person, other: Person) -> str:
    if one.household != other.household or one.household < 0:
        return "elsewhere"
    if one.given == other.given and one.is_man == other.is_man:
        return "one name"
    return "twins" if one.role == other.role == "twin" else "relatives"


def count_pairs(groups: list[list[int]]) -> int:
    return sum(len(group) * (len(group) - 1) // 2 for group in groups)


@pytest.mark.parametrize(("born_share", "least_recall"), [(0.85, 0.8), (0.5, 0.5)])
def test_members_of_one_household_stay_apart_and_their_own_records_meet(
    born_share: float, least_recall: float
) -> None:
    rng = np.random.default_rng(31)
    people = make_people(N_HOUSEHOLDS, rng)
    rows = make_rows(people, rng, born_share)
    entities = found_people(link(rows), rows)
    merged = merged_relations(entities, people)
    n_together = Counter(relation(a, b) for a, b in combinations(people, 2) if a.household == b.household)
    assert merged["relatives"] <= 0.01 * n_together["relatives"]
    assert merged["twins"] <= 0.15 * n_together["twins"]
    n_right = sum(count_pairs([[p] * n for p, n in Counter(entity).items()]) for entity in entities)
    n_true = count_pairs([[p] * n for p, n in Counter(rows["person"].to_list()).items()])
    assert n_right >= least_recall * n_true  # of many nothing but name and address is known
    assert n_right >= 0.92 * count_pairs(entities)


def test_two_classes_take_the_household_for_one_person_and_are_doubted_three_find_the_people() -> None:
    rng = np.random.default_rng(31)
    people = make_people(N_HOUSEHOLDS, rng)
    rows = make_rows(people, rng, 0.5)
    linked = [link(rows, fit) for fit in FITS]
    reasons = [one.scores.diagnostics[0].fallback for one in linked]
    assert reasons == ["most matches would differ in given_name", ""]
    merged = [merged_relations(found_people(one, rows), people) for one in linked]
    assert merged[1]["relatives"] < 10
    assert merged[1].total() < merged[0].total() / 5


def test_where_no_relatives_are_among_the_matches_nothing_is_learned_otherwise() -> None:
    rng = np.random.default_rng(5)
    people = [p for p in make_people(1_500, rng) if p.role == "father"]
    rows = make_rows(people, rng, 0.9)
    plain, asked = (link(rows, evidence) for evidence in FITS)
    assert plain.scores.model.equals(asked.scores.model)
    assert plain.members.equals(asked.members)


def test_three_classes_are_recovered() -> None:
    rng = np.random.default_rng(9)
    shares = (0.1, 0.25, 0.65)
    truth = [  # of each class, in which share of its pairs each of five fields agrees
        (0.95, 0.9, 0.95, 0.9, 0.85),
        (0.05, 0.05, 0.95, 0.9, 0.85),
        (0.05, 0.05, 0.2, 0.1, 0.05),
    ]
    of_class = rng.choice(3, 60_000, p=shares)
    agree = rng.random((60_000, 5)) < np.array(truth)[of_class]
    counts = counted(np.where(agree, 1, 2).astype(np.int8))
    prior = [
        LatentClass(share, tuple(np.array([p, 1 - p]) for p in likely))
        for share, likely in zip(
            (0.15, 0.15, 0.7), ((0.8,) * 5, (0.2, 0.2, 0.8, 0.8, 0.8), (0.2,) * 5), strict=True
        )
    ]
    found = fit_classes(prior, counts, prior_strength=25, max_iterations=500, tolerance=1e-4)
    assert found.converged
    learned = (found.posteriors * counts.counts).sum(axis=1) / counts.n_pairs
    assert learned == pytest.approx(np.array(shares), abs=0.01)
    assert found.posteriors.sum(axis=0) == pytest.approx(np.ones(len(counts.counts)))


def counted(levels: np.ndarray[tuple[int, int], np.dtype[np.int8]]) -> PatternCounts:
    fields = tuple(f"f{at}" for at in range(levels.shape[1]))
    keys = pattern_keys({field: levels[:, at] for at, field in enumerate(fields)})
    return count_patterns(fields, keys)
