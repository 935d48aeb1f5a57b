"""The report of one linking: everything in one page, and nothing from the data unescaped."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from terag_pipelines.entities.model import ENTITY_RECORDS
from terag_pipelines.linking.explanation_pairs import choose_examples
from terag_pipelines.linking.model import ENTITY_MEMBERS
from terag_pipelines.linking.pipeline import LinkedRecords, link_records
from terag_pipelines.linking.report import ReportParams, render_report
from tests.unit.linking.records import make_links, make_population, make_scores
from tests.unit.linking.test_explanation import HOSTILE, read_page


@dataclass(frozen=True)
class Column:
    column: str
    field: str | None
    reason: str


@pytest.fixture(scope="module")
def linked() -> LinkedRecords:
    return link_records(make_population(400, seed=6)[0])


def test_the_report_tells_every_part(linked: LinkedRecords) -> None:
    records = make_population(400, seed=6)[0]
    columns = {HOSTILE: [Column("born", "birth_date", "dates that exist"), Column(HOSTILE, None, HOSTILE)]}
    html = render_report(linked, records, columns, [HOSTILE], params=ReportParams(title=HOSTILE))
    page = read_page(html)
    for told in (
        "How the columns were read",
        "Which pairs were compared",
        "Match weights",
        "What was learned",
        "A sure match",
        "A sure non-match",
        "Largest entities",
        f"{linked.links.num_rows:,}, from probability 0.7",
        "not used",
    ):
        assert told in page.shown
    assert "<script" not in html


def test_every_field_of_the_model_is_shown(linked: LinkedRecords) -> None:
    html = render_report(linked, make_population(400, seed=6)[0])
    assert html.count("<td>learned</td>") + html.count("<td>default</td>") == linked.scores.model.num_rows - 1


def test_no_records_give_a_report_all_the_same() -> None:
    page = read_page(render_report(link_records(ENTITY_RECORDS.empty()), ENTITY_RECORDS.empty()))
    assert "records" in page.shown


def test_the_same_linking_gives_the_same_page(linked: LinkedRecords) -> None:
    records = make_population(400, seed=6)[0]
    assert render_report(linked, records) == render_report(
        linked, records.take(list(range(len(records)))[::-1])
    )


def test_records_that_are_encoded_already_give_the_same_page(linked: LinkedRecords) -> None:
    given = render_report(linked, linked.ordered, prepared=linked.encoded)
    assert given == render_report(linked, linked.ordered)


def test_examples_are_the_extremes_and_never_the_same_pair_twice() -> None:
    scores = make_scores(
        ("a", "b", 9.0), ("a", "c", 2.0), ("b", "c", 0.5), ("c", "d", -7.0), ("d", "e", -7.0)
    )
    found = choose_examples(scores, make_links(("a", "b", 9.0), ("a", "c", 2.0)))
    assert found == {
        "A sure match": ("a", "b"),
        "A doubtful match": ("a", "c"),
        "A near miss": ("b", "c"),
        "A sure non-match": ("c", "d"),
    }
    assert list(choose_examples(scores.slice(0, 1), make_links(("a", "b", 9.0)))) == ["A sure match"]


def test_examples_of_matches_are_of_one_entity_and_misses_of_two() -> None:
    scores = make_scores(("a", "b", 9.0), ("a", "c", 2.0), ("b", "c", 0.5), ("c", "d", 3.0), ("b", "d", -7.0))
    links = make_links(("a", "b", 9.0), ("a", "c", 2.0), ("c", "d", 3.0))
    members = ENTITY_MEMBERS.from_columns(record_id=["a", "b", "c", "d"], entity_id=["e", "e", "e", "f"])
    assert choose_examples(scores, links, members) == {
        "A sure match": ("a", "b"),
        "A doubtful match": ("a", "c"),
        "A near miss": ("c", "d"),
        "A sure non-match": ("b", "d"),
    }


def test_the_fit_is_told_in_words(linked: LinkedRecords) -> None:
    unseen = {level for one in linked.scores.diagnostics for level in one.levels_never_seen}
    assert unseen
    html = render_report(linked, make_population(400, seed=6)[0])
    assert not any(level in html for level in unseen)
