"""Dagster's view of the adapters: resources that vend them, and the I/O manager over the lake.

No secret is ever a field here: Dagster stores and shows run configuration.
"""

import re
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow as pa
from pymongo.database import Database

from resources.alert_senders import open_desk, open_senders
from resources.batch_identity import batch_id
from resources.embedded import DOCUMENTS, PRIMARY, EmbeddedStores
from resources.entity_registry import EntityRegistry
from resources.graph_pair import GraphPair
from resources.invoice_pdf import InvoicePrinter
from resources.mongo_alerts import MongoAlerts
from resources.mongo_billing import MongoBilling
from resources.mongo_readings import MongoReadings
from resources.mongo_reviews import MongoReviews
from resources.mongo_tuning_log import MongoTuningLog
from resources.neo4j_graph import Neo4jGraph
from resources.open_graph import call_history, open_graph, query_history
from resources.owner_files import make_owner_folder, write_owner_file
from resources.parquet_lake import ParquetLake, StoredTable
from resources.secrets import identifier_key
from resources.settings import Settings, load_settings
from resources.source_files import SourceFolder
from resources.stores import connect_documents
from resources.table_registry import TABLES
from terag_pipelines.billing.core import BillingCore
from terag_pipelines.billing.invoices import Invoice
from terag_pipelines.errors import (
    IncompleteBatchError,
    RenderingError,
    StoreError,
    StoreUnavailableError,
    TornTableError,
)
from terag_pipelines.graph.load_plan import LoadPlanParams
from terag_pipelines.linking.model import PAIR_DECISIONS
from terag_pipelines.rings.alert_lineage import Fates
from terag_pipelines.rings.alert_model import Finding
from terag_pipelines.rings.alert_sending import Clock, SendingParams, Sent, send_due
from terag_pipelines.tables import TableSchema
from terag_pipelines.tuning.ports import SampledCall

N_PREVIEW_ROWS = 5
DECISIONS_SHELF = "decisions"
"""Where the lake keeps the decisions that the current batch is made with."""


@cache
def settings() -> Settings:
    """The settings of this process, read once."""
    return load_settings()


@contextmanager
def _documents(needs: Collection[str] = (DOCUMENTS, PRIMARY)) -> Iterator[Database[dict[str, Any]]]:
    """MongoDB: the configured one, or the embedded one, which is started where it does not run."""
    database = connect_documents(settings(), EmbeddedStores(settings()).start(needs=needs))
    try:
        yield database
    finally:
        database.client.close()


class SourceResource(dg.ConfigurableResource):  # type: ignore[type-arg]
    """The source folder that a run is about; where it is not given, TERAG_SOURCE, else the demo bank."""

    folder: str | None = None
    root: str | None = None

    def open(self) -> SourceFolder:
        """The folder, ready to be read. Raises: ManifestError where it has no source.yaml."""
        return _opened_source(self.folder, self.root)

    def batch_shelf(self) -> str:
        """The lake's shelf for this source's content."""
        return f"batch-{self.batch_id()}"

    def batch_id(self) -> str:
        """The batch: a hash of content, parameters, decisions in force, what it takes over, and code."""
        return batch_id(self.open().content_digest(), _decisions_in_force(), self.registry().digest())

    def registry(self) -> EntityRegistry:
        """The entities and rings of this source's last batch, whose ids the next one takes over."""
        lake = ParquetLake(make_owner_folder(settings().lake_folder))
        return EntityRegistry(lake, self.open().manifest().name)

    def settled_digest(self) -> str:
        """What the entities of a batch follow from: the source's content and the decisions in force."""
        decided = _decisions_in_force()
        return f"{self.open().content_digest()}:{decided}" if decided else self.open().content_digest()

    def version(self) -> str:
        """What a source was when it was looked at: as `batch_id`, whatever people decided since."""
        return batch_id(self.open().content_digest())


@cache
def _opened_source(folder: str | None, root: str | None) -> SourceFolder:
    chosen = Path(folder) if folder else settings().source or settings().home / "sources" / "demo"
    at = Path(root) if root else settings().source_root
    return SourceFolder(chosen, at)


def _decisions_in_force() -> str:
    """Digest of the decisions that the last refresh began with; "" where there were none."""
    stored = ParquetLake(settings().lake_folder).stored(DECISIONS_SHELF, PAIR_DECISIONS.name)
    return stored.digest if stored and stored.n_rows else ""


class LakeResource(dg.ConfigurableResource):  # type: ignore[type-arg]
    """The Parquet lake under TERAG_HOME."""

    def open(self) -> ParquetLake:
        """The lake's adapter; its folder is for the owner only, since it holds clients' names and numbers."""
        return ParquetLake(make_owner_folder(settings().lake_folder))

    def tables(self, shelf: str, names: Iterable[str]) -> dict[str, pa.Table]:
        """Tables of a shelf by name. Raises: IncompleteBatchError, TornTableError."""
        return {name: self.open().read(shelf, TABLES[name]) for name in names}

    def find(self, shelf: str, schema: TableSchema) -> pa.Table | None:
        """A table of a shelf; None where it is not there, or not whole."""
        try:
            return self.open().read(shelf, schema)
        except (IncompleteBatchError, TornTableError):
            return None

    def put_in_force(self, decisions: pa.Table) -> None:
        """Makes PAIR_DECISIONS part of what names a batch: from now on that is the batch they are used in."""
        self.open().write(DECISIONS_SHELF, PAIR_DECISIONS, decisions)


class GraphResource(dg.ConfigurableResource):  # type: ignore[type-arg]
    """Neo4j: the configured server, or the embedded ones, started where they do not run."""

    @contextmanager
    def open(self) -> Iterator[Neo4jGraph | GraphPair]:
        """The graph's adapter; its connections are closed afterwards. Raises: StoreUnavailableError."""
        with open_graph(settings()) as graph:
            yield graph

    def past_queries(self) -> pa.Table | None:
        """QUERY_WINDOWS of what batches and the service have asked of the graph.

        None, and a warning, where their history gives no answer.
        """
        try:
            return query_history(settings(), EmbeddedStores(settings()).start()).windows()
        except StoreUnavailableError as error:
            dg.get_dagster_logger().warning("slow queries are found without their past: %s", error)
            return None

    def past_calls(self) -> Mapping[str, Sequence[SampledCall]]:
        """Sampled calls of what batches and the service have asked of the graph, by shape.

        Empty, and a warning, where their history gives no answer.
        """
        try:
            return call_history(settings(), EmbeddedStores(settings()).start()).calls()
        except StoreError as error:
            dg.get_dagster_logger().warning("only questions of this run are replayed: %s", error)
            return {}

    @contextmanager
    def tuning_log(self) -> Iterator[MongoTuningLog]:
        """What tuning decided so far. Raises: StoreUnavailableError."""
        with _documents() as database:
            yield MongoTuningLog(database)

    @contextmanager
    def health_history(self) -> Iterator[MongoReadings]:
        """How the graph's servers were. Raises: StoreUnavailableError."""
        with _documents() as database:
            yield MongoReadings(database)

    def load_plan_params(self) -> LoadPlanParams:
        """How identifiers become nodes: under a hash that only this installation can compute."""
        return LoadPlanParams(identifier_key=identifier_key(settings()))


class BillingResource(dg.ConfigurableResource):  # type: ignore[type-arg]
    """MongoDB: the configured replica set, or the embedded one, which is started where it does not run."""

    @contextmanager
    def open(self) -> Iterator[MongoBilling]:
        """The billing store's adapter. Raises: StoreUnavailableError."""
        with _documents() as database:
            yield MongoBilling(database)


class ReviewResource(dg.ConfigurableResource):  # type: ignore[type-arg]
    """MongoDB, where people's decisions on pairs are kept."""

    @contextmanager
    def open(self) -> Iterator[MongoReviews]:
        """The review log's adapter. Raises: StoreUnavailableError."""
        with _documents() as database:
            yield MongoReviews(database)


class AlertResource(dg.ConfigurableResource):  # type: ignore[type-arg]
    """The queue of ring alerts in MongoDB, and the senders that the settings ask for."""

    @contextmanager
    def open(self) -> Iterator[MongoAlerts]:
        """The queue's and the outbox's adapter. Raises: StoreUnavailableError."""
        with _documents(needs=[DOCUMENTS]) as database:
            yield MongoAlerts(database)

    def offer(self, queue: MongoAlerts, findings: Sequence[Finding], fates: Fates | None = None) -> int:
        """Takes a batch's findings, and what became of rings; how many messages that made.

        Raises: StoreUnavailableError.
        """
        with open_senders(settings()) as senders:
            return open_desk(settings(), queue, senders).offer(findings, datetime.now(UTC), fates)

    def send(self, queue: MongoAlerts, budget_s: float) -> list[Sent]:
        """Raises escalations that are due, sends what waits, for so long a sender; empty without senders.

        Raises: StoreUnavailableError.
        """
        clock, params = Clock(time.monotonic, time.sleep), SendingParams(budget_s=budget_s)
        with open_senders(settings()) as senders:
            desk = open_desk(settings(), queue, senders)
            return send_due(desk, queue, senders, clock, datetime.now(UTC), params)


class PrinterResource(dg.ConfigurableResource):  # type: ignore[type-arg]
    """Prints invoices as PDFs, kept in the billing store and as files under <home>/invoices."""

    def print_all(self, core: BillingCore, invoices: Sequence[Invoice]) -> Path:
        """Prints each invoice once and gives the folder of the files.

        Raises: RenderingError of the first invoice that could not be printed, once the others are.
        """
        folder, failures = settings().home / "invoices", []
        with InvoicePrinter() as printer:
            for invoice, content in core.documents_of(invoices, printer.render_many):
                if isinstance(content, RenderingError):
                    failures.append(content)
                else:
                    write_owner_file(folder / _pdf_name(invoice), content)
        if failures:
            raise failures[0]
        return folder


def _pdf_name(invoice: Invoice) -> str:
    """Numbers are gapless for one seller and year, so another seller has the same ones."""
    seller = re.sub(r"[^0-9A-Za-z]+", "_", invoice.content.seller.party_id)
    return f"{seller}-{invoice.number}.pdf"


class LakeIOManager(dg.ConfigurableIOManager):
    """Stores each asset's table on the shelf of its batch or month, and loads it for those downstream."""

    source: dg.ResourceDependency[SourceResource]
    lake: dg.ResourceDependency[LakeResource]

    def handle_output(self, context: dg.OutputContext, obj: pa.Table) -> None:
        """Writes the table, whole or not at all, and shows its size, digest and first rows."""
        schema = TABLES[context.asset_key.path[-1]]
        stored = self.lake.open().write(self._shelf(context), schema, obj)
        context.add_output_metadata(_describe_table(schema, obj, stored))

    def load_input(self, context: dg.InputContext) -> pa.Table:
        """The upstream asset's table. Raises: IncompleteBatchError where it was not made for this source."""
        return self.lake.open().read(self._shelf(context), TABLES[context.asset_key.path[-1]])

    def _shelf(self, context: dg.OutputContext | dg.InputContext) -> str:
        if context.has_asset_partitions:
            return f"month-{context.asset_partition_key}"
        return self.source.batch_shelf()


def _describe_table(schema: TableSchema, table: pa.Table, stored: StoredTable) -> dict[str, Any]:
    return {
        "dagster/row_count": stored.n_rows,
        "rows": stored.n_rows,
        "digest": stored.digest,
        "preview": dg.MetadataValue.md(_as_markdown(schema.masked(table, N_PREVIEW_ROWS))),
    }


def _as_markdown(table: pa.Table) -> str:
    rows = table.to_pylist()
    lines = ["| " + " | ".join(table.column_names) + " |", "|" + " --- |" * table.num_columns]
    lines += ["| " + " | ".join(_cell(value) for value in row.values()) + " |" for row in rows]
    return "\n".join(lines) if rows else "no rows"


def _cell(value: object) -> str:
    if value is None:
        return ""
    text = f"{value:.4g}" if isinstance(value, float) else str(value)
    return (text if len(text) <= 60 else text[:57] + "...").replace("|", "\\|").replace("\n", " ")
