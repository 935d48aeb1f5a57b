"""The tables of the linking room, from candidate pairs to entities."""

from __future__ import annotations

import pyarrow as pa

from terag_pipelines.tables import TableSchema

TEXT = pa.string()
INSTANT = pa.timestamp("us", tz="UTC")

CANDIDATE_PAIRS = TableSchema(
    name="candidate_pairs",
    schema=pa.schema(
        [
            ("left_id", TEXT),  # record_id; left_id < right_id
            ("right_id", TEXT),
            ("rules", pa.list_(TEXT)),  # the blocking rules that found the pair
        ]
    ),
    key=("left_id", "right_id"),
)

PAIR_SCORES = TableSchema(
    name="pair_scores",
    schema=pa.schema(
        [
            ("left_id", TEXT),
            ("right_id", TEXT),
            ("pattern", TEXT),  # "given_name:exact|birth_date:typo"; missing fields are left out
            ("match_weight", pa.float64()),  # log2 of the posterior odds: prior, levels, term frequencies
            ("match_probability", pa.float64()),
        ]
    ),
    key=("left_id", "right_id"),
)

LINK_MODEL = TableSchema(
    name="link_model",
    schema=pa.schema(
        [
            ("party_type", TEXT),  # "person" or "organisation": two models
            ("field", TEXT),  # "prior" for the share of matches among candidate pairs
            ("level", TEXT),
            ("level_rank", pa.int32()),  # 1 is the strongest agreement
            ("m_probability", pa.float64()),  # of the level among matches
            ("u_probability", pa.float64()),  # of the level among candidate pairs that do not match
            ("match_weight", pa.float64()),  # log2(m / u)
            ("n_pairs", pa.float64()),  # candidate pairs at this level
            (
                "source",
                TEXT,
            ),  # "em": learned here; "default": stated in comparison.py, too few pairs to learn; "labels"
        ]
    ),
    key=("party_type", "field", "level_rank"),
)

LABELS_FIELD = "labels"
"""In LINK_MODEL the row that says that match weights were learned from labels: `level` names the learner,
`n_pairs` counts the labelled pairs, m and u are the shares of matches and of others among them."""

LINKS = TableSchema(
    name="links",
    schema=pa.schema(
        [
            ("left_id", TEXT),
            ("right_id", TEXT),
            ("pattern", TEXT),
            ("match_weight", pa.float64()),
            ("match_probability", pa.float64()),
            ("link_probability", pa.float64()),  # calibrated where is_calibrated, else match_probability
            ("is_calibrated", pa.bool_()),
        ]
    ),
    key=("left_id", "right_id"),
)

ENTITIES = TableSchema(
    name="entities",
    schema=pa.schema(
        [
            ("entity_id", TEXT),  # "ent_" and 16 hex of BLAKE2b over the earliest member's record_id
            ("party_type", TEXT),
            ("display_name", TEXT),  # of the most complete record
            ("birth_date", pa.date32()),
            ("iin", TEXT),
            ("bin", TEXT),
            ("n_records", pa.int64()),
            ("is_partial", pa.bool_()),  # all members are
            ("is_watchlist", pa.bool_()),  # any member is
        ]
    ),
    key=("entity_id",),
    personal=frozenset({"display_name", "birth_date", "iin", "bin"}),
)

ENTITY_MEMBERS = TableSchema(
    name="entity_members",
    schema=pa.schema(
        [
            ("record_id", TEXT),
            ("entity_id", TEXT),
            ("link_probability", pa.float64()),  # of the strongest link that ties it in; null when alone
        ]
    ),
    key=("record_id",),
)

GOLDEN_RECORDS = TableSchema(
    name="golden_records",
    schema=pa.schema(
        [
            ("entity_id", TEXT),
            ("field", TEXT),  # of ENTITY_RECORDS, or "former_family_name", "other_family_name"
            ("value", TEXT),  # dates as YYYY-MM-DD; a list has one row for each value
            ("record_id", TEXT),  # the member that it comes from
            ("rule", TEXT),  # why this one: "most_frequent", ...
            ("n_agreeing", pa.int64()),  # members that hold it, in any spelling with the same key
            ("n_conflicting", pa.int64()),  # members that hold another value
        ]
    ),
    key=("entity_id", "field", "value"),
    personal=frozenset({"value"}),
)
"""The value to trust of each field of each entity, with where it comes from."""

PAIR_DECISIONS = TableSchema(
    name="pair_decisions",
    schema=pa.schema(
        [
            ("left_id", TEXT),  # record_id; left_id < right_id
            ("right_id", TEXT),
            ("is_match", pa.bool_()),  # True: must share an entity; False: must not
            ("decided_by", TEXT),
            ("decided_at", INSTANT),
        ]
    ),
    key=("left_id", "right_id"),
)
"""What people decided in review; the decision that holds now, one for each pair."""

ENTITY_CHANGES = TableSchema(
    name="entity_changes",
    schema=pa.schema(
        [
            ("entity_id", TEXT),
            ("change", TEXT),  # born, grew, shrank, merged, split, "taken over" (by into_ids), ended
            ("from_ids", pa.list_(TEXT)),  # earlier entities whose records are here now
            ("into_ids", pa.list_(TEXT)),  # entities that have records which were here
            ("n_before", pa.int64()),  # records
            ("n_after", pa.int64()),
            (
                "cause",
                TEXT,
            ),  # "decision", "new", "corrected" or "removed record", else "evidence or decision"
            ("left_id", TEXT),  # of a merger: the strongest link between records that were apart before
            ("right_id", TEXT),
        ]
    ),
    key=("entity_id",),
)
"""What became of the entities of an earlier run; those that stayed as they were are not listed."""

ENTITY_ROLES = TableSchema(
    name="entity_roles",
    schema=pa.schema(
        [
            ("entity_id", TEXT),
            ("role", TEXT),  # "sole_trader_of" a person, "branch_of" an organisation
            ("object_entity_id", TEXT),
            ("basis", TEXT),  # what both share: "iin", "organisation_name"
            ("record_id", TEXT),  # of entity_id, the first that shows it
        ]
    ),
    key=("entity_id", "role", "object_entity_id"),
)
"""Entities that belong together without being one."""

REVIEW_ENTRIES = TableSchema(
    name="review_entries",
    schema=pa.schema(
        [
            ("left_id", TEXT),  # record_id; left_id < right_id
            ("right_id", TEXT),
            ("position", pa.int64()),  # 1 is the pair's first entry; the store counts, not a clock
            ("decision_id", TEXT),
            ("is_match", pa.bool_()),  # null in an undo
            ("undoes", TEXT),  # the decision_id that an undo takes back; null in a decision
            ("decided_by", TEXT),
            ("decided_at", INSTANT),
            ("note", TEXT),
        ]
    ),
    key=("left_id", "right_id", "position"),
    personal=frozenset({"note"}),  # free text: a person may have written a name into it
)
"""The log of review: every decision and every undo, none ever changed or removed."""

REVIEW_QUEUE = TableSchema(
    name="review_queue",
    schema=pa.schema(
        [
            ("left_id", TEXT),  # record_id; left_id < right_id
            ("right_id", TEXT),
            (
                "rank",
                pa.int64(),
            ),  # 1 is the pair most worth a look: links that hold a ring first, then by priority
            ("left_entity_id", TEXT),
            ("right_entity_id", TEXT),
            ("link_probability", pa.float64()),  # calibrated where is_calibrated, else match_probability
            ("is_calibrated", pa.bool_()),
            ("match_weight", pa.float64()),
            ("pattern", TEXT),
            ("question", TEXT),  # reviews.QUESTIONS: what the decision is about
            ("uncertainty_bits", pa.float64()),  # 0 to 1
            ("impact", pa.int64()),  # pairs of records that come together or fall apart
            ("priority", pa.float64()),  # uncertainty times impact
            ("reason", TEXT),  # in words, without any value of the records
        ]
    ),
    key=("left_id", "right_id"),
)
