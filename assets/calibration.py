"""Scores become probabilities that mean what they say, as far as labels allow."""

import dagster as dg
import pyarrow as pa

from assets.groups import CALIBRATION, tables_in
from assets.metadata import described, picture, score
from assets.rings import INPUTS
from terag_pipelines.calibration.fit import Calibration, fit_calibrator
from terag_pipelines.calibration.model import CALIBRATORS
from terag_pipelines.calibration.pictures import draw_reliability
from terag_pipelines.linking.decisions import add_decided_labels, settle_decisions, tell_overruled
from terag_pipelines.linking.encoding import encode_records
from terag_pipelines.linking.links import labelled_scores as labelled_pair_scores
from terag_pipelines.linking.supervision import leave_out_copies
from terag_pipelines.rings.detection import labelled_scores as labelled_ring_scores


@dg.asset(**CALIBRATION)
def link_calibrators(
    entity_records: pa.Table, pair_scores: pa.Table, labels: pa.Table, pair_decisions: pa.Table
) -> dg.Output[pa.Table]:
    """Corrects match probabilities by the pairs that analysts have decided: in the source, and in review.
    Labels of many copies of one record count once."""
    settled = settle_decisions(pair_decisions).table
    known = add_decided_labels(labels, settled, pair_scores)
    telling = leave_out_copies(known, encode_records(entity_records))
    made = fit_calibrator("links", *labelled_pair_scores(pair_scores, telling, "training"))
    return _calibrated("links", made, note=tell_overruled(labels, settled))


@dg.asset(**CALIBRATION, ins=tables_in("ring_scores", *INPUTS))
def ring_calibrators(ring_scores: pa.Table, **tables: pa.Table) -> dg.Output[pa.Table]:
    """Corrects ring scores by the clients that analysts have found or cleared."""
    return _calibrated("rings", fit_calibrator("rings", *labelled_ring_scores(ring_scores, tables)))


@dg.asset(**CALIBRATION)
def calibrators(link_calibrators: pa.Table, ring_calibrators: pa.Table) -> pa.Table:
    """Every calibrator of the batch, as the service reads them."""
    return CALIBRATORS.conform(pa.concat_tables([link_calibrators, ring_calibrators]))


def _calibrated(calibrator_id: str, calibration: Calibration, note: str | None = None) -> dg.Output[pa.Table]:
    row = calibration.row.to_pylist()[0]
    told = f"{calibrator_id}: {row['reason']}" if calibration.fitted is None else _figures(row)
    metadata = {"score": score(told), "reliability": picture(draw_reliability(calibration))}
    metadata |= described(note=note)
    return dg.Output(calibration.row, metadata=metadata)


def _figures(row: dict[str, object]) -> str:
    change = f"ECE {row['ece_before']:.3f} -> {row['ece_after']:.3f} held out"
    return f"{row['calibrator_id']}: {change}, {row['n_labels']} labels, {row['method']}"
