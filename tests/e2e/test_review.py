"""A pair is decided by command and another over HTTP: the next run holds to both, and can be taken back."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import pytest

from tests.e2e.installation import Installation
from tests.e2e.test_main_job import digests, served, stage

pytestmark = pytest.mark.stores


def told(installation: Installation, *arguments: str) -> Any:
    done = installation.command("review", *arguments, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@dataclass(frozen=True)
class Decided:
    """Two pairs that were decided, and the run that came after."""

    pairs: tuple[tuple[str, str], tuple[str, str]]
    after: dict[str, Any]


@pytest.fixture(scope="module")
def decided(installation: Installation, second: dict[str, Any]) -> Decided:
    queue = told(installation, "list", "--limit", "1000")
    joins = [row for row in queue["reviews"] if row["question"] == "join"]
    one, other = ((row["left_id"], row["right_id"]) for row in joins[:2])
    told(installation, "decide", *one, "--different", "--by", "Anna")
    with served(installation) as client:
        body = {"left_id": other[0], "right_id": other[1], "is_match": True}
        assert client.post("/v1/reviews/decisions", json=body).status_code == 201
        assert client.get("/v1/reviews").json()["n_reviews"] == queue["n_reviews"] - 2
    return Decided((one, other), installation.run())


def test_decisions_hold_from_the_next_run_on(
    installation: Installation, second: dict[str, Any], decided: Decided
) -> None:
    before, after = second, decided.after
    assert stage(after, "Link")["rows_in"]["pair_decisions"] == 2
    left = {
        (row["left_id"], row["right_id"]) for row in told(installation, "list", "--limit", "1000")["reviews"]
    }
    assert not left & set(decided.pairs)
    changed = {name for name, digest in digests(after).items() if digests(before)[name] != digest}
    assert {"pair_decisions", "review_queue", "link_calibrators"} <= changed
    assert not changed & {"entity_records", "candidate_pairs", "pair_scores", "invoices"}


def served_batch(installation: Installation) -> str:
    done = installation.command("graph", "status", "--json")
    assert done.returncode == 0, done.stderr
    primary, backup = json.loads(done.stdout)
    assert (primary["drift"], backup["drift"]) == ([], [])
    assert (primary["role"], backup["role"]) == ("primary", "backup")
    return str(primary["batch_id"])


def test_the_batch_before_is_served_again_and_then_this_one(
    installation: Installation, decided: Decided
) -> None:
    newest = served_batch(installation)
    assert installation.command("graph", "rollback").returncode == 0
    before = served_batch(installation)
    assert before != newest
    refused = installation.command("graph", "rollback")
    assert (refused.returncode, "no batch from before" in refused.stderr) == (1, True)
    assert installation.command("graph", "promote", newest).returncode == 0
    assert served_batch(installation) == newest
