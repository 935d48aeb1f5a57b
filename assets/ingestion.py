"""The tables of a source, as its manifest reads them."""

from collections.abc import Iterator

import dagster as dg
import pyarrow as pa

from assets.groups import SOURCES, out
from assets.metadata import described
from resources.bindings import SourceResource
from terag_pipelines.entities import model

DESCRIPTIONS = {
    model.ENTITY_RECORDS: "People and organisations as each dataset of the source knows them, normalised.",
    model.ACCOUNTS: "Accounts with their holders; those at other banks are known from transfers alone.",
    model.TRANSFERS: "Payments from account to account.",
    model.PARTY_EVENTS: "What happened to one party alone, such as a payment whose payer is not named.",
    model.RELATIONSHIPS: "Ownership, directorship, devices: what ties a record to another or to a thing.",
    model.LABELS: "What is known: decisions to learn from, and truth to be scored against.",
    model.CLIENT_PANEL: "Each client month by month: treatments, outcomes and what drives them.",
    model.TENANTS: "Who uses the API and on which plan.",
    model.USAGE_EVENTS: "What tenants used, event by event, as the source carries it.",
    model.PRICE_BOOKS: "What each plan costs, and the taxes on it.",
    model.QUARANTINED_ROWS: "Rows that cannot be used, with file, row, field and reason.",
    model.SOURCE_FILES: "How many rows each file of the source held, and how many were left out.",
}


# The decisions in force are part of what names a batch, so they come before its first table.
@dg.multi_asset(
    outs={schema.name: out(SOURCES, text) for schema, text in DESCRIPTIONS.items()}, deps=["pair_decisions"]
)
def source_tables(source: SourceResource) -> Iterator[dg.Output[pa.Table]]:
    """Reads the source folder once and gives each of its tables; bad rows go to quarantine."""
    found = source.open().ingest()
    for schema in DESCRIPTIONS:
        why_empty = found.reasons.get(schema.name)
        yield dg.Output(found.tables[schema.name], schema.name, metadata=described(why_empty=why_empty))
