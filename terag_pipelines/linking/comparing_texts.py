"""Comparison of free texts, such as the title and description of a product: words weighed by their rarity."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow.compute as pc
from scipy.sparse import csr_matrix

from terag_pipelines.linking.blocks import Codes
from terag_pipelines.linking.encoding import MISSING, Column, EncodedRecords, derive
from terag_pipelines.linking.levels import Levels, grade, rank
from terag_pipelines.linking.similarity import UNKNOWN, Similarity, contains
from terag_pipelines.linking.text_keys import BEGINNING

PAIRS_AT_ONCE = 100_000
SHORTEST_CODE = 4  # characters
MOST_HOLDERS = 4  # texts that hold a code: a size or a standard (1080p) stands in many
LEAST_BESIDE_CODE = 0.15  # cosine
SAME_CODE = 0.95  # of the shorter one's letters, in their order


def compare_descriptions(records: EncodedRecords, left: Codes, right: Codes) -> dict[str, Levels]:
    """Free texts, by the cosine between their words weighed by TF-IDF (Salton and Buckley, 1988).

    Whole texts are compared, and their beginnings: one may be a title, the other a title and what follows it.
    "code" are texts with something in common besides a code, such as a model number, that few texts hold;
    where both have codes, but others, they have no more than something in common.
    """
    column = records.columns.get("description")
    if column is None:
        return {}
    beginnings = derive(column, pc.utf8_slice_codeunits(column.values, 0, BEGINNING))
    alike = np.maximum(*(_cosine(c, c.first[left], c.first[right]) for c in (column, beginnings)))
    cuts = ("same", 0.8), ("close", 0.5), ("similar", 0.3), ("vague", 0.15)
    levels = grade("description", alike, *cuts)
    weaker = np.flatnonzero((levels >= rank("description", "close")) & (alike >= LEAST_BESIDE_CODE))
    shared = _share_code(column, column.first[left[weaker]], column.first[right[weaker]])
    levels[weaker[shared]] = rank("description", "code")
    close, similar = rank("description", "close"), rank("description", "similar")
    alike_only = np.flatnonzero((levels == close) | (levels == similar))
    apart = _are_coded_apart(column, column.first[left[alike_only]], column.first[right[alike_only]])
    levels[alike_only[apart]] = rank("description", "vague")
    return {"description": levels}


def _codes_of(column: Column) -> pl.DataFrame:
    """The codes of each text: words of digits (five or more, or fewer beside letters) that few texts hold."""
    words = _words_of(column).filter(
        (pl.col("word").str.len_chars() >= SHORTEST_CODE)
        & (pl.col("word").str.contains(r"[0-9].*[a-z]|[a-z].*[0-9]|^[0-9]{5,}$"))
    )
    held = words.unique().with_columns(n=pl.len().over("word")).filter(pl.col("n") <= MOST_HOLDERS)
    return held.sort("text", "word")


def _share_code(column: Column, left: Codes, right: Codes) -> npt.NDArray[np.bool_]:
    """Whether two texts have a code in common."""
    shared, codes = np.zeros(len(left), bool), _codes_of(column)
    number = codes["word"].rank("dense").cast(pl.Int64).to_numpy() - 1
    shape = (len(column.values), int(number.max(initial=0)) + 1)
    held = csr_matrix((np.ones(len(codes), np.int32), (codes["text"].to_numpy(), number)), shape=shape)
    for start in range(0, len(left), PAIRS_AT_ONCE):
        at = slice(start, start + PAIRS_AT_ONCE)
        shared[at] = np.asarray(held[left[at]].multiply(held[right[at]]).sum(axis=1)).ravel() > 0
    return shared


def _are_coded_apart(column: Column, left: Codes, right: Codes) -> npt.NDArray[np.bool_]:
    """Whether both texts have codes, and neither's stand within the other's: two models of one make."""
    joined = _codes_of(column).group_by("text", maintain_order=True).agg(pl.col("word").str.join(" "))
    place = np.full(len(column.values), MISSING, np.int32)
    place[joined["text"].to_numpy()] = np.arange(len(joined))
    within = contains(place[left], place[right], joined["word"].to_numpy())
    return np.asarray((within >= 0) & (within < SAME_CODE))


def _cosine(column: Column, left: Codes, right: Codes) -> Similarity:
    vectors = _weighed_words(column)
    alike = np.full(len(left), UNKNOWN, np.float32)
    known = np.flatnonzero((left >= 0) & (right >= 0))
    for start in range(0, len(known), PAIRS_AT_ONCE):
        at = known[start : start + PAIRS_AT_ONCE]
        products = vectors[left[at]].multiply(vectors[right[at]])
        alike[at] = np.asarray(products.sum(axis=1)).ravel()
    return alike


def _words_of(column: Column) -> pl.DataFrame:
    """Every word with the number of its text."""
    texts = pl.DataFrame({"word": pl.from_arrow(column.values)}).with_row_index("text")
    return texts.with_columns(pl.col("word").str.split(" ")).explode("word")


def _weighed_words(column: Column) -> csr_matrix:
    """A row of unit length for each distinct text: log-scaled counts of its words times their rarity."""
    counts = _words_of(column).group_by("text", "word").len().sort("text", "word")
    counts = counts.with_columns(
        n_texts=pl.len().over("word"), number=pl.col("word").rank("dense").cast(pl.Int64) - 1
    )
    rarity = np.log((1 + len(column.values)) / (1 + counts["n_texts"].to_numpy())) + 1
    weights = (1 + np.log(counts["len"].to_numpy())) * rarity
    text = counts["text"].to_numpy().astype(np.int64)
    lengths = np.sqrt(np.bincount(text, weights**2, minlength=len(column.values)))
    shape = (len(column.values), int(counts["number"].max() or 0) + 1)  # type: ignore[arg-type]
    unit = (weights / np.maximum(lengths[text], 1e-12)).astype(np.float32)
    return csr_matrix((unit, (text, counts["number"].to_numpy())), shape=shape)
