"""Blocking keys of longer texts: their rarest words, and words drawn of their beginnings by MinHash."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import polars as pl
import pyarrow.compute as pc

from terag_pipelines.linking.blocks import Codes, mix_codes
from terag_pipelines.linking.encoding import (
    MISSING,
    Column,
    EncodedRecords,
    compact,
    derive,
    encode_lists,
)

Key = Callable[[EncodedRecords], Codes | None]
SHORTEST_WORD = 3  # characters
BEGINNING = 80  # characters that name the thing; what follows describes it


def rarest_words(field: str, codes_first: bool = False) -> Key:
    """The rarest words of three characters or more; a record goes into a block for each.

    Words that only one data set uses come last where there are several: they join nothing. With `codes_first`
    words with digits, such as the number of a model, come first.
    """

    def build(records: EncodedRecords) -> Codes | None:
        column = records.columns.get(field)
        if column is None:
            return None
        words = _count_words(column, records.datasets)
        has_digit = pl.col("word").str.contains("[0-9]") & codes_first
        words = words.sort("text", pl.col("n_sets") == 1, ~has_digit, "n", "word")
        slots = encode_lists(words["text"].to_numpy(), words["word"].to_arrow(), len(column.values) + 1).codes
        return slots[column.first]

    return build


def _count_words(column: Column, datasets: Codes) -> pl.DataFrame:
    """The words of each distinct text that another record has too, and how many records and data sets do."""
    held = pl.DataFrame({"text": column.first, "dataset": datasets}).filter(pl.col("text") >= 0)
    held = held.group_by("text", "dataset").len("n")
    texts = pl.DataFrame({"word": pl.from_arrow(column.values)}).with_row_index("text")
    words = texts.with_columns(pl.col("text").cast(pl.Int32), pl.col("word").str.split(" ")).explode("word")
    words = words.filter(pl.col("word").str.len_chars() >= SHORTEST_WORD).unique()
    counted = (
        words.join(held, on="text")
        .group_by("word")
        .agg(pl.col("n").sum(), n_sets=pl.col("dataset").n_unique())
    )
    return words.join(counted.filter(pl.col("n") > 1), on="word")


def drawn_words(field: str, n_bands: int, n_together: int) -> Key:
    """Locality-sensitive hashes: texts whose first words overlap share one of `n_bands` keys, or more.

    A key is `n_together` words of the text's beginning, each the first in an order of all words that is drawn
    at random with a preference for rare ones. Two texts draw the same word with the probability of their
    weighted overlap: Broder (1997), "On the resemblance and containment of documents"; banded after Indyk and
    Motwani (1998), "Approximate nearest neighbors"; weighted after Ioffe (2010), "Improved consistent
    sampling, weighted minhash and L1 sketching".
    """

    def build(records: EncodedRecords) -> Codes | None:
        column = records.columns.get(field)
        if column is None:
            return None
        beginnings = derive(column, pc.utf8_slice_codeunits(column.values, 0, BEGINNING))
        words = _count_words(beginnings, records.datasets).sort("text", "word")
        keys = np.full((len(beginnings.values) + 1, n_bands), MISSING, np.int32)
        if len(words):
            drawn = _draw(words, n_bands * n_together)
            keys[words["text"].unique().sort().to_numpy()] = _band(drawn, n_bands)
        return keys[beginnings.first]

    return build


def _draw(words: pl.DataFrame, n_draws: int) -> Codes:
    """By draw and text (words are ordered by it), the place of its first word in the order of that draw."""
    number = words["word"].rank("dense").to_numpy().astype(np.int64) - 1
    holders = np.zeros(int(number.max()) + 1)
    holders[number] = words["n"].to_numpy()
    rarity = np.log1p(holders.max() / holders)
    text = words["text"].to_numpy()
    starts = np.flatnonzero(np.append(True, text[1:] != text[:-1]))
    random = np.random.default_rng(0)
    drawn = np.zeros((n_draws, len(starts)), np.int32)
    place = np.zeros(len(holders), np.int32)
    for draw in range(n_draws):
        place[np.argsort(random.exponential(size=len(holders)) / rarity)] = np.arange(len(holders))
        drawn[draw] = np.minimum.reduceat(place[number], starts)
    return drawn


def _band(drawn: Codes, n_bands: int) -> Codes:
    """Neighbouring draws as one key of their band (n_texts, n_bands), different from those of other bands."""
    together = drawn.reshape(n_bands, -1, drawn.shape[1])
    hashes = np.repeat(np.arange(n_bands, dtype=np.uint64)[:, None], drawn.shape[1], axis=1)
    for at in range(together.shape[1]):
        mix_codes(hashes, together[:, at])
    return compact((hashes >> np.uint64(1)).T.astype(np.int64))
