"""Cypher of the graph store, made of the schema in terag_pipelines.graph.model.

Every value is a parameter.
"""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from terag_pipelines.graph.model import ENTITY, NODES, OPEN_END, EdgeSpec, NodeSpec

CONSTRAINTS = [
    f"CREATE CONSTRAINT terag_{label.lower()}_{name} IF NOT EXISTS FOR (n:{label}) REQUIRE n.{name} IS UNIQUE"
    for label, name in [*((spec.label, "key") for spec in NODES), ("LoadPointer", "name")]
]
LOOKUPS = [
    f"CREATE INDEX terag_{spec.label.lower()}_id IF NOT EXISTS FOR (n:{spec.label}) ON (n.{spec.id_column})"
    for spec in (ENTITY,)
]
"""Ids that queries ask for: several versions of a node have one."""

# --- turns and loads

ENSURE_TURN = """
WITH NOT EXISTS { MATCH (n) WHERE NOT n:LoadPointer } AS is_empty
MERGE (:LoadPointer {name: 'turn'})
MERGE (s:LoadPointer {name: 'token'})
ON CREATE SET s.token = 0, s.last = 0, s.store_id = randomUUID(), s.is_swept = is_empty
"""
QUEUE = "MATCH (t:LoadPointer {name: 'turn'}) SET t.n_turns = coalesce(t.n_turns, 0) + 1"
"""Loaders queue for its write lock, which the server lets go when the transaction or its client ends."""
COUNT_TURN = "MATCH (s:LoadPointer {name: 'token'}) SET s.token = s.token + 1 RETURN s.token AS token"
STORE_STATE = """
MATCH (s:LoadPointer {name: 'token'}) OPTIONAL MATCH (p:LoadPointer {name: 'promoted'})
RETURN s.store_id AS store_id, s.last AS last, coalesce(p.load, 0) AS promoted
"""
_IN_TURN = "MATCH (s:LoadPointer {name: 'token', token: $token})\n"
"""Every write of a loader asks for its token: one that lost its turn finds nothing, and writes nothing."""
BEGIN_LOAD = (
    _IN_TURN
    + """
SET s.last = CASE WHEN s.last < $load THEN $load ELSE s.last END
MERGE (l:LoadPointer {name: 'load:' + $load})
SET l.load = $load, l.batch_id = $batch_id, l.digest = $digest, l.is_whole = false,
  l.was_shown = false, l.finished_at = null
RETURN l.load AS load
"""
)
BEGIN_IN_PLACE = (
    _IN_TURN
    + """
SET s.last = CASE WHEN s.last < $load THEN $load ELSE s.last END, s.is_swept = false
WITH s MATCH (b:LoadPointer {name: 'load:' + $base})
WITH s, b.batch_id AS base_batch_id, b.finished_at AS base_finished_at
MATCH (old:LoadPointer) WHERE old.name STARTS WITH 'load:' OR old.name = 'promoted'
DELETE old
WITH DISTINCT base_batch_id, base_finished_at
CREATE (l:LoadPointer {name: 'load:' + $load, load: $load, batch_id: $batch_id, digest: $digest,
  base: $base, base_batch_id: base_batch_id, base_finished_at: base_finished_at,
  is_whole: false, was_shown: false})
RETURN l.load AS load
"""
)
"""Forgets every load: what the store holds becomes the new one, row by row, and is not shown meanwhile."""
BASE_OF = "MATCH (l:LoadPointer {name: 'load:' + $load}) RETURN coalesce(l.base, 0) AS base"
"""The load that is being made into this one, in place; 0 where it stays beside it."""
FINISH_LOAD = (
    _IN_TURN
    + """
MATCH (l:LoadPointer {name: 'load:' + $load}) SET l.is_whole = true, l.finished_at = datetime()
RETURN l.load AS load
"""
)
DISTRUST = "UNWIND $rows AS load MATCH (l:LoadPointer {name: 'load:' + load}) SET l.digest = ''"
"""Its rows are not what was written: no plan is that of this load any more."""
LOADS = """
MATCH (l:LoadPointer) WHERE l.name STARTS WITH 'load:'
RETURN l.load AS load, l.batch_id AS batch_id, l.digest AS digest, l.is_whole AS is_whole,
  coalesce(l.was_shown, false) AS was_shown, l.finished_at AS finished_at,
  l.base_batch_id AS base_batch_id, l.base_finished_at AS base_finished_at ORDER BY load
"""
_ALONE = """MERGE (lock:LoadPointer {name: 'promotion'}) SET lock.n_turns = coalesce(lock.n_turns, 0) + 1
"""
"""Promotions and the forgetting of loads wait for each other: what one has read stays so for it."""
PROMOTE = (
    _ALONE
    + """
WITH lock MATCH (l:LoadPointer {name: 'load:' + $load}) WHERE l.is_whole AND l.batch_id = $batch_id
MERGE (p:LoadPointer {name: 'promoted'})
WITH l, p OPTIONAL MATCH (before:LoadPointer {name: 'load:' + p.load}) WHERE before <> l
SET before.left_at = datetime(), l.left_at = null, l.was_shown = coalesce(l.was_shown, false) OR $is_shown,
  p.load = l.load, p.batch_id = l.batch_id
RETURN p.load AS load
"""
)
NOTE_SHOWN = """
MATCH (p:LoadPointer {name: 'promoted'}) MATCH (l:LoadPointer {name: 'load:' + p.load}) SET l.was_shown = true
"""
PROMOTED = "MATCH (p:LoadPointer {name: 'promoted'}) WHERE p.load > 0 RETURN p.batch_id AS batch_id"
FORGET_BEGUN = (
    _IN_TURN
    + """
OPTIONAL MATCH (l:LoadPointer) WHERE l.name STARTS WITH 'load:' AND NOT l.is_whole
DELETE l RETURN DISTINCT s.token AS token
"""
)
"""Loads that never became whole."""
FORGET_OLD = (
    _ALONE
    + """
WITH lock OPTIONAL MATCH (p:LoadPointer {name: 'promoted'})
WITH coalesce(p.load, 0) AS promoted
MATCH (l:LoadPointer)
WHERE l.name STARTS WITH 'load:' AND NOT l.batch_id IN $keep AND l.load <> promoted
  AND coalesce(l.left_at < datetime() - duration({seconds: $window_s}), true)
MATCH (s:LoadPointer {name: 'token'}) SET s.is_swept = false
DELETE l RETURN count(*) AS n
"""
)
"""All loads but the promoted one, those of $keep, and those that a query begun before may still be reading:
none of them can be promoted from then on."""

IS_SWEPT = "MATCH (s:LoadPointer {name: 'token'}) RETURN coalesce(s.is_swept, false) AS is_swept"
SWEPT = _IN_TURN + "SET s.is_swept = true RETURN s.token AS token"
"""Whether no row is left that none of the remembered loads has."""

QUEUE_TRIALS = "MERGE (t:LoadPointer {name: 'tuning'}) SET t.n_turns = coalesce(t.n_turns, 0) + 1"
"""Those who try indexes queue for its write lock, as loaders do for theirs."""
OPEN_TRIAL = "UNWIND $rows AS name MERGE (t:LoadPointer {name: 'trial:' + name}) SET t.index = name"
CLOSE_TRIAL = "UNWIND $rows AS name MATCH (t:LoadPointer {name: 'trial:' + name}) DELETE t"
OPEN_TRIALS = "MATCH (t:LoadPointer) WHERE t.name STARTS WITH 'trial:' RETURN t.index AS index ORDER BY index"

_PROMOTED = "MATCH (p:LoadPointer {name: 'promoted'}) WITH p.load AS promoted\n"
"""The pointer is read once, before anything else: as `p.load` in a filter it would be read for every row,
and a promotion in between would give rows of two loads."""


def _holds(element: str, load: str = "promoted") -> str:
    """That a row is part of a load."""
    return f"{element}.valid_from <= {load} AND {load} < {element}.valid_to"


_ENTITY = _PROMOTED + f"MATCH (e:Entity {{entity_id: $entity_id}}) WHERE {_holds('e')}\n"

FIND_ENTITY = (
    _ENTITY
    + f"""
RETURN e {{.entity_id, .party_type, .display_name, .is_partial, .is_watchlist, .n_records}} AS entity,
  COLLECT {{
    MATCH (r:Record)-[t:RESOLVES_TO]->(e) WHERE {_holds("t")}
    RETURN [r.record_id, r.dataset, r.display_name, r.party_type, t.link_probability]
    ORDER BY r.record_id LIMIT $limit
  }} AS records,
  COLLECT {{
    MATCH (e)<-[t:RESOLVES_TO]-(l:Record)-[k:LINKED]->(r:Record) WHERE {_holds("t")} AND {_holds("k")}
    RETURN [l.record_id, r.record_id, k.match_weight, k.link_probability]
    ORDER BY l.record_id, r.record_id LIMIT $limit
  }} AS links,
  COLLECT {{
    MATCH (e)-[h:HAS_IDENTIFIER]->(i:Identifier) WHERE {_holds("h")}
    RETURN [i.identifier_id, i.kind, COLLECT {{
      MATCH (i)<-[g:HAS_IDENTIFIER]-(o:Entity) WHERE o <> e AND {_holds("g")}
      RETURN o.entity_id ORDER BY o.entity_id LIMIT $limit
    }}]
    ORDER BY i.identifier_id LIMIT $limit
  }} AS identifiers,
  COLLECT {{
    MATCH (e)-[h:HOLDS]->(a:Account) WHERE {_holds("h")}
    RETURN [a.account_id, a.bank, a.currency, a.is_outside] ORDER BY a.account_id LIMIT $limit
  }} AS accounts,
  COLLECT {{
    MATCH (e)-[r:RELATED_TO]-(o:Entity) WHERE {_holds("r")}
    RETURN [o.entity_id, o.display_name, r.kind, r.share, startNode(r) = e]
    ORDER BY o.entity_id, r.kind, startNode(r) = e LIMIT $limit
  }} AS related
"""
)
FIND_BY_NAME = (
    _PROMOTED
    + f"""
MATCH (e:Entity) WHERE e.display_name STARTS WITH $prefix AND {_holds("e")}
RETURN e.entity_id, e.party_type, e.display_name ORDER BY e.display_name, e.entity_id LIMIT $limit
"""
)
ACCOUNTS_AT = (
    _PROMOTED
    + f"""
MATCH (a:Account) WHERE a.bank = $bank AND {_holds("a")}
RETURN a.account_id, a.bank, a.currency, a.is_outside ORDER BY a.account_id LIMIT $limit
"""
)
TRANSFERS_ABOVE = (
    _PROMOTED
    + f"""
MATCH (a:Account) WHERE a.bank = $bank AND {_holds("a")}
MATCH (a)-[t:TRANSFERRED]->(b:Account) WHERE t.amount_minor >= $amount_minor AND {_holds("t")}
RETURN a.account_id, b.account_id, t.currency, t.n_transfers, t.amount_minor,
  coalesce(t.first_at_ms, t.first_at.epochMillis), coalesce(t.last_at_ms, t.last_at.epochMillis)
ORDER BY t.amount_minor DESC, a.account_id, b.account_id, t.currency LIMIT $limit
"""
)
ENTITIES_NEAR = (
    _ENTITY
    + f"""
MATCH (e)-[h:HAS_IDENTIFIER]->(:Identifier)<-[g:HAS_IDENTIFIER]-(near:Entity)
WHERE {_holds("h")} AND {_holds("g")}
WITH promoted, e, collect(DISTINCT near) AS first
UNWIND first AS near
OPTIONAL MATCH (near)-[h:HAS_IDENTIFIER]->(:Identifier)<-[g:HAS_IDENTIFIER]-(far:Entity)
WHERE {_holds("h")} AND {_holds("g")}
WITH e, first, collect(DISTINCT far) AS second
UNWIND first + second AS o
WITH DISTINCT e, o WHERE o <> e
RETURN o.entity_id, o.party_type, o.display_name ORDER BY o.entity_id LIMIT $limit
"""
)


def write_nodes(spec: NodeSpec, *, are_new: bool) -> str:
    """Writes $rows (key, then values in the order of the plan's columns) as nodes that came with load $load.

    `are_new`: they are surely not there, so nothing need be looked for.
    """
    key, interval = {"key": "row[0]"}, {"valid_from": "$load", "valid_to": str(OPEN_END)}
    values = interval | _values(spec.schema, after=1)
    if are_new:
        return f"{_IN_TURN}UNWIND $rows AS row CREATE (:{spec.label} {{{_listed(key | values)}}})"
    return (
        f"{_IN_TURN}UNWIND $rows AS row MERGE (n:{spec.label} {{{_listed(key)}}}) "
        f"SET n += {{{_listed(values)}}}"
    )


def update_nodes(spec: NodeSpec) -> str:
    """Gives the nodes with the keys of $rows the values behind those; they are of load $load, too."""
    values = _listed(_values(spec.schema, after=1))
    return f"{_IN_TURN}UNWIND $rows AS row MATCH (n:{spec.label} {{key: row[0]}}) SET n += {{{values}}}"


def write_edges(spec: EdgeSpec, *, are_new: bool) -> str:
    """Writes $rows (keys of both ends, then the plan's columns) as relationships that came with load $load.

    There is one for each start, end and identity. `are_new`: they are surely not there (a quarter faster).
    """
    value_of = _values(spec.properties, after=2)
    interval = {"valid_from": "$load", "valid_to": str(OPEN_END)}
    if are_new:
        return _between_ends(spec) + f"CREATE (a)-[:{spec.type} {{{_listed(interval | value_of)}}}]->(b)"
    identity = {name: value_of.pop(name) for name in spec.identity} | {"valid_from": "$load"}
    rest = _listed(value_of | {"valid_to": str(OPEN_END)})
    return _between_ends(spec) + f"MERGE (a)-[r:{spec.type} {{{_listed(identity)}}}]->(b) SET r += {{{rest}}}"


def update_edges(spec: EdgeSpec) -> str:
    """Gives the open relationships of $rows (as for `write_edges`) the values behind their identity."""
    values = _values(spec.properties, after=2)
    rest = {name: value for name, value in values.items() if name not in spec.identity}
    return _open_edges(spec) + f"SET r += {{{_listed(rest)}}}"


def read_nodes(spec: NodeSpec) -> str:
    """The nodes with the keys of $rows, each as a list in the order of `write_nodes`."""
    values = _stored("n", ["key", *spec.schema.names])
    return f"UNWIND $rows AS row MATCH (n:{spec.label} {{key: row[0]}}) RETURN {values} AS row"


def read_edges(spec: EdgeSpec) -> str:
    """The relationships of $rows (keys of both ends, then the plan's columns), each a list in that order."""
    of_row = _values(spec.properties, after=2)
    identity = _listed({name: of_row[name] for name in spec.identity})
    return (
        f"UNWIND $rows AS row MATCH (a:{spec.start.label} {{key: row[0]}})"
        f"-[r:{spec.type} {{{identity}}}]->(b:{spec.end.label} {{key: row[1]}}) "
        f"WHERE r.valid_to >= {OPEN_END} RETURN [a.key, b.key] + {_stored('r', spec.properties.names)} AS row"
    )


def end_nodes(spec: NodeSpec) -> str:
    """Ends the nodes with the keys of $rows at load $load."""
    return f"{_IN_TURN}UNWIND $rows AS row MATCH (n:{spec.label} {{key: row[0]}}) SET n.valid_to = $load"


def end_edges(spec: EdgeSpec) -> str:
    """Ends the relationships of $rows (keys of both ends, identity) that are open, at load $load."""
    return _open_edges(spec) + "AND r.valid_from < $load SET r.valid_to = $load"


def _open_edges(spec: EdgeSpec) -> str:
    identity = _listed({name: f"row[{i}]" for i, name in enumerate(spec.identity, start=2)})
    return (
        f"{_between_ends(spec)}MATCH (a)-[r:{spec.type} {{{identity}}}]->(b) WHERE r.valid_to >= {OPEN_END} "
    )


def _between_ends(spec: EdgeSpec) -> str:
    return (
        f"{_IN_TURN}UNWIND $rows AS row MATCH (a:{spec.start.label} {{key: row[0]}}) "
        f"MATCH (b:{spec.end.label} {{key: row[1]}}) "
    )


# Whole labels and types, in the server's own transactions.


def end_all(pattern: Pattern) -> str:
    """Ends what is open of a label or type and came before load $load, at $load."""
    return pattern.changed(f"x.valid_to >= {OPEN_END} AND x.valid_from < $load", "SET x.valid_to = $load")


def reopen(pattern: Pattern) -> str:
    """Opens what loads behind $load have ended."""
    return pattern.changed(f"x.valid_to > $load AND x.valid_to < {OPEN_END}", f"SET x.valid_to = {OPEN_END}")


def remove_others(pattern: Pattern) -> str:
    """Removes the rows that none of $loads has, and those from before there were loads."""
    is_held = "any(load IN $loads WHERE x.valid_from <= load AND load < x.valid_to)"
    return pattern.changed(f"NOT coalesce({is_held}, false)", pattern.removal)


@dataclass(frozen=True)
class Pattern:
    """How all rows of a label or type are matched, as `x`."""

    match: str
    removal: str

    def changed(self, condition: str, change: str) -> str:
        """Changes the rows for which the condition holds."""
        return (
            f"{_IN_TURN}MATCH {self.match} WHERE {condition} "
            f"CALL (x) {{ {change} }} IN TRANSACTIONS OF 5000 ROWS RETURN count(*) AS n_changed"
        )


def all_nodes(spec: NodeSpec) -> Pattern:
    """The nodes of a label."""
    return Pattern(f"(x:{spec.label})", "DETACH DELETE x")


def all_edges(spec: EdgeSpec) -> Pattern:
    """The relationships of a type."""
    return Pattern(f"()-[x:{spec.type}]->()", "DELETE x")


def sum_nodes(spec: NodeSpec) -> str:
    """Count and the two halves of the hash sum of a label in load $load."""
    return f"MATCH (n:{spec.label}) WHERE {_holds('n', '$load')} " + _sums("n")


def sum_edges(spec: EdgeSpec) -> str:
    """Count and the two halves of the hash sum of a relationship type in load $load."""
    return f"MATCH ()-[r:{spec.type}]->() WHERE {_holds('r', '$load')} " + _sums("r")


def _sums(element: str) -> str:
    # Halves of the 63-bit hash: the sum of whole ones leaves 64 bits, and Cypher raises where an integer
    # overflows.
    low = "4294967296"
    return (
        f"WITH {element}.row_hash AS row_hash "
        f"RETURN count(*) AS n_rows, sum(row_hash / {low}) AS high, sum(row_hash % {low}) AS low"
    )


def _listed(value_of: dict[str, str]) -> str:
    return ", ".join(f"{name}: {value}" for name, value in value_of.items())


def _stored(element: str, names: list[str]) -> str:
    return "[" + ", ".join(f"{element}.{name}" for name in [*names, "row_hash"]) + "]"


def _values(columns: pa.Schema, after: int) -> dict[str, str]:
    """What each column, and the row hash behind them, is in a row that begins with `after` other values."""
    return {name: f"row[{i}]" for i, name in enumerate([*columns.names, "row_hash"], start=after)}
