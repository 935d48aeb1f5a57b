"""The case of one ring: what the tables of a batch know of it, in the order in which a person asks.

A case holds names, numbers and addresses of people: it is for the analyst, and no part of it goes into logs
or Dagster's metadata.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import polars as pl
import pyarrow.compute as pc

from terag_pipelines.rings.doubt_words import tell_doubt
from terag_pipelines.rings.interdiction_words import tell_block
from terag_pipelines.rings.naming import NamingParams
from terag_pipelines.rings.nodes import Tables
from terag_pipelines.rings.ring_feature_words import tell_features
from terag_pipelines.rings.scenes import Member, RingScene, Transfer, look_at_ring
from terag_pipelines.rings.sections import Section, section_as_json
from terag_pipelines.tables import as_frame

FIGURES = ("ring_doubt", "ring_member_doubt", "ring_interdictions", "ring_features")
"""Tables that add a section to a case where they are there."""
RUNBOOK = "docs/runbooks/ring-alert.md"


@dataclass(frozen=True)
class MemberRecord:
    """A record of a member; `link_probability` is of the strongest link that ties it in, None when alone."""

    record_id: str
    dataset: str
    name: str
    link_probability: float | None


@dataclass(frozen=True)
class Person:
    """Who a member is: the entity's name, the records it was made of, and why it was scored as it was."""

    name: str
    party_type: str = ""
    records: tuple[MemberRecord, ...] = ()
    reasons: tuple[str, ...] = ()

    @property
    def weakest_probability(self) -> float | None:
        """Of the links that tie its records together; None for a member of one record."""
        known = [one.link_probability for one in self.records if one.link_probability is not None]
        return min(known, default=None)


@dataclass(frozen=True)
class Provenance:
    """What a case was read from and drawn by: nothing in it depends on when that was.

    `digests` are those of the batch's tables, `code` says by what this file was made, `window` in which part
    of time rings were sought.
    """

    batch: str
    digests: Mapping[str, str] = field(default_factory=dict)
    code: str = ""
    window: str = ""
    params: NamingParams = field(default_factory=NamingParams)
    link_threshold: float = 0.9


@dataclass(frozen=True)
class CaseFile:
    """A ring with its people, by member number. `further` sections stand before what else to check; `figures`
    are what they rest on, for machines.
    """

    scene: RingScene
    people: Mapping[int, Person]
    provenance: Provenance
    further: tuple[Section, ...] = ()
    figures: Mapping[str, Any] = field(default_factory=dict)

    @property
    def ring(self) -> Mapping[str, Any]:
        """The ring's row of FRAUD_RINGS."""
        return self.scene.ring

    @property
    def names(self) -> dict[int, str]:
        """What each member is called, by number."""
        return {number: person.name for number, person in self.people.items()}

    def as_json(self) -> dict[str, Any]:
        """The case for machines, every transfer included."""
        return {
            "ring": dict(self.ring),
            "members": [self._member_as_json(member) for member in self.scene.members],
            "transfers": [self._transfer_as_json(one) for one in self.scene.transfers],
            "shared_identifiers": [asdict(one) for one in self.scene.shared],
            **self.figures,
            "sections": [section_as_json(section) for section in self.further],
            "batch": self.provenance.batch,
            "tables": dict(self.provenance.digests),
            "code": self.provenance.code,
            "window": self.provenance.window,
        }

    def _member_as_json(self, member: Member) -> dict[str, Any]:
        person = self.people[member.number]
        told = {name: value for name, value in asdict(member).items() if name != "flow"}
        return told | asdict(person) | {"weakest_link_probability": person.weakest_probability}

    def _transfer_as_json(self, one: Transfer) -> dict[str, Any]:
        ends = {member.number: member.entity_id for member in self.scene.members}
        told = {name: value for name, value in asdict(one).items() if name != "size"}
        return told | {"payer_entity_id": ends[one.payer], "payee_entity_id": ends[one.payee]}


def open_case(
    ring_id: str, tables: Tables, provenance: Provenance, further: tuple[Section, ...] = ()
) -> CaseFile:
    """The case of a ring.

    `tables` by name: fraud_rings, ring_members, and those that score_rings reads; entities and ring_scores
    add names and reasons where they are there, ring_doubt, ring_member_doubt, ring_interdictions and
    ring_features sections of their own, before the further ones. Raises: NotFoundError.
    """
    scene = look_at_ring(ring_id, tables["fraud_rings"], tables["ring_members"], tables)
    figures = {name: _rows_of_ring(tables, name, ring_id) for name in FIGURES if name in tables}
    told = _tell_figures(scene, figures) + _tell_features(ring_id, tables)
    return CaseFile(scene, meet_members(scene, tables), provenance, (*told, *further), figures)


def _rows_of_ring(tables: Tables, name: str, ring_id: str) -> list[dict[str, Any]]:
    """The rows of a ring, which the JSON of a case has under the table's name."""
    rows = tables[name].filter(pc.equal(tables[name]["ring_id"], ring_id)).drop_columns("ring_id")
    return [dict(row) for row in rows.to_pylist()]


def _tell_figures(scene: RingScene, figures: Mapping[str, list[dict[str, Any]]]) -> tuple[Section, ...]:
    numbers = {member.entity_id: member.number for member in scene.members}
    doubt = [
        tell_doubt(row, figures.get("ring_member_doubt", []), numbers)
        for row in figures.get("ring_doubt", [])
    ]
    planned = figures.get("ring_interdictions")
    return (*doubt, *([] if planned is None else [tell_block(planned, numbers)]))


def _tell_features(ring_id: str, tables: Tables) -> tuple[Section, ...]:
    features = tables.get("ring_features")
    return () if features is None else tell_features(ring_id, features.to_pylist())


def meet_members(scene: RingScene, tables: Tables) -> dict[int, Person]:
    """Who the members are, by number; those no table names are called as their transfers call them."""
    entity_ids = [member.entity_id for member in scene.members]
    known = _rows_by_entity(tables, "entities", ["display_name", "party_type"], entity_ids)
    scored = _rows_by_entity(tables, "ring_scores", ["reasons"], entity_ids)
    records = _records_by_entity(tables, entity_ids)
    called = _names_in_transfers(scene)
    return {
        member.number: Person(
            name=known.get(member.entity_id, {}).get("display_name")
            or called.get(member.number)
            or member.entity_id,
            party_type=known.get(member.entity_id, {}).get("party_type") or "",
            records=tuple(records.get(member.entity_id, ())),
            reasons=tuple(scored.get(member.entity_id, {}).get("reasons") or ()),
        )
        for member in scene.members
    }


def _rows_by_entity(
    tables: Tables, name: str, columns: list[str], entity_ids: list[str]
) -> dict[str, dict[str, Any]]:
    if name not in tables:
        return {}
    frame = as_frame(tables[name], ["entity_id", *columns]).filter(pl.col("entity_id").is_in(entity_ids))
    return {row["entity_id"]: row for row in frame.to_dicts()}


def _records_by_entity(tables: Tables, entity_ids: list[str]) -> dict[str, list[MemberRecord]]:
    members = as_frame(tables["entity_members"], ["entity_id", "record_id", "link_probability"])
    records = as_frame(tables["entity_records"], ["record_id", "dataset", "display_name"])
    mine = members.filter(pl.col("entity_id").is_in(entity_ids)).join(records, on="record_id")
    found: dict[str, list[MemberRecord]] = {}
    for row in mine.sort("entity_id", "record_id").to_dicts():
        record = MemberRecord(
            row["record_id"], row["dataset"] or "", row["display_name"] or "", row["link_probability"]
        )
        found.setdefault(row["entity_id"], []).append(record)
    return found


def _names_in_transfers(scene: RingScene) -> dict[int, str]:
    called: dict[int, str] = {}
    for one in scene.transfers:
        for number, name in ((one.payer, one.payer_name), (one.payee, one.payee_name)):
            if name:
                called.setdefault(number, name)
    return called
