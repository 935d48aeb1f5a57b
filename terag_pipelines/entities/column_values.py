"""What the values of a column look like: e-mail addresses, IINs, dates, phone numbers, names of people."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from terag_pipelines.entities.dates import read_days
from terag_pipelines.entities.distinct import as_series, as_texts, one_array, places_of, used_places
from terag_pipelines.entities.emails import plain_email
from terag_pipelines.entities.identifiers import read_bins, read_iins
from terag_pipelines.entities.mapped_rows import as_text_column, is_day_or_instant, is_list
from terag_pipelines.entities.names import looks_like_organisation
from terag_pipelines.entities.phones import phone_number
from terag_pipelines.entities.texts import clean_texts

N_SAMPLED = 500
ODD_FORMATS = (
    "%Y-%d-%m",
    *("%d-%b-%y", "%d-%b-%Y", "%d %b %Y", "%d %B %Y", "%b %d %Y", "%b %d, %Y", "%B %d %Y", "%B %d, %Y"),
)
# The regions that numbers without a country code are tried in; of equals the first is taken.
# Not those, such as Germany, where nearly any digits are a number.
REGIONS = ("KZ", "RU", "US", "GB", "AU", "FR", "ES", "UA", "BY", "UZ", "KG")
_N_PHONES = 40
_MAX_LENGTH = 1_000  # characters of a value that are looked at
_NUMBER_DATE = r"^(\d{1,2})[-/](\d{1,2})[-/](?:\d{4}|\d{2})(?:\D|$)"
_TITLES = frozenset(
    ("mr", "mrs", "ms", "miss", "dr", "prof", "sir", "г-н", "г-жа", "господин", "госпожа", "мырза", "ханым")
)
_PERSON_WORDS = re.compile(r"(?:[^\W\d_]+(?:['.-][^\W\d_]+)*\.?,?)")


@dataclass(frozen=True)
class ColumnValues:
    """A column's values; the looks at them are taken at a sample that no order of rows changes."""

    n_rows: int
    n_there: int
    is_dated: bool
    items: Any = field(repr=False)

    @classmethod
    def of(cls, column: Any) -> ColumnValues:
        """The values of an Arrow column of any type that a source may have."""
        array = one_array(column)
        items = pc.list_flatten(array) if is_list(array) else array
        n_there = len(items) - int(items.null_count)
        return cls(len(array), n_there, is_day_or_instant(array.type), items)

    @cached_property
    def is_unique(self) -> bool:
        """Whether each row has a value and no two the same."""
        items, n = self.items, self.n_rows
        if n != self.n_there or (pa.types.is_dictionary(items.type) and len(items.dictionary) < n):
            return False
        ascends = pa.types.is_integer(items.type) and pc.all(pc.less(items[:-1], items[1:])).as_py()
        return bool(ascends) or n == len(_distinct_texts(items).unique())

    @cached_property
    def is_constant(self) -> bool:
        """Whether all rows that have a value have the same."""
        there = self.items.drop_null()
        if not len(there):
            return False
        others = _used_values(there) if pa.types.is_dictionary(there.type) else there
        return bool(pc.all(pc.equal(others, others[0])).as_py())

    @cached_property
    def sample(self) -> tuple[str, ...]:
        """Up to N_SAMPLED distinct values, cleaned, in ascending order."""
        return tuple(_sampled(_distinct_texts(self.items)))

    @cached_property
    def texts(self) -> pa.Array:
        """The sample as an Arrow array."""
        return pa.array(self.sample, pa.string())

    def share(self, n: int) -> float:
        """A count as a share of the sample."""
        return n / max(len(self.sample), 1)

    @cached_property
    def email_share(self) -> float:
        """The share of the sample that is an e-mail address; so for the others below."""
        return self.share(sum(plain_email(text) is not None for text in self.sample))

    @cached_property
    def iin_share(self) -> float:
        """Valid IINs."""
        return self.share(_n_valid(read_iins(self.texts).values))

    @cached_property
    def bin_share(self) -> float:
        """Valid BINs."""
        return self.share(_n_valid(read_bins(self.texts)))

    @cached_property
    def date_share(self) -> float:
        """Dates that exist, in either order of day and month."""
        if self.is_dated:
            return 1.0
        read = [_is_read(self.texts, order, ODD_FORMATS) for order in ("dmy", "mdy")]
        return self.share(int((read[0] | read[1]).sum()))

    @cached_property
    def end_share(self) -> float:
        """Dates that exist, or the year 9999, which stands for no end."""
        n_endless = sum(re.search(r"^9999\b|\b9999$", text) is not None for text in self.sample)
        return self.date_share + (0 if self.is_dated else self.share(n_endless))

    @cached_property
    def date_formats(self) -> tuple[str, ...]:
        """Formats that the sample needs beyond the common ones: written months, the day before the month.

        The usual order is tried before its reverse.
        """
        if self.is_dated or not len(self.sample):
            return ()
        plain = _is_read(self.texts, "dmy") | _is_read(self.texts, "mdy")
        rest = as_texts(as_series(self.texts).filter(~plain))
        odd = tuple(f for f in ODD_FORMATS if len(rest) and _is_read(rest, "dmy", (f,)).any())
        return (("%Y-%m-%d",) if ODD_FORMATS[0] in odd else ()) + odd

    def order_votes(self) -> tuple[int, int, int]:
        """Values such as 13/02/2024, such as 02/13/2024, and such as 02/03/2024, which say nothing."""
        parts = as_series(self.texts).str.extract_groups(_NUMBER_DATE).struct
        first, second = (parts.field(name).cast(pl.Int64, strict=False) for name in "12")
        day_first = int(((first > 12) & (second <= 12)).sum())
        month_first = int(((second > 12) & (first <= 12)).sum())
        return day_first, month_first, int(((first <= 12) & (second <= 12)).sum())

    @cached_property
    def phone_texts(self) -> tuple[str, ...]:
        """Some of the sample, for looks that cost more."""
        return self.sample[:_N_PHONES]

    @cached_property
    def international_share(self) -> float:
        """Valid phone numbers with a country code and a plus."""
        found = [text.lstrip().startswith("+") and phone_number(text, "KZ")[1] for text in self.phone_texts]
        return sum(found) / max(len(found), 1)

    @cached_property
    def title_share(self) -> float:
        """Forms of address, such as Mr."""
        return self.share(sum(text.casefold().rstrip(".") in _TITLES for text in self.sample))

    @cached_property
    def person_share(self) -> float:
        """Two to four words without digits and without a legal form, as names of people are."""
        return self.share(sum(_looks_like_person(text) for text in self.sample))


def phone_region(columns: Sequence[ColumnValues]) -> tuple[tuple[str, ...], float]:
    """The regions that local phone numbers may be of, first the one to take, and the share valid there.

    Numbers alone often fit several regions: those where nearly as many are valid as in the best are given,
    in the order of REGIONS. Empty where there are no numbers without a country code.
    """
    texts = [text for column in columns for text in column.phone_texts if not text.lstrip().startswith("+")]
    valid = {region: _n_phones(texts, region) for region in REGIONS if texts}
    most = max(valid.values(), default=0)
    fit = tuple(region for region, n in valid.items() if n >= 0.8 * most)
    return fit, most / max(len(texts), 1)


def _n_phones(texts: Sequence[str], region: str) -> int:
    return sum(phone_number(text, region)[1] for text in texts)


def _used_values(items: pa.DictionaryArray) -> pa.Array:
    """The values of a dictionary array that some row has."""
    is_used = used_places(places_of(items), len(items.dictionary))
    return items.dictionary if is_used.all() else items.dictionary.filter(pa.array(is_used))


def _distinct_texts(items: Any) -> pl.Series:
    """The distinct values, as texts; those of a dictionary may repeat where they do in it."""
    values = _used_values(items) if pa.types.is_dictionary(items.type) else items.unique()
    return as_series(as_text_column(values.drop_null())).cast(pl.String)


def _sampled(texts: pl.Series) -> list[str]:
    """Up to N_SAMPLED cleaned values: those with the lowest hashes, so that their order does not matter."""
    chosen = texts
    if len(texts) > N_SAMPLED:
        hashes = texts.hash(seed=0).to_numpy()
        chosen = texts.gather(np.argpartition(hashes, N_SAMPLED)[:N_SAMPLED])
    if chosen.is_duplicated().any():
        return _sampled(texts.unique())
    cleaned = clean_texts(as_texts(chosen.str.slice(0, _MAX_LENGTH).sort()))
    return [text for text in cleaned.to_pylist() if text is not None]


def _n_valid(values: Any) -> int:
    return len(values) - int(values.null_count)


def _is_read(texts: pa.Array, order: str, formats: tuple[str, ...] = ()) -> pl.Series:
    return as_series(read_days(texts, formats, order)).is_not_null()


def _looks_like_person(text: str) -> bool:
    words = text.split()
    return (
        2 <= len(words) <= 4
        and all(_PERSON_WORDS.fullmatch(word) for word in words)
        and not looks_like_organisation(text)
    )
