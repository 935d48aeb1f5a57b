"""Pairs of full names as people in Kazakhstan have them, in six spellings, with hard negatives.

Written from the published alphabets alone: nothing of the product is imported here, so that what the product
knows of spelling is not tested against itself. Sources: the Kazakh Cyrillic alphabet of 1940; the decrees
No. 569 (2017, apostrophes) and No. 637 (2018, acutes); the draft of January 2021 (diaereses, ğ, ñ, ş, ū);
passport Latin as in Kazakh passports (ICAO Doc 9303, with YE, YA, YU, ZH, KH); Russian as registry
offices write Kazakh names.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import polars as pl

SCRIPTS = ("kazakh_cyrillic", "russian_cyrillic", "passport", "latin_2017", "latin_2018", "latin_2021")
KINDS = ("same", "twin", "father_son", "sibling", "namesake", "stranger")
SHARES = (0.40, 0.15, 0.12, 0.13, 0.12, 0.08)  # of the kinds of pairs
SHARE_WITHOUT_PATRONYMIC = 0.25
SHARE_MISTYPED = 0.04
SHARE_RUSSIAN = 0.2  # of the people


def _words(text: str) -> list[str]:
    return text.split()


MEN = _words("""
Абай Абзал Азамат Айбек Айдар Айдын Алмас Алтай Арман Арыстан Асан Асқар Асхат Әділ Әділет Әли Әлихан
Әсет Бағдат Бауыржан Бахтияр Бақыт Бақытжан Бейбіт Бекзат Берік Біржан Болат Ғабит Ғалым Ғалымжан Ғани
Дамир Дархан Дәурен Дәулет Дидар Досжан Думан Еділ Елдос Ерболат Ербол Ержан Еркебұлан Еркін Ерлан Ермек
Ерсін Есен Жандос Жанат Жанболат Жасұлан Жәнібек Жомарт Жұмабек Зейнолла Исатай Кәрім Кеңес Көкен Қазбек
Қайрат Қайсар Қанат Қасым Қуаныш Қуат Құдайберген Мағжан Мақсат Марат Медет Мейрам Мерей Мұрат Мұхтар
Мырзахан Нартай Нұрбол Нұрғали Нұржан Нұрлан Нұрсұлтан Олжас Оңдасын Оразбек Өмірбек Өмірзақ Рақым
Рүстем Саббас Сағат Самат Санжар Сәкен Сәуір Сейіт Серік Серікжан Сұлтан Талғат Темірхан Төлеген Тілек
Тұрар Ұлан Үсен Үміт Хамит Хасен Шалқар Шерхан Шыңғыс Ыбырай Ықылас Ілияс Исламбек
""")
WOMEN = _words("""
Ақбота Ақерке Ақмарал Айгүл Айгерім Айжан Айнұр Айсұлу Алма Алтынай Анар Арайлым Асель Әйгерім Әлия Әсем
Әсия Баян Балжан Бибігүл Ботагөз Гауһар Гүлжан Гүлмира Гүлнар Гүлсім Гүлшат Ғалия Дана Дариға Динара
Жазира Жанар Жансая Жұлдыз Зәуре Зере Зейнеп Индира Қамшат Қарлығаш Қымбат Күләш Күміс Ләззат Лаура
Мәдина Мадина Маржан Мөлдір Назгүл Назым Нұргүл Нұрсәуле Перизат Райхан Роза Сабина Салтанат Самал
Сандуғаш Сәуле Толқын Тоғжан Ұлбосын Үміт Шара Шолпан Шынар Іңкәр Еңлік Меруерт Ақтоты
""")
STEMS = _words("""
Абдрахман Абен Ақын Алдаберген Аманжол Асқар Ахмет Әбдіқадыр Әбіл Әубәкір Байжан Байтұрсын Баймұхамбет
Бекмұхамбет Бекболат Бөлеген Дәулетбай Досмұхамед Дүйсен Елеусіз Ермек Есім Жақып Жангелді Жаңабай
Жұмабай Жүніс Иман Ибрай Кәрім Кенжебай Көшербай Қабдол Қалиасқар Қасым Қожахмет Құлмағамбет Құрман
Мамыт Мұқан Мұстафа Мұхамеджан Нұрпейіс Оспан Өтеген Өтеміс Рахым Сағындық Садуақас Сатпай Сейтқали
Смағұл Сүлеймен Сұлтан Тәжібай Темірбек Тоқтар Төлеу Тұрсын Уәли Үмбет Хасен Шәкәрім Шаяхмет Ыдырыс
Ысқақ Ілияс Есенберлі Қонақбай Нұғыман
""")
RUSSIAN_MEN = _words("""
Александр Алексей Анатолий Андрей Борис Вадим Василий Виктор Виталий Владимир Вячеслав Геннадий Григорий
Дмитрий Евгений Иван Игорь Илья Константин Максим Михаил Николай Олег Павел Пётр Роман Сергей Станислав
Фёдор Юрий Ярослав
""")
RUSSIAN_WOMEN = _words("""
Александра Алёна Анастасия Анна Валентина Виктория Галина Евгения Екатерина Елена Жанна Ирина Ксения
Лариса Любовь Людмила Марина Мария Надежда Наталья Ольга Светлана Софья Татьяна Юлия
""")
RUSSIAN_FAMILIES = _words("""
Андреев Быков Васильев Воробьёв Гаврилов Горбачёв Григорьев Ершов Жуков Зайцев Иванов Ильин Киселёв
Ковалёв Козлов Кузнецов Лебедев Макаров Медведев Морозов Никитин Новиков Павлов Петров Попов Семёнов
Сидоров Соловьёв Степанов Тимофеев Фёдоров Филиппов Цветков Чернышёв Шевцов Щербаков Юдин Яковлев Кац
""")


@dataclass(frozen=True)
class Person:
    """A person in Kazakh (or, if Russian, in Russian) Cyrillic; `father` is the father's given name."""

    given: str
    family: str
    father: str
    is_woman: bool
    is_russian: bool


# How Russian registry offices write the letters of Kazakh, and the names that have a form of their own.
RUSSIAN_LETTERS = str.maketrans("әғқңөұүһіӘҒҚҢӨҰҮҺІ", "агкноуухиАГКНОУУХИ")
RUSSIAN_FORMS = {
    "Күләш": "Куляш", "Ләззат": "Ляззат", "Гүлнар": "Гульнар", "Гүлмира": "Гульмира",
    "Гүлжан": "Гульжан", "Гүлсім": "Гульсум", "Гүлшат": "Гульшат", "Айгүл": "Айгуль",
    "Назгүл": "Назгуль", "Нұргүл": "Нургуль", "Бибігүл": "Бибигуль", "Мөлдір": "Молдир",
    "Өтеген": "Утеген", "Өтеміс": "Утемис", "Әубәкір": "Аубакир", "Шыңғыс": "Чингиз",
    "Рүстем": "Рустем", "Ілияс": "Ильяс", "Дүйсен": "Дюсен", "Ыбырай": "Ибрай", "Ысқақ": "Искак",
    "Ыдырыс": "Идрис", "Үсен": "Усен", "Жүніс": "Жунус", "Сүлеймен": "Сулеймен", "Әли": "Али",
    "Зәуре": "Зауре", "Әсем": "Асем", "Асель": "Асель", "Уәли": "Уали", "Байтұрсын": "Байтурсын",
}  # fmt: skip

_COMMON_2017 = dict(zip("абвгдежзіклмнопрстұфхһқы", "abvgdejziklmnoprstufhhqy", strict=True))
ALPHABETS = {
    "latin_2017": _COMMON_2017
    | dict(zip("әғиңөүйушч", ("a'", "g'", "i'", "n'", "o'", "u'", "i'", "y'", "s'", "c'"), strict=True))
    | {"ё": "i'o", "ц": "ts", "щ": "s'", "ъ": "", "ь": "", "э": "e", "ю": "i'y'", "я": "i'a"},
    "latin_2018": _COMMON_2017
    | dict(zip("әғиңөүйушч", ("á", "ǵ", "ı", "ń", "ó", "ú", "ı", "ý", "sh", "ch"), strict=True))
    | {"ё": "ıo", "ц": "ts", "щ": "sh", "ъ": "", "ь": "", "э": "e", "ю": "ıý", "я": "ıa"},
    "latin_2021": _COMMON_2017
    | dict(zip("әғиіңөұүйуш", ("ä", "ğ", "i", "ı", "ñ", "ö", "ū", "ü", "i", "u", "ş"), strict=True))
    | {"ч": "ch", "ё": "io", "ц": "ts", "щ": "ş", "ъ": "", "ь": "", "э": "e", "ю": "iu", "я": "ia"},
    "passport": dict(
        zip("абвгдежзиклмнопрстуфхцчшщ", _words("a b v g d e zh z i k l m n o p r s t u f kh ts ch sh shch"),
            strict=True)
    )
    | dict(zip("әғқңөұүһіёйъыьэюя", _words("a g k n o u u h i yo i _ y _ e yu ya"), strict=True))
    | {"ъ": "", "ь": ""},
}  # fmt: skip
VOWELS = set("аәеёиоөуұүыіэюя")


def spell_in_russian(word: str) -> str:
    """A Kazakh name as a Russian document has it."""
    return RUSSIAN_FORMS.get(word, word).translate(RUSSIAN_LETTERS)


def spell_in_passport(word: str, is_soft_y: bool) -> str:
    """Passport Latin in capitals: YE at the start and behind a vowel; й is Y in older passports, later I."""
    letters = []
    for before, letter in zip(" " + word.lower(), word.lower(), strict=False):
        if letter == "е" and (before in " ьъ" or before in VOWELS):
            letters.append("ye")
        elif letter == "й" and is_soft_y:
            letters.append("y")
        else:
            letters.append(ALPHABETS["passport"].get(letter, letter))
    return "".join(letters).upper()


def spell_in_alphabet(word: str, script: str) -> str:
    """One of the Kazakh Latin alphabets, letter by letter, with the first letter large."""
    letters = "".join(ALPHABETS[script].get(letter, letter) for letter in word.lower())
    return letters[:1].upper() + letters[1:]


def russian_patronymic(father: str, is_woman: bool) -> str:
    """-ович or -овна out of a father's name, after the rules for registry offices."""
    irregular = {"Илья": "Ильи", "Никита": "Никити"}
    if father in irregular:
        return irregular[father] + ("нична" if is_woman else "ч")
    if father == "Павел":
        father = "Павл"
    if father == "Пётр":
        father = "Петр"
    for ending, stem in (("ий", "ь"), ("й", ""), ("ь", ""), ("и", "и"), ("а", "а"), ("е", "е"), ("я", "я")):
        if father.endswith(ending):
            base = father.removesuffix(ending) + stem
            return base + ("евна" if is_woman else "евич")
    return father + ("овна" if is_woman else "ович")


def family_of(stem: str, is_woman: bool, is_russian: bool) -> str:
    """A family name with its ending; Kazakh stems take -ов or -ев as documents mostly have them."""
    if is_russian:
        return stem + "а" if is_woman and stem[-2:] in ("ов", "ев", "ёв", "ин") else stem
    ending = "ев" if stem[-1] in "йиіеуж" else "ов"
    base = stem[:-1] if stem[-1] == "й" else stem
    return base + ending + ("а" if is_woman else "")


def draw_person(rng: np.random.Generator) -> Person:
    """One person."""
    is_woman, is_russian = bool(rng.random() < 0.5), bool(rng.random() < SHARE_RUSSIAN)
    fathers, families = (RUSSIAN_MEN, RUSSIAN_FAMILIES) if is_russian else (MEN, STEMS)
    return Person(
        given=_draw(rng, _given_names(is_woman, is_russian)),
        family=_draw(rng, families),
        father=_draw(rng, fathers),
        is_woman=is_woman,
        is_russian=is_russian,
    )


def _given_names(is_woman: bool, is_russian: bool) -> list[str]:
    if is_russian:
        return RUSSIAN_WOMEN if is_woman else RUSSIAN_MEN
    return WOMEN if is_woman else MEN


def _draw(rng: np.random.Generator, names: list[str], *but: str) -> str:
    kept = [name for name in names if name not in but]
    return kept[int(rng.integers(len(kept)))]


def draw_other(kind: str, person: Person, rng: np.random.Generator) -> Person:
    """Who stands beside a person in a pair of this kind."""
    given = _given_names(person.is_woman, person.is_russian)
    if kind == "same":
        return person
    if kind == "twin":
        alike = sorted(
            (name for name in given if name != person.given), key=lambda n: _unlike(n, person.given)
        )
        return replace(person, given=_draw(rng, alike[:4]))
    if kind == "sibling":
        other = not person.is_woman
        return replace(person, given=_draw(rng, _given_names(other, person.is_russian)), is_woman=other)
    if kind == "father_son":
        fathers = RUSSIAN_MEN if person.is_russian else MEN
        return replace(person, given=person.father, father=_draw(rng, fathers, person.father), is_woman=False)
    if kind == "namesake":
        fathers = RUSSIAN_MEN if person.is_russian else MEN
        return replace(person, father=_draw(rng, fathers, person.father))
    return draw_person(rng)


def _unlike(one: str, other: str) -> tuple[float, str]:
    """Share of letter pairs that two names do not have in common: twins are often named alike."""
    pairs = [{name[i : i + 2] for i in range(len(name) - 1)} for name in (one.lower(), other.lower())]
    return 1 - len(pairs[0] & pairs[1]) / len(pairs[0] | pairs[1]), one


def write_name(person: Person, script: str, with_patronymic: bool, rng: np.random.Generator) -> str:
    """The full name in a script, in one of the orders and forms that documents of that script have."""
    is_kazakh_form = script != "russian_cyrillic" and not person.is_russian and rng.random() < 0.6
    is_russian_text = script == "russian_cyrillic" or (script == "passport" and rng.random() < 0.5)
    spell = _speller(script, is_russian_text and not person.is_russian, bool(rng.random() < 0.4))
    stem = spell_in_russian(person.family) if is_russian_text and not person.is_russian else person.family
    family = spell(family_of(stem, person.is_woman, person.is_russian))
    given, patronymic = spell(person.given), ""
    if with_patronymic:
        patronymic = (
            _write_kazakh_patronymic(person, script, is_russian_text, spell, rng)
            if is_kazakh_form
            else _write_russian_patronymic(person, is_russian_text, spell)
        )
    is_family_first = rng.random() < 0.5
    words = [family, given, patronymic] if is_family_first else [given, patronymic, family]
    return " ".join(word for word in words if word)


def _write_russian_patronymic(person: Person, is_russian_text: bool, spell: Callable[[str], str]) -> str:
    is_adapted = is_russian_text and not person.is_russian
    father = spell_in_russian(person.father) if is_adapted else person.father
    return spell(russian_patronymic(father, person.is_woman))


def _write_kazakh_patronymic(
    person: Person,
    script: str,
    is_russian_text: bool,
    spell: Callable[[str], str],
    rng: np.random.Generator,
) -> str:
    ending = "қызы" if person.is_woman else "ұлы"
    if rng.random() < 0.3:
        return (
            spell(person.father) + " " + (spell(ending) if spell(ending).isupper() else spell(ending).lower())
        )
    return (
        spell(person.father + ending)
        if not is_russian_text
        else spell(spell_in_russian(person.father) + ending)
    )


def _speller(script: str, is_adapted: bool, is_soft_y: bool) -> Callable[[str], str]:
    def spell(word: str) -> str:
        text = spell_in_russian(word) if is_adapted else word
        if script == "passport":
            return spell_in_passport(text, is_soft_y)
        return spell_in_alphabet(text, script) if script in ALPHABETS else text

    return spell


def mistype(text: str, rng: np.random.Generator) -> str:
    """One slip of the keyboard within a word: a letter lost, doubled or changed with its neighbour."""
    places = [i for i in range(1, len(text) - 1) if text[i - 1 : i + 2].isalpha()]
    at = places[int(rng.integers(len(places)))]
    slips = (
        text[:at] + text[at + 1 :],
        text[: at + 1] + text[at:],
        text[:at] + text[at + 1] + text[at] + text[at + 2 :],
    )
    return slips[int(rng.integers(len(slips)))]


def make_pairs(n_pairs: int = 5_000, seed: int = 11) -> pl.DataFrame:
    """Columns left, right, left_script, right_script, kind, is_match; the scripts of a pair in fixed order.

    A negative that is told apart by the patronymic alone (a namesake) has it on both sides.
    """
    rng = np.random.default_rng(seed)
    return pl.DataFrame([_make_pair(rng) for _ in range(n_pairs)], orient="row")


def _make_pair(rng: np.random.Generator) -> dict[str, object]:
    kind = str(rng.choice(KINDS, p=SHARES))
    one = draw_person(rng)
    other = draw_other(kind, one, rng)
    scripts = sorted(int(i) for i in rng.integers(len(SCRIPTS), size=2))
    sides = []
    for person, number in zip((one, other), scripts, strict=True):
        has_patronymic = kind == "namesake" or rng.random() >= SHARE_WITHOUT_PATRONYMIC
        name = write_name(person, SCRIPTS[number], has_patronymic, rng)
        sides.append(mistype(name, rng) if rng.random() < SHARE_MISTYPED else name)
    return {
        "left": sides[0],
        "right": sides[1],
        "left_script": SCRIPTS[scripts[0]],
        "right_script": SCRIPTS[scripts[1]],
        "kind": kind,
        "is_match": kind == "same" or one == other,
    }
