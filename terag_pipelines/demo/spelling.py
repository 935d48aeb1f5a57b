"""How one name is written in the scripts that Kazakhstan uses; the demo bank's own tables, made for it alone.

Sources: the Kazakh Cyrillic alphabet of 1940; ICAO Doc 9303 and the passport practice of Kazakhstan; BGN/PCGN
1947 for Russian and 1979 for Kazakh; the Kazakh Latin alphabet as presented in January 2021.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from terag_pipelines.demo.randomness import Ints
from terag_pipelines.demo.texts import take

HOME, RUSSIFIED, PASSPORT, BGN, LATIN_2021, CAPITALS = range(6)
N_SCRIPTS = 6

_RUSSIFIED = dict(zip("әғқңөұүһі", "агкноуухи", strict=True))
_BASE = {
    "а": "a", "б": "b", "в": "v", "г": "g", "д": "d", "е": "e", "ё": "e", "ж": "zh", "з": "z", "и": "i",
    "й": "i",
    "к": "k", "л": "l", "м": "m", "н": "n", "о": "o", "п": "p", "р": "r", "с": "s", "т": "t", "у": "u",
    "ф": "f",
    "х": "kh", "ц": "ts", "ч": "ch", "ш": "sh", "щ": "shch", "ъ": "", "ы": "y", "ь": "", "э": "e",
    "ю": "yu", "я": "ya",
    "ә": "a", "ғ": "g", "қ": "k", "ң": "n", "ө": "o", "ұ": "u", "ү": "u", "һ": "h", "і": "i",
}  # fmt: skip
_PASSPORT = _BASE | {"ю": "iu", "я": "ia", "ъ": "ie", "ц": "ts"}
_BGN = _BASE | {"ё": "yo", "й": "y", "ғ": "gh", "қ": "q", "ң": "ng"}
_LATIN_2021 = _BASE | {
    "ә": "ä", "ғ": "ğ", "қ": "q", "ң": "ñ", "ө": "ö", "ұ": "ū", "ү": "ü", "ш": "ş", "ж": "j", "х": "h",
    "ы": "y",
    "я": "ia", "ю": "iu", "щ": "şş", "ц": "ts", "ч": "ch", "ё": "io",
}  # fmt: skip


def _both_cases(table: dict[str, str]) -> dict[int, str]:
    upper = {ord(letter.upper()): text.capitalize() for letter, text in table.items()}
    return {ord(letter): text for letter, text in table.items()} | upper


_TABLES = {
    RUSSIFIED: _both_cases(_RUSSIFIED),
    PASSPORT: _both_cases(_PASSPORT),
    BGN: _both_cases(_BGN),
    LATIN_2021: _both_cases(_LATIN_2021),
}
_YE = re.compile(r"(?<![^\W\d_])Е|(?<=[аеёиоуыэюяАЕЁИОУЫЭЮЯ])е")


def write_in(script: int, text: str) -> str:
    """The Cyrillic text in another script; CAPITALS is Russified, it and PASSPORT are in capitals."""
    if script == HOME:
        return text
    if script == CAPITALS:
        return text.translate(_TABLES[RUSSIFIED]).upper()
    before = _YE.sub(lambda found: "Ye" if found[0] == "Е" else "ye", text) if script == BGN else text
    written = before.translate(_TABLES[script])
    return written.upper() if script == PASSPORT else written


@dataclass(frozen=True)
class Vocabulary:
    """Words in every script; the spelling of word i in script s stands at s * n_words + i."""

    n_words: int
    spelled: pa.Array

    def spell(self, ids: Ints, scripts: Ints | int) -> pa.Array:
        """Each word in its script; null where the id is negative."""
        return take(self.spelled, np.where(ids < 0, -1, scripts * self.n_words + ids))


def make_vocabulary(words: Sequence[str]) -> Vocabulary:
    """The words spelled in all scripts, made in one pass over each script's text."""
    text = "\n".join(words)
    spelled = [word for script in range(N_SCRIPTS) for word in write_in(script, text).split("\n")]
    return Vocabulary(len(words), pa.array(spelled, pa.string()))
