"""What the ring finder on its own found, with what a person should know before trusting it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from terag_pipelines.rings.communities import Communities
from terag_pipelines.rings.dense_groups import DenseGroups, DenseParams
from terag_pipelines.rings.detection import DetectionReport, RingDetection, RingParams
from terag_pipelines.rings.edge_reading import EdgeParams, GivenGraph, count_reasons
from terag_pipelines.rings.edge_tables import GraphOfEdges
from terag_pipelines.rings.found_tables import memberships_table, rings_table
from terag_pipelines.rings.naming import NamedRings, NamingParams
from terag_pipelines.rings.words import say_count

N_HUBS_NAMED = 20
GIANT_SHARE = 0.5


@dataclass(frozen=True)
class DetectorParams:
    """What a person may say; the defaults are meant for any graph. `naming.projection` is not used: the graph
    is that of `rings.projection`.
    """

    edges: EdgeParams = field(default_factory=EdgeParams)
    rings: RingParams = field(default_factory=RingParams)
    dense: DenseParams = field(default_factory=DenseParams)
    naming: NamingParams = field(default_factory=NamingParams)


@dataclass(frozen=True)
class Findings:
    """Everything that was found. `given` is what was read, `graph` what it was made into, `scores` are
    RING_SCORES with dense groups in them, `named` FRAUD_RINGS and RING_MEMBERS.
    """

    given: GivenGraph
    graph: GraphOfEdges
    detection: RingDetection
    dense: DenseGroups
    scores: pa.Table
    named: NamedRings
    params: DetectorParams

    @cached_property
    def memberships(self) -> pa.Table:
        """MEMBERSHIPS: the community of every node, and its ring where it is in one."""
        return memberships_table(self.scores, self.named.members, self.graph.hubs)

    @cached_property
    def rings(self) -> pa.Table:
        """RINGS, the riskiest first: features, risk, reasons."""
        found = rings_table(
            self.named.rings, self.named.members, self.graph, self.detection.report.is_supervised
        )
        return found.sort_by([("risk", "descending"), ("ring", "ascending")])

    @property
    def quarantine(self) -> pa.Table:
        """QUARANTINED_ROWS: what could not be used, and why."""
        return self.given.quarantine

    @property
    def report(self) -> DetectionReport:
        """Counts, the resolution and how scores were made."""
        return self.detection.report

    @property
    def communities(self) -> Communities:
        """The community of each node, and how the resolution was chosen."""
        return self.detection.communities

    @cached_property
    def largest_component(self) -> int:
        """How many nodes hang together, at most."""
        edges, n = self.graph.projection.edges, len(self.detection.index)
        ends = edges["left"].to_numpy(), edges["right"].to_numpy()
        ties = coo_matrix((np.ones(edges.height, np.int8), ends), shape=(n, n))
        return int(np.bincount(connected_components(ties, directed=False)[1]).max())

    def notes(self) -> list[str]:
        """What a person should know before trusting the result."""
        return [*self.given.notes, *_notes(self)]

    def say_risk(self) -> str:
        """Which path gave the risk, and why that one."""
        return say_risk_path(self.report, self.given.labels, self.params.rings.risk.min_per_class)

    def summary(self) -> dict[str, Any]:
        """What happened, as plain values for JSON; no id of a node but those of hubs, and no times in it."""
        return summarise(self)


def say_risk_path(report: DetectionReport, labels: pl.DataFrame, least: int) -> str:
    """Whether scores are those of a model or the anomaly score, and why, in a sentence."""
    if not labels.height:
        return "the stated anomaly score: there are no labels"
    n_fraud = int(labels["is_fraud"].sum())
    told = f"{n_fraud:,} nodes labelled fraud and {labels.height - n_fraud:,} labelled not"
    if math.isnan(report.model_average_precision):
        return (
            f"the stated anomaly score: {told} are too few to learn from, which takes {least} of each in "
            "several communities"
        )
    model, plain = report.model_average_precision, report.anomaly_average_precision
    figures = f"{model:.3f} against {plain:.3f} in average precision, on labels that the model had not seen"
    if report.is_supervised:
        return f"a model that learned from {told}, as it is better than the anomaly score ({figures})"
    return f"the stated anomaly score: a model that learned from {told} is no better ({figures})"


def _notes(found: Findings) -> list[str]:
    report, n = found.report, found.report.n_entities
    bound = found.params.rings.communities.max_size
    hubs, most = found.graph.hubs, found.params.rings.projection.max_counterparties
    notes = []
    if n_outside := int(found.detection.index.nodes["is_partial"].sum()):
        notes.append(
            f"{say_count(n_outside, 'node')} that the file of nodes does not list: taken for outsiders"
        )
    if hubs.height:
        named = ", ".join(f"{node} ({partners:,})" for node, partners in hubs.head(3).iter_rows())
        more = f" and {hubs.height - 3:,} more" if hubs.height > 3 else ""
        notes.append(
            f"{say_count(hubs.height, 'hub')} with more than {most:,} partners, which tie nobody together: "
            f"{named}{more}"
        )
    if not report.n_ties:
        notes.append("no two nodes are tied: all there is goes through hubs")
    elif n > 3 and found.largest_component > GIANT_SHARE * n:
        notes.append(
            f"one giant component: {found.largest_component:,} of {n:,} nodes hang together; communities are "
            "sought within it"
        )
    if n_split := found.communities.n_split:
        of = "y" if n_split == 1 else "ies"
        notes.append(f"{n_split:,} communit{of} of more than {bound:,} nodes split again")
    if found.named.why_none:
        notes.append(f"there is no ring: {found.named.why_none}")
    return notes


def summarise(found: Findings) -> dict[str, Any]:
    """The summary of a search, see Findings.summary."""
    report, choice = found.report, found.communities.choice
    return {
        "files": [asdict(one) for one in found.given.files],
        "quarantine": count_reasons(found.quarantine).to_dicts(),
        "notes": found.notes(),
        "window": str(found.given.window) if found.given.window else None,
        "n_nodes": report.n_entities,
        "n_transfers": found.given.transfers.height,
        "n_plain_ties": found.given.ties.height,
        "n_tied_pairs": report.n_ties,
        "hubs": found.graph.hubs.head(N_HUBS_NAMED).to_dicts(),
        "n_hubs": found.graph.hubs.height,
        "n_communities": report.n_communities,
        "largest_community": report.largest_community,
        "largest_component": found.largest_component,
        "n_communities_split": found.communities.n_split,
        "resolution": report.resolution,
        "is_resolution_clear": report.is_resolution_clear,
        "resolution_agreement": choice.agreement if choice else None,
        "resolution_agreement_by_chance": choice.chance_agreement if choice else None,
        "n_cycles": report.n_cycles,
        "risk": found.say_risk(),
        "is_supervised": report.is_supervised,
        "n_rings": found.rings.num_rows,
        "n_nodes_in_rings": found.named.members.num_rows,
        "rings": [_ring_summary(ring) for ring in found.rings.to_pylist()],
    }


def _ring_summary(ring: Mapping[str, Any]) -> dict[str, Any]:
    names: Sequence[str] = ("ring", "kind", "severity", "risk", "n_members", "n_transfers", "currency")
    amount = None if ring["amount"] is None else f"{ring['amount'].normalize():f}"
    return {name: ring[name] for name in names} | {"amount": amount, "reasons": ring["reasons"]}
