"""Comparison: pairs of records as levels of agreement per field, computed on distinct values."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

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
from terag_pipelines.linking.encoding import EncodedRecords
from terag_pipelines.linking.levels import FIELDS, Compared, Levels
from terag_pipelines.linking.side_by_side import run_side_by_side

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
