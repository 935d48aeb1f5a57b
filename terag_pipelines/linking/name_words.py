"""The words of names: what each is (patronymic, particle, generic word, number), and how it sounds.

Common knowledge as tables, keyed like records. Sources: ICAO Doc 9303 and the Kazakh and Russian forms of
patronymics for the endings; the words are those that names and firms of many lands have in common.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from terag_pipelines.entities.distinct import as_series
from terag_pipelines.entities.names import split_organisation_name
from terag_pipelines.entities.transliteration import name_key, name_keys, token_key, token_keys

Texts = npt.NDArray[np.object_]
Ints = npt.NDArray[np.int64]
PERSON, ORGANISATION = "person", "organisation"
MAX_WORDS = 30  # of one name; further ones take no part
PLAIN, PATRONYMIC, INITIAL, LIGHT, NUMBER = range(5)  # what a word is
N_KINDS = 5
MAN, WOMAN = 1, 2

_PARTICLES = """
bin ben ibn bint binti abu al el ul ad as de da do dos das del della di du la le les lo van von der den
ter ten zu zur af av and the st saint san santa dit
"""
_TITLES = """
mr mrs ms miss dr prof professor sir dame lord lady sheikh shaikh sheik haji hajji hadji haj hajj mullah
mulla maulavi mawlawi imam sayyid sayed syed general gen col colonel captain capt major lt admiral
prince princess king queen hon reverend rev jr junior sr senior esq phd г-н г-жа господин госпожа
"""
_IDLE = """
the of for in at de la du des et und der die das y e и с по на в для and new company group holding
holdings corporation компания группа холдинг фирма предприятие компаниясы тобы кәсіпорны gruppe groupe
grupo konzern
"""
_GENERIC = """
international trading trade industries industry industrial services service solutions systems
technologies technology bank banking finance financial capital invest investment investments development
construction building builders engineering energy power oil gas petroleum mining metals metal steel
export import logistics transport transportation shipping lines maritime marine navigation global world
worldwide national state general center centre institute university association foundation fund union
agency bureau office management consulting consultants partners enterprise enterprises manufacturing
manufacturer production products foods food pharma pharmaceutical pharmaceuticals medical health
insurance real estate property properties leasing telecom communications media digital electronics
electric equipment machinery chemical chemicals plant factory works commercial business brothers sons
first overseas торговый дом завод фабрика комбинат центр банк финанс инвест строй сервис транс торг пром
производственное производственная объединение научно исследовательский институт государственное
агентство управление производство строительная строительство торговая орталығы зауыты банкі ұлттық
мемлекеттік кооперативі казахстан қазақстан kazakhstan россия russia российская астана алматы мекемесі
"""
# Short forms of words of organisations, and the words that they stand for.
_SHORT_FORMS = """
intl int'l international|natl nat'l national|mfg manufacturing|assn assoc association|bros brothers
dept department|govt gov't government|tech technology|technologies technology|svcs services
service services|mgmt management|engg eng engineering|univ university|inst institute|fin finance
financial finance|bldg building|dev development|ent enterprise|enterprises enterprise
industry industries|industrial industries|investments investment|sys systems|system systems
holdings holding|centre center|pharma pharmaceuticals|pharmaceutical pharmaceuticals|petrol petroleum
telecommunications telecom|corp corporation|co company|grp group|first 1st|second 2nd|third 3rd|one 1
two 2|three 3|four 4|five 5|six 6|seven 7|eight 8|nine 9|ten 10
"""
_FEMALE = r"(ovna|evna|ichna|kizi|ova|eva|skaia|skaya|aia)$"
_MALE = r"(ovit?ch|evit?ch|uli|ov|ev|skii|ski|enich)$"
_SON = r"(?:ovit?ch|evit?ch|uli|ovna|evna|kizi|inichna|ich)$"
_JOINED_SON = r"(?:^| )([^ ]{3,}) (?:uli|uulu|ogli|oglu|ugli)\b"
_JOINED_DAUGHTER = r"(?:^| )([^ ]{3,}) (?:kizi|gizi)\b"
_SON_OF = r" (?:bin|ibn|ben) (?:(?:al|el) )?([^ ]{3,})"
_DAUGHTER_OF = r" (?:bint|binti) (?:(?:al|el) )?([^ ]{3,})"
_PATRONYMIC = (
    r"^.{3,}(?:ovit?ch|evit?ch|ovna|evna|inichna)$|^.{2,}(?:uli|kizi)$|^(?:il|kuzm|fom|luk|nikit)ich$"
)

# What is heard alike across alphabets, each step over the whole word.
_SOUNDS: tuple[Mapping[str, str], ...] = (
    {"ph": "f", "th": "t", "ck": "k", "off": "ov", "ch": "sh", "w": "v", "ae": "a", "oe": "u", "ue": "u"},
    {"ia": "a", "iu": "u", "io": "i", "ie": "i", "ei": "i", "ee": "i", "oo": "u", "ou": "u", "ts": "s"},
    {"o": "u", "e": "i", "c": "k", "ng": "n"},
    {letter * 2: letter for letter in "abcdefghijklmnopqrstuvwxyz"},
)
_SCRIPTS = (
    "[a-z0-9]",
    *(
        rf"\p{{{name}}}"
        for name in ("Han", "Hangul", "Arabic", "Hebrew", "Thai", "Devanagari", "Khmer", "Ethiopic")
    ),
    r"\p{Hiragana}|\p{Katakana}",
)

_SHORT_I = r"([aeiou])j($|[^aeiou])"  # behind a vowel and before none j is й
_ENDINGS = (("z$", "s"), ("(.)h$", "${1}"))  # hardly heard


def _keys_of(words: str) -> list[str]:
    return sorted({key for word in words.split() for key in (name_key(word), token_key(word)) if key})


_LIGHT_WORDS: Mapping[str, list[str]] = MappingProxyType(
    {PERSON: _keys_of(_PARTICLES + _TITLES), ORGANISATION: _keys_of(_GENERIC)}
)
_IDLE_WORDS = frozenset(_keys_of(_IDLE))
_LONG_FORMS: Mapping[str, str] = MappingProxyType(
    {
        token_key(short): token_key(group.split()[-1])
        for line in _SHORT_FORMS.strip().splitlines()
        for group in line.split("|")
        for short in group.split()[:-1]
    }
)


@dataclass(frozen=True)
class Words:
    """Distinct words as columns aligned by code: what each is, its letters and its sound.

    Of a patronymic `letters` are those of the father's name; `sex` is 1 for a man's word, 2 for a woman's.
    """

    texts: list[str]
    letters: Texts
    sounds: Texts
    kinds: npt.NDArray[np.int8]
    sexes: npt.NDArray[np.int8]
    scripts: Ints


@dataclass(frozen=True)
class NameWords:
    """Names as words: `frame` has name (code), place, word (code of `words`), span (bits of the places).

    Two neighbouring words written together stand there too, as one word over two places.
    """

    frame: pl.DataFrame
    words: Words
    keys: Texts  # by name: its words in order
    sorted_letters: Texts  # its words in alphabetical order, without blanks
    wholes: Texts  # all its letters without blanks, of an organisation with the legal form
    forms: Texts  # legal form, "" where it has none
    initials: Texts  # of its words
    n_words: Ints  # without particles, generic words and initials
    sexes: Ints  # MAN or WOMAN where its words say one of them only, else 0
    scripts: Ints  # bits of the scripts that its words are in


def read_words(names: pa.Array, kind: str) -> NameWords:
    """The words of distinct names of persons or of organisations."""
    keys, forms = _person_keys(names) if kind == PERSON else _organisation_keys(names)
    places = (
        pl.DataFrame(
            {"name": pl.int_range(len(keys), dtype=pl.Int32, eager=True), "text": keys.str.split(" ")}
        )
        .with_columns(pl.col("text").list.head(MAX_WORDS))
        .explode("text")
        .filter(pl.col("text") != "")
        .with_columns(place=pl.int_range(pl.len()).over("name"))
        .with_columns(span=pl.lit(2, pl.Int64).pow(pl.col("place")))
    )
    together = pl.concat([places, _neighbours(places)])
    distinct = together["text"].unique().sort()
    words = _describe(distinct, kind)
    frame = together.with_columns(word=distinct.search_sorted(together["text"]).cast(pl.Int32))
    return NameWords(
        frame=frame.drop("text").sort("name", "place", "span"),
        words=words,
        keys=_objects(keys),
        sorted_letters=_objects(keys.str.split(" ").list.sort().list.join("")),
        wholes=_objects(_wholes(names, keys, kind)),
        forms=forms,
        initials=_objects(keys.str.replace_all(r"([^ ])[^ ]* ?", "${1}")),
        **_sum_up(frame.filter(pl.col("span") % 3 != 0), words, len(keys)),
    )


def _sum_up(single: pl.DataFrame, words: Words, n_names: int) -> dict[str, Ints]:
    """What the words of each name say together."""
    name, word = single["name"].to_numpy(), single["word"].to_numpy()
    sexes, scripts = np.zeros(n_names, np.int64), np.zeros(n_names, np.int64)
    np.bitwise_or.at(sexes, name, words.sexes[word].astype(np.int64))
    np.bitwise_or.at(scripts, name, words.scripts[word].astype(np.int64))
    sexes[sexes == (MAN | WOMAN)] = 0
    telling = name[(words.kinds[word] != LIGHT) & (words.kinds[word] != INITIAL)]
    return {"n_words": np.bincount(telling, minlength=n_names), "sexes": sexes, "scripts": scripts}


def _wholes(names: pa.Array, keys: pl.Series, kind: str) -> pl.Series:
    full = keys if kind == PERSON else as_series(token_keys(names)).fill_null("")
    return full.str.replace_all("[ /]", "")


def _person_keys(names: pa.Array) -> tuple[pl.Series, Texts]:
    keys = as_series(name_keys(names)).fill_null("")
    joined = keys.str.replace_all(_JOINED_SON, " ${1}uli").str.replace_all(_JOINED_DAUGHTER, " ${1}kizi")
    joined = joined.str.replace_all(_SON_OF, " ${1}uli").str.replace_all(_DAUGHTER_OF, " ${1}kizi")
    return joined.str.strip_chars(" "), np.full(len(names), "", object)


def _organisation_keys(names: pa.Array) -> tuple[pl.Series, Texts]:
    split = [split_organisation_name(text or "") for text in names.to_pylist()]
    words = [[_LONG_FORMS.get(w, w) for w in (key or "").replace("/", " ").split()] for key, _ in split]
    telling = [[word for word in name if word not in _IDLE_WORDS] or name for name in words]
    keys = pl.Series([" ".join(name) for name in telling], dtype=pl.String)
    return keys, _objects(pl.Series([form or "" for _, form in split], dtype=pl.String))


def _neighbours(places: pl.DataFrame) -> pl.DataFrame:
    """Each word joined to the next one of the same name."""
    behind = pl.col("text").shift(-1).over("name")
    return (
        places.with_columns(text=pl.col("text") + behind, span=pl.col("span") * 3)
        .filter(pl.col("text").is_not_null())
        .select(places.columns)
    )


def _describe(distinct: pl.Series, kind: str) -> Words:
    texts = pl.DataFrame({"text": distinct})
    is_patronymic = pl.col("text").str.contains(_PATRONYMIC) if kind == PERSON else pl.lit(False)
    stem = pl.col("text").str.replace(_SON, "").str.strip_chars_end("i")
    found = texts.select(
        letters=pl.when(is_patronymic).then(stem).otherwise("text"),
        kind=pl.when(pl.col("text").is_in(_LIGHT_WORDS[kind]))
        .then(LIGHT)
        .when(pl.col("text").str.contains("[0-9]"))
        .then(NUMBER)
        .when(pl.col("text").str.len_chars() == 1)
        .then(INITIAL)
        .when(is_patronymic)
        .then(PATRONYMIC)
        .otherwise(PLAIN)
        .cast(pl.Int8),
        sex=pl.when(pl.col("text").str.contains(_FEMALE))
        .then(2)
        .when(pl.col("text").str.contains(_MALE))
        .then(1)
        .otherwise(0)
        .cast(pl.Int8),
        script=pl.sum_horizontal(
            pl.col("text").str.contains(pattern).cast(pl.Int64) * 2**bit
            for bit, pattern in enumerate(_SCRIPTS)
        ),
    )
    letters = found["letters"]
    return Words(
        texts=distinct.to_list(),
        letters=_objects(letters),
        sounds=_objects(sound_of(letters)),
        kinds=found["kind"].to_numpy(),
        sexes=found["sex"].to_numpy(),
        scripts=found["script"].to_numpy(),
    )


def sound_of(letters: pl.Series) -> pl.Series:
    """The rough sound of Latin keys: long and soft vowels as short ones, o as u, e as i, twins as one."""
    letters = letters.str.replace_all(_SHORT_I, "${1}i${2}")
    for step in _SOUNDS:
        letters = letters.str.replace_many(list(step), list(step.values()), leftmost=True)
    for pattern, sound in _ENDINGS:
        letters = letters.str.replace_all(pattern, sound)
    return letters


def _objects(texts: pl.Series) -> Texts:
    return np.array([*texts.to_list(), None], object)[:-1]
