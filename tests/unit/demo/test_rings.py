"""The planted rings are there in the payments and identifiers, and connected components do not find them."""

from __future__ import annotations

from collections import Counter

import numpy as np
import polars as pl
import pytest
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from terag_pipelines.demo.bank import DemoBank
from tests.unit.demo.test_bank import frame


def components(left: list[str], right: list[str]) -> dict[str, int]:
    names = sorted({*left, *right})
    place = {name: i for i, name in enumerate(names)}
    rows, columns = ([place[name] for name in side] for side in (left, right))
    matrix = coo_array((np.ones(len(rows)), (rows, columns)), shape=(len(names), len(names)))
    _, found = connected_components(matrix, directed=False)
    return dict(zip(names, found.tolist(), strict=True))


@pytest.fixture(scope="module")
def members(bank: DemoBank) -> pl.DataFrame:
    """Record, person, ring and kind of each ring member."""
    entity = frame(bank, "truth/entities.csv.gz").rename({"value": "person"})
    rings = frame(bank, "truth/rings.csv").rename({"value": "ring"})
    return rings.join(entity, on="subject").with_columns(kind=pl.col("ring").str.split("-").list.get(1))


@pytest.fixture(scope="module")
def payments(bank: DemoBank) -> pl.DataFrame:
    """Transfers with the holders' records; a holder at another bank is null."""
    holder = frame(bank, "accounts.csv.gz").select("account_no", "holder")
    texts = pl.col(pl.Categorical).cast(pl.String)
    return (
        frame(bank, "transfers.parquet")
        .with_columns(texts)
        .join(holder, left_on="payer_account", right_on="account_no", how="left")
        .join(holder, left_on="payee_account", right_on="account_no", how="left", suffix="_payee")
    )


def within_ring(payments: pl.DataFrame, members: pl.DataFrame) -> pl.DataFrame:
    who = members.select("subject", "person", "ring", "kind")
    joined = payments.join(who, left_on="holder", right_on="subject").join(
        who, left_on="holder_payee", right_on="subject", suffix="_payee"
    )
    return joined.filter(pl.col("ring") == pl.col("ring_payee"))


def test_rings_are_of_the_stated_number_and_size(members: pl.DataFrame) -> None:
    people = members.unique("person")
    sizes = people.group_by("ring", "kind").len()
    assert 0.012 < people.height / 5000 < 0.02
    assert set(sizes["kind"]) == {"cycle", "fan_in", "fan_out", "shared_identity"}
    assert sizes["len"].min() >= 4
    assert sizes["len"].max() <= 15
    assert people["person"].n_unique() == people.height


def test_each_cycle_is_closed(payments: pl.DataFrame, members: pl.DataFrame) -> None:
    edges = within_ring(payments, members).filter(pl.col("kind") == "cycle")
    for (ring,), inside in edges.group_by("ring"):
        people = set(members.filter(pl.col("ring") == ring)["person"])
        following = dict(
            inside.filter(pl.col("amount") > 100_000).select("person", "person_payee").iter_rows()
        )
        here = start = min(people)
        visited = []
        for _ in people:
            visited.append(here)
            here = following[here]
        assert here == start
        assert set(visited) == people


@pytest.mark.parametrize(("kind", "hub_side"), [("fan_in", "person_payee"), ("fan_out", "person")])
def test_each_fan_has_its_hub(
    payments: pl.DataFrame, members: pl.DataFrame, kind: str, hub_side: str
) -> None:
    edges = within_ring(payments, members).filter(pl.col("kind") == kind)
    for (ring,), inside in edges.group_by("ring"):
        n_people = members.filter(pl.col("ring") == ring)["person"].n_unique()
        hub, n_edges = Counter(inside[hub_side]).most_common(1)[0]
        spokes = inside.filter(pl.col(hub_side) == hub)
        other_side = "person" if hub_side == "person_payee" else "person_payee"
        assert n_edges > 0.8 * inside.height
        assert spokes[other_side].n_unique() >= 0.75 * (n_people - 1)


def test_shared_identity_rings_share(bank: DemoBank, members: pl.DataFrame) -> None:
    devices = frame(bank, "device_usage.csv.gz").with_columns(subject=pl.lit("people:") + pl.col("client_id"))
    phones = frame(bank, "people.csv.gz").with_columns(
        subject=pl.lit("people:") + pl.col("client_id"),
        phone=pl.col("other_phone").str.replace_all(r"\D", "").str.slice(-10),
    )
    shared = members.filter(pl.col("kind") == "shared_identity")
    for table, column in ((devices, "device_id"), (phones, "phone")):
        found = (
            shared.join(table, on="subject")
            .drop_nulls(column)
            .group_by("ring", column)
            .agg(pl.col("person").n_unique())
        )
        most = found.group_by("ring").agg(pl.col("person").max())
        assert most["person"].min() >= 2
        assert most["person"].max() >= 4


def test_components_of_transfers_hold_nearly_everybody(payments: pl.DataFrame, members: pl.DataFrame) -> None:
    found = components(payments["payer_account"].to_list(), payments["payee_account"].to_list())
    giant, _ = Counter(found.values()).most_common(1)[0]
    accounts = payments.select("payer_account", "holder").unique().drop_nulls()
    of_members = accounts.filter(pl.col("holder").is_in(members["subject"].to_list()))["payer_account"]
    assert np.mean([found[account] == giant for account in of_members]) > 0.99


def test_components_of_transfers_between_people_do_not_find_rings(
    payments: pl.DataFrame, members: pl.DataFrame
) -> None:
    """Nor does leaving out shops, employers and cash machines help."""
    between = payments.filter(
        pl.col("holder").str.starts_with("people:") & pl.col("holder_payee").str.starts_with("people:")
    )
    found = components(between["holder"].to_list(), between["holder_payee"].to_list())
    giant, size = Counter(found.values()).most_common(1)[0]
    ring_records = [record for record in members["subject"] if record in found]
    assert np.mean([found[record] == giant for record in ring_records]) > 0.95
    assert size > 0.8 * len(found)


def test_components_of_shared_identifiers_do_not_find_rings(bank: DemoBank, members: pl.DataFrame) -> None:
    """Families, employers' phones and branch tablets tie innocents to ring members."""
    people = frame(bank, "people.csv.gz").with_columns(record=pl.lit("people:") + pl.col("client_id"))
    national = pl.col("phone").str.replace_all(r"\D", "").str.slice(-10)
    phones = pl.concat(
        [people.select("record", phone=pl.col(c)) for c in ("mobile", "other_phone")]
    ).drop_nulls()
    homes = people.select("record", what=pl.concat_str("city", "street", "house", separator="|"))
    devices = frame(bank, "device_usage.csv.gz").select(
        record=pl.lit("people:") + pl.col("client_id"), what=pl.col("device_id")
    )
    shared = pl.concat([phones.select("record", what=national), homes, devices])
    found = components(shared["record"].to_list(), shared["what"].to_list())
    shared_members = members.filter(pl.col("kind") == "shared_identity")
    exact = 0
    for (_,), inside in shared_members.group_by("ring"):
        records = set(inside["subject"])
        component = {found[record] for record in records}
        everybody = {
            name for name, number in found.items() if number in component and name.startswith("people:")
        }
        exact += len(component) == 1 and everybody == records
    assert exact == 0
    giant, size = Counter(found[record] for record in people["record"]).most_common(1)[0]
    assert size > 0.4 * people.height
    assert np.mean([found[record] == giant for record in shared_members["subject"]]) > 0.5


def test_innocents_collect_from_many_too(payments: pl.DataFrame, members: pl.DataFrame) -> None:
    """Market sellers and savers receive from more people than most collectors of a ring do."""
    payees = (
        payments.filter(pl.col("holder_payee").str.starts_with("people:"))
        .group_by("holder_payee")
        .agg(n_payers=pl.col("holder").n_unique())
    )
    innocent = payees.filter(~pl.col("holder_payee").is_in(members["subject"].to_list()))
    assert innocent.filter(pl.col("n_payers") > 15).height > 10


def test_no_way_of_paying_gives_rings_away(payments: pl.DataFrame, members: pl.DataFrame) -> None:
    of_ring = pl.any_horizontal(pl.col("holder", "holder_payee").is_in(members["subject"].implode()))
    ways = payments.group_by("purpose_code", "channel").agg(
        pl.len(), ring_share=of_ring.fill_null(False).mean()
    )
    assert ways.filter(pl.col("len") >= 20)["ring_share"].max() < 0.3
