"""The last step: readers move to the new batch, which is whole."""

import dagster as dg

from assets import calibration, graph, ingestion, linking, reviews, ring_cases, rings, twins
from assets.graph import load_from_lake
from assets.groups import PROMOTION
from resources.bindings import GraphResource, LakeResource, SourceResource, settings
from resources.parquet_lake import ParquetLake, PromotedShelf
from terag_pipelines.entities.model import ENTITY_RECORDS
from terag_pipelines.graph.ports import GraphStore
from terag_pipelines.linking.model import ENTITY_MEMBERS
from terag_pipelines.rings.lineage import EarlierRings, communities_of
from terag_pipelines.rings.model import RING_HISTORY, RING_SCORES, RING_TRACES

MODULES = (reviews, ingestion, linking, graph, rings, ring_cases, calibration, twins)


def upstream_keys() -> list[dg.AssetKey]:
    """Every asset that a batch must have before it is served."""
    found = dg.load_assets_from_modules(MODULES)
    return sorted(key for asset in found if isinstance(asset, dg.AssetsDefinition) for key in asset.keys)


@dg.asset(**PROMOTION, deps=upstream_keys())
def promoted_batch(
    source: SourceResource, lake: LakeResource, graph: GraphResource
) -> dg.MaterializeResult[None]:
    """Lets the service read the new batch, in lake and graph, and removes batches no longer kept."""
    shelf = source.batch_shelf()
    with graph.open() as store:
        load_from_lake(store, source.batch_id(), lake, graph)  # another run's load may have taken its place
        promoted = promote_both(store, lake.open(), source.batch_id(), shelf)
        lake.open().remove_old_batches(settings().keep_batches)
        store.remove_other_batches(*kept_batches(lake))
        store.fill_backup()
    records, members = (lake.open().read(shelf, schema) for schema in (ENTITY_RECORDS, ENTITY_MEMBERS))
    source.registry().note(source.settled_digest(), records, members, read_rings(lake.open(), shelf))
    return dg.MaterializeResult(
        metadata={"batch": shelf, "rows": len(promoted.digests), "note": f"{shelf} is served"}
    )


def promote_both(store: GraphStore, lake: ParquetLake, batch_id: str, shelf: str) -> PromotedShelf:
    """Moves the graph's pointer and then the lake's, once every table is there and whole: both or neither.

    Raises: IncompleteBatchError, TornTableError, StoreError.
    """
    checked = lake.check(shelf, [key.path[-1] for key in upstream_keys()])
    store.promote(batch_id)
    lake.show(checked)
    return checked


def read_rings(lake: ParquetLake, shelf: str) -> EarlierRings:
    """What a batch leaves to the next to know its rings by.

    Raises: IncompleteBatchError, TornTableError.
    """
    scores, traces, history = (lake.read(shelf, one) for one in (RING_SCORES, RING_TRACES, RING_HISTORY))
    return EarlierRings(communities_of(scores), traces, history)


def kept_batches(lake: LakeResource) -> list[str]:
    """The batches that the lake still has: the graph keeps the same."""
    return [shelf.removeprefix("batch-") for shelf in lake.open().batch_shelves()]
