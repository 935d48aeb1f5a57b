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


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("Филиал ТОО «Алма»", "alma"),
        ("ТОО «Алма», филиал", "alma"),
        ("Филиал ТОО «Алма» в г. Алматы", "alma almati"),
        ("Алматинский филиал ТОО «Алма»", "alma almati"),
        ("ТОО «Алма» Карагандинский филиал", "alma karagandi"),
        ("«Алма» ЖШС-нің Астана қаласындағы филиалы", "alma astana"),
        ("«Алма» ЖШС Нұр-Сұлтан филиалы", "alma astana"),
        ("«Алма» АҚ-ның Шымкенттегі өкілдігі", "alma shimkent"),
        ("Представительство АО «Алма» в Актобе", "alma aktobe"),
        ("Обособленное подразделение ООО «Алма»", "alma"),
        ("Alma LLP, Almaty Branch", "alma almati"),
        ("Almaty branch of Alma LLP", "alma almati"),
        ("Representative office of Alma LLP in Almaty", "alma almati"),
        ("Филиал АО «Алма» по Алматинской области", "alma almatinskoi oblasti"),
    ],
)
def test_a_name_that_says_branch_gives_the_company_and_the_town(text, key):
    assert split_organisation_name(text) == (key, "branch")


@pytest.mark.parametrize(
    "text", ["Olive Branch", "Olive Branch Ltd", "Long Branch Saloon", "Michelle Branch"]
)
def test_the_word_branch_alone_is_part_of_a_name(text):
    key, form = split_organisation_name(text)
    assert "branch" in key.split()
    assert form != "branch"


def test_people_are_not_taken_for_organisations():
    assert not looks_like_organisation("Michelle Branch")
    assert looks_like_organisation("ТОО Ромашка")
    assert looks_like_organisation("ИП Иванов")
    assert not looks_like_organisation("Серіков Нұрлан")
    assert not looks_like_organisation("Ak Serik")
