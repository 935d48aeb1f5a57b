"""The guide to names shows what really happens: its tables are computed again."""

from __future__ import annotations

import math
import re
from pathlib import Path

import pyarrow as pa
import pytest

from terag_pipelines.linking.name_scores import PRIOR_WEIGHTS, describe_score, score_names

GUIDE = (Path(__file__).parents[2] / "docs" / "how-to" / "names.md").read_text(encoding="utf-8")
ROW = re.compile(r"^\| (.+?) \| (.+?) \|.* (\d\.\d\d|unknown) \|$", re.MULTILINE)
ORGANISATIONS = GUIDE.index("| an organisation |"), GUIDE.index("## What is not")
ROWS = [
    (match[1], match[2], match[3], ORGANISATIONS[0] < match.start() < ORGANISATIONS[1])
    for match in ROW.finditer(GUIDE)
]


@pytest.mark.parametrize(("left", "right", "told", "is_organisation"), ROWS)
def test_the_probabilities_in_the_guide_are_real(
    left: str, right: str, told: str, is_organisation: bool
) -> None:
    kind = "organisation" if is_organisation else "person"
    probability = float(score_names(pa.array([left]), pa.array([right]), kind)[0])
    assert ("unknown" if math.isnan(probability) else f"{probability:.2f}") == told


def test_every_table_is_read() -> None:
    assert len(ROWS) == 28


def test_the_weights_in_the_guide_are_real() -> None:
    told = describe_score("Серікова Әйгерім Болат қызы", "Айгерим Серикова", "person")
    lines = [f"{name:<16} {bits:+.1f}  ({value:.0f})" for name, value, bits in told]
    shown = "\n".join([f"{'prior':<16} {PRIOR_WEIGHTS['person']:+.1f}", *lines])
    assert f"{shown}\n```" in GUIDE
