"""The whole bank: same parameters same content, every label points at something, hard things are in it."""

from __future__ import annotations

from dataclasses import replace

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from terag_pipelines.demo.bank import FEWEST_PEOPLE, DemoBank, DemoParams, make_bank
from terag_pipelines.demo.breakage import FAULTS
from terag_pipelines.errors import ConfigurationError
from terag_pipelines.tables import digest

SMALL = DemoParams(people=600, seed=3)


def plain(table: pa.Table) -> pa.Table:
    """The table with dictionaries and decimals as text, which the digest takes."""
    columns = [
        column.cast(pa.string())
        if pa.types.is_dictionary(column.type) or pa.types.is_decimal(column.type)
        else column
        for column in table.columns
    ]
    return pa.table(columns, names=table.column_names)


def digests(bank: DemoBank) -> dict[str, str]:
    return {path: digest(plain(table)) for path, table in bank.tables.items()}


def frame(bank: DemoBank, path: str) -> pl.DataFrame:
    made = pl.from_arrow(bank.tables[path])
    assert isinstance(made, pl.DataFrame)
    return made


def test_same_parameters_give_the_same_bank() -> None:
    one, two = make_bank(SMALL), make_bank(SMALL)
    assert digests(one) == digests(two)
    assert one.texts == two.texts


def test_another_seed_gives_another_bank() -> None:
    one, two = digests(make_bank(SMALL)), digests(make_bank(replace(SMALL, seed=4)))
    assert [path for path in one if one[path] == two[path]] == []


def test_smallest_bank_can_be_made() -> None:
    bank = make_bank(DemoParams(people=FEWEST_PEOPLE, seed=0, month="2027-02"))
    assert bank.tables["truth/rings.csv"].num_rows > 0


@pytest.mark.parametrize(
    "params",
    [
        DemoParams(people=10, seed=1),
        DemoParams(people=600, seed=-1),
        DemoParams(people=600, seed=1, month="2026-13"),
        DemoParams(people=600, seed=1, broken_share=1.5),
    ],
)
def test_impossible_parameters_are_refused(params: DemoParams) -> None:
    with pytest.raises(ConfigurationError):
        make_bank(params)


def test_about_a_quarter_more_records_than_people(bank: DemoBank) -> None:
    n_records = bank.tables["people.csv.gz"].num_rows + bank.tables["applications.csv.gz"].num_rows
    assert 1.2 < n_records / 5000 < 1.3


def test_ten_to_twelve_transfers_a_person_within_three_months(bank: DemoBank) -> None:
    transfers = frame(bank, "transfers.parquet")
    assert 10 < transfers.height / 5000 < 12.5
    local = transfers["booked_at"].dt.convert_time_zone("Asia/Almaty")
    months = set(local.dt.strftime("%Y-%m").unique())
    assert months <= {"2026-08", "2026-09", "2026-10", "2026-11"}
    assert (
        local.dt.strftime("%Y-%m") == "2026-11"
    ).mean() < 0.001  # the last hop of a ring may come after midnight
    assert transfers["amount"].min() > 0
    assert (transfers["payer_account"].cast(pl.String) != transfers["payee_account"].cast(pl.String)).all()


def test_every_reference_exists(bank: DemoBank) -> None:
    known = set(_all_records(bank))
    accounts = frame(bank, "accounts.csv.gz")
    assert set(accounts["holder"]) <= known
    ownership = frame(bank, "ownership.csv.gz")
    assert set(ownership["holder"]) | set(ownership["company"]) <= known
    assert {f"people:{client}" for client in frame(bank, "device_usage.csv.gz")["client_id"]} <= known
    transfers = frame(bank, "transfers.parquet")
    for side in ("payer", "payee"):
        is_own = transfers[f"{side}_bank"].cast(pl.String) == "OWN"
        own = set(transfers.filter(is_own)[f"{side}_account"].cast(pl.String))
        outside = set(transfers.filter(~is_own)[f"{side}_account"].cast(pl.String))
        assert own <= set(accounts["account_no"])
        assert not outside & set(accounts["account_no"])


def test_every_label_points_at_a_record(bank: DemoBank) -> None:
    known = set(_all_records(bank))
    pairs = frame(bank, "reviewed_pairs.csv")
    assert set(pairs["subject"]) | set(pairs["object"]) <= known
    for path in ("truth/rings.csv", "truth/fraud.csv.gz", "truth/client_effects.csv", "reviewed_clients.csv"):
        assert set(frame(bank, path)["subject"]) <= known, path
    assert sorted(frame(bank, "truth/entities.csv.gz")["subject"]) == sorted(known)


def test_reviewed_pairs_agree_with_the_truth(bank: DemoBank) -> None:
    pairs = frame(bank, "reviewed_pairs.csv")
    entity = dict(frame(bank, "truth/entities.csv.gz").select("subject", "value").iter_rows())
    same = [
        entity[left] == entity[right] for left, right in zip(pairs["subject"], pairs["object"], strict=True)
    ]
    assert pairs.height == 600
    assert [("1" if is_same else "0") for is_same in same] == pairs["value"].to_list()
    assert 0.3 < sum(same) / len(same) < 0.6


def test_reviewed_pairs_hold_hard_negatives(bank: DemoBank) -> None:
    """Namesakes and household members are among the pairs that are not the same person."""
    people = frame(bank, "people.csv.gz").with_columns(record=pl.lit("people:") + pl.col("client_id"))
    different = frame(bank, "reviewed_pairs.csv").filter(pl.col("value") == "0")
    both = different.join(people, left_on="subject", right_on="record").join(
        people, left_on="object", right_on="record"
    )
    same_home = (pl.col("street") == pl.col("street_right")) & (pl.col("house") == pl.col("house_right"))
    same_name = (pl.col("surname") == pl.col("surname_right")) & (
        pl.col("first_name") == pl.col("first_name_right")
    )
    assert both.filter(same_home).height > 20
    assert both.filter(same_name).height > 10


def test_fraud_labels_agree_with_the_rings(bank: DemoBank) -> None:
    members = set(frame(bank, "truth/rings.csv")["subject"])
    fraud = frame(bank, "truth/fraud.csv.gz")
    assert set(fraud.filter(pl.col("value") == "1")["subject"]) == members
    assert fraud.height == bank.tables["people.csv.gz"].num_rows
    reviewed = frame(bank, "reviewed_clients.csv")
    found = set(reviewed.filter(pl.col("value") == "1")["subject"])
    cleared = set(reviewed.filter(pl.col("value") == "0")["subject"])
    assert found <= members
    assert not cleared & members
    assert len(cleared) == 4 * len(found)


def test_duplicates_differ_and_some_share_nothing_exact(bank: DemoBank) -> None:
    """Of the clients with an application many have no IIN in it, some another phone, some another script."""
    entity = frame(bank, "truth/entities.csv.gz")
    people = frame(bank, "people.csv.gz").with_columns(subject=pl.lit("people:") + pl.col("client_id"))
    applications = frame(bank, "applications.csv.gz").with_columns(
        subject=pl.lit("applications:") + pl.col("application_id")
    )
    left = people.join(entity, on="subject")
    right = applications.join(entity, on="subject")
    pairs = left.join(right, on="value", suffix="_online")
    assert pairs.height > 700
    no_iin = pairs["iin_online"].is_null()
    other_phone = pairs["mobile"].str.replace_all(r"\D", "").str.slice(-10) != pairs["phone"].str.replace_all(
        r"\D", ""
    ).str.slice(-10)
    other_name = ~pairs.select(pl.col("full_name").str.contains(pl.col("surname"), literal=True)).to_series()
    assert 0.4 < no_iin.mean() < 0.65
    assert 0.1 < other_phone.mean() < 0.35
    assert other_name.mean() > 0.4
    assert 10 < (no_iin & other_phone & other_name).sum() < 150


def test_namesakes_are_different_people(bank: DemoBank) -> None:
    entity = frame(bank, "truth/entities.csv.gz")
    people = frame(bank, "people.csv.gz").with_columns(subject=pl.lit("people:") + pl.col("client_id"))
    named = (
        people.join(entity, on="subject")
        .group_by("surname", "first_name", "patronymic")
        .agg(pl.col("value").n_unique())
    )
    assert named.filter(pl.col("value") > 1).height > 25  # in one spelling; more across scripts


def test_sole_traders_carry_their_owners_iin(bank: DemoBank) -> None:
    companies = frame(bank, "companies.csv.gz").filter(pl.col("owner_iin").is_not_null())
    assert companies.height > 80
    assert companies["bin"].is_null().all()
    owned = frame(bank, "ownership.csv.gz").filter(pl.col("relation") == "owns")
    assert {f"companies:{c}" for c in companies["company_id"]} & set(owned["company"])


def test_broken_rows_come_only_when_asked_for() -> None:
    whole, broken = make_bank(SMALL), make_bank(replace(SMALL, broken_share=0.1))
    for path, faults in FAULTS.items():
        column = faults[0][0]
        assert whole.tables[path][column].null_count == 0, path
        assert 0 < broken.tables[path][column].null_count < 0.12 * broken.tables[path].num_rows, path
    assert digest(whole.tables["truth/rings.csv"]) == digest(broken.tables["truth/rings.csv"])
    assert pc.any(pc.equal(broken.tables["people.csv.gz"]["born"], "31.02.1990")).as_py()


def _all_records(bank: DemoBank) -> list[str]:
    keys = {"people": "client_id", "applications": "application_id", "companies": "company_id"}
    ids = [f"{name}:{key}" for name, column in keys.items() for key in frame(bank, f"{name}.csv.gz")[column]]
    return ids + [f"watchlist:{key}" for key in frame(bank, "watchlist.csv")["entry_id"]]
