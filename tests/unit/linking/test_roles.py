"""Parties that belong together without being one."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

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
