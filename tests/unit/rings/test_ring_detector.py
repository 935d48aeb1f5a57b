"""The ring finder on its own: planted rings are found, hostile graphs are handled, the same comes out."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pytest

from terag_pipelines.errors import RingError
from terag_pipelines.rings.communities import CommunityParams
from terag_pipelines.rings.detection import RingParams
from terag_pipelines.rings.edge_reading import EdgeParams
from terag_pipelines.rings.findings import DetectorParams
from terag_pipelines.rings.found_tables import MEMBERSHIPS, RINGS
from terag_pipelines.rings.ring_detector import FoundRings, FraudRingDetector
from terag_pipelines.tables import digest
from tests.unit.rings.edge_worlds import (
    DENSE,
    listed_people,
    node,
    nodes,
    plain_ties,
    transfers,
    world_with_rings,
)
from tests.unit.rings.worlds import CYCLE, FAN_IN, World


def find(edges: pa.Table, *others: pa.Table | None) -> FoundRings:
    return FraudRingDetector().find(edges, *others)


def overlap(ring: dict[str, Any], members: list[int]) -> float:
    found, planted = set(ring["members"]), nodes(members)
    return len(found & planted) / len(found | planted)


@pytest.fixture(scope="module")
def planted() -> FoundRings:
    return find(transfers(world_with_rings()), listed_people())


@pytest.fixture(scope="module")
def tied() -> FoundRings:
    return find(plain_ties())


def test_a_circle_and_a_collector_with_mules_are_found(planted: FoundRings) -> None:
    by_kind = {ring["kind"]: ring for ring in planted.rings.to_pylist()}
    assert overlap(by_kind["cycle"], CYCLE) == 1.0
    assert overlap(by_kind["fan_in"], FAN_IN) >= 0.6
    assert "5 members pass money round in a circle" in by_kind["cycle"]["reasons"]
    assert str(by_kind["cycle"]["amount"]) == "1323268.6500"
    assert by_kind["cycle"]["currency"] == "units"
    assert by_kind["cycle"]["inside_share"] > 0.8


def test_a_dense_group_of_plain_ties_is_found(tied: FoundRings) -> None:
    (ring,) = tied.rings.to_pylist()
    assert overlap(ring, DENSE) == 1.0
    assert ring["kind"] == "dense_group"
    assert ring["risk"] > 0.5
    assert (ring["amount"], ring["currency"], ring["first_at"]) == (None, None, None)
    assert ring["density"] == pytest.approx(ring["n_ties"] / 28)
    assert "of the pairs of 8 members are tied" in ring["reasons"][0]


def test_no_ring_is_found_where_none_was_planted() -> None:
    ordinary = find(transfers(World(300).live(900)))
    assert ordinary.rings.num_rows == 0
    assert any("there is no ring" in note for note in ordinary.notes())
    rng = np.random.default_rng(9)
    pairs = rng.integers(0, 400, (800, 2))
    random = find(pa.table({"source": pairs[:, 0], "target": pairs[:, 1]}))
    assert random.rings.num_rows == 0
    assert "There is no ring" in random.report_html()


def test_tables_conform_and_agree(planted: FoundRings) -> None:
    assert planted.memberships.schema == MEMBERSHIPS.schema
    assert planted.rings.schema == RINGS.schema
    members = pl.DataFrame(pl.from_arrow(planted.memberships))
    assert members["node"].is_sorted()
    for ring in planted.rings.to_pylist():
        inside = members.filter(pl.col("ring") == ring["ring"])
        assert inside["node"].to_list() == ring["members"]
        assert set(inside["community"]) == {ring["community"]}
        assert ring["risk"] == pytest.approx(inside["score"].mean())
    assert members.height == planted.report.n_entities
    risks = planted.rings["risk"].to_pylist()
    assert risks == sorted(risks, reverse=True)


def test_three_lines_of_python_take_frames_of_other_libraries() -> None:
    edges = pl.DataFrame(plain_ties())
    found = FraudRingDetector().find(edges)
    assert overlap(found.rings.to_pylist()[0], DENSE) == 1.0


@pytest.mark.parametrize("shuffle", [1, 2])
def test_the_order_of_rows_changes_no_byte(planted: FoundRings, tied: FoundRings, shuffle: int) -> None:
    people = listed_people().take(np.random.default_rng(shuffle).permutation(300))
    again = find(transfers(world_with_rings(), shuffle), people)
    turned = find(plain_ties(shuffle=shuffle))  # and the ends of half of the ties are swapped
    for one, other in ((planted, again), (tied, turned)):
        assert digest(other.memberships) == digest(one.memberships)
        assert other.rings.equals(one.rings)
    assert again.report_html() == planted.report_html()


def test_another_process_gives_the_same_bytes(tied: FoundRings) -> None:
    code = (
        "import hashlib\n"
        "from tests.unit.rings.edge_worlds import plain_ties\n"
        "from terag_pipelines.rings.ring_detector import FraudRingDetector\n"
        "from terag_pipelines.tables import digest\n"
        "found = FraudRingDetector().find(plain_ties())\n"
        "print(digest(found.memberships), hashlib.sha256(found.report_html().encode()).hexdigest())\n"
    )
    root = Path(__file__).parents[3]
    said = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(root)},
            cwd=root,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    page = hashlib.sha256(tied.report_html().encode()).hexdigest()
    assert said == {f"{digest(tied.memberships)} {page}\n"}


# Hostile graphs


def test_an_account_that_trades_with_everyone_is_a_hub_and_ties_nobody() -> None:
    world = world_with_rings()
    edges = transfers(world)
    shop = pa.table(
        {
            "source": ["shop"] * 5_000,
            "target": [node(i) for i in range(5_000)],
            "amount": ["9.99"] * 5_000,
            "time": ["2026-02-01 10:00:00"] * 5_000,
        }
    )
    found = find(pa.concat_tables([edges, shop]), listed_people())
    assert found.graph.hubs.rows() == [("shop", 5_000)]
    assert "1 hub with more than 100 partners, which tie nobody together: shop (5,000)" in found.notes()
    (hub,) = [row for row in found.memberships.to_pylist() if row["node"] == "shop"]
    assert (hub["is_hub"], hub["ring"]) == (True, None)
    assert Counter(found.memberships["community"].to_pylist())[hub["community"]] == 1
    kinds = {ring["kind"]: ring for ring in found.rings.to_pylist()}
    assert overlap(kinds["cycle"], CYCLE) == 1.0
    assert "<td>" in found.report_html()
    assert "shop" in found.report_html()


def test_everything_through_one_hub_leaves_no_tie_and_says_so() -> None:
    found = find(pa.table({"source": ["hub"] * 150, "target": [str(i) for i in range(150)]}))
    assert found.report.n_communities == 151
    assert "no two nodes are tied: all there is goes through hubs" in found.notes()
    assert found.rings.num_rows == 0


def test_a_hub_of_transfers_and_plain_ties_together() -> None:
    n = 80
    edges = pa.table(
        {
            "source": ["hub"] * 2 * n,
            "target": [str(i) for i in range(2 * n)],
            "amount": ["5"] * n + [""] * n,
            "time": ["2026-01-01"] * n + [""] * n,
        }
    )
    found = find(edges)
    assert found.graph.hubs.rows() == [("hub", 2 * n)]
    assert found.report.n_ties == 0


def test_one_giant_component_is_split_and_said_to_be_one() -> None:
    rng = np.random.default_rng(5)
    n = 1_500
    ring = [(i, (i + 1) % n) for i in range(n)]
    more = [tuple(map(int, rng.integers(0, n, 2))) for _ in range(3 * n)]
    edges = pa.table({"source": [a for a, _ in ring + more], "target": [b for _, b in ring + more]})
    coarse = DetectorParams(rings=RingParams(communities=CommunityParams(resolution=1e-9, max_size=200)))
    found = FraudRingDetector(coarse).find(edges)
    assert found.communities.n_split == 1
    assert found.report.largest_community <= 200
    notes = found.notes()
    assert any("one giant component: 1,500 of 1,500 nodes hang together" in note for note in notes)
    assert "1 community of more than 200 nodes split again" in notes


@pytest.mark.parametrize(
    "rows",
    [
        {"source": ["a"], "target": ["b"]},
        {"source": ["a"], "target": ["b"], "amount": ["5"]},
        {"source": ["a"], "target": ["b"], "amount": ["5"], "time": ["2026-01-01"]},
        {"source": ["a", "b"], "target": ["b", "c"], "amount": ["5", ""], "time": ["2026-01-01", ""]},
        {"source": ["a", "a", "a"], "target": ["b", "b", "b"], "amount": ["5", "5", "5"]},
    ],
)
def test_files_of_a_few_rows(rows: dict[str, list[str]]) -> None:
    found = find(pa.table(rows))
    assert found.rings.num_rows == 0
    assert found.memberships.num_rows == len({*rows["source"], *rows["target"]})
    assert found.report_html().startswith("<!doctype html>")
    assert found.summary()["n_rings"] == 0


def test_no_usable_row_is_an_error() -> None:
    with pytest.raises(RingError, match="no row can be used; 1 row in quarantine: target is the source"):
        find(pa.table({"source": ["a"], "target": ["a"]}))


def test_ids_that_look_like_numbers_stay_apart() -> None:
    found = find(pa.table({"source": ["007", "7"], "target": ["7", "0007"]}))
    assert found.memberships["node"].to_pylist() == ["0007", "007", "7"]


# What is known besides


def test_transfers_without_times_are_searched_and_nothing_is_said_of_speed() -> None:
    edges = transfers(world_with_rings()).drop_columns("time")
    found = find(edges, listed_people())
    first, second = found.rings.to_pylist()[:2]
    assert (first["kind"], overlap(first, CYCLE)) == ("cycle", 1.0)
    assert overlap(second, FAN_IN) >= 0.6
    assert (first["first_at"], first["last_at"]) == (None, None)
    assert any(note.startswith("transfers have no times") for note in found.notes())
    told = [
        reason
        for table in (found.memberships, found.rings)
        for row in table["reasons"].to_pylist()
        for reason in row
    ]
    assert told
    assert not [reason for reason in told if "within days" in reason or "at once" in reason]
    page = found.report_html()
    assert "1970" not in page
    assert "timeline of" not in page


def labelled(n_rings: int = 24) -> tuple[pa.Table, pa.Table]:
    world = World(1200).live(3000)
    rings = np.random.default_rng(3).permutation(800).reshape(-1, 5)
    for number, members in enumerate(rings[:n_rings].tolist()):
        for day in (5 + number, 45 + number):
            world.plant_cycle(members, day)
    fraud, cleared = rings[:n_rings].ravel(), rings[n_rings : 7 * n_rings].ravel()
    known = [*fraud.tolist(), *cleared.tolist()]
    outcome = ["1"] * len(fraud) + ["0"] * len(cleared)
    return transfers(world), pa.table({"node": [node(i) for i in known], "fraud": outcome})


def test_enough_labels_train_a_model_where_it_wins_and_too_few_do_not() -> None:
    edges, labels = labelled()
    used = find(edges, None, labels)
    assert used.say_risk().count("a model that learned from") == 1
    assert used.report.n_training_labels > 100
    assert ("better than the anomaly score" in used.say_risk()) == used.report.is_supervised
    assert set(used.rings["is_supervised"].to_pylist()) <= {used.report.is_supervised}
    few = find(edges, None, labels.slice(0, 10))
    assert "too few to learn from, which takes 30 of each" in few.say_risk()
    assert not few.report.is_supervised
    plain = find(edges)
    assert plain.say_risk() == "the stated anomaly score: there are no labels"
    assert digest(plain.memberships) == digest(few.memberships)


def test_nodes_give_names_watchlists_and_who_is_an_outsider(planted: FoundRings) -> None:
    assert any(
        "that the file of nodes does not list: taken for outsiders" in note for note in planted.notes()
    )
    page = planted.report_html()
    assert "Айгүл 10" in page
    watched = pa.table({"node": [node(CYCLE[0])], "watchlist": ["yes"]})
    found = find(transfers(world_with_rings()), watched)
    (ring,) = [ring for ring in found.rings.to_pylist() if ring["kind"] == "cycle"]
    assert ring["n_watchlist"] == 1
    assert not any("outsiders" in note for note in found.notes())


# The page


HOSTILE = ["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "Ә\u202e\x00'&amp;"]


def test_the_page_needs_nothing_else_and_escapes_everything() -> None:
    ends = [*HOSTILE, "d", "e"]
    rows = [(a, b) for at, a in enumerate(ends) for b in ends[at + 1 :]]
    chain = [(f"n{i}", f"n{i + 1}") for i in range(60)]
    edges = pa.table({"<b>from": [a for a, _ in rows + chain], "to": [b for _, b in rows + chain]})
    told = DetectorParams(EdgeParams(fields={"<b>from": "source"}))
    found = FraudRingDetector(told).find(edges)
    assert found.rings["n_members"].to_pylist() == [5]
    page = found.report_html()
    assert "<script" not in page
    assert "<img" not in page
    assert "<b>" not in page
    assert "&lt;script&gt;" in page
    for outside in ("http://", "https://", "url(", "@import"):
        assert outside not in page.replace("http://www.w3.org/2000/svg", "")


def test_the_page_draws_the_worst_ten_and_lists_all() -> None:
    world = World(2_000).live(3_000)
    for number in range(14):
        members = list(range(10 * number, 10 * number + 5))
        for day in (5, 35, 65):
            world.plant_cycle(members, day + number, 9_000_000 + 100_000 * number)
    found = find(transfers(world))
    assert found.rings.num_rows >= 12
    page = found.report_html()
    assert page.count('<div class="ring">') == 10
    assert all(page.count(ring) >= 1 for ring in found.rings["ring"].to_pylist())
    assert page.count('aria-label="timeline of') == 10


def test_plain_ties_are_drawn_as_lines_without_arrows(tied: FoundRings) -> None:
    page = tied.report_html()
    (ring,) = tied.rings.to_pylist()
    assert page.count('class="plain-tie"') == ring["n_ties"] + 1  # and the one of the legend
    assert 'class="flow"' not in page
    assert "Nearly every member is tied to nearly every other" in page


def test_the_page_says_how_the_resolution_was_chosen(tied: FoundRings) -> None:
    page = tied.report_html()
    assert f"at the resolution {tied.communities.resolution:.3g}" in page
    assert "how well partitions from different seeds agree" in page
