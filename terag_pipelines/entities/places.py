"""Towns of Kazakhstan under the names they have in Kazakh, Russian and Latin, and had before."""

from __future__ import annotations

from terag_pipelines.entities.transliteration import name_key

_TOWNS = """
Астана, Нұр-Сұлтан, Целиноград
Алматы, Алма-Ата
Шымкент, Чимкент
Ақтау
Ақтөбе, Актюбинск
Арқалық, Аркалык
Атырау, Гурьев
Балқаш, Балхаш
Екібастұз, Экибастуз
Жаңаөзен, Жанаозен
Жезқазған, Жезказган, Джезказган
Көкшетау, Кокчетав
Кентау
Қарағанды, Караганда
Қаскелең, Каскелен
Қонаев, Қапшағай, Капчагай
Қосшы, Косшы
Қостанай, Кустанай
Қызылорда, Кзыл-Орда
Орал, Уральск
Өскемен, Усть-Каменогорск
Павлодар
Петропавл, Петропавловск
Риддер, Лениногорск
Рудный
Сәтбаев, Сатпаев
Семей, Семипалатинск
Степногорск
Талдықорған, Талды-Курган
Тараз, Жамбыл, Джамбул
Теміртау
Түркістан, Туркестан
"""


def _town_names() -> dict[str, str]:
    """Latin key of every name of a town, with the key of its first name."""
    rows = [[name_key(name) for name in line.split(",")] for line in _TOWNS.split("\n") if line]
    return {name: names[0] for names in rows for name in names}


TOWN_OF = _town_names()
LONGEST_TOWN_NAME = max(len(name.split()) for name in TOWN_OF)
