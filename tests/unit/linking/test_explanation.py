"""Explanations add up, hold for every pair, tell what blocking and clustering did, escape what they show."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date
from html.parser import HTMLParser
from itertools import pairwise
from typing import Any
from xml.etree import ElementTree

import networkx as nx
import numpy as np
import pyarrow as pa
import pytest

from terag_pipelines.errors import LinkingError, NotFoundError
from terag_pipelines.linking.adjustments import JOINT
from terag_pipelines.linking.explanation import LinkedBatch, infer_threshold, weigh_anew
from terag_pipelines.linking.explanation_entities import explain_entity
from terag_pipelines.linking.explanation_pairs import explain_pair, explain_pairs
from terag_pipelines.linking.explanation_pictures import (
    draw_waterfall,
    reasons_line,
    render_entity,
    render_pair,
    render_record,
    waterfall_steps,
)
from terag_pipelines.linking.explanation_records import explain_record
from terag_pipelines.linking.explanation_words import say_share
from terag_pipelines.linking.links import LinkParams, decide_links
from terag_pipelines.linking.model import PAIR_DECISIONS
from terag_pipelines.linking.pipeline import link_records
from tests.unit.linking.records import make_links, make_population, make_records, make_scores

BORN = date(1980, 3, 4)
HOSTILE = '<script>alert("x")</script>&\u202e\x07'


def batch_of(records: pa.Table) -> LinkedBatch:
    linked = link_records(records)
    return LinkedBatch(
        records,
        linked.scores.scores,
        linked.scores.model,
        linked.links,
        linked.resolved.members,
        linked.pairs.table,
    )


@pytest.fixture(scope="module")
def people() -> LinkedBatch:
    return batch_of(make_population(1_500, seed=3)[0])


def pairs_of(table: pa.Table) -> list[tuple[str, str]]:
    return list(zip(table["left_id"].to_pylist(), table["right_id"].to_pylist(), strict=True))


def test_the_parts_of_every_scored_weight_add_up_to_it(people: LinkedBatch) -> None:
    pairs = pairs_of(people.scores)[::7]
    stored = dict(zip(pairs_of(people.scores), people.scores["match_weight"].to_pylist(), strict=True))
    for weighed in weigh_anew(people, pairs):
        total = weighed.prior_weight + sum(part.weight for part in weighed.evidence)
        assert weighed.unexplained_weight == 0
        assert total == pytest.approx(stored[weighed.left_id, weighed.right_id], abs=1e-9)
        assert all(part.weight == 0 for part in weighed.missing)


def test_levels_are_those_of_the_pattern(people: LinkedBatch) -> None:
    rows = people.scores.slice(0, 50).to_pylist()
    for row, weighed in zip(rows, weigh_anew(people, pairs_of(people.scores.slice(0, 50))), strict=True):
        known = [f"{part.field}:{part.level}" for part in weighed.known if part.field not in JOINT]
        assert "|".join(known) == row["pattern"]


def test_each_bar_starts_where_the_last_ended(people: LinkedBatch) -> None:
    for weighed in weigh_anew(people, pairs_of(people.scores.slice(0, 20))):
        *steps, total = waterfall_steps(weighed)
        assert all(one.end == other.start for one, other in pairwise(steps))
        assert steps[-1].end == pytest.approx(total.end)


def test_a_pair_is_the_same_from_either_side(people: LinkedBatch) -> None:
    left, right = pairs_of(people.links)[0]
    assert explain_pair(people, left, right) == explain_pair(people, right, left)


def test_a_link_says_by_what_rules_it_was_found(people: LinkedBatch) -> None:
    link = people.links.slice(0, 1).to_pylist()[0]
    told = explain_pair(people, link["left_id"], link["right_id"])
    assert told.decision == "linked"
    assert told.is_candidate
    assert told.rules
    assert told.link_probability == link["link_probability"]


def test_a_pair_that_was_never_compared_is_compared_now(people: LinkedBatch) -> None:
    scored = set(pairs_of(people.scores))
    ids = people.records["record_id"].to_pylist()
    pair = next((ids[0], other) for other in ids[1:] if (ids[0], other) not in scored)
    told = explain_pair(people, *pair)
    assert (told.is_candidate, told.decision, told.rules) == (False, "never_compared", None)
    assert len(told.weighed.known) >= 3
    assert told.weighed.match_weight < 0


def test_a_birth_date_that_agrees_by_the_iin_says_so() -> None:
    anna = {"given_key": "anna", "family_key": "kim"}
    doubted = anna | {"birth_date": date(1979, 3, 2), "iin": "880614300129"}
    batch = batch_of(make_records([doubted, anna | {"birth_date": date(1988, 6, 14)}]))
    (weighed,) = weigh_anew(batch, [("r:000000", "r:000001")])
    (part,) = [part for part in weighed.known if part.field == "birth_date"]
    assert "the day that an IIN carries, though its record states another" in part.sentence


def test_swapped_day_and_month_read_as_a_person_would_say(people: LinkedBatch) -> None:
    one = {"given_key": "anna", "family_key": "kim"}
    records = make_records([one | {"birth_date": BORN}, one | {"birth_date": date(1980, 4, 3)}])
    told = explain_pair(batch_of(records), "r:000000", "r:000001")
    (part,) = [part for part in told.weighed.evidence if part.field == "birth_date"]
    assert (part.left, part.right) == (("1980-03-04",), ("1980-04-03",))
    expected = "birth date: day and month in the other order; 1 in 33 of matches, 1 in 1,000 of non-matches: "
    assert part.sentence == expected + "+4.9 bits"


@pytest.mark.parametrize(
    ("share", "told"), [(0.7, "70%"), (0.1, "10%"), (0.03, "1 in 33"), (0.001, "1 in 1,000"), (1.0, "99.99%")]
)
def test_shares_are_said_as_people_say_them(share: float, told: str) -> None:
    assert say_share(share) == told


def test_two_people_with_different_iins_are_kept_apart_by_that_rule() -> None:
    anna = {"given_key": "anna", "family_key": "kim", "birth_date": BORN, "phones": ["+77010000001"]}
    batch = batch_of(make_records([anna | {"iin": "800304300015"}, anna | {"iin": "800304400016"}]))
    told = explain_pair(batch, "r:000000", "r:000001")
    assert told.decision == "forbidden"
    assert "two different valid IINs" in told.reason


def test_a_person_and_a_company_are_never_one() -> None:
    firm = {"party_type": "organisation", "organisation_key": "kim", "phones": ["+77010000001"]}
    batch = batch_of(make_records([{"family_key": "kim", "phones": ["+77010000001"]}, firm]))
    assert explain_pair(batch, "r:000000", "r:000001").decision == "forbidden"


def test_a_head_office_and_its_branch_are_never_one() -> None:
    firm = {"party_type": "organisation", "organisation_key": "altyn", "phones": ["+77010000001"]}
    batch = batch_of(make_records([firm | {"bin": "990140000005"}, firm | {"legal_form": "branch"}]))
    told = explain_pair(batch, "r:000000", "r:000001")
    assert (told.decision, told.reason) == ("forbidden", "one is a head office, the other a branch")


def test_a_partial_record_joins_by_an_identifier_only() -> None:
    anna = {"given_key": "anna", "family_key": "kim"}
    batch = batch_of(make_records([anna, anna | {"is_partial": True}]))
    assert "partial record" in explain_pair(batch, "r:000000", "r:000001").reason


def test_what_a_person_decided_comes_first(people: LinkedBatch) -> None:
    left, right = pairs_of(people.links)[0]
    decided = PAIR_DECISIONS.from_columns(
        left_id=[left], right_id=[right], is_match=[False], decided_by=["a"], decided_at=[0]
    )
    assert explain_pair(replace(people, decisions=decided), left, right).decision == "decided_different"


def test_the_key_that_nearly_agreed_is_named() -> None:
    one = {"given_key": "anna", "family_key": "kim", "birth_date": BORN}
    other = {"given_key": "olga", "family_key": "serikova", "birth_date": BORN}
    batch = batch_of(make_records([one, other]))
    told = explain_pair(replace(batch, candidates=None, scores=batch.scores.slice(0, 0)), *batch_ids(batch))
    assert told.near_rules[0].agreeing == ("birth_date",)
    near = next(rule for rule in told.near_rules if rule.differing)
    assert "differ" in near.sentence


def batch_ids(batch: LinkedBatch) -> list[str]:
    return batch.records["record_id"].to_pylist()


def test_unknown_ids_and_a_record_with_itself_are_refused(people: LinkedBatch) -> None:
    with pytest.raises(NotFoundError):
        explain_pair(people, "r:000000", "nobody")
    with pytest.raises(LinkingError):
        explain_pair(people, "r:000000", "r:000000")
    with pytest.raises(NotFoundError):
        explain_entity(people, "ent_nothing")
    with pytest.raises(NotFoundError):
        explain_record(people, "nobody")


def test_the_tree_spans_the_entity_and_is_its_strongest() -> None:
    records = make_records([{"given_key": name, "family_key": "kim"} for name in "abcd"])
    ids = records["record_id"].to_pylist()
    weighted = [(0, 1, 9.0), (1, 2, 8.0), (0, 2, 3.0), (2, 3, 4.0)]
    links = [(ids[i], ids[j], weight) for i, j, weight in weighted]
    told = explain_entity(_batch(records, links, [0, 0, 0, 0]), "e0")
    assert {(e.pair.weighed.left_id, e.pair.weighed.right_id) for e in told.tree} == {
        (ids[0], ids[1]),
        (ids[1], ids[2]),
        (ids[2], ids[3]),
    }
    assert told.parts == 1
    weak = told.weakest[0]
    assert (weak.is_bridge, weak.falls_off, weak.weight) == (True, (ids[3],), 4.0)
    assert (told.weakest[1].is_bridge, told.weakest[1].n_other_links) == (False, 1)
    assert told.cut is not None
    assert (told.cut.falls_off, told.cut.weight) == ((ids[3],), 4.0)


def _batch(records: pa.Table, links: list[tuple[str, str, float]], entities: list[int]) -> LinkedBatch:
    from terag_pipelines.linking.model import ENTITY_MEMBERS

    members = ENTITY_MEMBERS.from_columns(
        record_id=records["record_id"].to_pylist(), entity_id=[f"e{number}" for number in entities]
    )
    model = link_records(records).scores.model
    return LinkedBatch(records, make_scores(*links), model, make_links(*links), members)


def test_every_entity_of_a_population_has_a_spanning_tree(people: LinkedBatch) -> None:
    sizes = people.members.group_by("entity_id").aggregate([("record_id", "count")]).to_pylist()
    several = sorted(row["entity_id"] for row in sizes if row["record_id_count"] > 1)[:25]
    assert several
    for entity_id in several:
        told = explain_entity(people, entity_id)
        tree = nx.Graph([(edge.parent_id, edge.child_id) for edge in told.tree])
        assert nx.is_tree(tree)
        assert set(tree) == {member.record_id for member in told.members}


def test_a_link_that_clustering_undid_says_who_spoke_against_it() -> None:
    records = make_records([{"given_key": name, "family_key": "kim"} for name in "abc"])
    ids = records["record_id"].to_pylist()
    batch = _batch(records, [(ids[0], ids[1], 4.0), (ids[1], ids[2], 5.0), (ids[0], ids[2], -8.0)], [0, 1, 1])
    told = explain_pair(replace(batch, links=make_links((ids[0], ids[1], 4.0))), ids[0], ids[1])
    assert told.decision == "taken_apart"
    assert f"{ids[0]} and {ids[2]} weigh -8.0 bits" in told.reason


def test_the_nearest_records_of_a_lone_one_are_found_even_where_blocking_did_not(people: LinkedBatch) -> None:
    like = people.records["given_key"].drop_null()[0].as_py()
    alone = make_records([{"record_id": "x:1", "given_key": like, "family_key": "yyy"}])
    told = explain_record(batch_of(pa.concat_tables([people.records, alone])), "x:1")
    assert (told.n_entity_records, told.n_compared) == (1, 0)
    assert len(told.nearest) == 5
    weights = [pair.weighed.match_weight for pair in told.nearest]
    assert weights == sorted(weights, reverse=True)
    assert not any(pair.is_same_entity for pair in told.nearest)


def test_records_that_agree_in_nothing_are_no_candidates() -> None:
    """Where nothing is known of both the weight is the prior: more than where some fields differ."""
    two = {"address_key": "7 abay almaty", "street": "abay", "house": "7", "locality": "almaty"}
    people = [{"name_key": "តារា"} | two, {"given_key": "anna", "family_key": "kim"} | two]
    people += [
        {"given_key": name, "family_key": f"{name}ov"} for name in ("ivan", "oleg", "petr", "yan", "zoya")
    ]
    told = explain_record(batch_of(make_records(people)), "r:000000")
    assert [told.other_id(pair) for pair in told.nearest] == ["r:000001"]
    lone = explain_record(batch_of(make_records(people[2:])), "r:000000")
    assert lone.nearest == ()
    assert "no other record agrees with it" in lone.sentence


def test_a_name_of_one_script_is_not_called_transliterated() -> None:
    told = {
        other: explain_pair(
            batch_of(
                make_records(
                    [
                        {
                            "given_name": "Rob",
                            "given_key": "rob",
                            "family_name": "Smith",
                            "family_key": "smith",
                        },
                        {
                            "given_name": "Rob",
                            "given_key": "rob",
                            "family_name": other,
                            "family_key": "smith",
                        },
                    ]
                )
            ),
            "r:000000",
            "r:000001",
        )
        for other in ("Smith Jr", "Смит")
    }
    words = {
        other: next(part.told for part in pair.weighed.known if part.field == "family_name")
        for other, pair in told.items()
    }
    assert words == {
        "Smith Jr": "the same but for marks and additions",
        "Смит": "the same once transliterated",
    }


def test_a_name_that_changed_places_shows_both_names() -> None:
    records = make_records(
        [{"given_key": "anna", "family_key": "kim"}, {"given_key": "kim", "family_key": "anna"}]
    )
    told = explain_pair(batch_of(records), "r:000000", "r:000001")
    (part,) = [part for part in told.weighed.known if part.field == "given_name"]
    assert (part.left, part.right) == (("anna", "family name: kim"), ("kim", "family name: anna"))


def test_values_that_were_compared_with_nothing_are_not_shown() -> None:
    anna = {"given_key": "anna", "family_key": "kim"}
    batch = batch_of(make_records([anna | {"birth_date": BORN, "identifiers": ["passport:N1"]}, anna]))
    pair = explain_pair(batch, "r:000000", "r:000001")
    silent = {part.field: part for part in pair.weighed.missing}
    assert silent["birth_date"].told == silent["identifiers"].told == "known of r:000000 only"
    shown = render_pair(pair) + json.dumps(pair.as_json())
    assert "1980-03-04" not in shown
    assert "passport:N1" not in shown


def test_no_reason_tells_its_weight_twice(people: LinkedBatch) -> None:
    told = explain_pairs(people, pairs_of(people.scores)[::11])
    assert any(part.field in JOINT for pair in told for part in pair.weighed.known)
    assert not any("bits" in reasons_line(pair, 9) for pair in told)


def test_nearest_is_nearest_of_all(people: LinkedBatch) -> None:
    told = explain_record(people, "r:000000")
    entity = people.entities_of(batch_ids(people))
    outside = [i for i in batch_ids(people) if entity[i] != told.entity_id]
    every = weigh_anew(people, [("r:000000", other) for other in outside])
    best = max(pair.match_weight for pair in every)
    assert told.nearest[0].weighed.match_weight == pytest.approx(best)


def test_explanations_do_not_depend_on_the_order_of_rows(people: LinkedBatch) -> None:
    turn = np.random.default_rng(1)
    tables = {
        name: getattr(people, name).take(turn.permutation(getattr(people, name).num_rows))
        for name in ("records", "scores", "model", "links", "members", "candidates")
    }
    turned = LinkedBatch(**tables)
    left, right = pairs_of(people.links)[3]
    assert explain_pair(turned, left, right) == explain_pair(people, left, right)
    entity = people.entities_of([left])[left]
    assert explain_entity(turned, entity).as_json() == explain_entity(people, entity).as_json()
    assert explain_record(turned, left).as_json() == explain_record(people, left).as_json()


class Page(HTMLParser):
    """Elements that must be closed, and what a page would load."""

    VOID = ("meta", "br", "rect", "line", "circle", "img")

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.shown = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        assert not {name for name, _ in attrs} & {"src", "href", "onload", "onclick", "onerror"}
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.shown += data


def read_page(html: str) -> Page:
    page = Page()
    page.feed(html)
    assert page.open == []
    assert "script" not in page.tags
    return page


@pytest.fixture(scope="module")
def hostile() -> LinkedBatch:
    shown = {"given_name": HOSTILE, "display_name": HOSTILE, "family_name": "Z" * 1_000_000}
    one = {"given_key": "anna", "family_key": "kim", "birth_date": BORN, "phones": [HOSTILE]} | shown
    rows: list[dict[str, Any]] = [one | {"record_id": f'"><b>{n}', "street": HOSTILE} for n in range(4)]
    return batch_of(make_records(rows))


def test_pages_hold_no_input_unescaped(hostile: LinkedBatch) -> None:
    ids = batch_ids(hostile)
    pages = [
        render_pair(explain_pair(hostile, ids[0], ids[1])),
        render_entity(explain_entity(hostile, hostile.entities_of([ids[0]])[ids[0]])),
        render_record(explain_record(hostile, ids[0])),
    ]
    for html in pages:
        page = read_page(html)
        assert HOSTILE[:20] in page.shown
        assert "\x07" not in html
        assert len(html) < 200_000


def test_pages_of_ordinary_people_are_well_formed(people: LinkedBatch) -> None:
    left, right = pairs_of(people.links)[0]
    for html in (
        render_pair(explain_pair(people, left, right)),
        render_entity(explain_entity(people, people.entities_of([left])[left])),
        render_record(explain_record(people, left)),
    ):
        assert "prefers-color-scheme: dark" in html
        assert left in read_page(html).shown


def test_the_waterfall_alone_is_svg_without_values(hostile: LinkedBatch) -> None:
    ids = batch_ids(hostile)
    svg = draw_waterfall(explain_pair(hostile, ids[0], ids[1]).weighed)
    root = ElementTree.fromstring(svg)  # noqa: S314 - our own
    assert root.tag.endswith("svg")
    assert "1980" not in svg
    assert "alert" not in svg


def test_everything_is_json(people: LinkedBatch) -> None:
    left, right = pairs_of(people.links)[0]
    for told in (
        explain_pair(people, left, right),
        explain_entity(people, people.entities_of([left])[left]),
        explain_record(people, left),
    ):
        read = json.loads(json.dumps(told.as_json(), allow_nan=False))
        assert read["sentence"]


@pytest.mark.parametrize("threshold", [0.7, 0.4, 0.95])
def test_the_threshold_is_told_by_the_links(threshold: float) -> None:
    linked = link_records(make_population(300, seed=4)[0])
    links = decide_links(linked.scores.scores, None, LinkParams(threshold))
    scores, found = linked.scores.scores, infer_threshold(linked.scores.scores, links, None)
    again = decide_links(scores, None, LinkParams(found))
    assert again.equals(links)
    assert threshold != 0.7 or found == 0.7


def test_many_pairs_at_once_are_as_one_by_one(people: LinkedBatch) -> None:
    pairs = pairs_of(people.scores.slice(0, 10))
    assert explain_pairs(people, pairs) == [explain_pair(people, *pair) for pair in pairs]
