"""The linker on its own: tables in, entities out, without a store, a manifest or an orchestrator.

    from terag_pipelines.linking.auto_linker import AutoLinker
    linked = AutoLinker().link(table)
    linked.entities

A table is anything that hands out Arrow (pyarrow, pandas, polars, DuckDB results).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from terag_pipelines.entities.column_types import ReadingParams, Readings, read_columns
from terag_pipelines.entities.ingestion import FileCounts, ingest
from terag_pipelines.entities.joined_texts import written_out
from terag_pipelines.entities.model import ENTITY_RECORDS, QUARANTINED_ROWS
from terag_pipelines.entities.raw_files import RawFile
from terag_pipelines.errors import LinkingError, UnreadableFileError
from terag_pipelines.linking.blocking import CandidatePairs
from terag_pipelines.linking.clusters import ResolvedEntities
from terag_pipelines.linking.given_pairs import (
    JudgedPairs,
    KnownRecords,
    judge_pairs,
    read_decisions,
    read_labels,
    refuse_disagreement,
    tell_broken_chains,
)
from terag_pipelines.linking.known_pairs import EarlierRun
from terag_pipelines.linking.links import labelled_pairs, labelled_scores
from terag_pipelines.linking.model import ENTITY_ROLES
from terag_pipelines.linking.pipeline import (
    LinkedRecords,
    LinkingParams,
    calibrate_links,
    link_records,
    reweigh_pairs,
)
from terag_pipelines.linking.quality import pairwise_quality
from terag_pipelines.linking.report import ReportParams, render_report
from terag_pipelines.linking.roles import find_roles
from terag_pipelines.linking.scoring import PairScores
from terag_pipelines.side_by_side import run_side_by_side
from terag_pipelines.tables import count_by

if TYPE_CHECKING:
    from terag_pipelines.calibration.fit import Calibration, CalibrationParams
    from terag_pipelines.linking.supervision import Supervision

LEFT, RIGHT = "left", "right"


class ArrowTable(Protocol):
    """A table of another library that hands out its rows as Arrow (the PyCapsule interface)."""

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """The rows as an Arrow stream."""


@dataclass(frozen=True)
class AutoLinkParams:
    """What a person may say; the defaults are meant for any source.

    `reading` says what columns are (all told from the data where left out), `linking` holds the parameters of
    every stage, `calibration` those of calibration, where there are labels (None: the defaults).
    """

    reading: ReadingParams = field(default_factory=ReadingParams)
    linking: LinkingParams = field(default_factory=LinkingParams)
    calibration: CalibrationParams | None = None


@dataclass(frozen=True)
class SourceRecords:
    """The records of all sources, what was lost on the way (QUARANTINED_ROWS), the counts.

    `records` are ENTITY_RECORDS, whose texts may be dictionaries or joined later (entities/joined_texts.py);
    AutoLinked.records has them written out.
    `readings` is None where a manifest said what the columns are.
    """

    records: pa.Table
    quarantine: pa.Table
    counts: Mapping[str, FileCounts]
    readings: Readings | None = None


@dataclass(frozen=True)
class GivenPairs:
    """Tables that a person hands in: labels (left, right, is_match; or record_id, entity), and pairs (left,
    right) that must or cannot be linked. Ids are those of the source, or record_ids."""

    labels: pa.Table | None = None
    must: pa.Table | None = None
    cannot: pa.Table | None = None
    names: tuple[str, str, str] = ("labels", "must-link", "cannot-link")


@dataclass(frozen=True)
class AutoLinked:
    """Everything that linking found; tables conform to linking/model.py and entities/model.py.

    `members` has the entity of every record, `entities` one row for each entity, `links` the pairs that were
    linked, `scores` all pairs that were compared. `quality`, `calibration` and `supervision` (whether weights
    were learned from labels) need labels; `labels_warning` says where these cannot all be true.
    """

    source: SourceRecords
    linked: LinkedRecords
    calibration: Calibration | None = None
    quality: JudgedPairs | None = None
    supervision: Supervision | None = None
    labels_warning: str = ""

    @property
    def pairs(self) -> CandidatePairs:
        """CANDIDATE_PAIRS, and how blocking found them."""
        return self.linked.pairs

    @property
    def scores(self) -> PairScores:
        """PAIR_SCORES, the LINK_MODEL behind them, and how its fit went."""
        return self.linked.scores

    @property
    def links(self) -> pa.Table:
        """LINKS: the pairs that were linked."""
        return self.linked.links

    @property
    def resolved(self) -> ResolvedEntities:
        """Entities, members, and what clustering did."""
        return self.linked.resolved

    @property
    def threshold_probability(self) -> float:
        """The probability from which a pair is linked."""
        return self.linked.params.links.threshold_probability

    @property
    def changes(self) -> pa.Table:
        """ENTITY_CHANGES since the earlier run; empty without one."""
        return self.linked.changes

    @cached_property
    def roles(self) -> pa.Table:
        """ENTITY_ROLES: sole traders and owners, branches and head offices; none where all are people."""
        kinds = pc.equal(self.records["party_type"], "organisation")
        is_any = pc.any(kinds, min_count=0).as_py()
        return find_roles(self.records, self.linked.members) if is_any else ENTITY_ROLES.empty()

    @property
    def records(self) -> pa.Table:
        """ENTITY_RECORDS: what was compared."""
        return self.linked.ordered

    @property
    def entities(self) -> pa.Table:
        """ENTITIES: one row for each entity."""
        return self.resolved.entities

    @property
    def members(self) -> pa.Table:
        """ENTITY_MEMBERS with each record's dataset and id in its source."""
        ids = self.records.select(["record_id", "dataset", "native_id"])
        joined = self.resolved.members.join(ids, "record_id").sort_by("record_id")
        return joined.select(
            ["record_id", "entity_id", "dataset", "native_id", "link_probability"]
        ).combine_chunks()

    def report(self) -> str:
        """One HTML page that needs nothing but itself; it shows names and other personal values."""
        sources = self.source.readings.sources if self.source.readings else ()
        return render_report(
            self.linked,
            self.records,
            {one.spec.name: one.columns for one in sources},
            _warnings(self),
            self.linked.calibrator,
            self.linked.encoded,
            ReportParams(
                threshold_probability=self.threshold_probability,
                one_to_one=self.linked.params.links.one_to_one,
                labels_told=self.supervision.sentence if self.supervision else "there are no labels",
            ),
        )

    def summary(self) -> dict[str, Any]:
        """What happened, as plain values for JSON; no personal values and no times in it."""
        return summarise(self)


@dataclass(frozen=True)
class AutoLinker:
    """Links the records of one or several tables; it tells itself what their columns are.

    Nothing is learned from one call to the next, and the same input gives the same result in any order of
    rows, columns and tables.
    """

    params: AutoLinkParams = field(default_factory=AutoLinkParams)

    def link(self, *tables: pa.Table | ArrowTable, given: GivenPairs = GivenPairs()) -> AutoLinked:
        """Links records within and between the tables, called `table`, or `table_1`, `table_2` and so on.

        Raises: LinkingError where nothing in a table is recognised, and what entities.ingestion raises.
        """
        if not tables:
            raise LinkingError("there is no table to link")
        single = len(tables) == 1
        names = ["table"] if single else [f"table_{number}" for number in range(1, len(tables) + 1)]
        raws = {name: as_raw(table, name) for name, table in zip(names, tables, strict=True)}
        return self.link_records(self.read_sources(raws), given)

    def link_two(
        self, left: pa.Table | ArrowTable, right: pa.Table | ArrowTable, given: GivenPairs = GivenPairs()
    ) -> AutoLinked:
        """Links records of `left` with records of `right`; two of one table are never compared.

        Where both tables hold each thing once, LinkParams.one_to_one says so: each record links with at most
        one of the other table.
        """
        raws = {LEFT: as_raw(left, LEFT), RIGHT: as_raw(right, RIGHT)}
        return self.link_records(self.read_sources(raws), given, (LEFT, RIGHT))

    def read_sources(
        self, raws: Mapping[str, RawFile], paths: Mapping[str, str] | None = None
    ) -> SourceRecords:
        """The records of sources by dataset name; `paths` name them in the quarantine and in errors."""
        readings = read_columns(raws, self.params.reading, paths or {})
        tables = ingest(readings.manifest, lambda spec: readings.raws[spec.name], coded=True)
        pa.default_memory_pool().release_unused()  # linking needs it; Arrow would keep it for later reads
        return SourceRecords(
            tables.tables[ENTITY_RECORDS.name],
            tables.tables[QUARANTINED_ROWS.name],
            tables.file_counts,
            replace(readings, raws={}),  # what was read is no longer needed, and large
        )

    def link_records(
        self,
        source: SourceRecords,
        given: GivenPairs = GivenPairs(),
        across: tuple[str, str] | None = None,
        earlier: EarlierRun | None = None,
    ) -> AutoLinked:
        """Links records that were read; with `across`, only pairs between these two datasets are compared.

        With an earlier run, entities keep their ids and only pairs of new or changed records are compared.

        Raises: LinkingError where what was given names no record, or cannot be kept.
        """
        known = KnownRecords(source.records, *(across or ()))
        labels = None if given.labels is None else read_labels(given.labels, known, given.names[0])
        if labels is not None and labels.table.num_rows == 0:
            raise LinkingError(f"{given.names[0]}: holds no labels")
        decisions = read_decisions(known, given.must, given.cannot, given.names[1:])
        if labels is not None:
            refuse_disagreement(labels, decisions, given.names[0])
            source = replace(source, quarantine=pa.concat_tables([source.quarantine, labels.quarantine]))
        linked = link_records(
            source.records,
            params=self.params.linking,
            decisions=decisions.table,
            across=across and across[0],
            earlier=earlier,
        )
        if labels is None:
            return AutoLinked(source, linked)
        learned = self._learn(source, linked, labels.table)
        return replace(learned, labels_warning=tell_broken_chains(labels.table, given.names[0]))

    def _learn(self, source: SourceRecords, linked: LinkedRecords, labels: pa.Table) -> AutoLinked:
        """Weights and probabilities by the labels, as far as they win over those without."""
        from terag_pipelines.linking.supervision import (  # slow to import
            WeighedPairs,
            leave_out_copies,
            supervise,
        )

        index, scored = linked.index, linked.scored
        pairs = WeighedPairs(linked.encoded, index.left, index.right, scored.compared, scored.match_weights)
        telling = leave_out_copies(labels, linked.encoded)
        supervision = supervise(pairs, labelled_pairs(linked.scores.scores, telling, "training"))
        if supervision.is_learned:
            linked = reweigh_pairs(linked, supervision.match_weights, supervision.model)
        calibration = self._calibrate(linked.scores.scores, telling)
        if supervision.is_learned or calibration.fitted:
            linked = calibrate_links(linked, calibration.fitted)
        return AutoLinked(source, linked, calibration, _judge(linked.members, labels), supervision)

    def _calibrate(self, scores: pa.Table, labels: pa.Table) -> Calibration:
        from terag_pipelines.calibration.fit import fit_calibrator  # slow to import, and rarely needed

        probabilities, outcomes = labelled_scores(scores, labels, "training")
        return fit_calibrator("links", probabilities, outcomes, self.params.calibration)


def keep_others(source: SourceRecords, earlier: pa.Table) -> SourceRecords:
    """The records of a batch, and those of ENTITY_RECORDS of an earlier run that the batch does not have."""
    fresh = ENTITY_RECORDS.conform(written_out(source.records))
    others = earlier.filter(pc.invert(pc.is_in(earlier["record_id"], value_set=fresh["record_id"])))
    return replace(source, records=ENTITY_RECORDS.conform(pa.concat_tables([fresh, others])))


def as_raw(table: pa.Table | ArrowTable, name: str) -> RawFile:
    """A table as if it were a file that was read.

    Raises: UnreadableFileError where it is no table, or names a column twice.
    """
    try:
        arrow = table if isinstance(table, pa.Table) else pa.table(table)
    except (TypeError, ValueError, pa.ArrowException):
        raise UnreadableFileError(f"{name}: is no table that can be read as Arrow") from None
    names = arrow.column_names
    if repeated := sorted({column for column in names if names.count(column) > 1}):
        raise UnreadableFileError(f"{name}: names the column {repeated[0]!r} more than once")
    plain = run_side_by_side(partial(_plain, arrow[column].combine_chunks()) for column in names)
    return RawFile(pa.table(plain, names), np.arange(1, arrow.num_rows + 1), tuple(names))


def _plain(array: Any) -> Any:
    """Texts of every kind as dictionaries of string; other types as they are."""
    kind = array.type
    if isinstance(array, pa.ChunkedArray):
        return _plain(pa.concat_arrays(array.chunks))
    if pa.types.is_dictionary(kind):
        return array if pa.types.is_string(kind.value_type) else _plain(array.dictionary_decode())
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return array.cast(pa.string()).dictionary_encode()
    if (pa.types.is_list(kind) or pa.types.is_large_list(kind)) and not pa.types.is_nested(kind.value_type):
        return array.cast(pa.list_(pa.string()))
    return (
        pa.array([str(v) if v is not None else None for v in array.to_pylist()])
        if pa.types.is_nested(kind)
        else array
    )


def _judge(members: pa.Table, labels: pa.Table) -> JudgedPairs:
    """The entities against the labels; entity labels count over all pairs of labelled records."""
    if labels["label_kind"][0].as_py() == "pair":
        return judge_pairs(members, labels)
    truth = labels.set_column(labels.column_names.index("use"), "use", pa.array(["truth"] * labels.num_rows))
    quality = pairwise_quality(members, truth)
    return JudgedPairs(
        "entity", labels.num_rows, quality.n_true_pairs, quality.precision, quality.recall, quality.f1
    )


def summarise(linked: AutoLinked) -> dict[str, Any]:
    """The summary of a whole linking, see AutoLinked.summary."""
    sizes = linked.entities["n_records"]
    calibration = linked.calibration.row.to_pylist()[0] if linked.calibration else None
    return {
        "sources": _told_sources(linked.source),
        "notes": _notes(linked),
        "warnings": _warnings(linked),
        "linked_across": linked.linked.across,
        "n_records": linked.records.num_rows,
        "n_candidate_pairs": linked.pairs.table.num_rows,
        "n_links": linked.links.num_rows,
        "n_entities": linked.entities.num_rows,
        "n_entities_of_several_records": pc.sum(pc.greater(sizes, 1)).as_py() or 0,
        "largest_entity": linked.resolved.report.largest_entity,
        "threshold_probability": linked.threshold_probability,
        "one_to_one": linked.linked.params.links.one_to_one,
        "left_over": asdict(linked.linked.left_over),
        "is_calibrated": bool(linked.calibration and linked.calibration.fitted),
        "calibration": calibration,
        "learned_from_labels": linked.supervision.as_json() if linked.supervision else None,
        "quality_by_labels": asdict(linked.quality) if linked.quality else None,
        "n_pairs_reused": linked.linked.n_reused_pairs,
        "changes": _counted_changes(linked),
        "roles": count_by(linked.roles, "role", "basis").to_pylist(),
        "blocking": asdict(linked.pairs.report),
        "models": [asdict(diagnostics) for diagnostics in linked.scores.diagnostics],
        "lost_values": _lost(linked.source.quarantine),
    }


def _notes(linked: AutoLinked) -> list[str]:
    """How sources were read, and what became of labels."""
    notes = list(linked.source.readings.notes) if linked.source.readings else []
    return [*notes, linked.supervision.sentence] if linked.supervision else notes


def _counted_changes(linked: AutoLinked) -> list[dict[str, Any]] | None:
    """Entities by what became of them and why; None without an earlier run."""
    if linked.linked.earlier is None:
        return None
    counted: list[dict[str, Any]] = count_by(linked.changes, "change", "cause").to_pylist()
    return counted


def _told_sources(source: SourceRecords) -> list[dict[str, Any]]:
    readings = {one.spec.name: one for one in source.readings.sources} if source.readings else {}
    told = []
    for name, count in sorted(source.counts.items()):
        one = readings.get(name)
        columns = [asdict(column) for column in one.columns] if one else None
        reason = one.holds_reason if one else "as the manifest says"
        told.append({"dataset": name, **asdict(count), "holds_reason": reason, "columns": columns})
    return told


def _warnings(linked: AutoLinked) -> list[str]:
    """What a person should know before trusting the result."""
    told = [
        f"{d.party_type}: defaults were used, for {d.fallback}"
        for d in linked.scores.diagnostics
        if d.fallback
    ]
    told += [
        f"{d.party_type}: EM stopped at {d.n_iterations} iterations without converging"
        for d in linked.scores.diagnostics
        if not d.converged and not d.fallback
    ]
    if not linked.records.num_rows:
        told.append("there are no records")
    elif n := linked.pairs.report.n_crowded:
        told.append(f"{n:,} records were compared with none: more share their keys than may be compared")
    elif not linked.pairs.table.num_rows:
        told.append("no two records share enough to be compared: each is an entity of its own")
    n_rejected = sum(count.n_rejected for count in linked.source.counts.values())
    if n_rejected:
        told.append(f"{n_rejected} rows could not be used at all and have no entity: see the quarantine")
    if left_over := linked.linked.left_over.told:
        told.append(left_over)
    if linked.labels_warning:
        told.append(linked.labels_warning)
    if linked.calibration and linked.calibration.fitted is None:
        told.append(f"the probabilities are not calibrated: {linked.calibration.row['reason'][0].as_py()}")
    return told


def _lost(quarantine: pa.Table) -> list[dict[str, Any]]:
    """How often each reason led to the loss of a value or row, by file and field."""
    plain = pc.replace_substring_regex(quarantine["reason"], r" of row \d+$", " of an earlier row")
    rows = quarantine.select(["file", "field"]).append_column("reason", plain)
    counted = rows.group_by(["file", "field", "reason"]).aggregate([([], "count_all")])
    ordered = counted.sort_by([("file", "ascending"), ("field", "ascending"), ("reason", "ascending")])
    names = ("file", "field", "reason", "count_all")
    return [
        {"n" if name == "count_all" else name: row[name] for name in names} for row in ordered.to_pylist()
    ]
