"""Blocking finds the pairs worth comparing and keeps to its budget."""

from __future__ import annotations

from datetime import date

import numpy as np
import pyarrow as pa
import pytest

from terag_pipelines.entities.model import ENTITY_RECORDS
from terag_pipelines.linking.block_rules import BlockingRule
from terag_pipelines.linking.blocking import BlockingParams, find_candidate_pairs
from tests.unit.linking.records import make_population, make_records

BORN = date(1980, 3, 4)


def pairs_of(
    rows: list[dict[str, object]], params: BlockingParams | None = None
) -> dict[tuple[str, str], list[str]]:
    table = find_candidate_pairs(make_records(rows), params or BlockingParams()).table
    ids = zip(table["left_id"].to_pylist(), table["right_id"].to_pylist(), strict=True)
    return dict(zip(ids, table["rules"].to_pylist(), strict=True))


def test_no_records_and_one_record_give_no_pairs() -> None:
    assert find_candidate_pairs(ENTITY_RECORDS.empty()).table.num_rows == 0
    assert pairs_of([{"given_key": "anna", "phones": ["+1"]}]) == {}


def test_records_without_any_value_give_no_pairs() -> None:
    assert pairs_of([{}, {}, {}]) == {}


def test_a_pair_names_every_rule_that_found_it() -> None:
    same = {"phones": ["+77010000001"], "emails": ["anna@kz.kz"]}
    assert pairs_of([same, same])["r:000000", "r:000001"][:2] == ["phone", "email"]


def test_any_of_several_values_makes_a_pair_once() -> None:
    rows = [{"phones": ["+77010000001", "+77010000002"]}, {"phones": ["+77010000002", "+77010000001"]}]
    assert list(pairs_of(rows)) == [("r:000000", "r:000001")]


def test_swapped_names_meet() -> None:
    rows = [{"given_key": "anna", "family_key": "kim"}, {"given_key": "kim", "family_key": "anna"}]
    assert "swappable_names" in pairs_of(rows)["r:000000", "r:000001"]


def test_a_person_and_an_organisation_are_no_pair_but_an_unknown_party_meets_both() -> None:
    kinds = ["person", "organisation", "unknown"]
    found = pairs_of([{"party_type": kind, "phones": ["+77010000001"]} for kind in kinds])
    assert set(found) == {("r:000000", "r:000002"), ("r:000001", "r:000002")}


def test_partial_records_meet_by_identifiers_only() -> None:
    named = {"given_key": "anna", "family_key": "kim", "birth_date": BORN}
    assert pairs_of([named, named | {"is_partial": True}]) == {}
    known = named | {"identifiers": ["passport:N1"]}
    assert list(pairs_of([known, known | {"is_partial": True}]).values()) == [["identifier"]]


def test_a_block_over_the_cap_goes_to_the_tighter_rung() -> None:
    rule = BlockingRule((("family",), ("family", "birth_date")))
    crowd = [{"family_key": "kim", "birth_date": date(1900 + i % 60, 1, 1)} for i in range(120)]
    params = BlockingParams(rules=(rule,), max_block_size=50)
    found = find_candidate_pairs(make_records(crowd), params)
    assert found.table.num_rows == 60
    assert found.report.rungs[-1].rule == "family+birth_date"


def test_a_huge_block_of_equal_values_is_skipped_and_reported() -> None:
    rule = BlockingRule((("family",),))
    records = make_records([{"family_key": "kim", "house": str(number)} for number in range(3000)])
    found = find_candidate_pairs(records, BlockingParams(rules=(rule,)))
    assert found.table.num_rows == 0
    assert found.report.skipped[0][0] == "family"


def test_a_party_with_more_records_than_a_block_may_have_is_chained_by_its_number() -> None:
    crowd = [{"iin": "880614300129", "house": str(number)} for number in range(150)]
    crowd += [{"iin": "900101300014"}] * 2
    found = find_candidate_pairs(make_records(crowd), BlockingParams(max_block_size=100))
    sides = (found.table[side].to_pylist() for side in ("left_id", "right_id"))
    joined = [(int(left[2:]), int(right[2:])) for left, right in zip(*sides, strict=True)]
    assert joined == [*((n, n + 1) for n in range(149)), (150, 151)]
    assert found.report.rungs[0].n_purged_records == 0


def test_candidate_pairs_stay_linear() -> None:
    for n_people in (2_000, 8_000):
        records, _ = make_population(n_people, seed=3)
        params = BlockingParams(pairs_per_record=4.0, free_pairs=0)
        assert find_candidate_pairs(records, params).report.pairs_per_record <= 4.0


def test_new_pairs_of_the_rungs_add_up() -> None:
    records, _ = make_population(400, seed=5)
    report = find_candidate_pairs(records).report
    assert sum(rung.n_new_pairs for rung in report.rungs) == report.n_pairs


def titles(n: int, seed: int) -> list[dict[str, object]]:
    """n titles of eight words out of 200, and of each another: a fifth of the words replaced, any order."""
    rng = np.random.default_rng(seed)
    names = np.array([f"{a}{b}{c}o" for a in "bcdfghklmn" for b in "aeiou" for c in "rstv"])
    first = [rng.choice(names, 8, replace=False) for _ in range(n)]
    other = [rng.permutation(np.where(rng.random(8) < 0.2, rng.choice(names, 8), words)) for words in first]
    return [{"description": " ".join(words)} for words in (*first, *other)]


def recall_of(rows: list[dict[str, object]], *keys: str) -> tuple[float, int]:
    """The share of titles whose other one is found by the rules, and how many pairs they make."""
    rules = tuple(BlockingRule(((key,),)) for key in keys)
    pairs = find_candidate_pairs(make_records(rows), BlockingParams(rules=rules)).table
    half = len(rows) // 2
    found = {
        (int(one[2:]), int(other[2:]))
        for one, other in zip(pairs["left_id"].to_pylist(), pairs["right_id"].to_pylist(), strict=True)
    }
    return sum((at, at + half) in found for at in range(half)) / half, len(found)


def test_titles_meet_by_several_words_where_no_word_is_rare() -> None:
    rows = titles(1_000, seed=3)
    by_word, _ = recall_of(rows, "description_word")
    together, n_pairs = recall_of(rows, "description_closeness", "description_likeness")
    assert by_word < 0.5
    assert together > 0.9
    assert n_pairs < 0.02 * len(rows) ** 2 / 2


def test_drawn_words_do_not_depend_on_the_order_of_records_or_of_words() -> None:
    rows = titles(200, seed=4)
    table = make_records(rows)
    shuffled = table.take(pa.array(np.random.default_rng(5).permutation(len(rows))))
    turned = [{"description": " ".join(reversed(str(row["description"]).split()))} for row in rows]
    found = [find_candidate_pairs(t).table.to_pydict() for t in (table, shuffled, make_records(turned))]
    assert found[0] == found[1] == found[2]
    assert any("description_closeness" in rules for rules in found[0]["rules"])


def test_texts_without_a_common_word_give_no_pairs() -> None:
    assert pairs_of([{"description": "alma"}, {"description": "nan"}, {"description": ""}]) == {}


def test_the_order_of_the_records_does_not_matter() -> None:
    records, _ = make_population(300, seed=7)
    shuffled = records.take(np.random.default_rng(1).permutation(records.num_rows))
    assert find_candidate_pairs(shuffled).table.equals(find_candidate_pairs(records).table)


@pytest.mark.parametrize(("n_alike", "n_crowded"), [(90, 0), (400, 400)])
def test_records_too_much_alike_to_be_compared_are_told(n_alike: int, n_crowded: int) -> None:
    population, _ = make_population(500, seed=9)
    anna = {
        "given_key": "anna",
        "family_key": "kim",
        "birth_date": date(1980, 3, 4),
        "phones": ["+77010000001"],
    }
    alike = [{"record_id": f"alike:{number}", "house": str(number), **anna} for number in range(n_alike)]
    report = find_candidate_pairs(pa.concat_tables([population, make_records(alike)])).report
    assert report.n_crowded == n_crowded
