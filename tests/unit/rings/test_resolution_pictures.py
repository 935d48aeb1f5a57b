"""The picture of how a resolution was chosen: every step is a point, the one taken is marked."""

from __future__ import annotations

from xml.etree import ElementTree

import numpy as np
import polars as pl
import pytest

from terag_pipelines.rings.resolution import ResolutionChoice
from terag_pipelines.rings.resolution_pictures import draw_profile
from tests.unit.rings.scene_makers import SVG


def choice(resolutions: list[float], is_clear: bool) -> ResolutionChoice:
    n = len(resolutions)
    profile = pl.DataFrame(
        {
            "resolution": resolutions,
            "n_communities": [1_000 * at for at in range(n)],
            "largest": [5] * n,
            "seed_agreement": [-0.1 + at / n for at in range(n)],
            "near_agreement": [0.5] * n,
            "is_trivial": [at == 0 for at in range(n)],
        }
    )
    return ResolutionChoice(resolutions[-1], 0.9, 0.3, is_clear, np.zeros(1, np.int32), profile)


@pytest.mark.parametrize("resolutions", [[0.1], [1e-6, 1e-3, 1e-1], [0.2, 0.21, 0.22, 0.23]])
def test_every_step_is_a_point_within_the_picture(resolutions: list[float]) -> None:
    drawn = draw_profile(choice(resolutions, is_clear=False), 0.02)
    root = ElementTree.fromstring(drawn)  # noqa: S314
    dots = root.findall(f"{SVG}circle")
    assert len(dots) == len(resolutions) + 2  # and the two of the legend
    width, height = float(root.attrib["width"]), float(root.attrib["height"])
    for dot in dots:
        assert 0 <= float(dot.attrib["cx"]) <= width
        assert 0 <= float(dot.attrib["cy"]) <= height
    assert "taken: 0.02, the usual one" in drawn


def test_a_resolution_that_is_clear_is_not_called_the_usual_one() -> None:
    drawn = draw_profile(choice([0.01, 0.1], is_clear=True), 0.1)
    assert "taken: 0.1<" in drawn
    assert "usual" not in drawn
