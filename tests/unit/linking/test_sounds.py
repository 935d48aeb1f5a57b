"""What names sound like."""

from __future__ import annotations

import re

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from terag_pipelines.linking.sounds import fold_sounds

LETTERS = "abcdefghijklmnopqrstuvwxyz әñ漢1"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("gulnara", "gulnar"),
        ("bolat", "bolad"),
        ("zhanibek", "zhanibeg"),
        ("anna maria", "ana maria"),
        ("philippa", "philipa"),
    ],
)
def test_spellings_of_one_sound_meet(one: str, other: str) -> None:
    folded = fold_sounds(pa.array([one, other])).to_pylist()
    assert folded[0] == folded[1] is not None


def test_what_is_too_short_has_no_sound() -> None:
    assert fold_sounds(pa.array(["li", "", None, "aua", "kim"])).to_pylist() == [None, None, None, None, None]
    assert fold_sounds(pa.array([], pa.string())).to_pylist() == []


def fold_one(text: str | None) -> str | None:
    """The same by regular expressions, letter by letter."""
    if not text:
        return None
    rest = re.sub("[aeiouyhw]", "", text[1:])
    for letters, sound in (("bp", "b"), ("vf", "f"), ("dt", "d"), ("gkqc", "k"), ("szx", "s"), ("mn", "n")):
        rest = re.sub(f"[{letters}]", sound, rest)
    folded = text[0] + re.sub(r"([bdfjklnrs])\1+", r"\1", rest)
    return folded if len(folded) > 2 else None


@given(st.lists(st.one_of(st.none(), st.text(LETTERS, max_size=9)), max_size=20), st.integers(0, 5))
def test_all_texts_at_once_are_folded_as_each_by_itself(texts: list[str | None], skipped: int) -> None:
    values = pa.array(texts, pa.string()).slice(min(skipped, len(texts)))
    assert fold_sounds(values).to_pylist() == [fold_one(text) for text in values.to_pylist()]
