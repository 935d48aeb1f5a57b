"""The tokens of names in one order, so that 'Asel Bek' and 'Bek Asel' are the same key."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from terag_pipelines.entities.distinct import (
    Places,
    as_plain,
    as_series,
    as_texts,
    at_places,
    convert_coded,
    first_of,
    map_distinct,
    only_where,
    places_of,
)
from terag_pipelines.entities.joined_texts import as_joined, first_or_joined, join_later
from terag_pipelines.entities.quarantine import Mask


def sorted_tokens(texts: pa.Array) -> pa.Array:
    """The tokens of each text in ascending order, joined by one space."""
    series = as_series(as_plain(texts))
    n_spaces = series.str.count_matches(" ", literal=True).fill_null(0)
    ordered = series.scatter((n_spaces == 1).arg_true(), _sorted_pairs(series.filter(n_spaces == 1)))
    many = n_spaces > 1
    if not many.any():
        return as_texts(ordered)
    # One by one: polars sorts short lists many times slower than Python does.
    longer = map_distinct(as_texts(series.filter(many)), lambda name: " ".join(sorted(name.split(" "))))
    return as_texts(ordered.scatter(many.arg_true(), as_series(longer)))


def _sorted_pairs(texts: pl.Series) -> pl.Series:
    """Texts of two tokens with the lesser in front."""
    halves = texts.str.split_exact(" ", 1).struct
    first, second = halves.field("field_0"), halves.field("field_1")
    return texts.zip_with(first <= second, second + " " + first)


def sorted_names(
    organisation: pa.DictionaryArray, parts: Sequence[pa.DictionaryArray], whole: pa.DictionaryArray
) -> pa.StructArray:
    """The sorted tokens of an organisation's key, else of a name's parts, else of it whole; joined later.

    Keys have single spaces. Parts of one token each are put in order by their rank among all such tokens.
    """
    nameless = np.logical_and.reduce([np.asarray(part.is_null(), np.bool_) for part in parts])
    several = np.logical_or.reduce([_has_several_tokens(part) for part in parts])
    mixed = as_joined(join_later(*(only_where(part, several) for part in parts)))
    head = first_of(
        convert_coded(organisation, sorted_tokens),
        convert_coded(mixed, sorted_tokens),
        only_where(convert_coded(whole, sorted_tokens), nameless),
    )
    return first_or_joined(head, *_in_order([only_where(part, ~several) for part in parts]))


def _has_several_tokens(part: pa.DictionaryArray) -> Mask:
    """Whether each row's text has more than one token, (n,)."""
    spaced = np.asarray(pc.match_substring(part.dictionary, " "), np.bool_)
    return np.append(spaced, False)[places_of(part)]


def _in_order(parts: Sequence[pa.DictionaryArray]) -> list[pa.DictionaryArray]:
    """The tokens of each row in ascending order, as many columns as there are parts with any token."""
    used = [part for part in parts if part.null_count < len(part)]
    if len(used) < 2:
        return list(used or parts[:1])
    encoded = pa.concat_arrays([part.dictionary for part in used]).dictionary_encode()
    order = np.asarray(pc.sort_indices(encoded.dictionary), np.int64)
    n_tokens = len(order)
    rank = np.empty(n_tokens, np.int32)
    rank[order] = np.arange(n_tokens, dtype=np.int32)
    starts = np.cumsum([0, *(len(part.dictionary) for part in used)])
    ranks = np.append(rank[np.asarray(encoded.indices)], np.int32(n_tokens))  # what is absent comes last
    slots = [
        ranks[np.where(places < 0, len(ranks) - 1, places + start)]
        for places, start in zip(map(places_of, used), starts[:-1], strict=True)
    ]
    tokens = encoded.dictionary.take(pa.array(order))
    return [
        at_places(np.where(slot == n_tokens, np.int32(-1), slot), tokens) for slot in _sorted_slots(slots)
    ]


def _sorted_slots(slots: list[Places]) -> list[Places]:
    """The numbers of each row in ascending order."""
    if len(slots) == 2:
        return [np.minimum(*slots), np.maximum(*slots)]
    return list(np.sort(np.stack(slots), axis=0))
