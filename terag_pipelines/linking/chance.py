"""What chance shares: a full name or a birth date that many records bear, where nothing else agrees.

m and u that were learned from the pairs know how often strangers agree; stand-in ones do not. Where names
alone agree, or a birth date alone, the odds of a match are then at most those of counting: of the others that
bear the value, how many are of the same party, how many are strangers. Strangers are as many as the shares of
the given and of the family name make, were the two independent, or the days of a year; of more bearers than
one party usually has, the rest are strangers too. Others of the same party are those that chance does not
explain, on average over the file. Frequencies as evidence: Winkler (2000), see linking.adjustments.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow.compute as pc

from terag_pipelines.linking.blocks import Codes
from terag_pipelines.linking.encoding import EncodedRecords
from terag_pipelines.linking.levels import Compared, rank

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
CHANCE = "chance"
"""The name of what is found here, among the parts of a match weight."""
NAMES = ("given_name", "family_name", "full_name", "organisation_name")
BESIDE_NAMES = ("patronymic", "generation", "sex")
"""What says little that a name does not, or, with a birth date, half of all people share."""
TELLING = ("iin", "bin", "identifiers", "phones", "emails", "street", "house", "description")
"""Columns in which copies agree on more than a name, a date, a town."""
UNSEEN_RECORDS = 100.0
"""Of other names, counted with those of the file: a handful of records does not tell how common a name is.

In two runs over 48 made-up populations of names alone the log loss fell up to here, and hardly beyond."""
DAYS_OF_YEAR = 365.25
LEAST = 1e-6  # others of a party, and strangers: odds are finite


@dataclass(frozen=True)
class StandIn:
    """Match weights that were not learned: `prior` and `by_level`, by field and level number, in bits, the
    share of candidate pairs that they take for matches, and what one party usually has of one value."""

    prior: float
    by_level: Mapping[str, Floats]
    match_share: float
    usual_records: int


def chance_part(
    records: EncodedRecords,
    pairs: tuple[Codes, Codes],
    compared: Compared,
    parts: Mapping[str, Floats],
    evidence: StandIn,
) -> Floats:
    """What chance takes from the match weights of compared pairs of rows, in bits, shape (n_pairs,).

    `parts` are their adjustments, by field or by what several fields say together.
    """
    known = {name: levels for name, levels in compared.items() if name in evidence.by_level}
    bits = {name: evidence.by_level[name][found] + parts.get(name, 0.0) for name, found in known.items()}
    joint = [part for name, part in parts.items() if name not in known]
    total = evidence.prior + sum(bits.values()) + sum(joint) + np.zeros(len(pairs[0]))
    params = ChanceParams(evidence.usual_records, evidence.match_share)
    return lower_by_chance(records, pairs, compared, bits, total, params)


@dataclass(frozen=True)
class ChanceParams:
    """A party has up to `usual_records` of one name or date before these are held to be several parties', and
    of one name at least `least_others` others than each, however few the file as a whole speaks for."""

    usual_records: int
    least_others: float


def lower_by_chance(
    records: EncodedRecords,
    pairs: tuple[Codes, Codes],
    compared: Compared,
    bits: Mapping[str, Floats],
    weights: Floats,
    params: ChanceParams,
) -> Floats:
    """What pairs that rest on a name or a birth date alone lose, in bits, 0 or less, shape (n_pairs,).

    `bits` is what each compared field adds to the match weights (n_pairs,), which are the ones to be lowered.
    """
    by_name, by_date = _any_speaks(bits, NAMES), _any_speaks(bits, ("birth_date",))
    others = [name for name in bits if name not in (*NAMES, *BESIDE_NAMES, "birth_date", "address")]
    more = _any_speaks(bits, others)
    if "address" in compared:
        more = more | (_any_speaks(bits, ("address",)) & (compared["address"] != rank("address", "area")))
    lowered = np.zeros(len(weights))
    for mask, odds_of in ((by_name & ~by_date, _odds_of_names), (by_date & ~by_name, _odds_of_dates)):
        if len(at := np.flatnonzero(np.broadcast_to(mask & ~more, len(weights)))):
            odds = odds_of(records, params)
            one, other = pairs[0][at], pairs[1][at]
            most = np.log2(np.minimum(odds[one], odds[other])) + _rarity_beside(records, one, other)
            lowered[at] = np.minimum(most - weights[at], 0.0)
    return lowered


def _any_speaks(bits: Mapping[str, Floats], fields: Iterable[str]) -> Mask:
    """Where one of the fields speaks for a match."""
    return np.asarray(sum((bits[name] > 0 for name in fields if name in bits), np.zeros(1, bool)), np.bool_)


def _odds_of_names(records: EncodedRecords, params: ChanceParams) -> Floats:
    """By row, the odds that another bearer of its full name is of its party; infinite without a name."""
    counted = _counted(records, "birth_date")
    bearers = _holders(records, "name_key", counted)
    given, family = (_holders(records, name, counted) for name in ("given_key", "family_key"))
    n = float((counted & (given > 0) & (family > 0)).sum())
    own = np.maximum(bearers - 1, 0)  # which may be one party's, and say nothing of how common its names are
    shares = [
        np.where(held > 0, np.maximum(held - own, 1), 0) / (n + UNSEEN_RECORDS) for held in (given, family)
    ]
    return _odds(bearers, n * shares[0] * shares[1], counted, params, params.least_others)


def _odds_of_dates(records: EncodedRecords, params: ChanceParams) -> Floats:
    """By row, the odds that another record of its birth date is of its party; infinite without a date."""
    counted = _counted(records, "name_key")
    column = records.columns["birth_date"]
    years = column.regroup(pc.utf8_slice_codeunits(column.values, 0, 4))[column.first]
    bearers = _holders(records, "birth_date", counted)
    of_year = np.append(np.bincount(years[counted & (years >= 0)], minlength=years.max(initial=0) + 1), 0)
    strangers = np.maximum(of_year[years] - 1, 0) / DAYS_OF_YEAR
    return _odds(bearers, strangers, counted, params, LEAST)


def _odds(bearers: Floats, strangers: Floats, counted: Mask, params: ChanceParams, least: float) -> Floats:
    """Others of the party for each stranger, by row; infinite where the value is not known."""
    known = bearers > 0
    unexplained = (bearers - 1 - strangers)[known & counted]
    most = params.usual_records - 1
    others = np.clip(unexplained.mean() if len(unexplained) else 0.0, least, most)
    odds = np.minimum(others / np.maximum(strangers, LEAST), most / np.maximum(bearers - 1 - most, LEAST))
    return np.where(known, odds, np.inf)


def _counted(records: EncodedRecords, column: str) -> Mask:
    """Rows that count: of copies that say more than a name, or a date, only those that others follow."""
    follows = records.copies.follows(len(records))
    if follows is None:
        return np.ones(len(records), bool)
    known = [(records.columns[name].first >= 0) for name in (*TELLING, column) if name in records.columns]
    return np.asarray(~(follows & np.logical_or.reduce([np.zeros(len(records), bool), *known])))


def _holders(records: EncodedRecords, name: str, counted: Mask) -> Floats:
    """By row, how many of the counted rows have its value; 0 where it has none."""
    if name not in records.columns:
        return np.zeros(len(records))
    column = records.columns[name]
    return np.append(column.counts(counted), 0)[column.first].astype(np.float64)


def _rarity_beside(records: EncodedRecords, left: Codes, right: Codes) -> Floats:
    """Bits that a town or postcode, and a patronymic, in which pairs agree add: the rarer, the more."""
    found = np.zeros(len(left))
    for names in (("patronymic_key",), ("postcode", "locality")):
        rarest = np.zeros(len(left))
        for name in (name for name in names if name in records.columns):
            codes, counts = records.columns[name].first, np.append(records.count_holders(name), 1)
            one, other = codes[left], codes[right]
            rarity = np.log2((counts.sum() - 1) / np.maximum(counts[one], 1))
            rarest = np.where((one == other) & (one >= 0), np.maximum(rarest, rarity), rarest)
        found += rarest
    return found
