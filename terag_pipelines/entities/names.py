"""Names of people and organisations: their parts, their Latin keys, the legal form of an organisation."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from terag_pipelines.entities.branches import is_owner, name_branch, part_at_branch
from terag_pipelines.entities.transliteration import name_key, token_key

_RUSSIAN_PATRONYMIC = re.compile(
    r"[a-z]{2,}(ovich|evich|ovna|evna|inichna)|(il|kuzm|fom|luk|nikit)(ich|inichna)"
)
_KAZAKH_PATRONYMIC = re.compile(r"[a-z]{3,}(uli|kizi)")
_PATRONYMIC_WORD = re.compile(r"uli|kizi|ogli")
_FAMILY_NAME = re.compile(
    r"[a-z]{2,}(ov|ev|in|ova|eva|ina|skii|ski|skaia|skoi|enko|bekov|chuk|uk|iuk|dze|shvili|ian|bai)"
)
_HAN = re.compile("[\u3400-\u9fff]{2,4}")
_HAN_COMPOUND_FAMILY = frozenset(
    ("欧阳", "司马", "诸葛", "上官", "夏侯", "东方", "皇甫", "尉迟", "公孙", "慕容", "令狐", "司徒")
)
_CYRILLIC = re.compile("[\u0400-\u04ff]")


@dataclass(frozen=True)
class PersonName:
    """The parts of a person's name as given; a part that cannot be told is None."""

    given: str | None = None
    family: str | None = None
    patronymic: str | None = None


def split_full_name(text: str) -> PersonName:
    """The parts of a cleaned full name, in Kazakh, Russian or Western order.

    A patronymic tells the order: before it stands the given name. Without one, a comma, capitals, the ending
    of a family name and at last the script decide: Cyrillic puts the family name first, Latin last.
    """
    if "," in text:
        return _split_at_comma(text)
    tokens = _joined_patronymic(text.split())
    if len(tokens) == 1:
        return _split_single(tokens[0])
    place = _patronymic_place(tokens)
    return _split_without_patronymic(tokens) if place is None else _split_around_patronymic(tokens, place)


def split_given_names(text: str) -> PersonName:
    """A given name and the patronymic that may be written behind it."""
    tokens = _joined_patronymic(text.split())
    if len(tokens) > 1 and _is_patronymic(tokens[-1]):
        return PersonName(given=" ".join(tokens[:-1]), patronymic=tokens[-1])
    return PersonName(given=text)


def _split_at_comma(text: str) -> PersonName:
    family, _, rest = (part.strip() for part in text.partition(","))
    if not family or not rest:
        return (
            split_full_name((family + rest).replace(",", " ").strip())
            if (family + rest).strip(", ")
            else PersonName()
        )
    parts = split_given_names(rest.replace(",", " ").strip() or rest)
    return PersonName(parts.given, family, parts.patronymic)


def _split_single(token: str) -> PersonName:
    if not _HAN.fullmatch(token):
        return PersonName(family=token)
    n_family = 2 if token[:2] in _HAN_COMPOUND_FAMILY and len(token) > 2 else 1
    return PersonName(given=token[n_family:], family=token[:n_family])


def _joined_patronymic(tokens: list[str]) -> list[str]:
    """'Болат ұлы' as 'Болатұлы': the word for son or daughter joined to the name before it."""
    joined: list[str] = []
    for token in tokens:
        if len(joined) > 1 - (len(tokens) > 2) and joined and _PATRONYMIC_WORD.fullmatch(name_key(token)):
            joined[-1] += token.casefold()
        else:
            joined.append(token)
    return joined


@lru_cache(maxsize=2**16)
def _is_patronymic(token: str) -> bool:
    key = name_key(token)
    return bool(_RUSSIAN_PATRONYMIC.fullmatch(key) or _KAZAKH_PATRONYMIC.fullmatch(key))


def _patronymic_place(tokens: list[str]) -> int | None:
    """Where the patronymic stands.

    Among two tokens only a Kazakh one counts, for Abramovich is a family name.
    """
    if len(tokens) == 2:
        return 1 if _KAZAKH_PATRONYMIC.fullmatch(name_key(tokens[1])) else None
    return next((i for i in range(1, len(tokens)) if _is_patronymic(tokens[i])), None)


def _split_around_patronymic(tokens: list[str], place: int) -> PersonName:
    before, after = tokens[:place], tokens[place + 1 :]
    if after or len(before) == 1:
        return PersonName(" ".join(before), " ".join(after) or None, tokens[place])
    return PersonName(" ".join(before[1:]), before[0], tokens[place])


def _split_without_patronymic(tokens: list[str]) -> PersonName:
    if _family_comes_first(tokens):
        return PersonName(" ".join(tokens[1:]), tokens[0])
    return PersonName(" ".join(tokens[:-1]), tokens[-1])


def _family_comes_first(tokens: list[str]) -> bool:
    first, last = tokens[0], tokens[-1]
    if (shouted := len(first) > 1 and first.isupper()) != (len(last) > 1 and last.isupper()):
        return shouted
    first_fits, last_fits = (_FAMILY_NAME.fullmatch(name_key(token)) is not None for token in (first, last))
    return first_fits if first_fits != last_fits else _CYRILLIC.search(first) is not None


_LEGAL_FORMS = {
    "too": "тоо, жшс, llp, товарищество с ограниченной ответственностью, limited liability partnership, "
    "жауапкершілігі шектеулі серіктестігі, жауапкершілігі шектеулі серіктестік",
    "ao": "ао, ақ, jsc, нао, кеақ, акционерное общество, joint stock company, "
    "акционерлік қоғам, акционерлік қоғамы",
    "ip": "ип, жк, индивидуальный предприниматель, жеке кәсіпкер, individual entrepreneur",
    "kh": "кх, крестьянское хозяйство, шаруа қожалығы, фермерское хозяйство",
    "gu": "гу, кгу, мм, ргу, государственное учреждение, мемлекеттік мекеме",
    "gp": "ргп, гкп, кгп, рмк",
    "pk": "производственный кооператив, өндірістік кооператив",
    "branch": "филиал, филиалы",
    "ooo": "ооо, общество с ограниченной ответственностью",
    "oao": "оао, открытое акционерное общество, open joint stock company, ojsc",
    "zao": "зао, закрытое акционерное общество, closed joint stock company, cjsc",
    "pao": "пао, публичное акционерное общество, public joint stock company, pjsc",
    "llc": "llc, l l c, limited liability company",
    "ltd": "ltd, limited, pte ltd, pvt ltd, pty ltd, co ltd, company limited, private limited",
    "inc": "inc, incorporated, corp, corporation",
    "co": "co, company",
    "plc": "plc, public limited company",
    "gmbh": "gmbh, gesellschaft mit beschrankter haftung, gesellschaft mbh, mbh",
    "ag": "ag, aktiengesellschaft",
    "kg": "kg, kommanditgesellschaft, gmbh co kg",
    "sa": "sa, s a, sociedad anonima, societe anonyme, sociedade anonima",
    "sarl": "sarl, s a r l, societe a responsabilite limitee",
    "sas": "sas, s a s",
    "srl": "srl, s r l, s de rl, sociedad de responsabilidad limitada, societa a responsabilita limitata, "
    "societate cu raspundere limitata, societatea cu raspundere limitata",
    "spa": "s p a, societa per azioni",
    "bv": "bv, b v, besloten vennootschap",
    "nv": "nv, n v, naamloze vennootschap",
    "as": "a s, aktieselskab",
    "aps": "aps",
    "oy": "oy, oyj, osakeyhtio",
    "ab": "ab, aktiebolag",
    "ltda": "ltda, limitada",
    "doo": "doo, d o o",
    "kft": "kft",
    "spzoo": "sp z o o, sp z oo, sp zoo, spolka z ograniczona odpowiedzialnoscia",
    "sdnbhd": "sdn bhd, sendirian berhad",
}
_FORM_OF = {token_key(text): form for form, texts in _LEGAL_FORMS.items() for text in texts.split(",")}
_FIRST_WORDS = frozenset(spelling.split()[0] for spelling in _FORM_OF)
_LAST_WORDS = frozenset(spelling.split()[-1] for spelling in _FORM_OF)
_LONGEST_FORM = max(len(spelling.split()) for spelling in _FORM_OF)
_WEAK_FORMS = frozenset(
    {
        "ak",
        "mm",
        "co",
        "ip",
        "gu",
        "ag",
        "limited",
        "corp",
        "sa",
        "as",
        "spa",
        "kg",
        "ab",
        "sas",
        "nv",
        "bv",
        "oy",
        "mbh",
    }
)


_PLAIN_FORMS = frozenset(word for word in _FORM_OF if " " not in word) - _WEAK_FORMS
BRANCH_FORM = "branch"


def split_organisation_name(text: str) -> tuple[str | None, str | None]:
    """The Latin key of an organisation without its legal form, and the form's code (None if it has none).

    A name that is nothing but a legal form keeps it as its key. A name that says it is a branch has the form
    "branch", and the key the company's words and the town's one name.
    """
    tokens = (
        token_key(text.replace(".", "") if "." in text and _is_dotted(text) else text)
        .replace("/", " ")
        .split()
    )
    parts = part_at_branch(tokens, _PLAIN_FORMS) or ()
    if left := [token for part in parts for token in _without_forms(part)]:
        return name_branch(left), BRANCH_FORM
    rest, form = _without_edge_form(tokens)
    again, second = _without_edge_form(rest)
    key = " ".join(again or rest or tokens)
    return key or None, form or second


def _without_forms(tokens: list[str]) -> list[str]:
    """Without legal forms at the edges, and without those inside that are no word of a name."""
    rest, _ = _without_edge_form(tokens)
    again, _ = _without_edge_form(rest)
    return [
        token
        for at, token in enumerate(again)
        if token not in (_FORM_OF if is_owner(again, at) else _PLAIN_FORMS)
    ]


def _is_dotted(text: str) -> bool:
    return re.search(r"\b\w\.\w\.", text) is not None


def _without_edge_form(tokens: list[str]) -> tuple[list[str], str | None]:
    if not tokens or (tokens[0] not in _FIRST_WORDS and tokens[-1] not in _LAST_WORDS):
        return tokens, None
    for length in range(min(_LONGEST_FORM, len(tokens) - 1), 0, -1):
        if form := _FORM_OF.get(" ".join(tokens[:length])):
            return tokens[length:], form
        if form := _FORM_OF.get(" ".join(tokens[-length:])):
            return tokens[:-length], form
    return tokens, None


def looks_like_organisation(text: str) -> bool:
    """Whether a name of unknown kind carries a legal form that no person's name would."""
    key, form = split_organisation_name(text)
    tokens = token_key(text).split()
    edges = {tokens[0], tokens[-1]} if tokens else set()
    return (
        form is not None
        and key is not None
        and not (edges & _WEAK_FORMS and text != text.upper() and form != "ip")
    )
