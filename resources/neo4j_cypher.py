"""Cypher of the graph store, made of the schema in terag_pipelines.graph.model.

Every value is a parameter.
"""

from __future__ import annotations

import pyarrow as pa

from terag_pipelines.graph.model import NODES, EdgeSpec, NodeSpec

CONSTRAINTS = [
    f"CREATE CONSTRAINT terag_{label.lower()}_{name} IF NOT EXISTS FOR (n:{label}) REQUIRE n.{name} IS UNIQUE"
    for label, name in [*((spec.label, "key") for spec in NODES), ("LoadPointer", "name")]
]

ENSURE_TURN = "UNWIND $rows AS name MERGE (:LoadPointer {name: name})"
TAKE_TURN = "MATCH (t:LoadPointer {name: 'turn'}) SET t.n_turns = coalesce(t.n_turns, 0) + 1"
"""Loaders queue for its write lock, which the server lets go when the transaction or its client ends."""

UNMARK_LOADED = "UNWIND $rows AS batch_id MATCH (l:LoadPointer {name: 'loaded:' + batch_id}) DELETE l"
MARK_LOADED = """
UNWIND $rows AS batch_id MERGE (l:LoadPointer {name: 'loaded:' + batch_id}) SET l.batch_id = batch_id
"""
_ALONE = """MERGE (lock:LoadPointer {name: 'promotion'}) SET lock.n_turns = coalesce(lock.n_turns, 0) + 1
"""
"""Promotions and the forgetting of loaded batches wait for each other: what one has read stays so for it."""
PROMOTE = (
    _ALONE
    + """
WITH lock UNWIND $rows AS batch_id
MATCH (:LoadPointer {name: 'loaded:' + batch_id})
MERGE (p:LoadPointer {name: 'promoted'})
SET p.batch_id = batch_id
"""
)
PROMOTED = "MATCH (p:LoadPointer {name: 'promoted'}) RETURN p.batch_id AS batch_id"
IS_LOADED = "MATCH (l:LoadPointer {name: 'loaded:' + $batch_id}) RETURN l.batch_id"
BATCHES = "MATCH (n:Entity|Record|Account|Device|Identifier) RETURN DISTINCT n.batch_id AS batch_id"
FORGET_LOADED = (
    _ALONE
    + """
WITH lock OPTIONAL MATCH (p:LoadPointer {name: 'promoted'})
WITH coalesce(p.batch_id, '') AS promoted
MATCH (l:LoadPointer)
WHERE l.name STARTS WITH 'loaded:' AND NOT l.batch_id IN $rows AND l.batch_id <> promoted
DELETE l
"""
)
"""All but the promoted one and $rows: none of these can be promoted from then on."""

OPEN_TRIAL = "UNWIND $rows AS name MERGE (t:LoadPointer {name: 'trial:' + name}) SET t.index = name"
CLOSE_TRIAL = "UNWIND $rows AS name MATCH (t:LoadPointer {name: 'trial:' + name}) DELETE t"
OPEN_TRIALS = "MATCH (t:LoadPointer) WHERE t.name STARTS WITH 'trial:' RETURN t.index AS index ORDER BY index"

_PROMOTED = "MATCH (p:LoadPointer {name: 'promoted'}) WITH p.batch_id AS promoted\n"
"""The pointer is read once, before anything else: as `p.batch_id` in a filter it would be read for every row,
and a promotion in between would give rows of two batches."""
_ENTITY = _PROMOTED + "MATCH (e:Entity {key: promoted + ':' + $entity_id})\n"

FIND_ENTITY = (
    _ENTITY
    + """
RETURN e {.entity_id, .party_type, .display_name, .is_partial, .is_watchlist, .n_records} AS entity,
  COLLECT {
    MATCH (r:Record)-[t:RESOLVES_TO]->(e)
    RETURN [r.record_id, r.dataset, r.display_name, r.party_type, t.link_probability]
    ORDER BY r.record_id LIMIT $limit
  } AS records,
  COLLECT {
    MATCH (e)<-[:RESOLVES_TO]-(l:Record)-[k:LINKED]->(r:Record)
    RETURN [l.record_id, r.record_id, k.match_weight, k.link_probability]
    ORDER BY l.record_id, r.record_id LIMIT $limit
  } AS links,
  COLLECT {
    MATCH (e)-[:HAS_IDENTIFIER]->(i:Identifier)
    RETURN [i.identifier_id, i.kind, COLLECT {
      MATCH (i)<-[:HAS_IDENTIFIER]-(o:Entity) WHERE o <> e
      RETURN o.entity_id ORDER BY o.entity_id LIMIT $limit
    }]
    ORDER BY i.identifier_id LIMIT $limit
  } AS identifiers,
  COLLECT {
    MATCH (e)-[:HOLDS]->(a:Account)
    RETURN [a.account_id, a.bank, a.currency, a.is_outside] ORDER BY a.account_id LIMIT $limit
  } AS accounts,
  COLLECT {
    MATCH (e)-[r:RELATED_TO]-(o:Entity)
    RETURN [o.entity_id, o.display_name, r.kind, r.share, startNode(r) = e]
    ORDER BY o.entity_id, r.kind, startNode(r) = e LIMIT $limit
  } AS related
"""
)
FIND_BY_NAME = (
    _PROMOTED
    + """
MATCH (e:Entity) WHERE e.display_name STARTS WITH $prefix AND e.batch_id = promoted
RETURN e.entity_id, e.party_type, e.display_name ORDER BY e.display_name, e.entity_id LIMIT $limit
"""
)
ACCOUNTS_AT = (
    _PROMOTED
    + """
MATCH (a:Account) WHERE a.bank = $bank AND a.batch_id = promoted
RETURN a.account_id, a.bank, a.currency, a.is_outside ORDER BY a.account_id LIMIT $limit
"""
)
TRANSFERS_ABOVE = (
    _PROMOTED
    + """
MATCH (a:Account) WHERE a.bank = $bank AND a.batch_id = promoted
MATCH (a)-[t:TRANSFERRED]->(b:Account) WHERE t.amount_minor >= $amount_minor
RETURN a.account_id, b.account_id, t.currency, t.n_transfers, t.amount_minor, t.first_at, t.last_at
ORDER BY t.amount_minor DESC, a.account_id, b.account_id, t.currency LIMIT $limit
"""
)
ENTITIES_NEAR = (
    _ENTITY
    + """
MATCH (e)-[:HAS_IDENTIFIER]->(:Identifier)<-[:HAS_IDENTIFIER]-(near:Entity)
WITH e, collect(DISTINCT near) AS first
UNWIND first AS near
OPTIONAL MATCH (near)-[:HAS_IDENTIFIER]->(:Identifier)<-[:HAS_IDENTIFIER]-(far:Entity)
WITH e, first, collect(DISTINCT far) AS second
UNWIND first + second AS o
WITH DISTINCT e, o WHERE o <> e
RETURN o.entity_id, o.party_type, o.display_name ORDER BY o.entity_id LIMIT $limit
"""
)


def merge_nodes(spec: NodeSpec) -> str:
    """Writes $rows (values in the order of the plan's columns) as nodes of batch $batch_id, by unique key."""
    columns = [*spec.schema, pa.field("row_hash", pa.int64())]
    values = _listed({field.name: _value(i, field) for i, field in enumerate(columns)})
    return (
        f"UNWIND $rows AS row MERGE (n:{spec.label} {{key: $prefix + row[0]}}) "
        f"SET n = {{key: $prefix + row[0], batch_id: $batch_id, {values}}}"
    )


def write_edges(spec: EdgeSpec, *, are_new: bool) -> str:
    """Writes $rows as relationships between nodes that exist; one for each start, end and identity.

    `are_new`: the batch has none of this type yet, so nothing need be looked for (a quarter faster).
    """
    columns = [*spec.schema, pa.field("row_hash", pa.int64())][2:]
    value_of = {field.name: _value(i, field) for i, field in enumerate(columns, start=2)}
    ends = (
        f"UNWIND $rows AS row MATCH (a:{spec.start.label} {{key: $prefix + row[0]}}) "
        f"MATCH (b:{spec.end.label} {{key: $prefix + row[1]}}) "
    )
    if are_new:
        return ends + f"CREATE (a)-[:{spec.type} {{{_listed(value_of)}}}]->(b)"
    identity = {name: value_of.pop(name) for name in spec.identity}
    return ends + f"MERGE (a)-[r:{spec.type} {{{_listed(identity)}}}]->(b) SET r += {{{_listed(value_of)}}}"


def sum_nodes(spec: NodeSpec) -> str:
    """Count and the two halves of the hash sum of a label in batch $batch_id."""
    return f"MATCH (n:{spec.label}) WHERE n.batch_id = $batch_id " + _sums("n")


def sum_edges(spec: EdgeSpec) -> str:
    """Count and the two halves of the hash sum of a relationship type in batch $batch_id."""
    return f"MATCH (a:{spec.start.label})-[r:{spec.type}]->() WHERE a.batch_id = $batch_id " + _sums("r")


def remove_nodes(spec: NodeSpec) -> str:
    """Removes a label's nodes of batches outside $keep, and what hangs on them, in chunks."""
    return (
        f"MATCH (n:{spec.label}) WHERE NOT n.batch_id IN $keep "
        "CALL (n) { DETACH DELETE n } IN TRANSACTIONS OF 5000 ROWS RETURN count(*) AS n_removed"
    )


def _sums(element: str) -> str:
    # Halves of the 63-bit hash: the sum of whole ones leaves 64 bits, and Cypher raises where an integer
    # overflows.
    low = "4294967296"
    return (
        f"RETURN count({element}) AS n_rows, sum({element}.row_hash / {low}) AS high, "
        f"sum({element}.row_hash % {low}) AS low"
    )


def _listed(value_of: dict[str, str]) -> str:
    return ", ".join(f"{name}: {value}" for name, value in value_of.items())


def _value(i: int, field: pa.Field) -> str:
    """Instants travel as epoch milliseconds: the driver packs integers ten times faster than times."""
    if not pa.types.is_timestamp(field.type):
        return f"row[{i}]"
    return f"CASE WHEN row[{i}] IS NOT NULL THEN datetime.fromEpochMillis(row[{i}]) END"
