"""Identifiers: IIN and BIN of Kazakhstan, Kazakh IBANs, and the rest in one plain form.

IIN and BIN: Government of Kazakhstan, rules for forming identification numbers (decree No. 853 of 2003):
twelve digits, the last a check digit over the others. IBAN: ISO 13616; Kazakhstan has 20 characters.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from terag_pipelines.entities.distinct import one_array

Digits = npt.NDArray[np.int64]
_FIRST_WEIGHTS = np.arange(1, 12)
_SECOND_WEIGHTS = np.array([3, 4, 5, 6, 7, 8, 9, 10, 11, 1, 2])
_CENTURIES = np.array([0, 1800, 1800, 1900, 1900, 2000, 2000, 0, 0, 0])
_KZ_IBAN = re.compile(r"KZ\d{2}\d{3}[0-9A-Z]{13}")
_SEPARATORS = re.compile(r"[\W_]+")


@dataclass(frozen=True)
class IinParts:
    """Valid IINs, the birth dates and sexes ("female", "male") they carry, each (n,), null if invalid."""

    values: pa.Array
    birth_dates: pa.Array
    sexes: pa.Array


def read_iins(texts: pa.Array) -> IinParts:
    """Valid IINs (12 digits, check digit right, birth date exists) with the birth date and sex they carry."""
    plain, digits, has_form = _twelve_digits(texts)
    birth_dates, dated = _iin_birth_dates(digits)
    valid = has_form & dated & (check_digits(digits[:, :11]) == digits[:, 11])
    sexes = np.where(digits[:, 6] % 2 == 1, "male", "female")
    return IinParts(
        values=_only(plain, valid),
        birth_dates=pa.array(birth_dates, pa.date32(), mask=~valid),
        sexes=pa.array(sexes, pa.string(), mask=~valid),
    )


def read_bins(texts: pa.Array) -> pa.Array:
    """Valid BINs, null elsewhere: 12 digits, a month of registration, type 4, 5 or 6, check digit right."""
    plain, digits, has_form = _twelve_digits(texts)
    month = digits[:, 2] * 10 + digits[:, 3]
    formed = (month >= 1) & (month <= 12) & np.isin(digits[:, 4], (4, 5, 6)) & (digits[:, 5] <= 3)
    return _only(plain, has_form & formed & (check_digits(digits[:, :11]) == digits[:, 11]))


def check_digits(digits: Digits) -> Digits:
    """The twelfth digit for each row of eleven, -1 where none exists (such numbers are never issued)."""
    first = digits @ _FIRST_WEIGHTS % 11
    second = digits @ _SECOND_WEIGHTS % 11
    check = np.where(first == 10, second, first)
    return np.where(check == 10, -1, check)


def _twelve_digits(texts: pa.Array) -> tuple[pa.Array, Digits, npt.NDArray[np.bool_]]:
    """The texts without blanks, their digits (n, 12) and whether they are twelve ASCII digits."""
    plain = pc.replace_substring_regex(texts, r"[\s-]+", "")
    has_form = pc.fill_null(pc.match_substring_regex(plain, r"^[0-9]{12}$"), False)
    filled = one_array(pc.if_else(has_form, plain, "0" * 12)).cast(pa.binary(12))
    codes = np.frombuffer(filled.buffers()[1] or b"", np.uint8)[filled.offset * 12 :][: len(filled) * 12]
    return plain, codes.reshape(-1, 12).astype(np.int64) - ord("0"), np.asarray(has_form)


def _iin_birth_dates(digits: Digits) -> tuple[npt.NDArray[np.datetime64], npt.NDArray[np.bool_]]:
    year = _CENTURIES[digits[:, 6]] + digits[:, 0] * 10 + digits[:, 1]
    month, day = digits[:, 2] * 10 + digits[:, 3], digits[:, 4] * 10 + digits[:, 5]
    plausible = (year >= 1800) & (month >= 1) & (month <= 12) & (day >= 1) & (day <= 31)
    months = (np.where(plausible, year - 1970, 0) * 12 + np.where(plausible, month - 1, 0)).astype(
        "datetime64[M]"
    )
    days = months.astype("datetime64[D]") + np.where(plausible, day - 1, 0)
    return days, plausible & (days.astype("datetime64[M]") == months)


def _only(values: pa.Array, mask: npt.NDArray[np.bool_]) -> pa.Array:
    return one_array(pc.if_else(pa.array(mask), values, pa.scalar(None, pa.string())))


def kz_iban(text: str) -> str | None:
    """A Kazakh IBAN without blanks, or None where its form or its check digits (mod 97) are wrong."""
    plain = _SEPARATORS.sub("", text).upper()
    return plain if _KZ_IBAN.fullmatch(plain) and iban_remainder(plain) == 1 else None


def plain_account(text: str) -> str:
    """An account number as it is; a Kazakh IBAN without blanks, however files write it."""
    is_plain = text.isalnum() and text.isupper()
    return text if is_plain else kz_iban(text) or text


def iban_remainder(plain: str) -> int:
    """ISO 7064 mod 97-10 of an IBAN: 1 where the check digits are right."""
    return int("".join(str(int(c, 36)) for c in plain[4:] + plain[:4])) % 97


def plain_identifier(text: str) -> str | None:
    """An identifier in upper case without separators; None where it is too short or one sign repeated."""
    plain = _SEPARATORS.sub("", text).upper()
    return plain if len(plain) >= 4 and len(set(plain)) > 1 else None
