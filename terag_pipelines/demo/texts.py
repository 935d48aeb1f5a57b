"""Text columns made without a loop over rows: digits into templates, words from lists, typing mistakes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from terag_pipelines.demo.randomness import Bools, Ints, Rng, between

LATIN_SLIPS = "aeiouybdgklmnprstvz"
CYRILLIC_SLIPS = "аеиоуыбгдкмнпрстл"
DIGITS = "0123456789"


def take(words: pa.Array, ids: Ints) -> pa.Array:
    """The words at the positions `ids`; null where an id is negative."""
    return words.take(pa.array(np.maximum(ids, 0), mask=ids < 0))


def format_digits(values: Ints, template: str) -> pa.Array:
    """Each number written into the # of an ASCII template, with leading zeros; null where it is negative."""
    n, width = len(values), len(template)
    content = np.empty((n, width), dtype=np.uint8)
    content[:] = np.frombuffer(template.encode("ascii"), dtype=np.uint8)
    rest = np.maximum(values, 0)
    for column in reversed([i for i, sign in enumerate(template) if sign == "#"]):
        content[:, column] = rest % 10 + ord("0")
        rest = rest // 10
    offsets = np.arange(n + 1, dtype=np.int64) * width
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(content)]
    texts = pa.Array.from_buffers(pa.large_string(), n, buffers)
    texts = texts.cast(pa.string()) if n * width < 2**31 - 1 else texts
    return blank(texts, values < 0) if (values < 0).any() else texts


def format_mixed(values: Ints, styles: Ints, templates: Sequence[str]) -> pa.Array:
    """Each number written into the template that `styles` picks for it."""
    parts = [np.flatnonzero(styles == style) for style in range(len(templates))]
    written = [format_digits(values[rows], t) for rows, t in zip(parts, templates, strict=True)]
    return _in_order(written, np.concatenate(parts))


def _in_order(written: Sequence[pa.Array], rows: Ints) -> pa.Array:
    order = np.empty(len(rows), dtype=np.int64)
    order[rows] = np.arange(len(rows))
    return pa.concat_arrays(written).take(pa.array(order))


def choose(styles: Ints, *options: pa.Array) -> pa.Array:
    """For each row the value of the option that `styles` picks."""
    return options[0] if len(options) == 1 else pc.choose(pa.array(styles), *options)


def blank(texts: pa.Array, where: Bools) -> pa.Array:
    """The texts, null where `where` says so."""
    return pc.if_else(pa.array(where), pa.scalar(None, texts.type), texts)


def join(separator: str, *parts: object) -> pa.Array:
    """The parts of each row joined, those that are null left out."""
    return pc.binary_join_element_wise(*parts, separator, null_handling="skip")


def glue(*parts: object) -> pa.Array:
    """The parts of each row put together; null where one is null."""
    return pc.binary_join_element_wise(*parts, "", null_handling="emit_null")


def misspell(texts: pa.Array, where: Bools, rng: Rng) -> pa.Array:
    """One typing mistake in each text that `where` names: a letter replaced, dropped, doubled or swapped."""
    rows = np.flatnonzero(where & texts.is_valid().to_numpy(zero_copy_only=False))
    if len(rows) == 0:
        return texts
    wrong = pa.array(_slip(texts.take(pa.array(rows)), rng), pa.string())
    mask = np.zeros(len(texts), dtype=bool)
    mask[rows] = True
    return pc.replace_with_mask(texts, pa.array(mask), wrong)


def _slip(texts: pa.Array, rng: Rng) -> object:
    words = np.array(texts.to_numpy(zero_copy_only=False), dtype=np.str_)
    width = words.dtype.itemsize // 4 + 1
    letters = words.astype(f"U{width}").view(np.uint32).reshape(len(words), width)
    lengths = np.char.str_len(words)
    at = np.minimum(1 + (rng.random(len(words)) * np.maximum(lengths - 1, 1)).astype(np.int64), lengths - 1)
    at = np.maximum(at, 0)
    kind = between(rng, 0, 3, len(words))
    _apply(letters, at, kind, rng)
    return np.ascontiguousarray(letters).view(f"U{width}").ravel()


def _apply(letters: object, at: Ints, kind: Ints, rng: Rng) -> None:
    matrix = np.asarray(letters)
    rows, columns = np.arange(len(at)), np.arange(matrix.shape[1])
    before = matrix.copy()
    moved_left = np.minimum(columns + (columns >= at[:, None]), matrix.shape[1] - 1)
    moved_right = columns - (columns > at[:, None])
    dropped, doubled = np.take_along_axis(before, moved_left, 1), np.take_along_axis(before, moved_right, 1)
    matrix[kind == 1] = dropped[kind == 1]
    matrix[kind == 2] = doubled[kind == 2]
    replaced = np.flatnonzero(kind == 0)
    matrix[replaced, at[replaced]] = _neighbours(before[replaced, at[replaced]], rng)
    swapped = rows[(kind == 3) & (at > 0)]
    matrix[swapped, at[swapped]] = before[swapped, at[swapped] - 1]
    matrix[swapped, at[swapped] - 1] = before[swapped, at[swapped]]


def _neighbours(letters: object, rng: Rng) -> object:
    """Another sign of the same alphabet, in the same case."""
    old = np.asarray(letters)
    alphabets = [np.array([ord(sign) for sign in text]) for text in (LATIN_SLIPS, CYRILLIC_SLIPS, DIGITS)]
    alphabets += [np.array([ord(sign.upper()) for sign in text]) for text in (LATIN_SLIPS, CYRILLIC_SLIPS)]
    is_cyrillic, is_digit = old >= 0x400, (old >= 48) & (old < 58)
    is_upper = ((old >= 65) & (old < 91)) | ((old >= 0x410) & (old < 0x430))
    which = np.where(is_digit, 2, is_cyrillic.astype(int) + np.where(is_upper, 3, 0))
    draw = rng.random(len(old))
    options = np.stack([a[(draw * len(a)).astype(int)] for a in alphabets])
    new = options[which, np.arange(len(old))]
    return np.where(
        new == old,
        np.stack([np.roll(a, 1)[(draw * len(a)).astype(int)] for a in alphabets])[which, np.arange(len(old))],
        new,
    )
