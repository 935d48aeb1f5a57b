"""One key for a name in Kazakh Cyrillic, Russian spelling, passport Latin and Kazakh Latin."""

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rapidfuzz.distance import Levenshtein

from terag_pipelines.entities.transliteration import name_key, name_keys, token_key, token_keys

LETTERS = st.text(
    st.one_of(
        st.characters(min_codepoint=0x20, max_codepoint=0x24F),
        st.characters(min_codepoint=0x400, max_codepoint=0x52F),
        st.sampled_from("'’ʼ-‑ ́̈家ص"),
    ),
    max_size=30,
)

SYLLABLES = [*"aeiouyhksczgtdjxqIEYSCH 1_'`-./&\t", "ie", "shch", "sch", "shh", "kh", "tz", "dj", "ii", "y"]
ASCII = st.lists(st.sampled_from(SYLLABLES), max_size=10).map("".join)


@pytest.mark.parametrize(
    "spellings",
    [
        ("Нұрсұлтан", "Нурсултан", "NURSULTAN", "Nūrsūltan", "Nursultan"),
        ("Әйгерім", "Айгерим", "AIGERIM", "Aigerim", "Äigerim", "Áıgerim"),
        ("Қайрат", "Кайрат", "KAIRAT", "Qairat", "Kayrat"),
        ("Ғалым", "Галым", "GALYM", "Ğalym", "Ǵalym"),
        ("Жұмабай", "Жумабай", "ZHUMABAY", "Jūmabai", "Jumabai"),
        ("Шолпан", "SHOLPAN", "Şolpan", "S'olpan"),
        ("Өмірбек", "Омирбек", "OMIRBEK", "Ömirbek", "Ómirbek"),
        ("Хасен", "KHASEN", "Hasen"),
        ("Ерлан", "YERLAN", "Erlan"),
        ("Юрий", "IURII", "Yuriy", "Yuri"),
        ("Наталья", "NATALIA", "Natalya", "Natal'ya"),
        ("Щербаков", "SHCHERBAKOV", "Scherbakov"),
        ("Александр", "ALEKSANDR", "Alexandr"),
        ("Дмитриев", "DMITRIEV", "Dmitriyev"),
        ("Джамбул", "Dzhambul", "Jambul"),
    ],
)
def test_spellings_of_one_name_meet(spellings):
    assert {name_key(spelling) for spelling in spellings} == {name_key(spellings[0])}


@pytest.mark.parametrize(
    ("left", "right"),
    [("Васильев", "VASILEV"), ("Шыңғыс", "Чингиз"), ("Цой", "Tsoy"), ("Пётр", "Pyotr"), ("Ильяс", "Ilias")],
)
def test_other_spellings_come_close(left, right):
    assert Levenshtein.distance(name_key(left), name_key(right)) <= 2


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("О’Коннор-Смит", "okonnor smit"),
        ("  Müller,  Jürgen ", "muller jurgen"),
        ("Straße", "strasse"),
        ("张伟", "张伟"),
        ("12 #3", ""),
        ("Anne–Marie", "anne marie"),
    ],
)
def test_keys_hold_letters_and_single_spaces_only(text, key):
    assert name_key(text) == key


@given(LETTERS)
def test_a_key_is_its_own_key(text):
    assert name_key(name_key(text)) == name_key(text)
    assert token_key(token_key(text)) == token_key(text)


@given(LETTERS)
def test_a_key_has_no_digits_signs_or_double_spaces(text):
    key = name_key(text)
    assert all(c.isalpha() or c == " " for c in key)
    assert key == " ".join(key.split())


@given(LETTERS)
def test_case_does_not_matter_for_cyrillic_and_ascii(text):
    plain = "".join(c for c in text if c.isascii() or "А" <= c <= "я")
    assert name_key(plain.upper()) == name_key(plain.lower())


def test_the_start_of_a_huge_text_stands_for_it():
    assert name_key("s" + "h" * 1_000_000) == "sh"
    assert len(token_key("a" * 1_000_000)) < 10_000


@given(st.lists(st.one_of(st.none(), ASCII, LETTERS), max_size=8))
def test_columns_of_keys_are_the_keys_of_their_values(texts):
    values = pa.array(texts, pa.string())
    for keys, key in ((name_keys, name_key), (token_keys, token_key)):
        assert keys(values).to_pylist() == [None if text is None else key(text) for text in texts]


def test_columns_of_huge_texts_and_of_dictionaries_are_keyed_alike():
    texts = ["y" * 5_000, "Kh" * 1_000, "Zhanna", None, "Жанна"]
    for values in (pa.array(texts), pa.array(texts).dictionary_encode()):
        assert name_keys(values).to_pylist() == [None if text is None else name_key(text) for text in texts]
