"""What an explanation says would split an entity does, when all records are resolved anew."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from datetime import date
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from terag_pipelines.linking.clusters import resolve_entities
from terag_pipelines.linking.explanation import ExplanationParams, LinkedBatch
from terag_pipelines.linking.explanation_entities import EntityExplanation, explain_entity
from terag_pipelines.linking.explanation_splits import NO_ONE_YET, Parts, find_neighbourhood, say_parts
from terag_pipelines.linking.model import ENTITY_MEMBERS, PAIR_DECISIONS
from terag_pipelines.linking.pipeline import link_records
from tests.unit.linking.records import make_links, make_records, make_scores

IDS = [f"r:{number:06d}" for number in range(6)]


@pytest.fixture(scope="module")
def groups() -> LinkedBatch:
    """Thirty groups of six, some pairs of which speak against each other, and links between the groups."""
    rng = np.random.default_rng(4)
    n = 180
    inside = [(i, j) for i in range(n) for j in range(i + 1, n) if i // 6 == j // 6 and rng.random() < 0.8]
    across = {tuple(sorted(rng.choice(n, 2, replace=False).tolist())) for _ in range(25)} - set(inside)
    bits = [*rng.normal(5, 4, len(inside)), *rng.normal(3, 2, len(across))]
    records = make_records([{"given_key": f"anna{number}", "family_key": "kim"} for number in range(n)])
    pairs = [
        (f"r:{one:06d}", f"r:{other:06d}", float(weight))
        for (one, other), weight in zip([*inside, *sorted(across)], bits, strict=True)
    ]
    links, scores = make_links(*[pair for pair in pairs if pair[2] > 1.2]), make_scores(*pairs)
    members = resolve_entities(records, links, scores).members
    return LinkedBatch(records, scores, link_records(records).scores.model, links, members)


def batch_of(
    weighted: list[tuple[int, int, float]], n: int, decisions: pa.Table | None = None
) -> LinkedBatch:
    """Records and scored pairs between them; those of a weight above 1.2 bits are links."""
    records = make_records([{"given_key": "anna", "family_key": "kim"} for _ in range(n)])
    pairs = [(IDS[one], IDS[other], bits) for one, other, bits in weighted]
    links = make_links(*[pair for pair in pairs if pair[2] > 1.2])
    members = resolve_entities(records, links, make_scores(*pairs), decisions=decisions).members
    model = link_records(records).scores.model
    return LinkedBatch(records, make_scores(*pairs), model, links, members, decisions=decisions)


def decide(*pairs: tuple[str, str], is_match: bool = False) -> pa.Table:
    return PAIR_DECISIONS.from_columns(
        left_id=[one for one, _ in pairs],
        right_id=[other for _, other in pairs],
        is_match=[is_match] * len(pairs),
        decided_by=["anna"] * len(pairs),
        decided_at=[NO_ONE_YET] * len(pairs),
    )


def parts_of(members: pa.Table, ids: set[str]) -> Parts:
    by_entity = defaultdict(list)
    for row in members.to_pylist():
        if row["record_id"] in ids:
            by_entity[row["entity_id"]].append(row["record_id"])
    return tuple(sorted((tuple(sorted(found)) for found in by_entity.values()), key=lambda f: (-len(f), f)))


def without(table: pa.Table, *ids: str) -> pa.Table:
    """The table without pairs that any, or both, of one or two records are in."""
    left, right = (pc.is_in(table[side], value_set=pa.array(ids)) for side in ("left_id", "right_id"))
    return table.filter(pc.invert((pc.or_ if len(ids) == 1 else pc.and_)(left, right)))


def several(batch: LinkedBatch, least: int) -> list[EntityExplanation]:
    sizes = batch.members.group_by("entity_id").aggregate([("record_id", "count")]).to_pylist()
    ids = sorted(row["entity_id"] for row in sizes if row["record_id_count"] >= least)
    told = [explain_entity(batch, entity_id) for entity_id in ids[:15]]
    assert sum(weak.without is not None for one in told for weak in one.weakest) >= 10
    return told


def test_what_is_supposed_of_an_entity_is_what_becomes_of_it(groups: LinkedBatch) -> None:
    for told in several(groups, 3):
        ids = {member.record_id for member in told.members}
        for weak in (weak for weak in told.weakest if weak.without is not None):
            pair = weak.left_id, weak.right_id
            links, scores = without(groups.links, *pair), without(groups.scores, *pair)
            assert weak.without == parts_of(resolve_entities(groups.records, links, scores).members, ids)
            decided = resolve_entities(groups.records, groups.links, groups.scores, decisions=decide(pair))
            assert weak.if_apart == parts_of(decided.members, ids)


def test_pillars_are_the_records_that_hold_the_others_together(groups: LinkedBatch) -> None:
    for told in [told for told in several(groups, 3) if told.pillars is not None][:5]:
        ids = {member.record_id for member in told.members}
        found = {}
        for name in sorted(ids):
            records = groups.records.filter(pc.not_equal(groups.records["record_id"], name))
            links, scores = without(groups.links, name), without(groups.scores, name)
            parts = parts_of(resolve_entities(records, links, scores).members, ids - {name})
            found |= {name: parts} if len(parts) > 1 else {}
        assert {pillar.record_id: pillar.parts for pillar in told.pillars or ()} == found


def test_a_record_between_two_groups_is_their_pillar() -> None:
    batch = batch_of([(0, 1, 9.0), (0, 2, 9.0), (1, 2, 9.0), (2, 3, 9.0), (2, 4, 9.0), (3, 4, 9.0)], 5)
    dense = replace(batch, params=ExplanationParams(max_cut_members=5))
    told = explain_entity(dense, batch_name(batch))
    assert told.pillars is not None
    assert [(pillar.record_id, pillar.parts) for pillar in told.pillars] == [
        (IDS[2], ((IDS[0], IDS[1]), (IDS[3], IDS[4])))
    ]
    small = explain_entity(replace(batch, params=ExplanationParams(max_cut_members=4)), told.entity_id)
    assert small.pillars is None
    assert all(weak.without is None for weak in small.weakest)


def test_a_link_less_is_not_always_a_split() -> None:
    told = explain_entity(batch := batch_of([(0, 1, 9.0), (1, 2, 8.0), (0, 2, 7.0)], 3), batch_name(batch))
    weak = told.weakest[0]
    assert weak.without == (tuple(IDS[:3]),)
    assert weak.if_apart == ((IDS[0], IDS[1]), (IDS[2],))
    assert "all would stay one" in weak.sentence
    assert told.pillar_sentences == ("Without any one of its records, the others would stay one.",)


def batch_name(batch: LinkedBatch) -> str:
    return batch.entities_of([IDS[0]])[IDS[0]]


def test_what_other_decisions_forbid_is_not_supposed() -> None:
    tied = decide(*pairwise(IDS[:3]), is_match=True)
    batch = batch_of([(0, 1, 9.0), (1, 2, 8.0), (0, 2, 7.0)], 3, tied)
    weak = next(w for w in explain_entity(batch, batch_name(batch)).weakest if w.left_id == IDS[0])
    assert weak.without == (tuple(IDS[:3]),)
    assert weak.if_apart is not None  # the decision on the pair itself is what is supposed otherwise
    tied = decide((IDS[0], IDS[1]), (IDS[0], IDS[2]), (IDS[1], IDS[2]), is_match=True)
    batch = batch_of([(0, 1, 9.0), (1, 2, 8.0), (0, 2, 7.0)], 3, tied)
    weak = explain_entity(batch, batch_name(batch)).weakest[0]
    assert weak.if_apart is None
    assert "decided" not in weak.sentence


def test_an_entity_that_the_tables_do_not_give_is_not_supposed_about() -> None:
    batch = batch_of([(0, 1, 9.0), (1, 2, 8.0), (0, 2, 7.0)], 4)
    members = ENTITY_MEMBERS.from_columns(record_id=IDS[:4], entity_id=["e"] * 4)
    assert find_neighbourhood(batch, IDS[:3]) is not None
    assert find_neighbourhood(replace(batch, members=members), IDS[:4]) is None
    assert explain_entity(replace(batch, members=members), "e").pillars is None


def test_one_of_many_copies_holds_nothing_together() -> None:
    """They are compared with the first of them only, but without it another would be the first."""
    anna = {
        "given_key": "anna",
        "family_key": "kim",
        "birth_date": date(1980, 1, 1),
        "phones": ["+77010000001"],
    }
    records = make_records(
        [anna | ({"emails": ["anna@mail.kz"]} if number % 2 else {}) for number in range(40)]
    )
    linked = link_records(records)
    tables = linked.scores.scores, linked.scores.model, linked.links, linked.resolved.members
    batch = LinkedBatch(records, *tables)
    told = explain_entity(batch, batch_name(batch))
    assert len(told.members) == 40
    assert told.pillars == ()
    rest = link_records(records.slice(1)).resolved.members
    assert len(set(rest["entity_id"].to_pylist())) == 1


def test_many_parts_are_told_in_few_words() -> None:
    assert (
        say_parts((("a", "b", "c"), ("d",), ("e",)))
        == "they would fall into 3 parts, the largest of 3 records"
    )
    assert say_parts((("a", "b", "c"), ("d", "e"))) == "d and e would part from the rest"
