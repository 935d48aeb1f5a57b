"""Parties that belong together without being one."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from terag_pipelines.entities.names import split_organisation_name
from terag_pipelines.linking.explanation import LinkedBatch
from terag_pipelines.linking.explanation_pairs import explain_pair
from terag_pipelines.linking.model import ENTITY_MEMBERS
from terag_pipelines.linking.pipeline import link_records
from terag_pipelines.linking.roles import find_roles, unit_of_organisation
from tests.unit.linking.records import make_records

IIN = "880614300129"
HEAD, BRANCH = "150140012343", "150141012340"
OWNER = {"given_key": "nurlan", "family_key": "ibraev", "iin": IIN, "phones": ["+77010000001"]}
TRADER = {
    "party_type": "organisation",
    "organisation_key": "ibraev nurlan",
    "legal_form": "ip",
    "iin": IIN,
    "phones": ["+77010000001"],
}
FIRM = {"party_type": "organisation", "organisation_key": "romashka", "phones": ["+77270000001"]}


def roles_of(rows: list[dict[str, Any]]) -> tuple[pa.Table, list[str]]:
    records = make_records(rows)
    members = link_records(records).members
    return find_roles(records, members), members["entity_id"].to_pylist()


def test_a_sole_trader_is_a_role_of_its_owner_and_no_merger() -> None:
    roles, entities = roles_of([OWNER, OWNER, TRADER])
    assert entities[0] == entities[1] != entities[2]
    (role,) = roles.to_pylist()
    assert (role["entity_id"], role["object_entity_id"]) == (entities[2], entities[0])
    assert (role["role"], role["basis"], role["record_id"]) == ("sole_trader_of", "iin", "r:000002")


def test_head_office_and_branch_stay_apart_and_the_branch_says_whose_it_is() -> None:
    firm = FIRM | {"bin": HEAD, "legal_form": "too"}
    for branch in (FIRM | {"bin": BRANCH}, FIRM | {"legal_form": "branch"}):
        roles, entities = roles_of([firm, firm, branch])
        assert entities[0] == entities[1] != entities[2]
        (role,) = roles.to_pylist()
        assert (role["entity_id"], role["role"], role["object_entity_id"]) == (
            entities[2],
            "branch_of",
            entities[0],
        )


def test_a_branch_of_one_of_two_namesakes_is_nobodys() -> None:
    other = FIRM | {"bin": "150140012353", "phones": ["+77270000009"]}
    roles, _ = roles_of([FIRM | {"bin": HEAD}, other, FIRM | {"legal_form": "branch"}])
    assert roles.num_rows == 0


def test_the_unit_comes_from_the_bin_before_the_name() -> None:
    rows = [FIRM | {"bin": HEAD, "legal_form": "branch"}, FIRM | {"bin": BRANCH}, FIRM, {"given_key": "anna"}]
    assert unit_of_organisation(make_records(rows)).to_pylist() == ["head", "branch", None, None]


def named(text: str, **more: Any) -> dict[str, Any]:
    """A firm by its whole name, at one telephone that all share."""
    key, form = split_organisation_name(text)
    return FIRM | {"organisation_key": key, "name_key": key, "legal_form": form} | more


HEAD_OFFICE = named("ТОО Ромашка")
OF_ALMATY = (
    "Филиал ТОО «Ромашка» в г. Алматы",
    "Алматинский филиал ТОО Ромашка",
    "Romashka LLP, Almaty branch",
    "«Ромашка» ЖШС-нің Алматы қаласындағы филиалы",
)


@pytest.mark.parametrize("text", ["Филиал ТОО Ромашка", "ТОО Ромашка, филиал", *OF_ALMATY])
@pytest.mark.parametrize("n", [1, 20])
def test_a_branch_without_a_bin_is_a_role_of_its_head_office_and_no_merger(text: str, n: int) -> None:
    roles, entities = roles_of([HEAD_OFFICE] * n + [named(text)] * n)
    assert (len(set(entities[:n])), len(set(entities[n:]))) == (1, 1)
    assert entities[0] != entities[n]
    (role,) = roles.to_pylist()
    told = (role["entity_id"], role["role"], role["object_entity_id"])
    assert told == (entities[n], "branch_of", entities[0])


def test_one_branch_under_several_spellings_is_one_entity() -> None:
    _, entities = roles_of([HEAD_OFFICE, *map(named, OF_ALMATY)])
    assert len(set(entities[1:])) == 1


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (named("Филиал ТОО Ромашка в г. Алматы"), named("Филиал ТОО Ромашка в г. Астана")),
        (named("Филиал ТОО Ромашка", locality="almati"), named("Филиал ТОО Ромашка", locality="shimkent")),
        (named("Romashka", bin=BRANCH, locality="almati"), named("Ромашка, филиал", locality="astana")),
    ],
    ids=["by name", "by address", "one by its BIN"],
)
def test_branches_in_two_towns_are_two(one: dict[str, Any], other: dict[str, Any]) -> None:
    roles, entities = roles_of([HEAD_OFFICE | {"bin": HEAD}, one, other])
    assert len(set(entities)) == 3
    assert sorted(roles["entity_id"].to_pylist()) == sorted(entities[1:])


def test_records_of_one_bin_are_one_whichever_of_them_says_branch() -> None:
    for number in (HEAD, BRANCH):
        _, entities = roles_of([FIRM | {"bin": number}, named("Филиал ТОО Ромашка", bin=number)])
        assert entities[0] == entities[1]


def test_a_head_office_by_its_bin_goes_before_its_namesake() -> None:
    records = make_records([HEAD_OFFICE | {"bin": HEAD}, HEAD_OFFICE, named("Филиал ТОО Ромашка")])
    members = ENTITY_MEMBERS.from_columns(
        record_id=records["record_id"], entity_id=["head", "namesake", "branch"], link_probability=[None] * 3
    )
    assert find_roles(records, members)["object_entity_id"].to_pylist() == ["head"]


def test_it_is_said_why_a_branch_is_not_its_head_office() -> None:
    linked = link_records(make_records([HEAD_OFFICE, named("Филиал ТОО Ромашка")]))
    batch = LinkedBatch(
        linked.ordered, linked.scores.scores, linked.scores.model, linked.links, linked.members
    )
    told = explain_pair(batch, "r:000000", "r:000001")
    assert told.decision == "forbidden"
    assert told.reason == "one is named as a branch, the other as the company itself"
