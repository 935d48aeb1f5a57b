"""Names fall into the parts that they have."""

import pytest

from terag_pipelines.entities.names import (
    PersonName,
    looks_like_organisation,
    split_full_name,
    split_given_names,
    split_organisation_name,
)


@pytest.mark.parametrize(
    ("text", "given", "family", "patronymic"),
    [
        ("Иванов Иван Иванович", "Иван", "Иванов", "Иванович"),
        ("Иван Иванович Иванов", "Иван", "Иванов", "Иванович"),
        ("Серіков Нұрлан Болатұлы", "Нұрлан", "Серіков", "Болатұлы"),
        ("Серікова Әйгерім Болат қызы", "Әйгерім", "Серікова", "Болатқызы"),
        ("Нұрлан Болатұлы", "Нұрлан", None, "Болатұлы"),
        ("Aigerim Bolatqyzy Serikova", "Aigerim", "Serikova", "Bolatqyzy"),
        ("SERIKOV Nurlan Bolatuly", "Nurlan", "SERIKOV", "Bolatuly"),
        ("Абрамович Роман Аркадьевич", "Роман", "Абрамович", "Аркадьевич"),
        ("Роман Аркадьевич Абрамович", "Роман", "Абрамович", "Аркадьевич"),
        ("Абрамович Роман", "Роман", "Абрамович", None),
        ("Ахметов Ерлан", "Ерлан", "Ахметов", None),
        ("Ерлан Ахметов", "Ерлан", "Ахметов", None),
        ("Robert Smith", "Robert", "Smith", None),
        ("Anna Maria Garcia", "Anna Maria", "Garcia", None),
        ("Smith, Robert", "Robert", "Smith", None),
        ("ВАСИЛЬЕВ, Александр Павлович", "Александр", "ВАСИЛЬЕВ", "Павлович"),
        ("张伟", "伟", "张", None),
        ("欧阳修", "修", "欧阳", None),
        ("Madonna", None, "Madonna", None),
        (",", None, None, None),
    ],
)
def test_full_names_in_three_orders(text, given, family, patronymic):
    assert split_full_name(text) == PersonName(given, family, patronymic)


def test_a_patronymic_behind_a_given_name_is_told_apart():
    assert split_given_names("Иван Иванович") == PersonName("Иван", None, "Иванович")
    assert split_given_names("Anna Maria") == PersonName("Anna Maria")


@pytest.mark.parametrize(
    ("text", "key", "form"),
    [
        ("ТОО «Ромашка»", "romashka", "too"),
        ("Romashka LLP", "romashka", "too"),
        ("«Ромашка» ЖШС", "romashka", "too"),
        ('Товарищество с ограниченной ответственностью "Ромашка"', "romashka", "too"),
        ("Ромашка жауапкершілігі шектеулі серіктестігі", "romashka", "too"),
        ("АО Казтелеком", "kaztelekom", "ao"),
        ("Қазтелеком АҚ", "kaztelekom", "ao"),
        ("Kaztelekom JSC", "kaztelekom", "ao"),
        ("ИП Иванов", "ivanov", "ip"),
        ("ООО Вектор", "vektor", "ooo"),
        ("Acme Pte. Ltd.", "acme", "ltd"),
        ("Acme L.L.C.", "acme", "llc"),
        ("Volkswagen AG", "volkswagen", "ag"),
        ("Acme", "acme", None),
        ("ТОО", "too", None),
    ],
)
def test_the_legal_form_comes_off(text, key, form):
    assert split_organisation_name(text) == (key, form)


def test_people_are_not_taken_for_organisations():
    assert looks_like_organisation("ТОО Ромашка")
    assert looks_like_organisation("ИП Иванов")
    assert not looks_like_organisation("Серіков Нұрлан")
    assert not looks_like_organisation("Ak Serik")
