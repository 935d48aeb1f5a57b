"""Which column of a file of edges, nodes or labels is which field: by its name, or as a person says."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from terag_pipelines.entities.column_names import plain_column_name
from terag_pipelines.entities.column_types import IGNORE, ColumnReading
from terag_pipelines.errors import ConfigurationError, MissingColumnError

EDGES, NODES, LABELS = "edges", "nodes", "labels"

_NODE = """node, account, client, customer, entity, party, user, member, subject, vertex, id, acc, iban, iin,
    узел, счет, клиент, участник, шот"""
# Each field with the names that stand for it, the surest first.
_NAMES: Mapping[str, Mapping[str, str]] = {
    EDGES: {
        "source": """source, src, from, sender, payer, originator, orig, name orig, orig acct, debtor, caller,
            from node, node 1, node a, id 1, u, a, left, start, отправитель, плательщик, от кого, откуда,
            счет отправителя, счет плательщика, дебет, жіберуші, төлеуші""",
        "target": """target, dst, dest, destination, to, receiver, recipient, payee, beneficiary, bene,
            name dest, bene acct, creditor, callee, to node, node 2, node b, id 2, v, b, right, end,
            получатель, бенефициар, кому, куда, счет получателя, кредит, алушы""",
        "weight": "weight, w, strength, similarity, вес, сила, салмақ",
        "amount": """amount, sum, amt, value, transaction amount, tran amount, tx amount, payment amount,
            transfer amount, base amt, amount paid, сумма, сумма операции, сумма перевода, сома""",
        "currency": "currency, currency code, ccy, curr, cur, валюта, код валюты",
        "time": """time, timestamp, datetime, date time, date, ts, occurred at, occurred on, created at,
            booked at, booking date, value date, transaction time, transaction date, tran timestamp,
            tran date, payment date, transfer date, step, day, when, at, время, дата, дата операции,
            дата перевода, дата и время, уақыты, уақыт, күні""",
        "kind": """kind, type, relation, relationship, relation type, edge type, link type, tie,
            transaction type, tx type, channel, тип, вид, связь, түрі""",
        "id": """id, transfer id, transaction id, tran id, tx id, txid, payment id, operation id, edge id,
            uuid, номер операции, ид операции""",
    },
    NODES: {
        "node": _NODE,
        "kind": """kind, type, party type, entity type, client type, customer type, node type, тип, вид,
            тип клиента, түрі""",
        "name": "name, full name, display name, title, label, фио, имя, наименование, название, аты, атауы",
        "opened": """opened, opened on, opened at, open date, opening date, open dt, created, created at,
            created on, registered on, дата открытия, открыт, ашылған күні""",
        "watchlist": """watchlist, watch list, is watchlist, on watchlist, watchlisted, blacklist, sanctioned,
            sanctions, listed, flag, в списке, розыск, черный список, тізімде""",
    },
    LABELS: {
        "node": _NODE,
        "fraud": """fraud, is fraud, label, outcome, class, y, sar, is sar, suspicious, is suspicious, mule,
            is mule, bad, target, мошенник, фрод, мошенничество, алаяқ""",
    },
}
_REQUIRED = {EDGES: ("source", "target"), NODES: ("node",), LABELS: ("node", "fraud")}
_EXTRA_WORDS = frozenset(("id", "account", "acct", "acc", "no", "number", "node", "key", "code", "client"))
"""Words behind or before that change nothing: "sender_account_id" is the sender."""

FIELDS: Mapping[str, tuple[str, ...]] = {role: tuple(names) for role, names in _NAMES.items()}
_PHRASES = {
    role: {
        " ".join(phrase.split()): (field, place)
        for field, phrases in names.items()
        for place, phrase in enumerate(phrases.split(","))
    }
    for role, names in _NAMES.items()
}


@dataclass(frozen=True)
class ColumnsRead:
    """How every column of a file was read, and the column of each field that there is."""

    readings: tuple[ColumnReading, ...]
    fields: Mapping[str, str]

    def __contains__(self, field: object) -> bool:
        return field in self.fields


def read_columns(
    role: str, path: str, columns: Sequence[str], told: Mapping[str, str] = MappingProxyType({})
) -> ColumnsRead:
    """The columns of a file of EDGES, NODES or LABELS; `told` maps columns to fields, or to "ignore".

    Raises: MissingColumnError where a field that must be there is not found; the message says what to do.
    """
    found = {told[name]: ("as you said", name) for name in columns if told.get(name) in FIELDS[role]}
    ranked = sorted((rank, name) for name in columns if name not in told and (rank := _rank(role, name)))
    for (_, field), name in ranked:
        found.setdefault(field, ("by its name", name))
    free = [name for name in columns if name not in told]
    if not found and len(free) == len(_REQUIRED[role]):
        found = {
            field: ("by its place, as there are no others", name)
            for field, name in zip(_REQUIRED[role], free, strict=True)
        }
    if missing := [field for field in _REQUIRED[role] if field not in found]:
        raise MissingColumnError(_say_missing(role, path, columns, missing[0]))
    _refuse_data(path, columns, found)
    readings = tuple(_reading(role, name, found, told) for name in columns)
    return ColumnsRead(readings, {field: name for field, (_, name) in found.items()})


def check_told(told: Mapping[str, str], files: Mapping[str, Sequence[str]]) -> None:
    """Raises: ConfigurationError where a person names a column or field that no file (role: columns) has, or
    two columns of one file as the same field.
    """
    for column, field in sorted(told.items()):
        roles = [role for role, columns in files.items() if column in columns]
        if not roles:
            raise ConfigurationError(f"there is no column {column!r} in the {' or '.join(files)}")
        allowed = sorted({name for role in roles for name in FIELDS[role]})
        if field not in (*allowed, IGNORE):
            raise ConfigurationError(
                f"column {column!r}: there is no field {field!r}; there are {', '.join(allowed)}, {IGNORE}"
            )
    for role, columns in files.items():
        fields = Counter(told[column] for column in columns if told.get(column) in FIELDS[role])
        if repeated := sorted(field for field, n in fields.items() if n > 1):
            raise ConfigurationError(f"only one column of the {role} can be the {repeated[0]}")


def _rank(role: str, column: str) -> tuple[tuple[int, int], str] | None:
    """How sure a column's name is of its field (lower is surer), and the field."""
    for steps, phrase in enumerate(_shorter_and_shorter(plain_column_name(column).split())):
        if found := _PHRASES[role].get(phrase):
            return (steps, found[1]), found[0]
    return None


def _shorter_and_shorter(words: list[str]) -> Iterator[str]:
    """A name, then with words off its end and its beginning that change nothing."""
    yield " ".join(words)
    words = [re.sub(r"(?<=\w{3})id$", "", word) for word in words]  # "nodeid" is a node
    yield " ".join(words)
    for end in (-1, 0):
        while len(words) > 1 and words[end] in _EXTRA_WORDS:
            del words[end]
            yield " ".join(words)


def _reading(
    role: str, column: str, found: Mapping[str, tuple[str, str]], told: Mapping[str, str]
) -> ColumnReading:
    for field, (reason, name) in found.items():
        if name == column:
            return ColumnReading(column, field, reason)
    if told.get(column) == IGNORE:
        return ColumnReading(column, None, "not used: as you said")
    ranked = _rank(role, column)
    if ranked and ranked[1] in found:
        return ColumnReading(column, None, f"not used: {found[ranked[1]][1]} is the {ranked[1]}")
    return ColumnReading(column, None, "not used: its name is that of no field")


def _refuse_data(path: str, columns: Sequence[str], found: Mapping[str, tuple[str, str]]) -> None:
    """A file without a header would lose its first edge in silence."""
    by_place = [name for reason, name in found.values() if reason.startswith("by its place")]
    if by_place and any(re.search(r"\d", name) for name in by_place):
        raise MissingColumnError(
            f"{path}: its first line, of {len(columns)} columns, looks like data; "
            "write a header above it, such as source,target"
        )


def _say_missing(role: str, path: str, columns: Sequence[str], field: str) -> str:
    if all(re.search(r"\d", name) for name in columns):
        return (
            f"{path}: none of its {len(columns)} columns is the {field}: is its first line a header? "
            f"A file of {role} begins with one, such as {','.join(FIELDS[role][:4])}"
        )
    if len(columns) < len(_REQUIRED[role]):
        return (
            f"{path}: is one column, {columns[0][:80]!r}, and a file of {role} needs "
            f"{' and '.join(_REQUIRED[role])}; columns are parted by a comma, a semicolon, a tab or |"
        )
    shown = ", ".join(columns[:40]) + (", ..." if len(columns) > 40 else "")
    return (
        f"{path}: no column is called as a {field} is; the columns are: {shown}. Say which it is: "
        f"COLUMN={field}"
    )
