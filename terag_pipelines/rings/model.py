"""What the rings room hands on: a score for each entity, the rings, their members, how sure both are, what a
block would stop, what became of them since the last batch, and the alerts they raise.
"""

from __future__ import annotations

from dataclasses import replace

import pyarrow as pa

from terag_pipelines.tables import TableSchema

TEXT = pa.string()
TEXTS = pa.list_(pa.string())
SHARED_KINDS = ("iin", "document", "device", "card", "phone", "email", "address", "ip")
INSTANT = pa.timestamp("us", tz="UTC")

RING_SCORES = TableSchema(
    name="ring_scores",
    schema=pa.schema(
        [
            ("entity_id", TEXT),  # "account:<id>" where an account has no known holder
            ("community_id", TEXT),  # the smallest entity_id of the community
            ("n_members", pa.int64()),  # of the community
            ("score", pa.float64()),  # 0 to 1; out of fold for an entity with a training label
            ("anomaly_score", pa.float64()),  # 0 to 1, learned from no label
            ("is_supervised", pa.bool_()),  # score comes from a model that labels trained
            ("features", TEXT),  # JSON object: what the entity's reasons rest on, features that are not zero
            ("reasons", TEXTS),  # in words, the strongest first
        ]
    ),
    key=("entity_id",),
)

FRAUD_RINGS = TableSchema(
    name="fraud_rings",
    schema=pa.schema(
        [
            (
                "ring_id",
                TEXT,
            ),  # "ring_" + 16 hex digits over its members at birth; it stays from batch to batch
            ("community_id", TEXT),
            ("n_members", pa.int64()),
            ("kind", TEXT),  # "cycle", "fan_in", "fan_out", "shared_identity" or "mixed"
            ("risk_score", pa.float64()),  # mean score of the members, 0 to 1
            (
                "risk_probability",
                pa.float64(),
            ),  # mean calibrated probability of the members, as among those reviewed; null uncalibrated
            ("is_calibrated", pa.bool_()),
            ("severity", TEXT),  # "low", "medium", "high" or "critical"
            ("amount_minor", pa.int64()),  # moved between members, in `currency`
            ("currency", TEXT),  # the one in which members moved most transfers; null without transfers
            ("n_transfers", pa.int64()),  # between members, in any currency
            ("n_shared_identifiers", pa.int64()),  # held by two or more members, and by few in all
            ("n_watchlist", pa.int64()),  # members on a watchlist
            ("first_at", INSTANT),
            ("last_at", INSTANT),
            ("reasons", TEXTS),
        ]
    ),
    key=("ring_id",),
)

RING_MEMBERS = TableSchema(
    name="ring_members",
    schema=pa.schema(
        [
            ("ring_id", TEXT),
            ("entity_id", TEXT),
            (
                "role",
                TEXT,
            ),  # "collector", "distributor", "mule", "beneficiary", "link", "shared_identity", "associate"
            ("score", pa.float64()),
            ("in_amount_minor", pa.int64()),  # from members, in the ring's currency
            ("out_amount_minor", pa.int64()),  # to members, in the ring's currency
        ]
    ),
    key=("ring_id", "entity_id"),
)

RING_FEATURES = TableSchema(
    name="ring_features",
    schema=pa.schema(
        [
            ("ring_id", TEXT),
            ("n_members", pa.int64()),
            ("n_ties", pa.int64()),  # pairs of members that are tied, by money or by what they share
            ("density", pa.float64()),  # of all pairs
            ("mean_tie", pa.float64()),  # weight of ties, over all pairs
            ("fan_in", pa.float64()),  # the largest share of the others that pay one member
            ("fan_out", pa.float64()),  # the largest share of the others that one member pays
            ("n_circles", pa.int64()),  # of three or more transfers, each after the one before
            ("circle_share", pa.float64()),  # of members that are on a circle
            ("n_just_below", pa.int64()),  # transfers between members just below a reporting limit
            ("round_share", pa.float64()),  # of transfers between members, those of round amounts
            ("span_days", pa.float64()),  # from the first transfer between members to the last
            ("pass_through", pa.float64()),  # of what members get from anybody, what leaves within days
            ("n_relayed", pa.int64()),  # receipts of members that are passed on nearly whole within days
            ("relay_hours", pa.float64()),  # after that many hours, the median
            ("inside_share", pa.float64()),  # of what members pay anybody, what they pay members
            *((f"shared_{kind}", pa.int64()) for kind in SHARED_KINDS),  # held by two or more members
            ("watchlist_closeness", pa.float64()),  # 1 on it, 1/2 one step away, 1/4 two steps, else 0
            ("fraud_closeness", pa.float64()),  # the same, to clients whom analysts found to be frauds
            ("n_labelled_fraud", pa.int64()),  # members of whom analysts found that
            ("new_account_share", pa.float64()),  # of accounts, those new at the first transfer
        ]
    ),
    key=("ring_id",),
)
"""What describes a ring as a whole; null where there is nothing to take a share of."""

RING_WINDOWS = TableSchema(
    name="ring_windows",
    schema=pa.schema(
        [
            ("table_name", TEXT),  # "transfers" or "party_events"
            ("since", INSTANT),  # the first instant that counts; null where all does
            ("until", INSTANT),  # of the newest row of either table; null without any
            ("n_rows", pa.int64()),  # of the table
            ("n_before", pa.int64()),  # of these, left out as older
        ]
    ),
    key=("table_name",),
)
"""The part of time in which the batch's rings were sought."""

RING_DOUBT = TableSchema(
    name="ring_doubt",
    schema=pa.schema(
        [
            ("ring_id", TEXT),
            ("n_uncertain_links", pa.int64()),  # between records of its members; 0: the intervals are points
            ("n_draws", pa.int64()),  # 0 where there is nothing to draw
            ("is_calibrated", pa.bool_()),  # link probabilities are calibrated; null without uncertain links
            ("holds_probability", pa.float64()),  # share of draws in which the ring does not fall apart
            (
                "n_members_low",
                pa.int64(),
            ),  # 5% of draws are below, 0 where it falls apart; the ring as named is inside; widened
            ("n_members_high", pa.int64()),  # 95% of draws are not above
            ("risk_low", pa.float64()),  # as risk_probability, or risk_score where that is null, and widened
            ("risk_high", pa.float64()),
            (
                "coverage",
                pa.float64(),
            ),  # share of true sizes, and of risks, that such intervals hold; null: they claim no share
            ("n_worlds", pa.int64()),  # banks that were scored anew with all their links drawn; 0: none
            (
                "n_compared",
                pa.int64(),
            ),  # rings of those worlds like it: with a wrong link of their own if it has uncertain ones
            ("size_widening", pa.int64()),  # by which the interval is wider than the draws, on either side
            ("risk_widening", pa.float64()),
            (
                "weakest_left_id",
                TEXT,
            ),  # record ids of the link without which most is lost; null: none matters
            ("weakest_right_id", TEXT),
            ("weakest_probability", pa.float64()),  # its link_probability
            ("n_members_without", pa.int64()),  # members that stay without that link; 0: the ring falls apart
        ]
    ),
    key=("ring_id",),
    later=frozenset({"coverage", "n_worlds", "n_compared", "size_widening", "risk_widening"}),
)

RING_MEMBER_DOUBT = TableSchema(
    name="ring_member_doubt",
    schema=pa.schema(
        [
            ("ring_id", TEXT),
            ("entity_id", TEXT),
            ("membership_probability", pa.float64()),  # share of draws in which it belongs to the ring
            ("n_uncertain_links", pa.int64()),  # between its own records
        ]
    ),
    key=("ring_id", "entity_id"),
)

RING_INTERDICTIONS = TableSchema(
    name="ring_interdictions",
    schema=pa.schema(
        [
            ("ring_id", TEXT),
            ("account_id", TEXT),
            ("rank", pa.int64()),  # 1 is blocked first: it stops most
            ("entity_id", TEXT),
            ("is_member", pa.bool_()),  # false: an account outside the ring that gathers its money
            ("currency", TEXT),  # the ring's; all amounts here are in it; null where it is not known
            ("flow_minor", pa.int64()),  # all that the ring moves
            ("stopped_minor", pa.int64()),  # of it, with this account and those of lower rank blocked
            ("stopped_share", pa.float64()),  # the same as a share of flow_minor
            ("innocent_minor", pa.int64()),  # between this account and others than the ring
            ("n_innocent_transfers", pa.int64()),
            (
                "n_other_currency_transfers",
                pa.int64(),
            ),  # between members, not counted here; the same in each row
            ("n_accounts_least", pa.int64()),  # no fewer accounts can stop the wanted share
            ("is_proven_fewest", pa.bool_()),  # as many accounts are blocked as that bound says
        ]
    ),
    key=("ring_id", "account_id"),
)

RING_EVENTS = TableSchema(
    name="ring_events",
    schema=pa.schema(
        [
            ("ring_id", TEXT),
            (
                "batch_number",
                pa.int64(),
            ),  # of the batches of this source in which rings lived or died, from 1
            ("batch", TEXT),  # the batch's id
            ("event", TEXT),  # one of RING_EVENT_NAMES
            ("n_members", pa.int64()),  # now; 0 of a ring that is no more
            ("n_members_before", pa.int64()),  # when it was last there; 0 of a new ring
            ("n_kept", pa.int64()),  # in it then and now
            (
                "overlap",
                pa.float64(),
            ),  # n_kept of all who were in it then or now (Jaccard); null of a new ring
            ("other_ring_ids", TEXTS),  # rings that it merged with, else those that it parted from
            ("stability", pa.float64()),  # mean overlap of its last batches, 0 to 1; null of a new ring
            ("first_batch_number", pa.int64()),  # in which it was born
            ("n_batches", pa.int64()),  # in which it was there, this one among them
        ]
    ),
    key=("ring_id",),
)
"""What became of each ring since the last batch of the source: every ring of then and now is one row."""

RING_EVENT_NAMES = ("born", "returned", "continued", "grew", "shrank", "merged", "split", "died")

RING_HISTORY = replace(RING_EVENTS, name="ring_history", key=("ring_id", "batch_number"))
"""The events of the last batches, carried from batch to batch, for rings that are there or may come back."""

RING_TRACES = TableSchema(
    name="ring_traces",
    schema=pa.schema(
        [
            ("ring_id", TEXT),
            ("entity_id", TEXT),
            ("batch_number", pa.int64()),  # when the ring was last there
        ]
    ),
    key=("ring_id", "entity_id"),
)
"""Who was in each ring when it was last there: what the next batch tells rings by."""

RING_COMMUNITIES = TableSchema(
    name="ring_communities",
    schema=pa.schema([("entity_id", TEXT), ("community_id", TEXT)]),
    key=("entity_id",),
)
"""The community of each entity, as RING_SCORES has it: where the next batch's search begins."""

RING_ALERTS = TableSchema(
    name="ring_alerts",
    schema=pa.schema(
        [
            ("alert_id", TEXT),  # "alert_" + 16 hex digits over ring_id: the ring's alert in the queue
            ("ring_id", TEXT),
            ("rule", TEXT),  # "risk", "amount" or "watchlist"
            ("severity", TEXT),
            ("message", TEXT),  # counts and amounts only, nobody's name or identifier
            ("runbook", TEXT),
        ]
    ),
    key=("alert_id", "rule"),
)

ALERT_QUEUE = TableSchema(
    name="alert_queue",
    schema=pa.schema(
        [
            ("alert_id", TEXT),
            ("ring_id", TEXT),
            ("state", TEXT),  # "open", "acknowledged", "snoozed" or "closed"
            ("severity", TEXT),  # as last told
            ("rules", TEXTS),  # that ever held: "risk", "amount", "watchlist", "growth"
            ("n_members", pa.int64()),  # as last seen
            ("n_watchlist", pa.int64()),
            ("amounts", TEXT),  # as last seen, in words
            ("owner", TEXT),
            ("opened_at", INSTANT),  # escalations count from here
            ("snoozed_until", INSTANT),
            ("n_messages", pa.int64()),  # so far, escalations among them
            ("n_escalations", pa.int64()),  # since opened_at
            ("runbook", TEXT),
        ]
    ),
    key=("alert_id",),
    digested=False,  # what people did, and when, is not of the batch
)
