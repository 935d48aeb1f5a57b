"""Every domain error has an HTTP status, and every error is answered with problem details."""

from __future__ import annotations

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from serving.errors import STATUSES, answer_with_problems
from terag_pipelines import errors


def tree(root: type[errors.TeragError]) -> set[type[errors.TeragError]]:
    return {root}.union(*(tree(child) for child in root.__subclasses__()))


def test_every_domain_error_has_a_status() -> None:
    assert tree(errors.TeragError) == set(STATUSES)


@pytest.fixture
def client() -> TestClient:
    app = FastAPI()
    answer_with_problems(app)

    @app.get("/fails/{name}")
    def fail(name: str, n: int = 0) -> None:
        raise getattr(errors, name)("said plainly") if hasattr(errors, name) else KeyError("secret detail")

    return TestClient(app, raise_server_exceptions=False)


@pytest.mark.parametrize("error", sorted(STATUSES, key=lambda e: e.__name__))
def test_an_error_is_a_problem_with_its_status(client: TestClient, error) -> None:
    answer = client.get(f"/fails/{error.__name__}")
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json() == {
        "type": "about:blank",
        "title": STATUSES[error].phrase,
        "status": answer.status_code,
        "detail": "said plainly",
        "instance": f"/fails/{error.__name__}",
        "error": error.__name__,
    }


def test_an_unknown_failure_tells_nothing_of_its_inside(client: TestClient) -> None:
    answer = client.get("/fails/nothing")
    assert answer.status_code == 500
    assert "secret" not in answer.text


def test_a_wrong_request_is_told_where_and_not_what(client: TestClient) -> None:
    answer = client.get("/fails/TeragError", params={"n": "4111-secret"})
    assert answer.json()["errors"][0]["where"] == "query.n"
    assert "4111" not in answer.text


def test_an_unknown_path_is_a_problem(client: TestClient) -> None:
    assert client.get("/nowhere").json()["title"] == "Not Found"
    assert client.get("/nowhere").headers["content-type"] == "application/problem+json"


def test_a_wrong_method_is_told_the_right_one(client: TestClient) -> None:
    answer = client.post("/fails/TeragError")
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET")
    assert answer.headers["content-type"] == "application/problem+json"
