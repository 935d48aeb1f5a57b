"""Review over HTTP: what is asked, who may decide, and what is answered when it cannot be."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi.testclient import TestClient

from serving.app import create_app
from serving.ports import Ports
from terag_pipelines.linking.model import ENTITY_MEMBERS, PAIR_SCORES, REVIEW_QUEUE
from terag_pipelines.security.roles import Role
from terag_pipelines.tuning.model import GRAPH_READINGS
from tests.serving.test_routes import PEPPER, FakeGraph, FakeInvoices, FakeKeys, FakeTables, key_of
from tests.unit.linking.memory_reviews import MemoryReviews

N = 4
LEFT, RIGHT = [f"crm:{n}" for n in range(N)], [f"people:{n}/a b" for n in range(N)]
PAIR = {"left_id": LEFT[0], "right_id": RIGHT[0]}


class Tables(FakeTables):
    kept = {  # noqa: RUF012 - a fake
        REVIEW_QUEUE.name: REVIEW_QUEUE.from_columns(
            left_id=LEFT,
            right_id=RIGHT,
            rank=[2, 1, 4, 3],
            left_entity_id=[f"ent_{n}" for n in range(N)],
            right_entity_id=[f"ent_1{n}" for n in range(N)],
            link_probability=[0.5] * N,
            is_calibrated=[True] * N,
            match_weight=[0.0] * N,
            pattern=["given_name:exact"] * N,
            question=["join"] * N,
            uncertainty_bits=[1.0] * N,
            impact=[6, 9, 1, 4],
            priority=[6.0, 9.0, 1.0, 4.0],
            reason=["50% likely to match"] * N,
        ),
        PAIR_SCORES.name: PAIR_SCORES.from_columns(
            left_id=LEFT,
            right_id=RIGHT,
            pattern=["given_name:exact"] * N,
            match_weight=[0.0] * N,
            match_probability=[0.5] * N,
        ),
        ENTITY_MEMBERS.name: ENTITY_MEMBERS.from_columns(
            record_id=[*LEFT, *RIGHT],
            entity_id=[*(f"ent_{n}" for n in range(N)), *(f"ent_1{n}" for n in range(N))],
        ),
    }


@pytest.fixture
def ports() -> Ports:
    return Ports(
        FakeGraph(),
        Tables(),
        FakeKeys(),
        FakeInvoices(),
        lambda _: b"",
        PEPPER,
        MemoryReviews(),
        GRAPH_READINGS.empty,
    )


class Desk:
    """A client that asks with the key of a role."""

    def __init__(self, ports: Ports, role: Role = Role.ANALYST) -> None:
        self.client = TestClient(create_app(ports), raise_server_exceptions=False)
        self.headers = key_of(ports, role)

    def get(self, path: str = "", **params: Any) -> Any:
        return self.client.get(f"/v1/reviews{path}", params=params, headers=self.headers)

    def decide(self, is_match: Any = True, key: str | None = None, **body: Any) -> Any:
        headers = self.headers | ({"Idempotency-Key": key} if key else {})
        content = PAIR | {"is_match": is_match} | body
        return self.client.post("/v1/reviews/decisions", json=content, headers=headers)

    def undo(self, decision_id: str) -> Any:
        return self.client.delete(f"/v1/reviews/decisions/{decision_id}", headers=self.headers)


@pytest.fixture
def desk(ports: Ports) -> Desk:
    return Desk(ports)


@pytest.mark.parametrize("role", Role)
def test_analysts_read_and_decide_others_do_not(ports: Ports, role: Role) -> None:
    desk = Desk(ports, role)
    may = role in (Role.ANALYST, Role.ADMIN)
    assert desk.get().status_code == (200 if may else 403)
    assert desk.get("/pair", **PAIR).status_code == (200 if may else 403)
    assert desk.get("/history", **PAIR).status_code == (200 if may else 403)
    decided = desk.decide()
    assert decided.status_code == (201 if may else 403)
    known = decided.json().get("decision_id", "1")
    assert desk.undo(known).status_code == (200 if may else 403)


def test_without_a_key_nothing_is_answered_or_stored(ports: Ports) -> None:
    desk = Desk(ports)
    desk.headers = {}
    answers = [
        desk.get(),
        desk.get("/pair", **PAIR),
        desk.get("/history", **PAIR),
        desk.decide(),
        desk.undo("1"),
    ]
    assert {answer.status_code for answer in answers} == {401}
    assert ports.reviews.entries().num_rows == 0


def test_questions_come_by_rank_page_by_page(desk: Desk) -> None:
    first, second = desk.get(limit=3).json(), desk.get(limit=3, offset=3).json()
    assert [row["rank"] for page in (first, second) for row in page["reviews"]] == [1, 2, 3, 4]
    assert (first["n_reviews"], first["next_offset"], second["next_offset"]) == (4, 3, None)


def test_a_decided_pair_leaves_the_list_and_comes_back_when_it_is_undone(desk: Desk) -> None:
    decided = desk.decide(is_match=False, note="two brothers").json()
    assert [row["rank"] for row in desk.get().json()["reviews"]] == [1, 3, 4]
    pair = desk.get("/pair", left_id=RIGHT[0], right_id=LEFT[0]).json()
    assert (pair["decision"], pair["review"]["rank"]) == (decided, 2)
    assert (pair["left_entity_id"], pair["right_entity_id"]) == ("ent_0", "ent_10")

    undo = desk.undo(decided["decision_id"]).json()
    assert (undo["is_match"], undo["undoes"]) == (None, decided["decision_id"])
    assert desk.undo(decided["decision_id"]).json() == undo
    assert [row["rank"] for row in desk.get().json()["reviews"]] == [1, 2, 3, 4]
    assert desk.get("/pair", **PAIR).json()["decision"] is None
    assert desk.get("/history", **PAIR).json()["entries"] == [decided, undo]


def test_who_decided_is_the_key_whatever_the_body_says(desk: Desk) -> None:
    decided = desk.decide().json()
    assert decided["decided_by"] == f"key:{desk.headers['X-API-Key'].split('_')[1]}"
    assert desk.decide(decided_by="Anna").status_code == 422
    assert desk.undo(decided["decision_id"]).json()["decided_by"] == decided["decided_by"]


def test_a_retry_is_stored_once_and_the_key_of_another_caller_is_another(ports: Ports, desk: Desk) -> None:
    first = desk.decide(key="k1").json()
    assert desk.decide(key="k1").json() == first
    assert Desk(ports, Role.ADMIN).decide(key="k1").json()["position"] == 2
    assert ports.reviews.entries().num_rows == 2
    other = desk.decide(is_match=False, key="k1")
    assert (other.status_code, other.json()["error"]) == (409, "DecisionReusedError")


def test_the_later_of_two_callers_stands(ports: Ports, desk: Desk) -> None:
    desk.decide()
    Desk(ports, Role.ADMIN).decide(is_match=False)
    assert desk.get("/pair", **PAIR).json()["decision"]["is_match"] is False
    assert len(desk.get("/history", **PAIR).json()["entries"]) == 2


def test_a_contradiction_is_a_conflict_that_names_the_decisions(desk: Desk) -> None:
    assert desk.decide(right_id=LEFT[1]).status_code == 201
    assert desk.decide(left_id=LEFT[1], right_id=LEFT[2]).status_code == 201
    answer = desk.decide(is_match=False, right_id=LEFT[2])
    assert (answer.status_code, answer.json()["error"]) == (409, "DecisionClashError")
    assert "crm:0 = crm:1, crm:1 = crm:2" in answer.json()["detail"]
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    ("body", "status", "error"),
    [
        ({"right_id": LEFT[0]}, 422, "DecisionError"),
        ({"right_id": "crm:gone"}, 404, "NotFoundError"),
        ({"note": "a\x00b"}, 422, "DecisionError"),
        ({"note": "n" * 1001}, 422, None),
        ({"is_match": "yes"}, 422, None),
        ({"right_id": "r" * 501}, 422, None),
    ],
)
def test_what_cannot_be_decided_is_a_problem(
    ports: Ports, desk: Desk, body: dict[str, Any], status: int, error: str | None
) -> None:
    answer = desk.decide(**body)
    assert (answer.status_code, answer.json().get("error")) == (status, error)
    assert answer.headers["content-type"] == "application/problem+json"
    assert ports.reviews.entries().num_rows == 0


def test_text_that_is_no_unicode_is_refused(ports: Ports, desk: Desk) -> None:
    body = '{"left_id": "crm:\\ud800", "right_id": "crm:1", "is_match": true}'
    headers = desk.headers | {"Content-Type": "application/json"}
    answer = desk.client.post("/v1/reviews/decisions", content=body, headers=headers)
    assert answer.status_code == 422
    assert ports.reviews.entries().num_rows == 0


def test_what_is_not_there_is_404(desk: Desk) -> None:
    assert desk.undo("no-such-decision").status_code == 404
    assert desk.get("/pair", left_id="crm:0", right_id="crm:99").status_code == 404
    assert desk.get("/history", left_id="crm:0", right_id="crm:99").json() == {"entries": []}


def test_a_pair_that_was_never_compared_is_a_pair_all_the_same(desk: Desk) -> None:
    answer = desk.get("/pair", left_id=LEFT[0], right_id=LEFT[1]).json()
    assert (answer["pattern"], answer["match_weight"], answer["review"]) == (None, None, None)
    assert (answer["left_entity_id"], answer["right_entity_id"]) == ("ent_0", "ent_1")


def test_the_documentation_describes_every_call(desk: Desk) -> None:
    paths = desk.client.get("/openapi.json").json()["paths"]
    own = [call for path, calls in paths.items() if path.startswith("/v1/reviews") for call in calls.values()]
    assert len(own) == 5
    assert all(call["description"] for call in own)
