"""The records that everything starts from: one Arrow schema for each kind of row a source may hold."""

from __future__ import annotations

import pyarrow as pa

from terag_pipelines.entities.vocabulary import VALIDITY_FIELDS
from terag_pipelines.tables import TableSchema

TEXT = pa.string()
TEXTS = pa.list_(pa.string())
INSTANT = pa.timestamp("us", tz="UTC")

PERSONAL_PARTY_COLUMNS = (
    "display_name",
    "given_name",
    "family_name",
    "patronymic",
    "given_key",
    "family_key",
    "patronymic_key",
    "name_key",
    "alias_keys",
    "organisation_key",
    "birth_date",
    "iin",
    "bin",
    "identifiers",
    "phones",
    "emails",
    "street",
    "house",
    "address_key",
    "description",
)

ENTITY_RECORDS = TableSchema(
    name="entity_records",
    schema=pa.schema(
        [
            ("record_id", TEXT),  # "<dataset>:<native id>", unique in the batch
            ("dataset", TEXT),  # name of the file entry in the manifest
            ("native_id", TEXT),
            ("party_type", TEXT),  # "person", "organisation" or "unknown"
            ("is_partial", pa.bool_()),  # a counterparty outside the bank: name and account only
            ("is_watchlist", pa.bool_()),
            ("display_name", TEXT),  # as given, cleaned
            ("given_name", TEXT),  # as given, cleaned: NFKC, trimmed, single spaces
            ("family_name", TEXT),
            ("patronymic", TEXT),
            ("given_key", TEXT),  # casefolded Latin transliteration, letters and single spaces only
            ("family_key", TEXT),
            ("patronymic_key", TEXT),
            ("name_key", TEXT),  # all name tokens transliterated, sorted, joined by one space
            ("alias_keys", TEXTS),  # name_key of every further name of the record
            ("organisation_key", TEXT),  # transliterated, legal form taken off
            ("legal_form", TEXT),  # canonical: "too", "ao", "ip", "ooo", "llc", ...
            ("birth_date", pa.date32()),
            ("sex", TEXT),  # "female", "male"
            ("iin", TEXT),  # valid ones only; an invalid one becomes a quality flag
            ("bin", TEXT),
            (
                "identifiers",
                TEXTS,
            ),  # "<kind>:<value>" or "<kind>:<country>:<value>", upper case, no separators
            ("phones", TEXTS),  # E.164; digits alone where the number is not valid anywhere
            ("emails", TEXTS),
            ("street", TEXT),  # casefolded Latin
            ("house", TEXT),
            ("locality", TEXT),
            ("region", TEXT),
            ("postcode", TEXT),
            ("country", TEXT),
            ("address_key", TEXT),  # all address tokens transliterated, in order
            ("description", TEXT),  # Latin key of free text, such as the title and description of a product
            *((name, pa.date32()) for name in VALIDITY_FIELDS),  # first and last day, null where open
            ("quality_flags", TEXTS),
            ("first_seen", INSTANT),
            ("file", TEXT),
            ("row", pa.int64()),  # 1 is the first row of data
        ]
    ),
    key=("record_id",),
    personal=frozenset(PERSONAL_PARTY_COLUMNS),
    later=frozenset(VALIDITY_FIELDS),
)

ACCOUNTS = TableSchema(
    name="accounts",
    schema=pa.schema(
        [
            ("account_id", TEXT),
            ("record_id", TEXT),  # the holder; null where the source does not say
            ("bank", TEXT),
            ("iban", TEXT),  # valid ones only
            ("currency", TEXT),
            ("opened_on", pa.date32()),
            ("is_outside", pa.bool_()),  # held at another bank, known from transfers only
        ]
    ),
    key=("account_id",),
    personal=frozenset({"iban"}),
)

TRANSFERS = TableSchema(
    name="transfers",
    schema=pa.schema(
        [
            ("transfer_id", TEXT),
            ("source_account", TEXT),
            ("target_account", TEXT),
            ("source_name", TEXT),
            ("target_name", TEXT),
            ("source_bank", TEXT),
            ("target_bank", TEXT),
            ("amount_minor", pa.int64()),
            ("currency", TEXT),
            ("occurred_at", INSTANT),
            ("channel", TEXT),
            ("is_cash", pa.bool_()),
            ("purpose_code", TEXT),
            ("purpose_text", TEXT),
            ("device_id", TEXT),
            ("ip", TEXT),
        ]
    ),
    key=("transfer_id",),
    personal=frozenset({"source_name", "target_name", "purpose_text", "ip"}),
)

PARTY_EVENTS = TableSchema(
    name="party_events",
    schema=pa.schema(
        [
            ("event_id", TEXT),
            ("record_id", TEXT),  # the party; null where only a counterparty is known
            ("event_kind", TEXT),
            ("counterparty", TEXT),
            ("amount_minor", pa.int64()),
            ("currency", TEXT),
            ("occurred_at", INSTANT),
        ]
    ),
    key=("event_id",),
)
"""What happened to one party alone, such as a payment whose payer the source does not name."""

RELATIONSHIPS = TableSchema(
    name="relationships",
    schema=pa.schema(
        [
            ("record_id", TEXT),
            ("object_kind", TEXT),  # "record", "device", "card", ...
            ("object_id", TEXT),  # a record_id where object_kind is "record"
            ("relationship_kind", TEXT),  # "owns", "directs", "spouse", "uses", ...
            ("share", pa.float64()),  # of ownership, 0 to 1
            ("valid_from", pa.date32()),
            ("valid_to", pa.date32()),
        ]
    ),
    key=("record_id", "object_kind", "object_id", "relationship_kind"),
)

LABELS = TableSchema(
    name="labels",
    schema=pa.schema(
        [
            ("label_kind", TEXT),  # "entity", "pair", "fraud", "ring", "effect", "invoice"
            ("subject_id", TEXT),  # record, account, client or tenant id
            (
                "object_id",
                TEXT,
            ),  # right record of a pair, treatment of an effect, month of an invoice; else ""
            ("value", TEXT),  # cluster id; "1"/"0"; ring id; a number
            ("use", TEXT),  # "training" may be learned from; "truth" is for scores only, never learned from
        ]
    ),
    key=("label_kind", "use", "subject_id", "object_id", "value"),
)

CLIENT_PANEL = TableSchema(
    name="client_panel",
    schema=pa.schema([("client_id", TEXT), ("month", TEXT)]),  # "YYYY-MM"; client_id is a record_id
    key=("client_id", "month"),
    extra=pa.float64(),  # every further column is a variable of the panel
)

TENANTS = TableSchema(
    name="tenants",
    schema=pa.schema(
        [
            ("tenant_id", TEXT),
            ("name", TEXT),
            ("bin", TEXT),
            ("address", TEXT),
            ("email", TEXT),
            ("plan_id", TEXT),
            ("currency", TEXT),
            ("time_zone", TEXT),
            ("started_on", pa.date32()),
        ]
    ),
    key=("tenant_id",),
    personal=frozenset({"bin", "address", "email"}),
)

USAGE_EVENTS = TableSchema(
    name="usage_events",
    schema=pa.schema(
        [
            ("event_id", TEXT),
            ("tenant_id", TEXT),
            ("meter", TEXT),
            ("quantity", pa.int64()),
            ("occurred_at", INSTANT),
        ]
    ),
    key=("tenant_id", "event_id"),
)

QUARANTINED_ROWS = TableSchema(
    name="quarantined_rows",
    schema=pa.schema(
        [
            ("file", TEXT),
            ("row", pa.int64()),  # 1 is the first row of data
            ("field", TEXT),  # "" where the whole row cannot be read
            ("reason", TEXT),  # says what is wrong, never the value
            ("raw_row", TEXT),  # the row as read, as JSON, so that it can be mended and handed in again
        ]
    ),
    key=("file", "row", "field", "reason"),
    personal=frozenset({"raw_row"}),
)

PRICE_BOOKS = TableSchema(
    name="price_books",
    schema=pa.schema([("price_book_id", TEXT), ("content", TEXT)]),  # content: the price book as JSON
    key=("price_book_id",),
)

SOURCE_FILES = TableSchema(
    name="source_files",
    schema=pa.schema(
        [
            ("dataset", TEXT),
            ("file", TEXT),
            ("holds", TEXT),
            ("n_rows", pa.int64()),  # as read, those in quarantine among them
            ("n_rejected", pa.int64()),  # left out, each with a row in quarantined_rows
        ]
    ),
    key=("dataset", "holds"),
)
"""What each file of the source held."""
