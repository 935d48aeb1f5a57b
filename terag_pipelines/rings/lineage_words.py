"""The words of a ring's lineage: one sentence for each event, and the section of its case file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from terag_pipelines.rings.sections import Rows, Section, Told
from terag_pipelines.rings.words import say_count

Event = Mapping[str, Any]
LINEAGE = "Lineage"
HOW_STABLE = (
    "Stability: of all who were in the ring in one batch or the next, the share that was in it in both, "
    "on average over its last batches."
)


def tell_event(event: Event) -> str:
    """What became of a ring, such as "grew from 5 to 8 members, 5 stayed"; a row of RING_EVENTS."""
    now, others = say_count(event["n_members"], "member"), ", ".join(event["other_ring_ids"])
    sizes = f"from {event['n_members_before']:,} to {now}, {event['n_kept']:,} stayed"
    match event["event"]:
        case "born":
            return f"born with {now}"
        case "returned":
            return f"came back with {now}, {event['n_kept']:,} of {event['n_members_before']:,} from before"
        case "continued":
            return f"continued with {now}, {event['n_kept']:,} stayed"
        case "merged":
            return f"merged with {others}: {sizes}" if event["n_members"] else f"went into {others}"
        case "split":
            is_new = event["overlap"] is None
            return f"came out of {others} with {now}" if is_new else f"parted with {others}: {sizes}"
        case "died":
            return f"died; had {say_count(event['n_members_before'], 'member')}"
        case name:
            return f"{name} {sizes}"


def tell_stability(stability: float | None) -> str:
    """How much of a ring stayed from batch to batch, or that it is not known yet."""
    return "not known yet" if stability is None else f"{stability:.0%}"


def history_of(ring_id: str, ring_history: pa.Table) -> list[Event]:
    """The events of one ring, oldest first."""
    own = ring_history.filter(pc.equal(ring_history["ring_id"], ring_id))
    return [dict(row) for row in own.sort_by("batch_number").to_pylist()]


def summarise_lineage(events: Sequence[Event]) -> str:
    """A ring's lineage in one sentence: since when, in how many batches, how stable, what came last."""
    last = events[-1]
    there = say_count(last["n_batches"], "batch", "batches")
    stability = tell_stability(last["stability"])
    born = f"born in batch {last['first_batch_number']}, there in {there}; stability {stability}"
    return f"{born}; at last {tell_event(last)}"


def lineage_sections(ring_id: str, ring_history: pa.Table) -> tuple[Section, ...]:
    """The history of one ring for its case file; nothing where nothing is known of it."""
    events = history_of(ring_id, ring_history)
    if not events:
        return ()
    rows = tuple(
        (f"{one['batch_number']}", str(one["batch"]), tell_event(one), tell_stability(one["stability"]))
        for one in events
    )
    table = Rows(("batch", "id", "what became of it", "stability"), rows, numeric=(0, 3))
    return (
        Section(LINEAGE, (Told(f"{summarise_lineage(events)}."), table, Told(HOW_STABLE, is_quiet=True))),
    )
