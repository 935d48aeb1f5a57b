"""Numbers that identify: IIN and BIN with their check digit, IBANs, phone numbers.

Sources: the check digit rule of Kazakhstan for IIN and BIN (Government Resolution 406 of 11 June 2003); ISO
13616 and the National Bank's 20-character IBAN.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from terag_pipelines.demo.names import FEMALE
from terag_pipelines.demo.randomness import Ints, Rng, between

Days = npt.NDArray[np.datetime64]

FIRST_WEIGHTS = np.arange(1, 12)
SECOND_WEIGHTS = np.array([3, 4, 5, 6, 7, 8, 9, 10, 11, 1, 2])
MOBILE_PREFIXES = np.array([700, 701, 702, 705, 707, 708, 747, 771, 775, 776, 777, 778])
_N_MOBILES = len(MOBILE_PREFIXES) * 10**7
OWN_BANK_CODE = 998
OUTSIDE_BANKS = (
    (722, "Каспий Банк"), (601, "Халық Банкі"), (826, "ЦентрКредит"), (856, "Отбасы Банк"),
    (432, "ForteBank"), (914, "Береке Банк"), (551, "Евразийский"), (965, "Jusan"),
)  # fmt: skip


def digits_of(numbers: Ints, width: int) -> Ints:
    """The decimal digits of each number, one row each, leading zeros kept."""
    return numbers[:, None] // 10 ** np.arange(width - 1, -1, -1) % 10


def check_digits(stems: Ints) -> Ints:
    """The twelfth digit of an IIN or BIN from its first eleven; 10 where neither weighting gives a digit."""
    digits = digits_of(stems, 11)
    first = digits @ FIRST_WEIGHTS % 11
    return np.where(first < 10, first, digits @ SECOND_WEIGHTS % 11)


def year_month_day(days: Days) -> tuple[Ints, Ints, Ints]:
    """Calendar parts of dates."""
    months = days.astype("datetime64[M]")
    year = days.astype("datetime64[Y]").astype(np.int64) + 1970
    day = (days.astype("datetime64[D]") - months.astype("datetime64[D]")).astype(np.int64) + 1
    return year, months.astype(np.int64) % 12 + 1, day


def draw_iins(birth: Days, sex: Ints, rng: Rng) -> Ints:
    """A valid IIN for each person: YYMMDD, century and sex, four serial digits, check; all different."""
    year, month, day = year_month_day(birth)
    century_and_sex = np.where(year >= 2000, 5, 3) + (sex == FEMALE)
    stems = ((year % 100 * 100 + month) * 100 + day) * 10 + century_and_sex
    return _with_serials(stems, 4, rng)


def draw_bins(registered: Days, branch: Ints, rng: Rng) -> Ints:
    """A valid BIN for each company: YYMM, 4 for a resident legal entity, head or branch, serial, check."""
    year, month, _ = year_month_day(registered)
    stems = ((year % 100 * 100 + month) * 10 + 4) * 10 + branch
    return _with_serials(stems, 5, rng)


def _with_serials(stems: Ints, width: int, rng: Rng) -> Ints:
    """Stem, serial and check digit; serials of one stem lie seven apart: an invalid one can move on."""
    size = 10**width
    offset = between(rng, 0, size - 1, 1)[0]
    serials = (offset + stems * 7919 + 7 * _rank_within(stems)) % size
    for _ in range(6):
        whole = stems * size + serials
        invalid = check_digits(whole) == 10
        serials = np.where(invalid, (serials + 1) % size, serials)
    return np.asarray(whole * 10 + check_digits(whole), dtype=np.int64)


def _rank_within(groups: Ints) -> Ints:
    """The position of each row among the rows of its group, in the given order."""
    order = np.argsort(groups, kind="stable")
    ordered = groups[order]
    starts = (
        np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
        if len(groups)
        else np.empty(0, dtype=np.int64)
    )
    lengths = np.diff(np.r_[starts, len(groups)])
    ranks = np.empty(len(groups), dtype=np.int64)
    ranks[order] = np.arange(len(groups)) - np.repeat(starts, lengths)
    return ranks


def kz_ibans(bank_codes: Ints, accounts: Ints) -> Ints:
    """The 18 digits after KZ: two check digits, bank code, 13 digits of account; ISO 7064 mod 97-10."""
    body = bank_codes * 10**13 + accounts
    check = 98 - (body % 97 * 10**6 + 203500) % 97
    return check * 10**16 + body


def account_numbers(first: int, n: int) -> Ints:
    """Different 13-digit account numbers that do not look like a sequence."""
    spread = (np.arange(first, first + n, dtype=np.int64) * 7_368_787 + 1_234_567) % 10**9
    return spread * 10**4 + spread % 9973


def mobile_numbers(first: int, n: int, salt: int) -> Ints:
    """Different national mobile numbers (ten digits), spread over the operators' prefixes."""
    spread = (np.arange(first, first + n, dtype=np.int64) * 70_548_137 + salt) % _N_MOBILES
    return MOBILE_PREFIXES[spread % len(MOBILE_PREFIXES)] * 10**7 + spread // len(MOBILE_PREFIXES)


def landline_numbers(dialling_codes: Ints, serials: Ints) -> Ints:
    """National fixed-line numbers (ten digits) of the cities' dialling codes."""
    width = 10 - (np.log10(dialling_codes).astype(np.int64) + 1)
    return dialling_codes * 10**width + 2 * 10 ** (width - 1) + serials % 10 ** (width - 1)
