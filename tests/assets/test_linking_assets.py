"""Linking as Dagster runs it: waterfalls without values, golden records, checks that judge by the truth."""

from __future__ import annotations

import base64
import re

import dagster as dg
import pyarrow as pa
import pytest

from assets import checks, linking
from terag_pipelines.entities.model import LABELS
from terag_pipelines.linking.links import decide_links
from terag_pipelines.linking.model import ENTITY_MEMBERS, GOLDEN_RECORDS, LABELS_FIELD, PAIR_DECISIONS
from terag_pipelines.linking.pipeline import LinkedRecords, link_records
from tests.unit.linking.records import make_labels, make_population

DATA = re.compile(r"data:image/svg\+xml;base64,([A-Za-z0-9+/=]+)")


@pytest.fixture(scope="module")
def population() -> tuple[pa.Table, pa.Table, LinkedRecords]:
    records, labels = make_population(500, seed=13)
    return records, labels, link_records(records, labels)


def test_scores_show_waterfalls_without_personal_values(
    population: tuple[pa.Table, pa.Table, LinkedRecords],
) -> None:
    records, _, linked = population
    scores, _ = linking.scored_pairs(records, linked.pairs.table, LABELS.empty(), PAIR_DECISIONS.empty())
    shown = {name: DATA.findall(str(value.value)) for name, value in scores.metadata.items()}
    assert all(
        shown[name] for name in ("a_sure_match", "a_doubtful_match", "a_near_miss", "a_sure_non-match")
    )
    names = set(records["given_key"].to_pylist()) | set(records["family_key"].to_pylist())
    for drawn in (base64.b64decode(code).decode() for codes in shown.values() for code in codes):
        assert drawn.startswith("<svg")
        assert not any(f">{name}<" in drawn or f" {name}" in drawn for name in names)


def test_labels_and_decisions_are_learned_from_and_the_metadata_says_so(
    population: tuple[pa.Table, pa.Table, LinkedRecords],
) -> None:
    records, labels, linked = population
    entity_of = dict(zip(labels["subject_id"].to_pylist(), labels["value"].to_pylist(), strict=True))
    pairs = linked.pairs.table
    is_match = [entity_of[row["left_id"]] == entity_of[row["right_id"]] for row in pairs.to_pylist()]
    decisions = PAIR_DECISIONS.from_columns(
        left_id=pairs["left_id"].to_pylist(),
        right_id=pairs["right_id"].to_pylist(),
        is_match=is_match,
        decided_by=["Anna"] * len(is_match),
    )
    scores, model = linking.scored_pairs(records, pairs, labels, decisions)
    told = str(scores.metadata["learned_from_labels"].value)
    assert f"learned from {len(is_match):,} labelled pairs" in told
    assert "over one standard error" in told
    tried = str(scores.metadata["scorers_tried"].value)
    assert all(f"| {name} |" in tried for name in ("unsupervised", "logistic", "boosted"))
    assert LABELS_FIELD in model.value["field"].to_pylist()
    of_truth, _ = linking.scored_pairs(records, pairs, labels, PAIR_DECISIONS.empty())
    assert of_truth.metadata["learned_from_labels"].value == "no label judges a compared pair"


def test_golden_records_are_made_for_every_entity(
    population: tuple[pa.Table, pa.Table, LinkedRecords],
) -> None:
    records, _, linked = population
    golden = linking.golden_records(records, linked.members).value
    assert GOLDEN_RECORDS.conform(golden).num_rows == golden.num_rows
    assert set(golden["entity_id"].to_pylist()) == set(linked.members["entity_id"].to_pylist())


class _Overconfident:
    """Calls every pair a match."""

    def apply(self, scores: object) -> object:
        import numpy as np

        return np.full_like(np.asarray(scores), 0.99)


def judge_links(links: pa.Table, labels: pa.Table) -> dg.AssetCheckResult:
    result = checks.links_are_calibrated(links, labels)
    assert isinstance(result, dg.AssetCheckResult)
    return result


def test_calibrated_links_that_are_wrong_stop_the_batch(
    population: tuple[pa.Table, pa.Table, LinkedRecords],
) -> None:
    _, labels, linked = population
    wrong = decide_links(linked.scores.scores, _Overconfident())  # type: ignore[arg-type]
    assert not judge_links(wrong, labels).passed
    assert judge_links(linked.links, labels).passed
    assert "marked uncalibrated" in str(judge_links(linked.links, labels).description)
    assert judge_links(wrong, make_labels({})).passed
    [spec] = checks.links_are_calibrated.check_specs
    assert spec.blocking


def test_parity_warns_and_blocks_nothing(population: tuple[pa.Table, pa.Table, LinkedRecords]) -> None:
    records, labels, linked = population
    fair = checks.name_parity(linked.members, records, labels)
    assert isinstance(fair, dg.AssetCheckResult)
    assert fair.passed
    ids = records["record_id"].to_pylist()
    latin = {"display_name": pa.array(["Иван" if at % 2 else "John" for at in range(len(ids))])}
    at = records.column_names.index("display_name")
    renamed = records.set_column(at, "display_name", latin["display_name"])
    merged = [f"e{number if number % 2 else 0}" for number in range(len(ids))]
    unfair = checks.name_parity(ENTITY_MEMBERS.from_columns(record_id=ids, entity_id=merged), renamed, labels)
    assert isinstance(unfair, dg.AssetCheckResult)
    assert not unfair.passed
    assert unfair.severity == dg.AssetCheckSeverity.WARN
    assert "false merge of Latin (script)" in str(unfair.description)
    [spec] = checks.name_parity.check_specs
    assert not spec.blocking
