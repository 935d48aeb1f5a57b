"""Countries as ISO 3166 two-letter codes."""

from __future__ import annotations

import re

_SPELLINGS = {
    "KZ": "kaz,kazakhstan,qazaqstan,казахстан,қазақстан,республика казахстан,қазақстан республикасы,рк,қр",
    "RU": "rus,russia,russian federation,россия,российская федерация,рф,ресей",
    "KG": "kgz,kyrgyzstan,кыргызстан,киргизия,қырғызстан",
    "UZ": "uzb,uzbekistan,узбекистан,өзбекстан",
    "BY": "blr,belarus,беларусь,белоруссия",
    "UA": "ukr,ukraine,украина",
    "TJ": "tjk,tajikistan,таджикистан,тәжікстан",
    "TM": "tkm,turkmenistan,туркменистан,түрікменстан",
    "AZ": "aze,azerbaijan,азербайджан,әзербайжан",
    "GE": "geo,georgia,грузия",
    "AM": "arm,armenia,армения",
    "CN": "chn,china,prc,китай,қытай",
    "HK": "hkg,hong kong,гонконг",
    "TR": "tur,turkey,türkiye,турция,түркия",
    "AE": "are,uae,united arab emirates,оаэ,баә",
    "US": "usa,united states,united states of america,сша,ақш",
    "GB": "gbr,uk,united kingdom,great britain,великобритания",
    "DE": "deu,germany,deutschland,германия",
    "FR": "fra,france,франция",
    "IT": "ita,italy,италия",
    "ES": "esp,spain,испания",
    "NL": "nld,netherlands,нидерланды",
    "CH": "che,switzerland,швейцария",
    "LI": "lie,liechtenstein,lichtenstein",
    "CY": "cyp,cyprus,кипр",
    "GR": "grc,greece,греция",
    "CA": "can,canada,канада",
    "AU": "aus,australia,австралия",
    "IN": "ind,india,индия",
    "PK": "pak,pakistan,пакистан",
    "SG": "sgp,singapore,сингапур",
    "KH": "khm,cambodia,камбоджа",
    "JP": "jpn,japan,япония",
    "KR": "kor,south korea,корея",
    "MN": "mng,mongolia,монголия,моңғолия",
}
_CODE_OF = {spelling: code for code, spellings in _SPELLINGS.items() for spelling in spellings.split(",")}


def country_code(text: str) -> str | None:
    """The two-letter code of a country named by code or name.

    The name in upper case where it is not known.
    """
    plain = " ".join(re.sub(r"[\W_]+", " ", text).split()).casefold()
    if plain in _CODE_OF:
        return _CODE_OF[plain]
    return plain.upper() or None
