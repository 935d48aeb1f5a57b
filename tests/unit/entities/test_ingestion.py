"""A whole source: every row is in a table or in quarantine, and the tables hold what the rows said."""

import json
from datetime import UTC, date, datetime

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from terag_pipelines.entities import model
from terag_pipelines.entities.ingestion import TABLES, SourceTables, ingest
from terag_pipelines.entities.manifests import parse_manifest
from terag_pipelines.entities.raw_files import RawFile, read_document
from terag_pipelines.errors import MissingColumnError, TooManyBadRowsError
from terag_pipelines.tables import digest

PEOPLE = """
  - name: people
    path: people.csv
    holds: people
    fields: {id: id, full_name: name, birth_date: born, sex: sex, iin: iin,
             phone: [phone, phone2], email: email, address: address, passport: passport}
"""
ACCOUNTS = """
  - {name: accounts, path: accounts.csv, holds: accounts,
     fields: {id: acc, holder: {column: client, dataset: people}, iban: iban, currency: cur,
              opened_on: opened}}
"""
TRANSFERS = """
  - name: transfers
    path: transfers.csv
    holds: transfers
    fields: {id: id, source_account: src, target_account: dst, source_name: sname, target_name: tname,
             target_bank: tbank,
             amount: amount, currency: cur, occurred_at: at, is_cash: cash}
"""
IIN = "880614300129"
COLUMNS = {
    "people": ("id", "name", "born", "sex", "iin", "phone", "phone2", "email", "address", "passport"),
    "accounts": ("acc", "client", "iban", "cur", "opened"),
    "transfers": ("id", "src", "dst", "sname", "tname", "tbank", "amount", "cur", "at", "cash"),
}


def raw(columns, rows) -> RawFile:
    table = pa.table({name: pa.array([row.get(name) for row in rows], pa.string()) for name in columns})
    return RawFile(table, np.arange(1, len(rows) + 1), tuple(columns))


def take_in(*entries: str, head: str = "max_bad_share: 1", **files) -> SourceTables:
    manifest = parse_manifest(f"name: bank\n{head}\nfiles:\n" + "".join(entries), "source.yaml")
    raws = {
        name: rows if isinstance(rows, RawFile) else raw(COLUMNS.get(name) or tuple(rows[0]), rows)
        for name, rows in files.items()
    }
    return ingest(manifest, lambda spec: raws[spec.name])


def faults(found: SourceTables) -> list[tuple[str, int, str, str]]:
    rows = found.tables["quarantined_rows"].to_pylist()
    return [(row["file"], row["row"], row["field"], row["reason"]) for row in rows]


def by_id(found: SourceTables, table: str, key: str) -> dict[str, dict]:
    return {row[key]: row for row in found.tables[table].to_pylist()}


def test_a_person_in_full():
    found = take_in(
        PEOPLE,
        people=[
            {
                "id": "1",
                "name": "Серіков Нұрлан Болатұлы",
                "born": "14.06.1988",
                "sex": "М",
                "iin": IIN,
                "phone": "8 701 123 45 67",
                "phone2": "+7 701 123 45 67",
                "email": "N.Serikov@Mail.KZ",
                "address": "г. Алматы, ул. Абая, д. 12",
                "passport": "n 12345678",
            }
        ],
    )
    person = by_id(found, "entity_records", "record_id")["people:1"]
    assert (person["iin"], person["quality_flags"], faults(found)) == (IIN, [], [])
    expected = {
        "party_type": "person",
        "display_name": "Серіков Нұрлан Болатұлы",
        "given_key": "nurlan",
        "family_key": "serikov",
        "patronymic": "Болатұлы",
        "name_key": "bolatuli nurlan serikov",
        "alias_keys": [],
        "birth_date": date(1988, 6, 14),
        "sex": "male",
        "identifiers": ["passport:N12345678"],
        "phones": ["+77011234567"],
        "emails": ["n.serikov@mail.kz"],
        "street": "abaia",
        "house": "12",
        "address_key": "almati abaia 12",
        "is_partial": False,
        "is_watchlist": False,
        "file": "people.csv",
        "row": 1,
        "organisation_key": None,
    }
    assert {key: person[key] for key in expected} == expected


def test_every_table_is_there_and_says_why_it_is_empty():
    found = take_in(PEOPLE, people=[{"id": None}])
    assert set(found.tables) == {schema.name for schema in TABLES}
    for schema in TABLES:
        assert found.tables[schema.name].schema == schema.schema
    assert found.reasons["entity_records"] == "people.csv: all 1 rows were left out"
    assert found.reasons["transfers"] == "the manifest names no file that holds transfers"
    assert "quarantined_rows" not in found.reasons
    assert (
        take_in(PEOPLE, people=raw(COLUMNS["people"], [])).reasons["entity_records"] == "people.csv: no rows"
    )


def test_a_bad_optional_field_is_lost_and_the_row_stays():
    rows = [
        {
            "id": "1",
            "born": "1990-02-30",
            "sex": "?x",
            "iin": "123",
            "phone": "12",
            "email": "nobody",
            "passport": "00",
        }
    ]
    found = take_in(PEOPLE, people=rows)
    person = by_id(found, "entity_records", "record_id")["people:1"]
    assert [person[name] for name in ("birth_date", "sex", "iin")] == [None] * 3
    assert [person[name] for name in ("phones", "emails", "identifiers")] == [[], [], []]
    assert person["quality_flags"] == [
        "birth_date_invalid",
        "email_invalid",
        "iin_invalid",
        "passport_invalid",
        "phone_invalid",
        "sex_invalid",
    ]
    assert faults(found) == [
        ("people.csv", 1, "birth_date", "is no date that exists"),
        ("people.csv", 1, "email", "is no e-mail address"),
        ("people.csv", 1, "iin", "is no valid IIN (12 digits, date, check digit)"),
        ("people.csv", 1, "passport", "is too short or one sign repeated"),
        ("people.csv", 1, "phone", "has fewer than five digits"),
        ("people.csv", 1, "sex", "is neither female nor male"),
    ]
    assert found.file_counts["people"].n_rejected == 0
    kept = json.loads(found.tables["quarantined_rows"]["raw_row"][0].as_py())
    assert kept["born"] == "1990-02-30"


def test_a_missing_or_repeated_id_leaves_the_row_out():
    found = take_in(
        PEOPLE, people=[{"id": "1", "name": "A B"}, {"id": " "}, {"id": "1", "name": "C D"}, {"id": "1"}]
    )
    assert list(by_id(found, "entity_records", "record_id")) == ["people:1"]
    assert found.tables["entity_records"]["display_name"].to_pylist() == ["A B"]
    assert faults(found) == [
        ("people.csv", 2, "id", "is missing"),
        ("people.csv", 3, "id", "repeats the value of row 1"),
        ("people.csv", 4, "id", "repeats the value of row 1"),
    ]
    counts = by_id(found, "source_files", "dataset")["people"]
    assert (counts["n_rows"], counts["n_rejected"]) == (4, 3)


def test_an_iin_that_disagrees_is_flagged_only_and_fills_what_is_missing():
    found = take_in(
        PEOPLE, people=[{"id": "1", "iin": IIN, "born": "1988-06-15", "sex": "F"}, {"id": "2", "iin": IIN}]
    )
    one, two = found.tables["entity_records"].to_pylist()
    assert one["quality_flags"] == ["iin_birth_date_mismatch", "iin_sex_mismatch"]
    assert (one["birth_date"], one["sex"]) == (date(1988, 6, 15), "female")
    assert (two["birth_date"], two["sex"], two["quality_flags"]) == (
        date(1988, 6, 14),
        "male",
        ["birth_date_from_iin"],
    )
    assert faults(found) == []


def test_too_many_bad_rows_stop_the_source():
    rows = [{"id": str(n)} for n in range(17)] + [{"id": None}, {"id": None}, {"id": "1"}]
    with pytest.raises(TooManyBadRowsError) as caught:
        take_in(PEOPLE, head="max_bad_share: 0.1", people=rows)
    assert str(caught.value) == (
        "people.csv: 3 of 20 rows (15.0%) cannot be used, more than the 10.0% that max_bad_share allows; "
        "most often: id: is missing (2), id: repeats the value of an earlier row (1)"
    )
    assert take_in(PEOPLE, head="max_bad_share: 0.15", people=rows).file_counts["people"].n_rejected == 3


def test_a_missing_column_is_named_with_those_there():
    with pytest.raises(MissingColumnError) as caught:
        take_in(ACCOUNTS, PEOPLE, people=[{"id": "1"}], accounts=raw(("acc", "client", "iban", "opened"), []))
    assert str(caught.value) == (
        "accounts.csv: there is no column 'cur', which the field 'currency' is made of; "
        "the columns are: acc, client, iban, opened"
    )


def test_a_first_line_of_data_is_not_repeated():
    with pytest.raises(MissingColumnError) as caught:
        take_in(ACCOUNTS, PEOPLE, people=[{"id": "1"}], accounts=raw(("A1", "880614300129", "KZT"), []))
    assert str(caught.value) == (
        "accounts.csv: there is no column 'acc', which the field 'id' is made of; "
        "nor is any other that the manifest names: is the first line, of 3 columns, a header?"
    )


TRANSFER = {
    "id": "t1",
    "src": "A1",
    "dst": "X9",
    "tname": "ТОО Ромашка",
    "tbank": "HSBK",
    "amount": "1 234,50",
    "at": "2024-03-05T10:00:00",
    "cash": "да",
}


def test_transfers_and_the_parties_that_only_they_know():
    others = [
        {**TRANSFER, "id": "t2", "tname": "Romashka LLP"},
        {**TRANSFER, "id": "t3", "tname": "ТОО Ромашка", "tbank": None},
        {
            **TRANSFER,
            "id": "t4",
            "src": "P7",
            "sname": "Ахметов Ерлан",
            "dst": "A1",
            "tname": "ignored",
            "cur": "jpy",
        },
    ]
    found = take_in(
        PEOPLE,
        ACCOUNTS,
        TRANSFERS,
        people=[{"id": "1", "name": "Иванов Иван"}],
        accounts=[{"acc": "A1", "client": "1"}],
        transfers=[TRANSFER, *others],
    )
    transfers = by_id(found, "transfers", "transfer_id")
    assert (transfers["t1"]["amount_minor"], transfers["t1"]["currency"], transfers["t1"]["is_cash"]) == (
        123450,
        "KZT",
        True,
    )
    assert (transfers["t4"]["amount_minor"], transfers["t4"]["currency"]) == (1235, "JPY")
    assert transfers["t1"]["occurred_at"] == datetime(2024, 3, 5, 10, tzinfo=UTC)
    accounts = by_id(found, "accounts", "account_id")
    assert (accounts["A1"]["record_id"], accounts["A1"]["is_outside"]) == ("people:1", False)
    assert (accounts["X9"]["record_id"], accounts["X9"]["is_outside"], accounts["X9"]["bank"]) == (
        "outside:X9",
        True,
        "HSBK",
    )
    records = by_id(found, "entity_records", "record_id")
    assert set(records) == {"people:1", "outside:X9", "outside:P7"}
    company, person = records["outside:X9"], records["outside:P7"]
    assert (company["display_name"], company["party_type"], company["legal_form"], company["is_partial"]) == (
        "ТОО Ромашка",
        "organisation",
        "too",
        True,
    )
    assert (company["organisation_key"], company["alias_keys"]) == ("romashka", [])
    assert (person["given_name"], person["family_name"], person["party_type"]) == (
        "Ерлан",
        "Ахметов",
        "person",
    )


def test_transfers_without_an_accounts_file_make_every_account_outside():
    found = take_in(TRANSFERS, transfers=[TRANSFER])
    assert set(by_id(found, "accounts", "account_id")) == {"A1", "X9"}
    assert by_id(found, "entity_records", "record_id")["outside:A1"]["display_name"] is None


def test_a_transfer_that_cannot_be_used_is_left_out():
    wrong = [
        {"src": None},
        {"amount": "much"},
        {"amount": None},
        {"amount": "-5"},
        {"amount": "10000000000000.01"},
        {"at": "2024-02-30"},
        {"cur": "TENGE"},
        {"cash": "maybe"},
        {"id": "t1"},
    ]
    rows = [TRANSFER, *({**TRANSFER, "id": f"w{n}", **change} for n, change in enumerate(wrong))]
    found = take_in(TRANSFERS, transfers=rows)
    assert set(by_id(found, "transfers", "transfer_id")) == {"t1", "w7"}
    assert faults(found) == [
        ("transfers.csv", 2, "source_account", "is missing"),
        ("transfers.csv", 3, "amount", "is no amount"),
        ("transfers.csv", 4, "amount", "is missing"),
        ("transfers.csv", 5, "amount", "is negative"),
        ("transfers.csv", 6, "amount", "is larger than any payment: above 10 trillion"),
        ("transfers.csv", 7, "occurred_at", "is no time that exists"),
        ("transfers.csv", 8, "currency", "is no currency code of three letters"),
        ("transfers.csv", 9, "is_cash", "is neither yes nor no"),
        ("transfers.csv", 10, "id", "repeats the value of row 1"),
    ]


def test_accounts_with_faults():
    rows = [
        {"acc": "A1", "client": "9", "iban": "KZ00125KZT5004100100", "cur": "x", "opened": "never"},
        {"acc": "A1"},
        {"acc": "A2", "client": "1", "iban": "KZ86 125K ZT50 0410 0100", "opened": "2020-01-31"},
    ]
    found = take_in(PEOPLE, ACCOUNTS, people=[{"id": "1"}], accounts=rows)
    accounts = by_id(found, "accounts", "account_id")
    assert [accounts["A1"][name] for name in ("record_id", "iban", "currency", "opened_on")] == [None] * 4
    assert (accounts["A2"]["iban"], accounts["A2"]["opened_on"]) == (
        "KZ86125KZT5004100100",
        date(2020, 1, 31),
    )
    assert {(row, name) for _, row, name, _ in faults(found)} == {
        (1, "holder"),
        (1, "iban"),
        (1, "currency"),
        (1, "opened_on"),
        (2, "id"),
    }


RELATIONS = """
  - name: owners
    path: owners.csv
    holds: ownership
    fields:
      subject: {column: who, dataset: people}
      object: {column: what, dataset: people}
      share: {column: percent, unit: percent}
  - name: fraud
    path: fraud.csv
    holds: labels
    label: fraud
    use: training
    fields: {subject: {column: who, dataset: people}, value: is_fraud}
  - {name: panel, path: panel.csv, holds: panel, variables: [income],
     fields: {client: {column: who, dataset: people}, month: month}}
"""


def test_references_to_nothing_are_left_out():
    found = take_in(
        PEOPLE,
        RELATIONS,
        people=[{"id": "1"}, {"id": "2"}],
        owners=[
            {"who": "1", "what": "2", "percent": "60"},
            {"who": "1", "what": "9", "percent": "1"},
            {"who": "9", "what": "1", "percent": "1"},
            {"who": "1", "what": "2", "percent": "10"},
            {"who": "2", "what": "1", "percent": "600"},
        ],
        fraud=[
            {"who": "1", "is_fraud": "True"},
            {"who": "2", "is_fraud": "0"},
            {"who": "3", "is_fraud": "1"},
            {"who": "1", "is_fraud": "perhaps"},
        ],
        panel=[
            {"who": "1", "month": "2024-01-15", "income": "1 000,5"},
            {"who": "1", "month": "2024-01", "income": "2"},
            {"who": "1", "month": "2024-13", "income": "2"},
            {"who": "1", "month": "2024-02", "income": "much"},
            {"who": "5", "month": "2024-02", "income": "1"},
        ],
    )
    shares = {
        (r["record_id"], r["object_id"]): (r["share"], r["relationship_kind"])
        for r in found.tables["relationships"].to_pylist()
    }
    assert shares == {("people:1", "people:2"): (0.6, "owns"), ("people:2", "people:1"): (None, "owns")}
    assert [(r["subject_id"], r["value"], r["use"]) for r in found.tables["labels"].to_pylist()] == [
        ("people:1", "1", "training"),
        ("people:2", "0", "training"),
    ]
    assert found.tables["client_panel"].to_pylist() == [
        {"client_id": "people:1", "month": "2024-01", "income": 1000.5},
        {"client_id": "people:1", "month": "2024-02", "income": None},
    ]
    nothing = "refers to nothing that the source holds"
    assert faults(found) == [
        ("fraud.csv", 3, "subject", nothing),
        ("fraud.csv", 4, "value", "is neither yes nor no"),
        ("owners.csv", 2, "object", nothing),
        ("owners.csv", 3, "subject", nothing),
        ("owners.csv", 4, "object", "repeats the value of row 1"),
        ("owners.csv", 5, "share", "is no share from 0 to 1"),
        ("panel.csv", 2, "month", "repeats the value of row 1"),
        ("panel.csv", 3, "month", "is no month (YYYY-MM)"),
        ("panel.csv", 4, "income", "is no number"),
        ("panel.csv", 5, "client", nothing),
    ]


BILLING = """
  - {name: tenants, path: tenants.csv, holds: tenants, fields: {id: id, name: name, plan: plan, email: email}}
  - {name: usage, path: usage.csv, holds: usage,
     fields: {id: id, tenant: tenant, meter: meter, quantity: n, occurred_at: at}}
  - {name: prices, path: prices.yaml, holds: price_book}
"""


def test_a_reference_that_may_be_to_either_of_two_files_names_the_right_one():
    companies = "\n  - {name: companies, path: companies.csv, holds: organisations, fields: {id: id}}"
    accounts = """
  - {name: accounts, path: accounts.csv, holds: accounts,
     fields: {id: acc, holder: [{column: client, dataset: people}, {column: company, dataset: companies}]}}
"""
    found = take_in(
        PEOPLE,
        companies,
        accounts,
        people=[{"id": "1"}, {"id": "10"}],
        companies=[{"id": "10"}],
        accounts=raw(
            ("acc", "client", "company"), [{"acc": "A", "client": "1"}, {"acc": "B", "company": "10"}]
        ),
    )
    assert found.tables["accounts"]["record_id"].to_pylist() == ["people:1", "companies:10"]


def test_an_iban_with_blanks_is_the_account_without_them():
    found = take_in(
        PEOPLE,
        ACCOUNTS,
        TRANSFERS,
        "  - {name: fraud, path: fraud.csv, holds: labels, label: fraud, use: training, "
        "fields: {subject: acc, value: fraud}}\n",
        people=[{"id": "1"}],
        accounts=[{"acc": "KZ86 125K ZT50 0410 0100"}],
        transfers=[{**TRANSFER, "src": "KZ86125KZT5004100100", "dst": "kz86 125kzt5004100100"}],
        fraud=[{"acc": "KZ86-125K-ZT50-0410-0100", "fraud": "1"}],
    )
    assert found.tables["accounts"]["account_id"].to_pylist() == ["KZ86125KZT5004100100"]
    [paid] = found.tables["transfers"].to_pylist()
    assert paid["source_account"] == paid["target_account"] == "KZ86125KZT5004100100"
    assert found.tables["labels"]["subject_id"].to_pylist() == ["KZ86125KZT5004100100"]
    assert found.tables["entity_records"]["record_id"].to_pylist() == ["people:1"]


LABELLED = "".join(
    f"  - {{name: {name}, path: {name}.csv, holds: labels, label: {label}, use: {use}, fields: {fields}}}\n"
    for name, label, use, fields in (
        ("clusters", "entity", "training", "{subject: {column: who, dataset: people}, value: entity}"),
        ("truth", "entity", "truth", "{subject: {column: who, dataset: people}, value: entity}"),
        (
            "pairs",
            "pair",
            "training",
            "{subject: {column: a, dataset: people}, object: {column: b, dataset: people}, value: same}",
        ),
    )
)


def test_labels_that_contradict_each_other_are_in_quarantine_by_their_rows():
    pairs = [("1", "2", "yes"), ("3", "4", "1"), ("2", "1", "no"), ("4", "3", "yes"), ("5", "6", "1")]
    entities = [("5", "x"), ("6", "y"), ("1", "z"), ("1", "w"), ("3", "v")]
    found = take_in(
        PEOPLE,
        LABELLED,
        people=[{"id": str(n)} for n in range(1, 7)],
        clusters=[{"who": who, "entity": entity} for who, entity in entities],
        truth=[{"who": "3", "entity": "other"}],  # of another use: no contradiction
        pairs=[{"a": a, "b": b, "same": same} for a, b, same in pairs],
    )
    kept = [
        (r["use"], r["subject_id"], r["object_id"], r["value"]) for r in found.tables["labels"].to_pylist()
    ]
    assert sorted(kept) == [
        ("training", "people:3", "", "v"),
        ("training", "people:3", "people:4", "1"),
        ("training", "people:4", "people:3", "1"),
        ("training", "people:5", "", "x"),
        ("training", "people:6", "", "y"),
        ("truth", "people:3", "", "other"),
    ]
    lost = {(r["file"], r["row"]): r["reason"] for r in found.tables["quarantined_rows"].to_pylist()}
    assert lost == {
        ("clusters.csv", 3): "contradicts the label of row 4",
        ("clusters.csv", 4): "contradicts the label of row 3",
        ("pairs.csv", 1): "contradicts the label of row 3",
        ("pairs.csv", 3): "contradicts the label of row 1",
        ("pairs.csv", 5): "contradicts a label of another file",
    }


def test_a_record_labelled_with_itself_is_in_quarantine():
    found = take_in(
        PEOPLE,
        LABELLED,
        people=[{"id": "1"}, {"id": "2"}],
        clusters=[{"who": "2", "entity": "x"}],
        truth=[{"who": "2", "entity": "x"}],
        pairs=[{"a": a, "b": b, "same": "1"} for a, b in (("1", "1"), ("1", "2"))],
    )
    assert sorted(found.tables["labels"]["object_id"].to_pylist()) == ["", "", "people:2"]
    lost = {
        (r["file"], r["row"], r["field"]): r["reason"] for r in found.tables["quarantined_rows"].to_pylist()
    }
    assert lost["pairs.csv", 1, "object"] == "is the subject itself"


def test_a_blank_in_a_list_does_not_hide_the_value_behind_it():
    entry = """
  - {name: people, path: people.jsonl, holds: people,
     fields: {id: id, full_name: {path: "n[].full"}, birth_date: {path: "n[].born"}}}
"""
    lists = {
        "id": ["1", "2", "3"],
        "n[].full": [["-", "Ivan Petrov"], [], None],
        "n[].born": [[None, "", "1990-01-02"], ["n/a"], []],
    }
    table = pa.table(lists)
    found = take_in(entry, people=RawFile(table, np.arange(1, 4), ("id", "n")))
    people = by_id(found, "entity_records", "native_id")
    assert [people[n]["display_name"] for n in "123"] == ["Ivan Petrov", None, None]
    assert [people[n]["birth_date"] for n in "123"] == [date(1990, 1, 2), None, None]
    assert people["1"]["alias_keys"] == []
    assert not faults(found)


def test_a_time_of_day_is_no_date_and_no_month():
    clock = pa.array([10**9], pa.time64("us"))
    people = RawFile(pa.table({"id": ["1"], "born": clock}), np.array([1]), ("id", "born"))
    panel = RawFile(pa.table({"id": ["1"], "born": clock, "x": [1.0]}), np.array([1]), ("id", "born", "x"))
    found = take_in(
        "  - {name: people, path: p.parquet, holds: people, fields: {id: id, birth_date: born}}\n",
        "  - {name: panel, path: q.parquet, holds: panel, variables: [x], "
        "fields: {client: {column: id, dataset: people}, month: born}}\n",
        people=people,
        panel=panel,
    )
    assert faults(found) == [
        ("p.parquet", 1, "birth_date", "is no date that exists"),
        ("q.parquet", 1, "month", "is no month (YYYY-MM)"),
    ]


def test_tenants_usage_and_the_price_book():
    at = "2024-01-31T23:59:59+05:00"
    found = take_in(
        BILLING,
        tenants=[
            {"id": "t1", "name": "Bank", "plan": "pro", "email": "x"},
            {"id": "t2", "name": None, "plan": "pro", "email": None},
        ],
        usage=[
            {"id": "u1", "tenant": "t1", "meter": "lookups", "n": "3", "at": at},
            {"id": "u2", "tenant": "t2", "meter": "lookups", "n": "3", "at": at},
            {"id": "u3", "tenant": "t1", "meter": "lookups", "n": "1.5", "at": at},
            {"id": "u1", "tenant": "t1", "meter": "lookups", "n": "1", "at": at},
        ],
        prices=read_document({"plans": {"pro": {"fee": 1}}}),
    )
    assert found.tables["tenants"]["tenant_id"].to_pylist() == ["t1"]
    assert found.tables["tenants"]["currency"].to_pylist() == ["KZT"]
    events = found.tables["usage_events"].to_pylist()
    assert [(e["event_id"], e["quantity"], e["occurred_at"]) for e in events] == [
        ("u1", 3, datetime(2024, 1, 31, 18, 59, 59, tzinfo=UTC))
    ]
    assert found.price_book == {"plans": {"pro": {"fee": 1}}}
    assert json.loads(found.tables["price_books"]["content"][0].as_py()) == found.price_book
    assert {(file, row, name) for file, row, name, _ in faults(found)} == {
        ("tenants.csv", 1, "email"),
        ("tenants.csv", 2, "name"),
        ("usage.csv", 2, "tenant"),
        ("usage.csv", 3, "quantity"),
        ("usage.csv", 4, "id"),
    }


def test_two_tenants_may_use_the_same_usage_id():
    at = "2024-01-31T23:59:59+05:00"
    found = take_in(
        BILLING,
        tenants=[{"id": t, "name": t, "plan": "pro", "email": None} for t in ("t1", "t2")],
        usage=[
            {"id": "1", "tenant": tenant, "meter": "lookups", "n": n, "at": at}
            for tenant, n in (("t1", "3"), ("t2", "5"), ("t2", "7"))
        ],
        prices=read_document({"plans": {"pro": {"fee": 1}}}),
    )
    events = found.tables["usage_events"].to_pylist()
    kept = [(event["tenant_id"], event["event_id"], event["quantity"]) for event in events]
    assert kept == [("t1", "1", 3), ("t2", "1", 5)]
    assert [(file, row, name) for file, row, name, _ in faults(found)] == [("usage.csv", 3, "id")]


def test_rows_without_ids_get_them_from_their_content():
    entry = TRANSFERS.replace("id: id, ", "")
    rows = [TRANSFER, TRANSFER, {**TRANSFER, "amount": "7"}]
    ids = [
        take_in(entry, transfers=order).tables["transfers"]["transfer_id"].to_pylist()
        for order in (rows, rows[::-1])
    ]
    assert ids[0] == ids[1]
    assert len(set(ids[0])) == 3


@settings(max_examples=20, deadline=None)
@given(st.randoms(use_true_random=False))
def test_the_order_of_rows_does_not_matter(random):
    people = [
        {
            "id": str(n),
            "name": f"Иванов{n} Иван",
            "born": "1990-01-01" if n % 3 else "x",
            "phone": f"8701123456{n}",
        }
        for n in range(8)
    ]
    accounts = [{"acc": f"A{n}", "client": str(n)} for n in range(6)]
    transfers = [
        {
            **TRANSFER,
            "id": f"t{n}",
            "src": f"A{n % 7}",
            "tname": f"Name {n % 3}",
            "amount": "x" if n == 5 else "1",
        }
        for n in range(12)
    ]
    files = {"people": people, "accounts": accounts, "transfers": transfers}
    shuffled = {name: random.sample(rows, len(rows)) for name, rows in files.items()}
    one, two = (take_in(PEOPLE, ACCOUNTS, TRANSFERS, **rows) for rows in (files, shuffled))
    for schema in TABLES:
        if schema not in (
            model.ENTITY_RECORDS,
            model.QUARANTINED_ROWS,
        ):  # those two say in which row it stood
            assert digest(one.tables[schema.name]) == digest(two.tables[schema.name])
    without_rows = [found.tables["entity_records"].drop_columns(["row"]) for found in (one, two)]
    assert digest(without_rows[0]) == digest(without_rows[1])
    texts = [sorted(found.tables["quarantined_rows"]["raw_row"].to_pylist()) for found in (one, two)]
    assert texts[0] == texts[1]


def test_several_names_become_aliases_and_organisations_lose_their_form():
    entry = """
  - {name: parties, path: p.csv, holds: parties,
     fields: {id: id, organisation_name: [org, trade], full_name: name, alias: [aka, aka2], party_type: kind}}
"""
    found = take_in(
        entry,
        parties=[
            {
                "id": "1",
                "org": "ТОО «Ромашка»",
                "trade": "Daisy LLP",
                "name": None,
                "aka": None,
                "aka2": None,
                "kind": None,
            },
            {
                "id": "2",
                "org": None,
                "trade": None,
                "name": "Иванов Иван",
                "aka": "Ivan Ivanov",
                "aka2": "Ваня",
                "kind": "PERSON",
            },
            {
                "id": "3",
                "org": None,
                "trade": None,
                "name": "АО Банк",
                "aka": None,
                "aka2": None,
                "kind": "ORGANIZATION",
            },
            {"id": "4", "org": None, "trade": None, "name": None, "aka": None, "aka2": None, "kind": "ghost"},
        ],
    )
    one, two, three, four = found.tables["entity_records"].to_pylist()
    assert (one["party_type"], one["organisation_key"], one["legal_form"], one["alias_keys"]) == (
        "organisation",
        "romashka",
        "too",
        ["daisi"],
    )
    assert (two["name_key"], two["alias_keys"]) == ("ivan ivanov", ["vania"])
    assert (three["organisation_key"], three["display_name"], three["given_name"]) == (
        "bank",
        "АО Банк",
        None,
    )
    assert (four["party_type"], four["quality_flags"]) == ("unknown", ["party_type_invalid"])


def test_several_free_texts_are_one_description_in_the_order_of_the_manifest():
    entry = """
  - {name: goods, path: g.csv, holds: organisations, fields: {id: id, description: [title, about]}}
"""
    rows = [
        {"id": "1", "title": "Насос ЭЦВ-6", "about": "Pump, 1/2 inch"},
        {"id": "2", "title": None, "about": None},
        {"id": "3", "title": "x" * 5000, "about": "never reached"},
    ]
    records = by_id(take_in(entry, goods=rows), "entity_records", "native_id")
    assert records["1"]["description"] == "nasos etsv 6 pump 1/2 inch"
    assert records["2"]["description"] is None
    assert "never" not in records["3"]["description"]


DATED = """
  - name: dated
    path: dated.csv
    holds: people
    fields: {id: id, full_name: name, phone: phone, phone_from: since, phone_to: until, card: card,
             address: address, address_from: {column: moved_in, optional: true}}
"""


def dated(*intervals: tuple[str | None, str | None]) -> SourceTables:
    rows = [
        {"id": str(n), "name": "Ким Лев", "phone": "8 701 123 45 67", "since": since, "until": until,
         "card": "4400 4300 1234 5678", "address": "Абая 1"}
        for n, (since, until) in enumerate(intervals)
    ]  # fmt: skip
    return take_in(DATED, dated=rows)


def test_intervals_are_read_as_days_and_open_ends_are_null():
    tables = dated(("01.02.2010", "2015-12-31"), (None, "31.12.2015"), ("2010-02-01", None), (None, None))
    records = tables.tables["entity_records"]
    start, end = date(2010, 2, 1), date(2015, 12, 31)
    assert records["phone_from"].to_pylist() == [start, None, start, None]
    assert records["phone_to"].to_pylist() == [end, end, None, None]
    assert records["address_from"].null_count == records["card_to"].null_count == 4
    assert records["identifiers"].to_pylist() == [["card:4400430012345678"]] * 4
    assert tables.tables["quarantined_rows"].num_rows == 0


def test_the_year_9999_is_no_end_and_no_fault():
    tables = dated(("2010-02-01", "31.12.9999"), ("2010-02-01", "9999-12-31"))
    assert tables.tables["entity_records"]["phone_to"].null_count == 2
    assert tables.tables["quarantined_rows"].num_rows == 0
    typed = pa.table({"id": ["1"], "name": ["Ким Лев"], "phone": ["1"], "until": [date(9999, 12, 31)]})
    entry = "\n  - {name: typed, path: t, format: parquet, holds: people, fields: {id: id, phone_to: until}}"
    tables = take_in(entry, typed=RawFile(typed, np.array([1]), tuple(typed.column_names)))
    assert tables.tables["entity_records"]["phone_to"].null_count == 1
    assert tables.tables["quarantined_rows"].num_rows == 0


def test_a_bad_interval_is_lost_and_the_record_keeps_its_number():
    tables = dated(("2016-01-01", "2015-12-31"), ("31.02.2015", "2016-01-01"), ("2015-12-31", "2015-12-31"))
    records, faults = tables.tables["entity_records"], tables.tables["quarantined_rows"].to_pylist()
    assert records["phones"].to_pylist() == [["+77011234567"]] * 3
    assert records["phone_from"].to_pylist() == [None, None, date(2015, 12, 31)]
    assert records["phone_to"].to_pylist() == [None, date(2016, 1, 1), date(2015, 12, 31)]
    assert [(fault["file"], fault["row"], fault["field"], fault["reason"]) for fault in faults] == [
        ("dated.csv", 1, "phone_to", "is before phone_from: the interval is not known"),
        ("dated.csv", 2, "phone_from", "is no date that exists"),
    ]
    assert records["quality_flags"].to_pylist() == [["phone_to_invalid"], ["phone_from_invalid"], []]


def test_records_of_a_version_without_intervals_are_read_as_without_any():
    records = dated(("2010-02-01", None)).tables["entity_records"]
    older = records.drop_columns(
        ["phone_from", "phone_to", "card_from", "card_to", "address_from", "address_to"]
    )
    conformed = model.ENTITY_RECORDS.conform(older)
    assert conformed.schema == model.ENTITY_RECORDS.schema
    assert conformed["phone_from"].null_count == 1
    assert conformed.drop_columns(["phone_from"]).equals(records.drop_columns(["phone_from"]))


def test_a_former_surname_makes_a_further_name_with_the_own_given_name():
    fields = "{id: id, full_name: name, former_family_name: maiden}"
    entry = f"\n  - {{name: brides, path: brides.csv, holds: people, fields: {fields}}}\n"
    rows = [
        {"id": "1", "name": "Смирнова Ольга Петровна", "maiden": "Иванова"},
        {"id": "2", "name": "Ким Айгуль", "maiden": None},
        {"id": "3", "name": "Ким Айгуль", "maiden": "Ким"},
    ]
    records = take_in(entry, brides=rows).tables["entity_records"]
    assert records["family_key"].to_pylist() == ["smirnova", "kim", "kim"]
    assert records["alias_keys"].to_pylist() == [["ivanova olga petrovna"], [], []]
