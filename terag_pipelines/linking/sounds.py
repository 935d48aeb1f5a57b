"""What names sound like: a key under which spellings of one sound meet, made of all texts at once.

In the manner of Russell's Soundex (US patent 1,261,167), without its cut to four signs.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Mask = npt.NDArray[np.bool_]
_UNHEARD = "aeiouyhw"
_ALIKE = ("bp", "fv", "dt", "kgqc", "szx", "nm")  # each sounds like its first letter
_DOUBLED = "bdfjklnrs"
_SHORTEST = 3  # characters


def _sounds() -> npt.NDArray[np.uint8]:
    """By byte of UTF-8, what it sounds like; 0 for what is not heard."""
    sounds = np.arange(256, dtype=np.uint8)
    sounds[np.frombuffer(_UNHEARD.encode(), np.uint8)] = 0
    for letters in _ALIKE:
        sounds[np.frombuffer(letters.encode(), np.uint8)] = ord(letters[0])
    return sounds


_SOUND_OF = _sounds()
_IS_DOUBLED = np.isin(np.arange(256), np.frombuffer(_DOUBLED.encode(), np.uint8))


@dataclass(frozen=True)
class _Signs:
    """The bytes of texts one behind the other: which begin a text, and to which each belongs."""

    signs: npt.NDArray[np.uint8]
    is_first: Mask
    text: npt.NDArray[np.int64]

    def keep(self, mask: Mask) -> _Signs:
        return _Signs(self.signs[mask], self.is_first[mask], self.text[mask])

    def repeats(self) -> Mask:
        """Letters that repeat the one before them, neither being the first of its text."""
        signs, inside = self.signs, ~self.is_first
        found = np.zeros(len(signs), bool)
        found[1:] = _IS_DOUBLED[signs[1:]] & (signs[1:] == signs[:-1]) & inside[1:] & inside[:-1]
        return found


def fold_sounds(values: pa.Array) -> pa.Array:
    """The first letter of each text and the consonants behind it: voiced as voiceless, doubled ones once.

    Null for what has fewer than three characters then.
    """
    heard = _hear(_read_signs(values))
    heard = heard.keep(heard.signs > 0)
    heard = heard.keep(~heard.repeats())
    return _write_texts(heard, len(values))


def _read_signs(values: pa.Array) -> _Signs:
    texts = pa.array(values.fill_null(""), pa.large_string())
    if not len(texts):
        return _Signs(np.zeros(0, np.uint8), np.zeros(0, bool), np.zeros(0, np.int64))
    _, offset_bytes, sign_bytes = texts.buffers()
    offsets = np.frombuffer(offset_bytes, np.int64)[texts.offset : texts.offset + len(texts) + 1]
    signs = np.frombuffer(sign_bytes or b"", np.uint8)[offsets[0] : offsets[-1]]
    lengths = np.diff(offsets)
    is_first = np.zeros(len(signs), bool)
    is_first[(offsets[:-1] - offsets[0])[lengths > 0]] = True
    return _Signs(signs, is_first, np.repeat(np.arange(len(texts)), lengths))


def _hear(written: _Signs) -> _Signs:
    """Every sign but the first of its text as it sounds."""
    return _Signs(
        np.where(written.is_first, written.signs, _SOUND_OF[written.signs]), written.is_first, written.text
    )


def _write_texts(heard: _Signs, n: int) -> pa.Array:
    ends = np.append(0, np.cumsum(np.bincount(heard.text, minlength=n)))
    begins_letter = heard.signs & 0xC0 != 0x80  # in UTF-8
    n_letters = np.bincount(heard.text[begins_letter], minlength=n)
    buffers = [pa.py_buffer(array) for array in (ends, np.ascontiguousarray(heard.signs))]
    folded = pa.LargeStringArray.from_buffers(n, *buffers).cast(pa.string())
    return pc.if_else(pa.array(n_letters >= _SHORTEST), folded, pa.scalar(None, pa.string()))
