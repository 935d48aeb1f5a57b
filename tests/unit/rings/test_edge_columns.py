"""Columns of loose files of edges, nodes and labels: told from their names, or as a person says."""

from __future__ import annotations

import pytest

from terag_pipelines.errors import ConfigurationError, MissingColumnError
from terag_pipelines.rings.edge_columns import EDGES, FIELDS, LABELS, NODES, check_told, read_columns


def fields(role: str, *columns: str, **told: str) -> dict[str, str]:
    return dict(read_columns(role, "file.csv", columns, told).fields)


@pytest.mark.parametrize(
    ("source", "target", "amount", "time"),
    [
        ("source", "target", "amount", "time"),
        ("from", "to", "value", "timestamp"),
        ("Sender Account", "Receiver Account", "Amount Paid", "Date"),
        ("nameOrig", "nameDest", "amount", "step"),
        ("orig_acct", "bene_acct", "base_amt", "tran_timestamp"),
        ("sourceNodeId", "targetNodeId", "value", "time"),
        ("отправитель", "получатель", "сумма", "дата операции"),
        ("жіберуші", "алушы", "сома", "уақыты"),
        ("payer_id", "payee_id", "sum", "occurred_at"),
        ("src", "dst", "amt", "ts"),
    ],
)
def test_common_names_are_known(source: str, target: str, amount: str, time: str) -> None:
    found = fields(EDGES, "comment", time, amount, target, source)
    assert found == {"source": source, "target": target, "amount": amount, "time": time}


def test_nodes_and_labels_have_names_of_their_own() -> None:
    assert fields(NODES, "account_id", "ФИО", "open_dt", "watchlist", "type") == {
        "node": "account_id",
        "name": "ФИО",
        "opened": "open_dt",
        "watchlist": "watchlist",
        "kind": "type",
    }
    assert fields(LABELS, "nodeid", "isFraud") == {"node": "nodeid", "fraud": "isFraud"}


def test_the_surer_name_wins_and_the_other_column_says_why_it_is_not_used() -> None:
    read = read_columns(EDGES, "file.csv", ["src", "source", "target", "is_sar"])
    assert read.fields["source"] == "source"
    assert {one.column: (one.field, one.reason) for one in read.readings} == {
        "src": (None, "not used: source is the source"),
        "source": ("source", "by its name"),
        "target": ("target", "by its name"),
        "is_sar": (None, "not used: its name is that of no field"),
    }


def test_a_person_overrules_names() -> None:
    found = fields(EDGES, "x", "y", "source", "target", x="source", y="target", source="ignore")
    assert found == {"source": "x", "target": "y"}
    assert fields(EDGES, "from", "to", "amount", amount="ignore") == {"source": "from", "target": "to"}


def test_two_columns_of_unknown_names_are_the_ends_in_their_order() -> None:
    assert fields(EDGES, "alpha", "beta") == {"source": "alpha", "target": "beta"}
    with pytest.raises(MissingColumnError, match="no column is called as a source is"):
        fields(EDGES, "alpha", "beta", "gamma")


@pytest.mark.parametrize("columns", [["17", "42"], ["17", "42", "3.5"], ["KZ0001", "KZ0002"]])
def test_a_file_without_a_header_is_refused_before_it_loses_its_first_edge(columns: list[str]) -> None:
    with pytest.raises(MissingColumnError, match="header"):
        read_columns(EDGES, "file.csv", columns)


def test_what_a_person_says_must_fit_some_file() -> None:
    files = {EDGES: ["a", "b"], NODES: ["n"]}
    check_told({"a": "source", "n": "node", "b": "ignore"}, files)
    with pytest.raises(ConfigurationError, match="no column 'c' in the edges or nodes"):
        check_told({"c": "source"}, files)
    with pytest.raises(ConfigurationError, match="no field 'node'"):
        check_told({"a": "node"}, files)
    with pytest.raises(ConfigurationError, match="only one column of the edges can be the source"):
        check_told({"a": "source", "b": "source"}, files)


def test_no_name_stands_for_two_fields_of_one_file() -> None:
    for role, names in FIELDS.items():
        for field in names:
            columns = [*dict.fromkeys(["source", "target"] if role == EDGES else ["node", "fraud"]), field]
            assert field in read_columns(role, "file.csv", columns).fields
