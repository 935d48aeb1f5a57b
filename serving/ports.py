"""What the service needs from the outside; adapters are handed in by the composition root."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import pyarrow as pa

from terag_pipelines.billing.invoices import Invoice
from terag_pipelines.graph.ports import EntityView
from terag_pipelines.linking.ports import ReviewLog
from terag_pipelines.security.api_keys import ApiKeyRecord
from terag_pipelines.tables import TableSchema


class GraphReader(Protocol):
    """Live queries on the promoted batch of the graph."""

    def promoted_batch(self) -> str | None:
        """The batch that readers see."""

    def find_entity(self, entity_id: str) -> EntityView | None:
        """An entity with what hangs on it."""


class TableReader(Protocol):
    """Tables of the promoted batch."""

    def shelf(self) -> str:
        """The promoted shelf. Raises: IncompleteBatchError before the first."""

    def tables(self, *schemas: TableSchema) -> tuple[pa.Table, ...]:
        """All rows of these tables, all of one batch."""

    def rows(self, *schemas: TableSchema, **wanted: str) -> tuple[list[dict[str, Any]], ...]:
        """The rows of each of these tables whose columns have the wanted values, all of one batch."""


class KeyReader(Protocol):
    """Records of API keys."""

    def find(self, key_id: str) -> ApiKeyRecord | None:
        """The record of a key id."""


class InvoiceReader(Protocol):
    """Finalised invoices and their documents."""

    def invoice(self, invoice_id: str) -> Invoice:
        """An invoice. Raises: NotFoundError."""

    def document_of(self, invoice_id: str, render: Callable[[Invoice], bytes]) -> bytes:
        """The invoice's PDF: as kept, or rendered and kept. Raises: NotFoundError, RenderingError."""


@dataclass(frozen=True)
class Ports:
    """Everything that the service reads from, and the log it writes decisions to."""

    graph: GraphReader
    tables: TableReader
    keys: KeyReader
    invoices: InvoiceReader
    render_invoice: Callable[[Invoice], bytes]
    pepper: bytes
    reviews: ReviewLog
    read_figures: Callable[[], pa.Table]
    """GRAPH_READINGS of now."""
