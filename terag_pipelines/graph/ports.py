"""What the platform asks of a graph store, and the views that it answers with."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from terag_pipelines.graph.changes import LoadManifest
from terag_pipelines.graph.load_plan import LoadPlan


@dataclass(frozen=True)
class LoadReport:
    """What a load did. `was_complete`: the batch was there already, whole, and nothing was written.

    Of nodes and relationships of the load before, `n_ended` are not part of this one, and `n_updated` were
    given other properties (where what the load before held need not be kept).
    """

    batch_id: str
    load: int
    digest: str
    counts: Mapping[str, int]
    was_complete: bool
    n_nodes_created: int = 0
    n_relationships_created: int = 0
    n_updated: int = 0
    n_ended: int = 0
    n_retries: int = 0


@dataclass(frozen=True)
class LoadState:
    """One load as the store knows it; `digest` is of the plan that it was made of.

    `was_shown`: readers have seen it, now or before. `base_batch_id`: the batch that readers had seen and
    that was made into this load in place, so that it is no longer there, and when it had been whole.
    """

    load: int
    batch_id: str
    digest: str
    is_whole: bool
    is_promoted: bool
    was_shown: bool
    finished_at: datetime | None
    base_batch_id: str | None = None
    base_finished_at: datetime | None = None


@dataclass(frozen=True)
class ServerState:
    """A server of the graph and the load that it shows.

    `role`: primary, which readers are sent to, or backup. `drift`: labels and types whose rows are not those
    of the load's manifest; None without a manifest. What is not known, of a server without an answer or
    without a load, is None.
    """

    role: str
    is_reachable: bool = True
    load: int | None = None
    batch_id: str | None = None
    finished_at: datetime | None = None
    n_rows: int | None = None
    drift: tuple[str, ...] | None = None


@dataclass(frozen=True)
class EntityHit:
    """An entity in a list of answers."""

    entity_id: str
    party_type: str | None
    display_name: str | None


@dataclass(frozen=True)
class RecordView:
    """A record of an entity; `link_probability` is of the strongest link that ties it in, None when alone."""

    record_id: str
    dataset: str | None
    display_name: str | None
    party_type: str | None
    link_probability: float | None


@dataclass(frozen=True)
class LinkView:
    """A link between two records of an entity; the weight is log2 of the posterior odds."""

    left_id: str
    right_id: str
    match_weight: float | None
    link_probability: float | None


@dataclass(frozen=True)
class SharedIdentifier:
    """A phone, IIN, address, ... (as a keyed hash) and the other entities that have it."""

    identifier_id: str
    kind: str
    entity_ids: tuple[str, ...]


@dataclass(frozen=True)
class AccountView:
    """An account as the graph knows it."""

    account_id: str
    bank: str | None
    currency: str | None
    is_outside: bool | None


@dataclass(frozen=True)
class RelatedEntity:
    """An entity that a relationship leads to (`is_outgoing`) or comes from."""

    entity_id: str
    display_name: str | None
    kind: str
    share: float | None
    is_outgoing: bool


@dataclass(frozen=True)
class EntityView:
    """One entity with what hangs on it; every list is sorted by id and cut at the store's limit."""

    entity_id: str
    party_type: str | None
    display_name: str | None
    is_partial: bool | None
    is_watchlist: bool | None
    n_records: int | None
    records: tuple[RecordView, ...]
    links: tuple[LinkView, ...]
    identifiers: tuple[SharedIdentifier, ...]
    accounts: tuple[AccountView, ...]
    related: tuple[RelatedEntity, ...]


@dataclass(frozen=True)
class TransferView:
    """All transfers from one account to another in one currency."""

    source_account: str
    target_account: str
    currency: str
    n_transfers: int
    amount_minor: int
    first_at: datetime | None
    last_at: datetime | None


class ManifestShelf(Protocol):
    """Where manifests of loads are kept, beside the store that holds the loads."""

    def read(self, store_id: str, load: int) -> LoadManifest | None:
        """The manifest of a load of a store; None where there is none, or it is damaged."""

    def write(self, store_id: str, load: int, manifest: LoadManifest) -> None:
        """Keeps a manifest, whole or not at all."""

    def keep_only(self, store_id: str, loads: Collection[int]) -> None:
        """Removes the manifests of a store's other loads."""

    def keep_only_store(self, store_id: str) -> None:
        """Removes the manifests of all other stores of this shelf."""


class GraphStore(Protocol):
    """A graph that holds loads, one after the other, and shows its readers the promoted one only.

    All methods raise StoreUnavailableError where the store gives no answer in time, StoreError where it
    refuses.
    """

    def load(self, plan: LoadPlan) -> LoadReport:
        """Writes what the plan changes of the newest whole load, unseen by readers, until it is whole.

        May be repeated and resumed. What other loaders began and did not finish is undone.
        """

    def held(self, batch_id: str) -> LoadState | None:
        """The newest whole load of a batch that was not found to have drifted; it may be promoted."""

    def promote(self, batch_id: str) -> None:
        """Makes a batch the one that readers see, in one transaction. Raises: StoreError when not whole."""

    def batch_before(self) -> str | None:
        """The newest batch from before the promoted one that readers have seen.

        Where a later load has taken its place it has to be loaded before it is promoted.
        """

    def servers(self) -> tuple[ServerState, ...]:
        """Each server of the graph, against the manifest of the load that its readers see.

        What has drifted is noted, so that the next load of its batch mends it.
        """

    def fill_backup(self) -> None:
        """Gives a backup that holds nothing yet what readers see, where that was prepared by the load."""

    def promoted_batch(self) -> str | None:
        """The batch that readers see."""

    def loads(self) -> tuple[LoadState, ...]:
        """The loads that can be promoted or are being made, oldest first."""

    def remove_other_batches(self, *keep: str) -> int:
        """Forgets all loads but those of `keep` and the promoted one, and removes rows that none of them has.

        Gives the number of nodes and relationships removed.
        """

    def counts(self, batch_id: str) -> dict[str, int]:
        """Rows of a batch by label and relationship type, as stored."""

    def digest(self, batch_id: str) -> str:
        """`LoadPlan.digest` of what is stored, computed in the store from the stored row hashes."""

    def find_entity(self, entity_id: str) -> EntityView | None:
        """An entity of the promoted batch with all that hangs on it."""

    def find_by_name(self, prefix: str, limit: int = 50) -> tuple[EntityHit, ...]:
        """Entities whose display name starts with `prefix` (case counts), by name."""

    def accounts_at(self, bank: str, limit: int = 50) -> tuple[AccountView, ...]:
        """Accounts held at a bank, by id."""

    def transfers_above(self, bank: str, amount_minor: int, limit: int = 50) -> tuple[TransferView, ...]:
        """Flows out of a bank's accounts that sum to `amount_minor` or more, largest first."""

    def entities_near(self, entity_id: str, limit: int = 200) -> tuple[EntityHit, ...]:
        """Entities up to two shared identifiers away, by id."""
