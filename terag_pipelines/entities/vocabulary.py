"""The words that a manifest may use: what a file holds, its fields, its formats and units."""

from __future__ import annotations

PARTY_HOLDS = ("people", "organisations", "parties", "watchlist")
PARTY_TYPES = ("person", "organisation", "unknown")
LABEL_KINDS = ("entity", "pair", "fraud", "ring", "effect", "invoice")
LABEL_USES = ("training", "truth")
FORMATS = ("csv", "jsonl", "parquet", "yaml")
SUFFIX_FORMATS = {
    ".csv": "csv",
    ".tsv": "csv",
    ".txt": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
    ".yaml": "yaml",
    ".yml": "yaml",
}
STEP_UNITS = {"step_seconds": 1, "step_minutes": 60, "step_hours": 3600, "step_days": 86400}
EPOCH_UNITS = {"epoch_seconds": 1, "epoch_milliseconds": 1000}
UNITS = (*STEP_UNITS, *EPOCH_UNITS, "minor", "percent")

PANEL_KEYS = ("client_id", "month")
"""The columns of every client panel; what else it has are its variables."""

IDENTIFIER_KINDS = ("national_id", "passport", "driving_licence", "ssn", "tax_id", "card")
DATED_KINDS = ("phone", "card", "address")
"""What passes from one holder to the next: a record may say from when to when it was this party's."""

VALIDITY_FIELDS = tuple(f"{kind}_{end}" for kind in DATED_KINDS for end in ("from", "to"))
PARTY_FIELDS = (
    *(
        "id",
        "party_type",
        "full_name",
        "given_name",
        "family_name",
        "patronymic",
        "alias",
        "former_family_name",
        "organisation_name",
    ),
    *("birth_date", "sex", "iin", "bin", *IDENTIFIER_KINDS, "phone", "email"),
    *("address", "street", "house", "locality", "region", "postcode", "country", "description"),
    *VALIDITY_FIELDS,
    "first_seen",
)
_RELATIONSHIP_FIELDS = ("subject", "object", "object_kind", "kind", "share", "valid_from", "valid_to")

FIELDS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(PARTY_HOLDS, PARTY_FIELDS),
    "accounts": ("id", "holder", "bank", "iban", "currency", "opened_on"),
    "transfers": (
        "id",
        "source_account",
        "target_account",
        "source_name",
        "target_name",
        "source_bank",
        "target_bank",
        "amount",
        "currency",
        "occurred_at",
        "channel",
        "is_cash",
        "purpose_code",
        "purpose_text",
        "device",
        "ip",
    ),
    "events": ("id", "party", "kind", "counterparty", "amount", "currency", "occurred_at"),
    "relationships": _RELATIONSHIP_FIELDS,
    "ownership": _RELATIONSHIP_FIELDS,
    "labels": ("subject", "object", "value"),
    "panel": ("client", "month"),
    "tenants": ("id", "name", "bin", "address", "email", "plan", "currency", "time_zone", "started_on"),
    "usage": ("id", "tenant", "meter", "quantity", "occurred_at"),
    "price_book": (),
}
"""The fields that each kind of file may map."""

REQUIRED_FIELDS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(PARTY_HOLDS, ("id",)),
    "accounts": ("id",),
    "transfers": ("source_account", "target_account", "amount", "occurred_at"),
    "events": ("kind", "occurred_at"),
    "relationships": ("subject", "object", "kind"),
    "ownership": ("subject", "object"),
    "labels": ("subject", "value"),
    "panel": ("client", "month"),
    "tenants": ("id", "name", "plan"),
    "usage": ("id", "tenant", "meter", "occurred_at"),
    "price_book": (),
}
"""The fields that each kind of file must map; a row without a usable value in one of them is left out."""

DEFAULT_VALUES: dict[str, dict[str, str]] = {
    "ownership": {"kind": "owns", "object_kind": "record"},
    "relationships": {"object_kind": "record"},
    "usage": {"quantity": "1"},
}
