"""Weights learned from labels: chosen where they win, never by noise, never by the label itself."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from terag_pipelines.entities.model import LABELS
from terag_pipelines.linking.adjustments import AdjustmentParams
from terag_pipelines.linking.auto_linker import AutoLinker, GivenPairs
from terag_pipelines.linking.comparison import FuzzyMatcher
from terag_pipelines.linking.encoding import encode_records
from terag_pipelines.linking.explanation import LinkedBatch, weigh_anew
from terag_pipelines.linking.explanation_pictures import waterfall_steps
from terag_pipelines.linking.label_folds import deal_folds
from terag_pipelines.linking.model import LABELS_FIELD
from terag_pipelines.linking.pair_learners import ADJUSTMENTS, LEARNERS, PairFeatures, fit_learner
from terag_pipelines.linking.pipeline import LinkedRecords, calibrate_links, link_records, reweigh_pairs
from terag_pipelines.linking.quality import pairwise_quality
from terag_pipelines.linking.supervision import (
    UNSUPERVISED,
    Supervision,
    WeighedPairs,
    supervise_scores,
)
from tests.unit.linking.records import make_labels, make_population, make_records

N_PEOPLE = 1_000


@pytest.fixture(scope="module")
def linked() -> LinkedRecords:
    return link_records(*make_population(N_PEOPLE, seed=1))


def of_entities(labels: pa.Table, use: str, rest: int) -> pa.Table:
    """Labels of every second entity, for a use."""
    entities = pc.cast(labels["value"], pa.int64()).to_numpy()
    kept = labels.filter(pa.array(entities % 2 == rest))
    return kept.set_column(kept.column_names.index("use"), "use", pa.array([use] * kept.num_rows))


def pair_labels(scores: pa.Table, outcomes: np.ndarray, places: np.ndarray) -> pa.Table:
    return LABELS.from_columns(
        label_kind=["pair"] * len(places),
        subject_id=scores["left_id"].take(pa.array(places)).to_pylist(),
        object_id=scores["right_id"].take(pa.array(places)).to_pylist(),
        value=[str(int(outcome)) for outcome in outcomes],
        use=["training"] * len(places),
    )


def learn(linked: LinkedRecords, labels: pa.Table) -> Supervision:
    return supervise_scores(linked.ordered, linked.scores, labels)[1]


@pytest.fixture(scope="module")
def half(linked: LinkedRecords) -> Supervision:
    assert linked.truth is not None
    return learn(linked, of_entities(linked.truth, "training", 0))


def test_what_labels_of_some_entities_teach_helps_with_others(
    linked: LinkedRecords, half: Supervision
) -> None:
    [choice] = half.choices
    assert choice.is_learned
    assert {trial.scorer for trial in choice.trials} == {UNSUPERVISED, "logistic", "boosted"}
    unseen = of_entities(linked.truth, "truth", 1)
    better = calibrate_links(reweigh_pairs(linked, half.match_weights, half.model), None)
    before, after = (pairwise_quality(one.members, unseen).f1 for one in (linked, better))
    assert after > before + 0.01


def test_labels_for_scores_only_are_not_learned_from(linked: LinkedRecords) -> None:
    scores, supervision = supervise_scores(linked.ordered, linked.scores, linked.truth)
    assert scores is linked.scores
    assert not supervision.is_learned


def test_noise_is_not_learned(linked: LinkedRecords) -> None:
    scores = linked.scores.scores
    for seed in range(4):
        rng = np.random.default_rng(seed)
        places = np.sort(rng.choice(scores.num_rows, 1_000, replace=False))
        supervision = learn(linked, pair_labels(scores, rng.random(1_000) < 0.5, places))
        assert not supervision.is_learned, supervision.sentence
        assert np.array_equal(supervision.match_weights, scores["match_weight"].to_numpy())


def test_few_labels_of_one_kind_are_not_enough(linked: LinkedRecords) -> None:
    scores = linked.scores.scores
    order = np.argsort(scores["match_weight"].to_numpy())
    places = np.concatenate([order[:300], order[-29:]])
    supervision = learn(linked, pair_labels(scores, np.arange(329) >= 300, places))
    assert "29 labelled pairs match and 300 do not; a learner is tried with 30" in supervision.sentence
    assert supervision.choices[0].trials == ()


def test_order_of_labels_and_records_changes_nothing(linked: LinkedRecords, half: Supervision) -> None:
    labels = of_entities(linked.truth, "training", 0)
    turned = labels.take(pa.array(np.random.default_rng(3).permutation(labels.num_rows)))
    records = linked.ordered.take(pa.array(np.arange(linked.ordered.num_rows)[::-1]))
    again = supervise_scores(records, linked.scores, turned)[1]
    assert np.array_equal(again.match_weights, half.match_weights)
    assert again.as_json() == half.as_json()


def test_a_label_does_not_reach_the_weight_of_its_own_pair(linked: LinkedRecords) -> None:
    scores = linked.scores.scores
    weights = scores["match_weight"].to_numpy()
    truth = dict(zip(linked.truth["subject_id"].to_pylist(), linked.truth["value"].to_pylist(), strict=True))
    same = np.array([truth[row["left_id"]] == truth[row["right_id"]] for row in scores.to_pylist()])
    rng = np.random.default_rng(4)
    places = np.sort(np.append(np.flatnonzero(same), rng.choice(np.flatnonzero(~same), 60, replace=False)))
    flipped = same[places].copy()
    turned = int(np.argmax(np.abs(weights[places]) < 5))
    flipped[turned] = ~flipped[turned]
    before, after = (
        learn(linked, pair_labels(scores, outcomes, places)) for outcomes in (same[places], flipped)
    )
    assert before.choices[0].scorer == after.choices[0].scorer != UNSUPERVISED
    assert before.match_weights[places[turned]] == after.match_weights[places[turned]]
    assert not np.array_equal(before.match_weights, after.match_weights)


@pytest.mark.parametrize("name", ["logistic", "boosted"])
def test_beyond_the_weights_with_labels_the_unsupervised_weight_goes_on(
    linked: LinkedRecords, name: str
) -> None:
    weights, index = linked.scored.match_weights, linked.index
    pairs = WeighedPairs(linked.encoded, index.left, index.right, linked.scored.compared, weights)
    features = pairs.see(tuple(linked.scored.compared.known_levels()), AdjustmentParams())
    doubtful = np.abs(weights) < 6
    outcomes = (np.random.default_rng(2).random(int(doubtful.sum())) < 0.5).astype(float)
    fitted = fit_learner(name, features.select(doubtful), outcomes)
    far = features.select(weights < -12)
    nearer = replace(far, weights=far.weights + 3)
    assert fitted.weigh(nearer) - fitted.weigh(far) == pytest.approx(3.0, abs=1e-9)


@pytest.mark.parametrize("n_records", [40, 4_000])  # nearly all connected, and hardly any
def test_no_record_that_is_learned_from_is_asked_about(n_records: int) -> None:
    rng = np.random.default_rng(5)
    left, right = rng.choice(n_records, (2, 400))
    left, right = left[left != right], right[left != right]
    outcomes = (rng.random(len(left)) < 0.05).astype(np.int64)
    folds = deal_folds(left, right, outcomes, 5, 7)
    n_asked = np.zeros(len(left), int)
    for seen, asked in folds.splits():
        known = {*left[seen], *right[seen]}
        assert not known & {*left[asked], *right[asked]}
        assert seen.any()
        n_asked += asked
    assert (n_asked == 1).all()


def test_the_waterfall_tells_what_labels_changed_and_adds_up(
    linked: LinkedRecords, half: Supervision
) -> None:
    better = calibrate_links(reweigh_pairs(linked, half.match_weights, half.model), None)
    batch = LinkedBatch(
        better.ordered, better.scores.scores, better.scores.model, better.links, better.members
    )
    rows = better.scores.scores.take(pa.array(np.arange(0, better.scores.scores.num_rows, 97))).to_pylist()
    pairs = [(row["left_id"], row["right_id"]) for row in rows]
    for row, weighed in zip(rows, weigh_anew(batch, pairs), strict=True):
        learned = weighed.evidence[-1]
        assert (learned.field, learned.level) == (
            LABELS_FIELD,
            f"learned from {half.choices[0].n_labels:,} labels",
        )
        total = weighed.prior_weight + sum(part.weight for part in weighed.evidence)
        assert total == pytest.approx(row["match_weight"], abs=1e-9)
        assert waterfall_steps(weighed)[-2].label == f"labels: {learned.level}, for all fields together"
        assert weighed.unexplained_weight == 0


def test_a_weight_that_labels_cannot_have_changed_stays_unexplained(
    linked: LinkedRecords, half: Supervision
) -> None:
    better = calibrate_links(reweigh_pairs(linked, half.match_weights, half.model), None)
    scores = better.scores.scores.slice(0, 1)
    (row,) = scores.to_pylist()
    other = "given_name:exact" if row["pattern"] != "given_name:exact" else "given_name:close"
    stale = scores.set_column(scores.column_names.index("pattern"), "pattern", pa.array([other]))
    batch = LinkedBatch(better.ordered, stale, better.scores.model, better.links, better.members)
    (weighed,) = weigh_anew(batch, [(row["left_id"], row["right_id"])])
    assert LABELS_FIELD not in {part.field for part in weighed.evidence}
    told = weighed.prior_weight + sum(part.weight for part in weighed.evidence)
    assert abs(weighed.unexplained_weight) > 0.01
    assert told + weighed.unexplained_weight == pytest.approx(row["match_weight"], abs=1e-9)


def test_two_valid_iins_stay_apart_whatever_labels_say() -> None:
    people = [
        {"given_key": "amina", "family_key": f"kim{n}", "iin": f"{10**11 + 2 * n + twin}"}
        for n in range(200)
        for twin in (0, 1)
    ]
    people += [{"given_key": "amina", "family_key": f"lee{n}"} for n in range(200)]
    records = make_records(people)
    linked = link_records(records)
    scores = linked.scores.scores
    is_twin = np.array([f"kim{n}" == f"kim{m}" for n, m in _families(records, scores)], bool)
    assert is_twin.sum() >= 100
    supervision = learn(linked, pair_labels(scores, is_twin, np.arange(scores.num_rows)))
    assert supervision.is_learned
    assert (supervision.match_weights[is_twin] > 3).all()
    better = calibrate_links(reweigh_pairs(linked, supervision.match_weights, supervision.model), None)
    entity_of = dict(
        zip(better.members["record_id"].to_pylist(), better.members["entity_id"].to_pylist(), strict=True)
    )
    assert len({entity_of[f"r:{n:06d}"] for n in range(400)}) == 400


def _families(records: pa.Table, scores: pa.Table) -> list[tuple[str, str]]:
    family = dict(zip(records["record_id"].to_pylist(), records["family_key"].to_pylist(), strict=True))
    return [(family[row["left_id"]], family[row["right_id"]]) for row in scores.to_pylist()]


def test_the_linker_learns_and_says_so() -> None:
    records, labels = make_population(N_PEOPLE, seed=2)
    frame = pl.DataFrame(records).select(
        id="native_id",
        first_name="given_key",
        surname="family_key",
        date_of_birth=pl.col("birth_date").cast(pl.String),
        phone=pl.col("phones").list.first(),
        postcode="postcode",
    )
    labels = of_entities(labels, "training", 0)
    entity_of = dict(zip(labels["subject_id"].to_pylist(), labels["value"].to_pylist(), strict=True))
    of_record = {str(int(name[2:])): entity for name, entity in entity_of.items()}
    told = pa.table({"record_id": list(of_record), "entity": list(of_record.values())})
    plain = AutoLinker().link(frame)
    taught = AutoLinker().link(frame, given=GivenPairs(told))
    assert plain.summary()["learned_from_labels"] is None
    [choice] = taught.summary()["learned_from_labels"]
    assert choice["scorer"] in ("logistic", "boosted")
    assert [trial["scorer"] for trial in choice["trials"]] == [UNSUPERVISED, "logistic", "boosted"]
    assert "match weights learned from" in taught.report()
    assert "match weights learned from" in taught.summary()["notes"][-1]
    assert taught.scores.model.filter(pc.equal(taught.scores.model["field"], LABELS_FIELD)).num_rows == 1
    assert not taught.scores.scores["match_weight"].equals(plain.scores.scores["match_weight"])


@pytest.mark.parametrize("name", LEARNERS)
def test_a_field_that_no_label_knows_is_no_obstacle_to_learning(name: str) -> None:
    outcomes = np.tile([0.0, 1.0], 50)
    levels = np.column_stack([2 - outcomes, np.zeros(100)]).astype(np.int8)
    features = PairFeatures(("iin", "passport"), np.zeros(100), levels, np.zeros((100, len(ADJUSTMENTS))))
    learner = fit_learner(name, features, outcomes)
    asked = replace(features, levels=np.column_stack([levels[:, 0], np.ones(100, np.int8)]))
    weights = learner.weigh(asked)
    assert weights[outcomes == 1].min() > 1 > -1 > weights[outcomes == 0].max()


def test_labels_without_a_compared_pair_teach_nothing(linked: LinkedRecords) -> None:
    assert learn(linked, make_labels({"r:000000": "1"}, "training")).sentence == (
        "no label judges a compared pair"
    )


def test_learners_see_adjustments_by_all_fields_not_only_by_those_of_labelled_pairs() -> None:
    kim = {"family_key": "kim", "name_key": "kim", "phones": ["+77010000001"]}
    records = encode_records(make_records([kim | {"given_key": "anna"}, kim | {"given_key": "ana"}]))
    left, right = np.zeros(1, np.int32), np.ones(1, np.int32)
    pairs = WeighedPairs(records, left, right, FuzzyMatcher(records).compare(left, right), np.zeros(1))
    features = pairs.see(("given_name", "family_name"), AdjustmentParams())
    seen = dict(zip(ADJUSTMENTS, features.adjustments[0].tolist(), strict=True))
    assert seen["one_word"] == 0, "a telephone is known beside the names"


def test_labels_of_many_copies_teach_no_more_than_those_of_two() -> None:
    population, truth = make_population(300, seed=3)
    known, person = of_entities(truth, "training", 0), {"given_key": "anna", "family_key": "kimova"}
    told = []
    for n_copies in (2, 2_000):
        ids = [f"copy:{number:05d}" for number in range(n_copies)]
        copies = make_records([{"record_id": name, **person, "phones": ["+77010000001"]} for name in ids])
        linked = link_records(pa.concat_tables([population, copies]))
        more = make_labels(dict.fromkeys(ids, "anna"), use="training")
        told.append(learn(linked, LABELS.conform(pa.concat_tables([known, more]))).choices)
    assert told[0] == told[1]
