"""What the name of a column says it holds, in English, Russian and Kazakh.

The words are those of common exports (CRM and core banking systems, spreadsheets, public data sets).
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

from terag_pipelines.entities.vocabulary import DATED_KINDS

# Each field with the names that stand for it, the surest first.
_NAMES = """
id: record id, rec id, id, unique id, uid, client id, customer id, person id, party id, member id, patient
    id, contact id, company id, row id, guid, uuid, key, pk, client no, customer no, customer number,
    client number, код клиента, номер клиента, ид, ид клиента, идентификатор, клиент коды, идентификаторы
party_type: record type, party type, entity type, client type, customer type, person type, тип клиента,
    тип лица, клиент түрі
full_name: full name, fullname, name full, фио, ф и о, fio, аты жөні, аты жоні, тегі аты, тегі аты
    әкесінің аты, фамилия имя отчество, фамилия имя, имя фамилия, name, person name, client name, customer
    name, display name, contact name, holder name, полное имя, толық аты
given_name: first name, firstname, given name, givenname, given names, forename, fname, name first, name
    given, given, first, имя, аты, есімі, есім, vorname, prenom, nombre
family_name: surname, last name, lastname, family name, familyname, lname, sname, name last, name family,
    last, family, фамилия, тегі, тек, nachname, apellido
patronymic: patronymic, middle name, middlename, mname, name middle, middle, отчество, әкесінің аты
former_family_name: maiden name, former name, birth name, nee, девичья фамилия, прежняя фамилия, қыз тегі
alias: alias, aliases, aka, also known as, known as, nickname, псевдоним, лақап аты
organisation_name: organisation name, organization name, company name, name org, org name, organisation,
    organization, company, firm, firm name, business name, business, legal name, name business,
    наименование, наименование организации, название, название организации, название компании, полное
    наименование, организация, компания, предприятие, атауы, ұйым атауы, ұйым, компания атауы, кәсіпорын
birth_date: date of birth, birth date, birthdate, dob, birthday, date birth, birth dt, born, born on, дата
    рождения, день рождения, др, туған күні, туылған күні, туған жылы
sex: sex, gender, пол, жынысы, жыныс
iin: iin, иин, жсн, iin number, номер иин
bin: bin, бин, бсн, bin number, номер бин
national_id: national id, national id number, national identification number, identity number, identity
    card, identity card number, id number, id card, nin, personal code, удостоверение, удостоверение
    личности, номер удостоверения, номер удостоверения личности, жеке куәлік, снилс, snils
passport: passport, passport number, passport no, passport num, паспорт, номер паспорта, төлқұжат, паспорт
    нөмірі
driving_licence: driving licence, driving license, drivers license, drivers licence, driver license,
    driver licence, drivers license number, drivers licence number, driver license number, driving licence
    number, водительское удостоверение, номер ву, жүргізуші куәлігі
card: card number, card no, card num, bank card, bank card number, pan, номер карты, номер карточки,
    банковская карта, карта нөмірі, банк картасы
ssn: ssn, ssn number, soc sec id, soc sec, social security number, social security
tax_id: tax id, tax id number, tax number, taxpayer id, tin, ein, vat, vat number, inn, инн
phone: phone, phone number, phonenumber, phones, phone numbers, telephone, telephone number, tel, tel no,
    mobile, mobile phone, mobile number, cell, cell phone, cellphone, home phone, work phone, msisdn,
    contact number, телефон, тел, номер телефона, мобильный, мобильный телефон, моб, моб тел, сотовый,
    сотовый телефон, ұялы, ұялы телефон, телефон нөмірі, байланыс телефоны
email: email, emails, e mail, email address, e mail address, mail, электронная почта, почта, эл почта,
    адрес электронной почты, электрондық пошта, эл пошта, пошта
address: address, full address, address full, addr full, addr, postal address, home address, mailing
    address, адрес, полный адрес, адрес проживания, адрес регистрации, домашний адрес, юридический адрес,
    мекенжай, мекенжайы, мекен жайы
street: address 1, address line 1, addr line 1, addr line1, addr 1, line 1, street, street name, street
    address, addr street, улица, көше, көшесі
house: street number, street no, house, house number, house no, building number, дом, номер дома, үй, үй
    нөмірі
locality: city, town, suburb, locality, city name, addr city, municipality, village, город, қала, қаласы,
    населенный пункт, елді мекен
region: state, region, province, county, state code, addr state, oblast, область, регион, облыс, облысы,
    аймақ
postcode: postcode, post code, postal code, postalcode, zip, zip code, zipcode, addr postal code, addr
    zip, plz, индекс, почтовый индекс, индексі, пошталық индекс, пошта индексі
country: country, country code, country name, addr country, страна, ел, елі, мемлекет
description: title, product title, product name, product, description, product description, desc, details,
    item, item name, описание, товар, наименование товара, сипаттама, сипаттамасы, тауар
"""
_TRUTH = """
cluster, cluster id, entity, entity id, match id, is match, match, master id, golden id, canonical
id, true id, ground truth, truth, label, duplicate of, dup of, is duplicate, group id, person true
id
"""
# One column for the numbers of people and of organisations.
_BOTH_NUMBERS = "иин бин, бин иин, жсн бсн, бсн жсн, iin bin, bin iin, iinbin, иинбин"
# Words in front that say whose or which it is, and change nothing.
_PLAIN_WORDS = """
applicant, client, contact, current, cust, customer, employee, holder, home, legal, main, member,
own, owner, patient, person, personal, primary, registered, residential, user, work, домашний,
клиент, клиента, контактный, личный, негізгі, основной, рабочий
"""
# Words in front of a further or an earlier value.
_OTHER_WORDS = """
alt, alternate, alternative, birth, former, maiden, native, old, other, prev, previous, second,
secondary, бывшая, бұрынғы, второй, девичья, дополнительный, другое, прежняя, қосымша
"""
# Words behind what passes from one holder to the next: from when, and to when, it was this one's.
_ENDS = {
    "from": "valid from, date from, active from, start date, since, from, действует с, дата с, с, бастап",
    "to": "valid to, valid until, valid till, date to, active to, end date, until, till, to, действует по, "
    "дата по, по, дейін",
}
_FURTHER_NAMES = {"full_name": "alias", "given_name": "alias", "family_name": "former_family_name"}


@dataclass(frozen=True)
class NamedField:
    """A field that a column's name stands for; the lower the rank, the surer."""

    field: str
    rank: tuple[int, int]


def _phrases(texts: str) -> list[str]:
    return [" ".join(text.split()) for text in texts.split(",")]


_FIELD_OF = {
    phrase: NamedField(field, (0, place))
    for field, names in re.findall(r"^(\w+): ((?:.+\n?)(?:    .+\n)*)", _NAMES, re.MULTILINE)
    for place, phrase in enumerate(_phrases(names))
}
_SHORT_NAMES = {"card": NamedField("card", (0, 0))}  # with such words behind them only
_END_OF = {phrase: end for end, phrases in _ENDS.items() for phrase in _phrases(phrases)}
_TRUTHS = frozenset(_phrases(_TRUTH))
_BOTH = frozenset(_phrases(_BOTH_NUMBERS))
_PLAIN, _OTHER = frozenset(_phrases(_PLAIN_WORDS)), frozenset(_phrases(_OTHER_WORDS))


def plain_column_name(name: str) -> str:
    """The words of a column's name or of the end of a JSON path, casefolded, single spaces between them."""
    leaf = name.replace("[]", "").rpartition(".")[2]
    parted = re.sub(r"(?<=[a-zа-я])(?=[A-ZА-Я])", " ", unicodedata.normalize("NFKC", leaf))
    parted = re.sub(r"(?<=[^\W\d_])(?=\d)", " ", parted)
    return " ".join(re.findall(r"[^\W_]+", parted.casefold().replace("ё", "е").replace("'", "")))


def names_the_truth(name: str) -> bool:
    """Whether the name is one under which data sets tell who is who; such a column is never evidence."""
    return plain_column_name(name) in _TRUTHS


def names_iin_or_bin(name: str) -> bool:
    """Whether the column holds the numbers of people and of organisations alike."""
    return plain_column_name(name) in _BOTH


def field_of_name(name: str) -> NamedField | None:
    """The field that a column's name stands for; None where it is not known.

    Words such as 'customer' in front are passed over, a number behind is one of several; 'previous' or
    'native' in front of a name makes it an alias.
    """
    phrase = plain_column_name(name)
    if end := _end_of_validity(phrase):
        return end
    unnumbered = re.sub(r" \d{1,2}$", "", phrase)
    if found := _FIELD_OF.get(phrase):
        return found
    if unnumbered != phrase and unnumbered not in ("address", "addr", "line", "address line", "addr line"):
        return _later(_found_behind(unnumbered), 1)
    return _found_behind(phrase)


def _end_of_validity(phrase: str) -> NamedField | None:
    """phone_from of "phone valid from", address_to of "address until" and the like."""
    words = phrase.split()
    for n_words in range(1, min(2, len(words) - 1) + 1):
        front, behind = " ".join(words[:-n_words]), " ".join(words[-n_words:])
        found = _found_behind(front) or _SHORT_NAMES.get(front)
        if behind in _END_OF and found is not None and found.field in DATED_KINDS:
            return NamedField(f"{found.field}_{_END_OF[behind]}", found.rank)
    return None


def _found_behind(phrase: str) -> NamedField | None:
    if found := _FIELD_OF.get(phrase):
        return found
    first, _, rest = phrase.partition(" ")
    if not rest or first not in _PLAIN | _OTHER:
        return None
    found = _found_behind(rest)
    if first in _PLAIN or found is None:
        return _later(found, 0)
    further = NamedField(_FURTHER_NAMES.get(found.field, found.field), found.rank)
    return _later(further, 2) if found.field not in ("birth_date", "id", "description") else None


def _later(found: NamedField | None, steps: int) -> NamedField | None:
    return None if found is None else NamedField(found.field, (found.rank[0] + steps, found.rank[1]))
