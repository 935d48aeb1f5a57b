"""Linking as Dagster runs it: waterfalls without values, golden records, checks that judge by the truth."""

from __future__ import annotations

import base64
import re
from datetime import date
from pathlib import Path

import dagster as dg
import numpy as np
import pyarrow as pa
import pytest

from assets import calibration, checks, linking
from resources.bindings import SourceResource
from terag_pipelines.calibration.model import CALIBRATORS
from terag_pipelines.entities.model import LABELS
from terag_pipelines.errors import LinkingError
from terag_pipelines.linking.links import decide_links
from terag_pipelines.linking.model import ENTITY_MEMBERS, GOLDEN_RECORDS, LABELS_FIELD, PAIR_DECISIONS
from terag_pipelines.linking.pipeline import LinkedRecords, link_records
from terag_pipelines.linking.scoring import score_pairs
from terag_pipelines.linking.spec import read_linking
from tests.unit.linking.records import make_labels, make_population, make_records

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
        return np.full_like(np.asarray(scores), 0.99)


def judge_links(links: pa.Table, labels: pa.Table, records: pa.Table) -> dg.AssetCheckResult:
    result = checks.links_are_calibrated(links, labels, records)
    assert isinstance(result, dg.AssetCheckResult)
    return result


def test_calibrated_links_that_are_wrong_stop_the_batch(
    population: tuple[pa.Table, pa.Table, LinkedRecords],
) -> None:
    records, labels, linked = population
    wrong = decide_links(linked.scores.scores, _Overconfident())  # type: ignore[arg-type]
    assert not judge_links(wrong, labels, records).passed
    assert judge_links(linked.links, labels, records).passed
    assert "marked uncalibrated" in str(judge_links(linked.links, labels, records).description)
    assert judge_links(wrong, make_labels({}), records).passed
    [spec] = checks.links_are_calibrated.check_specs
    assert spec.blocking


def test_labels_of_many_copies_count_once(population: tuple[pa.Table, pa.Table, LinkedRecords]) -> None:
    """A thousand copies of one record that was judged wrongly are no thousand wrong links."""
    records, labels, _ = population
    anna = {"given_key": "anna", "family_key": "kimova", "birth_date": date(1980, 3, 4)}
    copies = [{"record_id": f"copy:{n:04d}", **anna, "phones": ["+77010000001"]} for n in range(1_000)]
    both = pa.concat_tables([records, make_records(copies)])
    linked = link_records(both)
    own = make_labels({row["record_id"]: str(row["record_id"]) for row in copies})
    everything = pa.concat_tables([labels, own])
    sure = decide_links(linked.scores.scores, _Sure())  # type: ignore[arg-type]
    of_copies, alone = judge_links(sure, everything, both), judge_links(sure, labels, both)
    assert int(of_copies.metadata["n_labelled"].value) == int(alone.metadata["n_labelled"].value) + 1
    assert of_copies.passed

    fitted = []
    for told in (everything, pa.concat_tables([labels, own.slice(0, 2)])):
        known = told.set_column(told.column_names.index("use"), "use", pa.array(["training"] * told.num_rows))
        made = calibration.link_calibrators(both, linked.scores.scores, known, PAIR_DECISIONS.empty())
        fitted.append(made.value)
    assert fitted[0]["n_labels"][0].as_py() > 100
    assert fitted[0].equals(fitted[1])


class _Sure:
    """Calls what is likely a match sure."""

    def apply(self, scores: object) -> object:
        return np.where(np.asarray(scores) > 0.7, 0.99, 0.01)


MANIFEST = """
name: two
root: .
linking: {one_to_one: true}
files:
  - {name: ours, path: ours.csv, holds: people, fields: {id: id, family_name: name, birth_date: born}}
  - {name: theirs, path: theirs.csv, holds: people, fields: {id: id, family_name: name, birth_date: born}}
"""


def test_a_manifest_may_link_its_two_files_one_to_one(
    population: tuple[pa.Table, pa.Table, LinkedRecords], tmp_path: Path
) -> None:
    (tmp_path / "source.yaml").write_text(MANIFEST)
    source = SourceResource(folder=str(tmp_path))
    sides = np.array(["ours", "theirs"])[np.arange(population[0].num_rows) % 2]
    at = population[0].column_names.index("dataset")
    records = population[0].set_column(at, "dataset", pa.array(sides))
    pairs = linking.candidate_pairs(records, LABELS.empty(), source).value
    side_of = dict(zip(records["record_id"].to_pylist(), sides.tolist(), strict=True))
    assert all(side_of[row["left_id"]] != side_of[row["right_id"]] for row in pairs.to_pylist())
    scores = score_pairs(records, pairs).scores
    none, uncalibrated = PAIR_DECISIONS.empty(), CALIBRATORS.empty()
    found = linking.links(records, scores, uncalibrated, none, source)
    [expected] = [link_records(records, params=read_linking(source.open().manifest()))]
    assert found.value.equals(expected.links)
    assert found.value.num_rows > 50
    for side in ("left_id", "right_id"):
        assert len(set(found.value[side].to_pylist())) == found.value.num_rows
    assert found.metadata["note"].value == expected.left_over.told
    third = records.set_column(at, "dataset", pa.array(["outside", *sides[1:]]))
    with pytest.raises(LinkingError, match="records of 3: ours, outside, theirs"):
        linking.links(third, scores, uncalibrated, none, source)


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
