"""The example of settings names every setting and nothing else."""

from __future__ import annotations

import re
from pathlib import Path

from resources.settings import known_variables


def test_the_example_names_every_setting() -> None:
    text = (Path(__file__).parents[2] / ".env.example").read_text()
    assert set(re.findall(r"^# (TERAG_\w+)=", text, re.MULTILINE)) == set(known_variables())
