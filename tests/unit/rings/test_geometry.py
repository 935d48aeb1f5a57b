"""Widths that hold in a real wide font, and boxes and curves that do what they say."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.ft2font import FT2Font

from terag_pipelines.rings.geometry import Box, bend, box_around, shorten_to, text_width, trim, wrap

DEJAVU = Path(mpl.get_data_path()) / "fonts/ttf/DejaVuSans.ttf"
NAMES = (
    "Айгүл Ержанқызы Сәрсенбаева",
    "Қуаныш Өтегенұлы Жұмағұлов",
    'ТОО "ШҰБАРКӨЛ КӨМІР"',
    "WOLFGANG WUMMMM",
    "Щукин Юрий Жданович",
    "ent_2aa324f9ed8e4665",
    "12.3M KZT ×14",
    "address, device ×2",
    "illicit filling, l'Île",
)


def real_width(text: str, size: float) -> float:
    font = FT2Font(str(DEJAVU))
    font.set_size(100, 72)
    return float(sum(font.load_char(ord(c)).linearHoriAdvance for c in text)) / 65536 / 100 * size


@pytest.mark.parametrize("name", NAMES)
def test_no_text_is_wider_than_it_is_taken_for_nor_much_narrower(name: str) -> None:
    assert real_width(name, 12) <= text_width(name, 12) <= 1.4 * real_width(name, 12)


def test_characters_of_full_width_count_as_such_and_combining_ones_for_nothing() -> None:
    assert text_width("金", 10) > 10
    assert text_width("e\u0301", 10) == text_width("e", 10)


@pytest.mark.parametrize("name", [*NAMES, "x" * 500, "Ы" * 500, ""])
@pytest.mark.parametrize("width", [30.0, 90.0, 185.0])
def test_a_shortened_text_fits_and_a_text_that_fits_stays(name: str, width: float) -> None:
    short = shorten_to(name, width, 12)
    assert text_width(short, 12) <= width
    assert short == name if text_width(name, 12) <= width else short.endswith("…")


def test_a_name_is_parted_at_a_space_into_two_lines() -> None:
    assert wrap("Екатерина Марковна Николаева", 185, 12) == ("Екатерина Марковна", "Николаева")
    assert wrap("Ким", 185, 12) == ("Ким",)
    assert wrap("", 185, 12) == ("",)


def test_boxes_that_touch_do_not_overlap_but_come_near() -> None:
    one, other = Box(0, 0, 10, 10), Box(10, 0, 20, 10)
    assert not one.overlaps(other)
    assert one.overlaps(other, gap=1)
    assert one.overlaps(box_around((9, 9), 4, 4))


def test_two_ways_between_two_points_are_apart() -> None:
    there, back = bend((0, 0), (100, 0), 0.2), bend((100, 0), (0, 0), 0.2)
    assert there.at(0.5)[1] < -5
    assert back.at(0.5)[1] > 5


def test_a_trimmed_curve_ends_before_its_ends() -> None:
    curve = trim(bend((0, 0), (100, 0), 0.0), 15, 20)
    assert curve.start == (15, 0)
    assert curve.end == (80, 0)
    assert np.allclose(curve.points(np.array([0.0, 1.0])), [[15, 0], [80, 0]])
