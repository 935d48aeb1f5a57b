"""Comparison of free texts, such as the title and description of a product: words weighed by their rarity."""

from __future__ import annotations

import numpy as np
import polars as pl
from scipy.sparse import csr_matrix

from terag_pipelines.linking.encoding import Codes, Column, EncodedRecords
from terag_pipelines.linking.levels import Levels, grade
from terag_pipelines.linking.similarity import UNKNOWN, Similarity

PAIRS_AT_ONCE = 100_000


def compare_descriptions(records: EncodedRecords, left: Codes, right: Codes) -> dict[str, Levels]:
    """Free texts, by the cosine between their words weighed by TF-IDF (Salton and Buckley, 1988)."""
    column = records.columns.get("description")
    if column is None:
        return {}
    alike = _cosine(column, column.first[left], column.first[right])
    cuts = ("same", 0.8), ("close", 0.5), ("similar", 0.3), ("vague", 0.15)
    return {"description": grade("description", alike, *cuts)}


def _cosine(column: Column, left: Codes, right: Codes) -> Similarity:
    vectors = _weighed_words(column)
    alike = np.full(len(left), UNKNOWN, np.float32)
    known = np.flatnonzero((left >= 0) & (right >= 0))
    for start in range(0, len(known), PAIRS_AT_ONCE):
        at = known[start : start + PAIRS_AT_ONCE]
        products = vectors[left[at]].multiply(vectors[right[at]])
        alike[at] = np.asarray(products.sum(axis=1)).ravel()
    return alike


def _weighed_words(column: Column) -> csr_matrix:
    """A row of unit length for each distinct text: log-scaled counts of its words times their rarity."""
    words = pl.DataFrame({"word": pl.from_arrow(column.values)}).with_row_index("text")
    words = words.with_columns(pl.col("word").str.split(" ")).explode("word")
    counts = words.group_by("text", "word").len().sort("text", "word")
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
