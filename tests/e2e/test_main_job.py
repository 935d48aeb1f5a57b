"""The main job from a folder of files to invoices and a REST service, by the command that a user types."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from resources.processes import choose_port
from resources.table_registry import TABLES
from tests.e2e.installation import TERAG, Installation

pytestmark = pytest.mark.stores
STEPS = [
    "pair decisions",
    "source tables",
    "candidate pairs",
    "scored pairs",
    "link calibrators",
    "links",
    "resolved entities",
    "review queue",
    "graph load",
    "ring scores",
    "ring calibrators",
    "calibrators",
    "named rings",
    "ring alerts",
    "fitted twins",
    "promoted batch",
    "alert queue",
    "index trials",
    "graph health",
    "usage totals",
    "rated usage",
    "issued invoices",
]
STAGES = [
    "Ingest",
    "Link",
    "Calibrate",
    "Load graph",
    "Find rings",
    "Twin",
    "Promote",
    "Alert",
    "Tune indexes",
    "Invoice",
]


def digests(outcome: dict[str, Any]) -> dict[str, str]:
    return {
        name: digest
        for name, digest in outcome["digests"].items()
        if name not in TABLES or TABLES[name].digested
    }


def stage(outcome: dict[str, Any], name: str) -> dict[str, Any]:
    return next(stage for stage in outcome["stages"] if stage["stage"] == name)


def test_every_stage_computes_something(first: dict[str, Any]) -> None:
    assert {one["stage"] for one in first["stages"]} == set(STAGES)
    for name in ("Ingest", "Link", "Load graph", "Find rings", "Twin", "Invoice"):
        assert all(n > 0 for table, n in stage(first, name)["rows"].items() if table not in MAY_BE_EMPTY), (
            name
        )


MAY_BE_EMPTY = {"quarantined_rows", "party_events", "ring_alerts"}


def test_the_truth_is_scored_against(first: dict[str, Any]) -> None:
    f1 = float(re.search(r"pairwise F1 ([\d.]+)", stage(first, "Link")["scores"]["entities"])[1])  # type: ignore[index]
    assert f1 > 0.9
    assert stage(first, "Invoice")["scores"]


def test_a_second_run_changes_nothing(first: dict[str, Any], second: dict[str, Any]) -> None:
    assert digests(second) == digests(first)
    assert "no new nodes" in stage(second, "Load graph")["notes"]["graph_load"]
    assert stage(second, "Invoice")["notes"]["invoices"].startswith("0 new")
    assert stage(second, "Invoice")["rows"] == stage(first, "Invoice")["rows"]


def test_a_run_killed_again_and_again_is_made_good_by_the_next(
    installation: Installation, first: dict[str, Any], tmp_path: Path
) -> None:
    _kill_and_mend(("scored pairs", "graph load"), 0.1, installation, first, tmp_path)


@pytest.mark.torture
@pytest.mark.parametrize("n", range(100))
@pytest.mark.parametrize("step", STEPS)
def test_a_run_killed_anywhere_in_any_step_is_made_good(
    step: str, n: int, installation: Installation, first: dict[str, Any], tmp_path: Path
) -> None:
    _kill_and_mend((step,), random.Random(f"{step}{n}").uniform(0, 3), installation, first, tmp_path)


def _kill_and_mend(
    steps: Sequence[str], delay: float, installation: Installation, first: dict[str, Any], folder: Path
) -> None:
    other = Installation(folder / "home", installation.source)
    for step in steps:
        other.run_until_killed_in(step, delay)
    assert _without_secrets(other.run()) == _without_secrets(first)


def test_a_killed_run_leaves_the_previous_batch_served(
    installation: Installation, second: dict[str, Any], other_bank: Path
) -> None:
    before = installation.promoted()
    newcomer = Installation(installation.home, other_bank)
    newcomer.run_until_killed_in("named rings")
    assert before
    assert installation.promoted() == before


def _without_secrets(outcome: dict[str, Any]) -> dict[str, str]:
    """Digests that do not depend on the installation's own secret (hashed identifiers in the graph)."""
    return {name: digest for name, digest in digests(outcome).items() if name != "graph_load"}


def test_no_personal_data_reaches_the_event_log(installation: Installation, first: dict[str, Any]) -> None:
    """Names and IINs of the bank are nowhere in what Dagster stored of the runs."""
    import gzip

    people = next(installation.source.rglob("people.csv.gz"))
    rows = gzip.decompress(people.read_bytes()).decode().splitlines()
    iin = {value for row in rows[1:200] for value in row.split(",") if re.fullmatch(r"\d{12}", value)}
    stored = b"".join(p.read_bytes() for p in (installation.home / "dagster").rglob("*") if p.is_file())
    assert iin
    assert not [value for value in iin if value.encode() in stored]


@contextmanager
def served(installation: Installation) -> Iterator[httpx.Client]:
    import subprocess
    import time

    port = choose_port(None)
    log = installation.home / "serve.log"
    with log.open("wb") as told:
        process = subprocess.Popen(
            [*TERAG, "serve"], env=installation.environment(TERAG_API_PORT=str(port)), stderr=told
        )
    try:
        key = installation.command("keys", "create", "--name", "test", "--role", "admin").stdout.strip()
        base = f"http://127.0.0.1:{port}"
        with httpx.Client(base_url=base, headers={"X-API-Key": key}, timeout=10) as client:
            deadline = time.monotonic() + 90
            while process.poll() is None and time.monotonic() < deadline:
                try:
                    if client.get("/readyz").status_code == 200:
                        break
                except httpx.HTTPError:
                    time.sleep(0.2)
            assert process.poll() is None, log.read_text()[-1500:]
            yield client
    finally:
        process.terminate()
        process.wait(30)


def test_the_service_answers_over_the_promoted_batch(
    installation: Installation, second: dict[str, Any]
) -> None:
    with served(installation) as client:
        rings = client.get("/v1/rings").json()
        ring = client.get(f"/v1/rings/{rings['rings'][0]['ring_id']}").json()
        member = client.get(f"/v1/entities/{ring['members'][0]['entity_id']}").json()
        assert len(ring["members"]) == ring["n_members"] >= 3
        assert member["records"]
        assert client.get("/v1/rings", headers={"X-API-Key": "nothing"}).status_code == 401
        assert client.get("/v1/entities/ent_nobody").status_code == 404


def test_a_misspelt_month_is_named(installation: Installation) -> None:
    done = installation.command("run", "--month", "2026-13")
    assert done.returncode == 1
    assert "2026-13" in done.stderr
