"""Who is who: from records to candidate pairs, scored pairs, links and entities."""

from typing import Any

import dagster as dg
import pyarrow as pa

from assets.groups import LINKING, out
from assets.metadata import described, drawing, picture, rows_as_markdown, score, table_as_markdown
from resources.bindings import SourceResource
from terag_pipelines.calibration.fit import load_calibrator
from terag_pipelines.linking.best_matches import keep_best_links
from terag_pipelines.linking.blocking import BlockingReport, find_candidate_pairs
from terag_pipelines.linking.clusters import resolve_entities
from terag_pipelines.linking.decisions import add_decided_labels, hold_decisions, settle_decisions
from terag_pipelines.linking.explanation_pictures import draw_examples
from terag_pipelines.linking.golden import count_golden, make_golden_records
from terag_pipelines.linking.links import decide_links
from terag_pipelines.linking.pictures import draw_blocking, draw_weights
from terag_pipelines.linking.quality import PairwiseQuality, pair_quality, pairwise_quality
from terag_pipelines.linking.recall import estimate_recall
from terag_pipelines.linking.roles import find_roles
from terag_pipelines.linking.scoring import score_pairs
from terag_pipelines.linking.spec import read_linking
from terag_pipelines.linking.supervision import supervise_scores
from terag_pipelines.tables import count_by


@dg.asset(**LINKING)
def candidate_pairs(
    entity_records: pa.Table, labels: pa.Table, source: SourceResource
) -> dg.Output[pa.Table]:
    """Pairs of records worth comparing, with the blocking rules that found each."""
    found = find_candidate_pairs(entity_records, read_linking(source.open().manifest()).blocking)
    metadata: dict[str, Any] = {
        "rules": rows_as_markdown(found.report.rungs),
        "skipped": ", ".join(f"{rule} ({why})" for rule, why in found.report.skipped) or "none",
        "how_rules_were_chosen": tell_choice(found.report),
        "picture": picture(draw_blocking(found.report)),
    }
    recall = pair_quality(found.table, labels)
    return dg.Output(found.table, metadata=metadata | told_recall(recall, found.report))


@dg.multi_asset(
    outs={
        "pair_scores": out(
            LINKING, "Each candidate pair with its comparison levels, match weight and probability."
        ),
        "link_model": out(
            LINKING, "m and u probabilities of each comparison level, as EM found them; what labels changed."
        ),
    }
)
def scored_pairs(
    entity_records: pa.Table, candidate_pairs: pa.Table, labels: pa.Table, pair_decisions: pa.Table
) -> tuple[dg.Output[pa.Table], dg.Output[pa.Table]]:
    """Compares the candidate pairs field by field and weighs the evidence: Fellegi-Sunter by EM, or what is
    learned from labels and reviews, where that predicts them better."""
    unsupervised = score_pairs(entity_records, candidate_pairs)
    known = add_decided_labels(labels, settle_decisions(pair_decisions).table, unsupervised.scores)
    scored, supervision = supervise_scores(entity_records, unsupervised, known)
    drawn = draw_examples(entity_records, scored.scores, scored.model)
    examples = {name.lower().replace(" ", "_"): drawing(svg) for name, svg in drawn.items()}
    metadata: dict[str, Any] = {
        "how_em_went": rows_as_markdown(scored.diagnostics),
        "learned_from_labels": supervision.sentence,
        "scorers_tried": rows_as_markdown(supervision.trials),
        "missed_by_blocking": rows_as_markdown([estimate_recall(candidate_pairs, scored.scores)]),
    }
    return (
        dg.Output(scored.scores, metadata=metadata | examples),
        dg.Output(scored.model),
    )


@dg.asset(**LINKING)
def links(
    entity_records: pa.Table,
    pair_scores: pa.Table,
    link_calibrators: pa.Table,
    pair_decisions: pa.Table,
    source: SourceResource,
) -> dg.Output[pa.Table]:
    """Pairs held to be the same person or company, each with its probability; one to one where the manifest
    says so of its two files."""
    params, metadata = read_linking(source.open().manifest()), {}
    decided = decide_links(pair_scores, load_calibrator(link_calibrators, "links"), params.links)
    if params.links.one_to_one:
        held = hold_decisions(pair_decisions, entity_records).table
        best = keep_best_links(entity_records, decided, pair_scores, str(params.clusters.across), held)
        decided, metadata = best.table, described(note=best.left_over.told)
    return dg.Output(decided, metadata=metadata | {"picture": picture(draw_weights(pair_scores, decided))})


@dg.multi_asset(
    outs={
        "entities": out(LINKING, "Persons and companies, each made of the records that are linked."),
        "entity_members": out(LINKING, "Which record belongs to which entity, and how surely."),
        "entity_changes": out(
            LINKING,
            "What became of the entities of the source's last batch: born, grown, merged, split, ended.",
        ),
    }
)
def resolved_entities(
    entity_records: pa.Table,
    links: pa.Table,
    pair_scores: pa.Table,
    pair_decisions: pa.Table,
    labels: pa.Table,
    source: SourceResource,
) -> tuple[dg.Output[pa.Table], dg.Output[pa.Table], dg.Output[pa.Table]]:
    """Groups linked records into entities as people decided; ids stay from batch to batch."""
    held = hold_decisions(pair_decisions, entity_records)
    earlier = source.registry().earlier()
    params = read_linking(source.open().manifest()).clusters
    resolved = resolve_entities(entity_records, links, pair_scores, params, held.table, earlier)
    quality = pairwise_quality(resolved.members, labels)
    metadata = told_quality(quality) | {
        "clusters": rows_as_markdown([resolved.report]),
        "decisions": str(held),
    }
    changed = {"changes": table_as_markdown(count_by(resolved.changes, "change", "cause"))}
    return (
        dg.Output(resolved.entities, metadata=metadata),
        dg.Output(resolved.members),
        dg.Output(resolved.changes, metadata=changed),
    )


@dg.asset(**LINKING)
def entity_roles(entity_records: pa.Table, entity_members: pa.Table) -> dg.Output[pa.Table]:
    """Entities that belong together without being one: sole traders and their owners, branches and heads."""
    found = find_roles(entity_records, entity_members)
    return dg.Output(found, metadata={"roles": table_as_markdown(count_by(found, "role", "basis"))})


@dg.asset(**LINKING)
def golden_records(entity_records: pa.Table, entity_members: pa.Table) -> dg.Output[pa.Table]:
    """The value to trust of each field of each entity, where it comes from, and how many records disagree."""
    made = make_golden_records(entity_records, entity_members)
    return dg.Output(made, metadata={"fields": rows_as_markdown(count_golden(made))})


def tell_choice(report: BlockingReport) -> str:
    """Where the rules come from, and how many of the matches they were chosen to find."""
    if report.choice is None:
        return "pinned by the manifest, or too few records to choose from: the rules of thumb"
    share, n_examples = report.choice.expected_recall, report.choice.n_examples
    return (
        f"learned from {n_examples:,} pairs that agree beyond chance; expected to find {share:.1%} of matches"
    )


def told_recall(quality: PairwiseQuality, report: BlockingReport) -> dict[str, Any]:
    """How much of the truth is among the candidate pairs; nothing where the truth is not known."""
    if not quality.n_true_pairs:
        return {}
    return {
        "score": score(
            f"blocking recall {quality.recall:.3f} at {report.pairs_per_record:.1f} pairs a record"
        )
    }


def told_quality(quality: PairwiseQuality) -> dict[str, Any]:
    """Pairwise F1 of the entities; nothing where the truth is not known."""
    if not quality.n_true_pairs:
        return {}
    figures = (
        f"precision {quality.precision:.3f}, recall {quality.recall:.3f}, {quality.n_true_pairs:,} true pairs"
    )
    return {"score": score(f"pairwise F1 {quality.f1:.3f} ({figures})"), "pairwise_f1": quality.f1}
