"""Rules chosen from the records find the matches, within their budget."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from terag_pipelines.errors import LinkingError
from terag_pipelines.linking.block_rules import GROUPS, LADDERS, list_rules, parse_rule
from terag_pipelines.linking.blocking import BlockingParams, find_candidate_pairs
from terag_pipelines.linking.blocking_keys import BLOCKING_KEYS
from terag_pipelines.linking.blocks import SampledBlocks, make_blocks
from terag_pipelines.linking.quality import pair_quality
from tests.unit.linking.records import make_population

CHOSEN_ONLY = BlockingParams(free_pairs=0)


def test_every_key_has_a_group_and_every_group_its_keys() -> None:
    assert sorted(key for keys in GROUPS.values() for key in keys) == sorted(BLOCKING_KEYS)


def test_chosen_rules_find_nearly_all_matches_and_say_how_many_they_expect() -> None:
    records, labels = make_population(4_000, seed=31)
    found = find_candidate_pairs(records, CHOSEN_ONLY)
    choice = found.report.choice
    assert choice is not None
    recall = pair_quality(found.table, labels).recall
    assert recall > 0.97
    assert choice.expected_recall == pytest.approx(recall, abs=0.05)
    assert found.report.pairs_per_record < 8


def test_rules_are_in_the_order_of_what_they_find_for_their_price() -> None:
    records, _ = make_population(4_000, seed=31)
    choice = find_candidate_pairs(records, CHOSEN_ONLY).report.choice
    assert choice is not None
    assert choice.gains[0] == max(choice.gains)
    assert len(choice.rules) == len(choice.gains) == len({rule.name for rule in choice.rules})


def test_a_small_budget_is_kept() -> None:
    records, labels = make_population(4_000, seed=31)
    tight = BlockingParams(pairs_per_record=0.5, free_pairs=0)
    found = find_candidate_pairs(records, tight)
    assert found.table.num_rows <= 0.5 * records.num_rows
    assert pair_quality(found.table, labels).recall > 0.5


def test_too_few_examples_leave_the_choice_to_the_rules_of_thumb() -> None:
    report = find_candidate_pairs(make_population(60, seed=3)[0]).report
    assert report.choice is None
    assert {rung.rule for rung in report.rungs} & {rule.name for rule in LADDERS}


def test_combinations_take_one_key_of_each_field_at_most() -> None:
    rules = list_rules([key for keys in GROUPS.values() for key in keys])
    assert ("swappable_starts", "birth_date") in rules
    assert len(rules) == len(set(rules))
    group_of = {key: group for group, keys in GROUPS.items() for key in keys}
    assert all(len({group_of[key] for key in rule}) == len(rule) for rule in rules)


def test_a_key_that_does_not_exist_is_named() -> None:
    with pytest.raises(LinkingError, match="no blocking key 'surname'"):
        parse_rule("surname+birth_date")


def test_blocks_are_the_groups_of_equal_values() -> None:
    rng = np.random.default_rng(4)
    one, other = rng.integers(-1, 30, (2, 500, 1)).astype(np.int32)
    blocks = make_blocks([one, other])
    held = [
        frozenset(blocks.rows[start : start + size].tolist())
        for start, size in zip(blocks.starts, blocks.sizes, strict=True)
    ]
    expected: dict[tuple[int, int], set[int]] = {}
    for row, values in enumerate(zip(one[:, 0].tolist(), other[:, 0].tolist(), strict=True)):
        if min(values) >= 0:
            expected.setdefault(values, set()).add(row)
    assert set(held) == {frozenset(rows) for rows in expected.values() if len(rows) > 1}


def test_a_record_with_several_values_is_in_several_blocks() -> None:
    several = np.array([[0, 1], [1, 2], [2, -1]], np.int32)
    single = np.zeros((3, 1), np.int32)
    left, right = make_blocks([several, single]).pairs()
    assert sorted(zip(left.tolist(), right.tolist(), strict=True)) == [(0, 1), (1, 2)]


def test_sampled_blocks_are_whole() -> None:
    codes = np.random.default_rng(5).integers(0, 300, (3_000, 1)).astype(np.int32)
    whole, some = make_blocks([codes]), SampledBlocks({"a": codes}, 5).of(["a"])
    sizes = {int(codes[rows[0], 0]): len(rows) for rows in np.split(whole.rows, whole.starts[1:])}
    sampled = {int(codes[rows[0], 0]): len(rows) for rows in np.split(some.rows, some.starts[1:])}
    assert 0 < len(sampled) < len(sizes)
    assert all(sizes[code] == size for code, size in sampled.items())


def test_a_rule_that_was_chosen_does_not_run_again_as_a_rule_of_thumb() -> None:
    records, _ = make_population(1_000, seed=0)
    at = records.schema.get_field_index("phones")
    phones = pa.nulls(records.num_rows, records.schema.field(at).type)
    report = find_candidate_pairs(records.set_column(at, "phones", phones)).report
    assert report.choice is not None
    applied = [frozenset(rung.rule.split("+")) for rung in report.rungs]
    assert frozenset({"birth_date"}) in applied
    assert len(applied) == len(set(applied))


def test_pinned_rules_of_the_same_keys_are_one() -> None:
    records, _ = make_population(200, seed=0)
    one, other = parse_rule("phone+birth_date"), parse_rule("birth_date+phone", "birth_date+phone+postcode")
    report = find_candidate_pairs(records, BlockingParams(rules=(one, other))).report
    assert [rung.rule for rung in report.rungs] == ["phone+birth_date"]


def test_which_blocks_are_sampled_does_not_depend_on_how_values_are_numbered() -> None:
    random = np.random.default_rng(5)
    codes = random.integers(-1, 300, (3_000, 1)).astype(np.int32)
    other_numbers = np.append(random.permutation(300), -1).astype(np.int32)
    one, other = (SampledBlocks({"a": k}, 5).of(["a"]) for k in (codes, other_numbers[codes]))
    assert len(one.rows)
    assert sorted(one.rows.tolist()) == sorted(other.rows.tolist())
