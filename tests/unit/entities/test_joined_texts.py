"""Texts that are joined later are the same texts, in every form that a column may be asked for."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from terag_pipelines.entities.joined_texts import as_joined, first_or_joined, join_later, written_out
from terag_pipelines.entities.name_order import sorted_names

Texts = list[str | None]
PART = st.one_of(st.none(), st.sampled_from(["", "a", "b", "ab", "b a", "c d e"]))
KEY = st.one_of(st.none(), st.sampled_from(["a", "b", "ab", "b a", "c d e", "z y"]))


def coded(texts: Texts) -> pa.DictionaryArray:
    return pa.array(texts, pa.string()).dictionary_encode()


def plain(column: pa.Array) -> Texts:
    texts: Texts = written_out(pa.table({"text": column}))["text"].to_pylist()
    return texts


@given(st.lists(st.tuples(PART, PART, PART), max_size=30))
def test_parts_are_joined_by_spaces_and_nulls_passed_over(rows: list[tuple[str | None, ...]]) -> None:
    expected = [" ".join(part for part in row if part is not None) or None for row in rows]
    column = join_later(*(coded([row[place] for row in rows]) for place in range(3)))
    assert plain(column) == expected
    assert as_joined(column).to_pylist() == expected


@given(st.lists(st.tuples(KEY, KEY, KEY), max_size=30))
def test_the_first_text_goes_before_the_parts(rows: list[tuple[str | None, ...]]) -> None:
    first, one, other = (coded([row[place] for row in rows]) for place in range(3))
    expected = [f or " ".join(part for part in parts if part) or None for f, *parts in rows]
    assert plain(first_or_joined(first, one, other)) == expected


@given(st.lists(st.tuples(KEY, KEY, KEY, KEY, KEY), max_size=30))
def test_names_have_their_tokens_in_order(rows: list[tuple[str | None, ...]]) -> None:
    organisation, given_key, family, patronymic, whole = (coded([row[at] for row in rows]) for at in range(5))
    found = sorted_names(organisation, (given_key, family, patronymic), whole)
    texts = [
        firm or " ".join(part for part in parts if part) or all_of_it for firm, *parts, all_of_it in rows
    ]
    assert plain(found) == [None if text is None else " ".join(sorted(text.split())) for text in texts]


@pytest.mark.parametrize("n_parts", [1, 4, 9])
def test_many_combinations_stay_apart(n_parts: int) -> None:
    texts = [str(number) for number in range(500)]
    column = join_later(*(coded(texts[place:] + texts[:place]) for place in range(n_parts)))
    assert as_joined(column).to_pylist() == plain(column)
    assert len(set(plain(column))) == 500


def test_a_table_is_written_out_in_plain_types() -> None:
    lists = pa.ListArray.from_arrays(pa.array([0, 1, 1], pa.int32()), coded(["+77"]))
    table = pa.table({"lists": lists, "word": coded(["a", None]), "row": [1, 2]})
    written = written_out(table)
    assert written.schema.types == [pa.list_(pa.string()), pa.string(), pa.int64()]
    assert written.to_pydict() == {"lists": [["+77"], []], "word": ["a", None], "row": [1, 2]}
