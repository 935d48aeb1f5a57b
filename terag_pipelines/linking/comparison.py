"""Comparison: pairs of records as levels of agreement per field, computed on distinct values."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from terag_pipelines.linking.blocks import Codes
from terag_pipelines.linking.comparing_contacts import compare_addresses, compare_emails, compare_phones
from terag_pipelines.linking.comparing_identities import (
    compare_bins,
    compare_birth_dates,
    compare_generations,
    compare_identifiers,
    compare_iins,
    compare_sexes,
)
from terag_pipelines.linking.comparing_names import compare_names, compare_organisations, compare_patronymics
from terag_pipelines.linking.comparing_texts import compare_descriptions
from terag_pipelines.linking.encoding import PARTY_TYPES, EncodedRecords
from terag_pipelines.linking.levels import FIELDS, Compared, Levels
from terag_pipelines.linking.patterns import ComparedPairs, pattern_keys
from terag_pipelines.side_by_side import run_side_by_side

PERSON, ORGANISATION = "person", "organisation"
ORGANISATION_CODE = PARTY_TYPES.index(ORGANISATION)
COMPARISONS: tuple[Callable[[EncodedRecords, Codes, Codes], dict[str, Levels]], ...] = (
    compare_names,
    compare_patronymics,
    compare_organisations,
    compare_birth_dates,
    compare_generations,
    compare_sexes,
    compare_iins,
    compare_bins,
    compare_identifiers,
    compare_phones,
    compare_emails,
    compare_addresses,
    compare_descriptions,
)


def compare_pairs(records: EncodedRecords, left: Codes, right: Codes) -> Compared:
    """Levels per field for pairs of rows; each array is aligned with the pairs. Absent fields are left out.

    A pure function of the pairs it is given, so that partitions of them can be compared apart.
    """
    parts = run_side_by_side([partial(compare, records, left, right) for compare in COMPARISONS])
    compared = {name: levels for part in parts for name, levels in part.items()}
    return {field.name: compared[field.name] for field in FIELDS if field.name in compared}


@dataclass(frozen=True)
class FuzzyMatcher:
    """Compares pairs of rows of records: a pure function of the pairs, partitions may be compared apart."""

    records: EncodedRecords

    def compare(self, left: Codes, right: Codes) -> ComparedPairs:
        """The levels of agreement of each pair of rows, shape (n_pairs,); people and organisations apart."""
        kinds = self.records.party_types
        is_organisation = (kinds[left] == ORGANISATION_CODE) | (kinds[right] == ORGANISATION_CODE)
        keys = np.zeros(len(left), np.int64)
        for party_type, mask in ((PERSON, ~is_organisation), (ORGANISATION, is_organisation)):
            at = slice(None) if mask.all() else np.flatnonzero(mask)
            if mask.any():
                found = compare_pairs(self.records, left[at], right[at])
                keys[at] = pattern_keys(_in_layout(party_type, found, int(mask.sum())))
        return ComparedPairs(keys, is_organisation)


def _in_layout(party_type: str, compared: Compared, n: int) -> Compared:
    """Every field in its place; those that do not apply to the party type are missing."""
    missing = np.zeros(n, np.int8)
    return {
        known.name: compared.get(known.name, missing) if party_type in known.party_types else missing
        for known in FIELDS
    }
