"""Scores are what the model says, for every pair, whatever the order."""

from __future__ import annotations

from datetime import date

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from terag_pipelines.entities.model import ENTITY_RECORDS
from terag_pipelines.errors import LinkingError
from terag_pipelines.linking.blocking import find_candidate_pairs
from terag_pipelines.linking.model import CANDIDATE_PAIRS
from terag_pipelines.linking.scoring import PairScores, score_pairs
from tests.unit.linking.records import make_population, make_records

BORN = date(1980, 3, 4)


def scores_of(records: pa.Table) -> PairScores:
    return score_pairs(records, find_candidate_pairs(records).table)


def weights_of(rows: list[dict[str, object]]) -> dict[tuple[str, str], float]:
    scores = scores_of(make_records(rows)).scores
    ids = zip(scores["left_id"].to_pylist(), scores["right_id"].to_pylist(), strict=True)
    return dict(zip(ids, scores["match_weight"].to_pylist(), strict=True))


def test_no_pairs_give_no_scores_and_no_model() -> None:
    scored = score_pairs(ENTITY_RECORDS.empty(), CANDIDATE_PAIRS.empty())
    assert scored.scores.num_rows == scored.model.num_rows == 0
    assert scored.diagnostics == ()


def test_a_pair_of_an_unknown_record_is_refused() -> None:
    pairs = CANDIDATE_PAIRS.from_columns(left_id=["r:000000"], right_id=["zzz"], rules=[["iin"]])
    with pytest.raises(LinkingError):
        score_pairs(make_records([{"phones": ["+1"]}]), pairs)


def test_probability_is_the_odds_of_the_weight() -> None:
    scores = scores_of(make_population(200, seed=1)[0]).scores
    odds = np.exp2(scores["match_weight"].to_numpy())
    assert scores["match_probability"].to_numpy() == pytest.approx(odds / (1 + odds))


def test_a_rare_name_says_more_than_a_common_one() -> None:
    common = [
        {"given_key": "anna", "family_key": "kim", "birth_date": date(1950 + i, 1, 1)} for i in range(40)
    ]
    alike = {"given_key": "anna", "family_key": "kim", "birth_date": BORN}
    rare = {"given_key": "anna", "family_key": "zhumagaliev", "birth_date": BORN}
    weights = weights_of([*common, alike, alike, rare, rare])
    assert weights["r:000042", "r:000043"] > weights["r:000040", "r:000041"] + 2


HOME = {"family_key": "zhumagaliev", "address_key": "abai 10 5 almaty", "emails": ["home@mail.kz"]}


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ({"given_key": "darla", "birth_date": BORN}, {"given_key": "donna", "birth_date": BORN}),
        ({"given_key": "david", "family_key": "kim jr"}, {"given_key": "david", "family_key": "kim sr"}),
        ({"given_key": "david"}, {"family_key": None}),
        ({"given_key": "j", "birth_date": date(1999, 12, 10)}, {"given_key": "jim", "birth_date": BORN}),
    ],
    ids=["twins", "father and son", "no name", "an initial of another age"],
)
def test_what_a_household_shares_makes_no_match(left: dict[str, object], right: dict[str, object]) -> None:
    (weight,) = weights_of([HOME | left, HOME | right]).values()
    assert weight < 1


def test_a_record_without_birth_date_belongs_to_no_one_of_two_namesakes() -> None:
    name = {"given_key": "david", "family_key": "kim", "street": "abai", "house": "10"}
    fathers_son = [name | {"birth_date": date(1990, 3, 15)}, name | {"birth_date": date(1970, 10, 10)}]
    alone = weights_of([fathers_son[0], name])
    between = weights_of([*fathers_son, name, name])
    assert alone["r:000000", "r:000001"] > 1
    assert max(between["r:000000", "r:000002"], between["r:000001", "r:000002"]) < 0
    assert between["r:000002", "r:000003"] > 1  # what tells nothing apart still speaks for one person


def test_a_slip_in_a_birth_date_makes_no_namesakes() -> None:
    name = {"given_key": "david", "family_key": "kim", "address_key": "abai 10 5"}
    born = [date(1990, 3, 15), date(1990, 3, 16), None]
    weights = weights_of([name | {"birth_date": day} for day in born])
    assert min(weights["r:000000", "r:000002"], weights["r:000001", "r:000002"]) > 1


def test_a_nickname_and_a_surname_alone_make_no_match() -> None:
    names = [{"given_key": name, "family_key": "anderson"} for name in ("andrew", "andy", "andrew")]
    weights = weights_of(names)
    assert weights["r:000000", "r:000001"] < 1 < weights["r:000000", "r:000002"]


def test_a_telephone_that_many_share_says_little() -> None:
    two = [{"given_key": name, "family_key": "kim"} for name in ("anna", "olga")]
    many = [person | {"sex": sex, "house": str(at)} for at in range(15) for sex in "fm" for person in two]
    crowd = [person | {"phones": ["+77010000000"]} for person in many]
    weights = weights_of([*crowd, *(person | {"phones": ["+77019999999"]} for person in two)])
    assert weights["r:000060", "r:000061"] > weights["r:000000", "r:000001"] + 2


def test_borrowed_documents_do_not_make_one_person_of_two_names() -> None:
    shared = {"identifiers": ["passport:N12345678"]}
    one = shared | {"given_key": "anna", "family_key": "kim"}
    weights = weights_of([one, shared | {"given_key": "bolat", "family_key": "serikov"}])
    assert weights["r:000000", "r:000001"] < 0


def test_persons_and_organisations_have_a_model_each() -> None:
    person = {"given_key": "anna", "family_key": "kim", "phones": ["+77010000001"]}
    firm = {"party_type": "organisation", "organisation_key": "altyn", "phones": ["+77010000002"]}
    model = scores_of(make_records([person, person, firm, firm])).model
    assert set(model["party_type"].to_pylist()) == {"person", "organisation"}
    of_firms = model.filter(pc.equal(model["party_type"], "organisation"))
    assert "given_name" not in of_firms["field"].to_pylist()


def test_absent_fields_drop_out() -> None:
    model = scores_of(make_population(100, seed=2)[0]).model
    assert {"iin", "email", "patronymic"}.isdisjoint(model["field"].to_pylist())


def test_the_order_of_records_and_pairs_does_not_matter() -> None:
    records, _ = make_population(200, seed=4)
    pairs = find_candidate_pairs(records).table
    rng = np.random.default_rng(0)
    shuffled = records.take(rng.permutation(records.num_rows)), pairs.take(rng.permutation(pairs.num_rows))
    one, other = score_pairs(records, pairs), score_pairs(*shuffled)
    assert one.scores.equals(other.scores)
    assert one.model.equals(other.model)
