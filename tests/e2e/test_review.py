"""A pair is decided by command and another over HTTP: the next run holds to both."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.e2e.installation import Installation
from tests.e2e.test_main_job import digests, served, stage

pytestmark = [pytest.mark.stores, pytest.mark.xdist_group("e2e")]


def told(installation: Installation, *arguments: str) -> Any:
    done = installation.command("review", *arguments, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_decisions_hold_from_the_next_run_on(installation: Installation, second: dict[str, Any]) -> None:
    before = second
    queue = told(installation, "list", "--limit", "1000")
    joins = [row for row in queue["reviews"] if row["question"] == "join"]
    one, other = ((row["left_id"], row["right_id"]) for row in joins[:2])
    told(installation, "decide", *one, "--different", "--by", "Anna")
    with served(installation) as client:
        body = {"left_id": other[0], "right_id": other[1], "is_match": True}
        assert client.post("/v1/reviews/decisions", json=body).status_code == 201
        assert client.get("/v1/reviews").json()["n_reviews"] == queue["n_reviews"] - 2

    after = installation.run()
    assert stage(after, "Link")["rows_in"]["pair_decisions"] == 2
    left = {
        (row["left_id"], row["right_id"]) for row in told(installation, "list", "--limit", "1000")["reviews"]
    }
    assert not left & {one, other}
    changed = {name for name, digest in digests(after).items() if digests(before)[name] != digest}
    assert {"pair_decisions", "review_queue", "link_calibrators"} <= changed
    assert not changed & {"entity_records", "candidate_pairs", "pair_scores", "invoices"}
