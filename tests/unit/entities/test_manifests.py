"""A manifest says what it means, and a wrong one says where it is wrong and what would be right."""

import pytest

from terag_pipelines.entities.manifests import FieldSource, parse_manifest
from terag_pipelines.errors import ManifestError

HEAD = "name: bank\nfiles:\n"


def manifest(entry: str) -> str:
    return f"{HEAD}  - {entry}\n"


def events(field: str) -> str:
    given = field if "occurred_at" in field else f"occurred_at: t, {field}"
    return manifest(f"{{name: e, path: e.csv, holds: events, fields: {{kind: k, {given}}}}}")


def failure(text: str) -> str:
    with pytest.raises(ManifestError) as caught:
        parse_manifest(text, "source.yaml")
    return str(caught.value)


def test_a_whole_manifest_keeps_every_key():
    parsed = parse_manifest(
        """
name: demo-bank
root: data
country: kz
currency: KZT
time_zone: Asia/Almaty
date_order: mdy
max_bad_share: 0.1
files:
  - name: people
    path: people.csv.gz
    csv: {delimiter: ";", encoding: windows-1251, trim: true}
    holds: people
    fields:
      id: client_id
      phone: [phone, phone2]
      birth_date: {column: born, format: "%d.%m.%Y"}
      given_name: {path: "FEATURES[].NAME_FIRST", optional: true}
      country: {value: KZ}
  - {name: accounts, path: a.parquet, holds: accounts,
     fields: {id: acc, holder: {column: client, dataset: people}}}
  - {name: truth, path: t.csv, holds: labels, label: entity, use: truth, max_bad_share: 0.5,
     fields: {subject: {template: "{S}:{R}"}, value: {column: c, match: "^r-(.+)$"}}}
  - {name: panel, path: p.parquet, holds: panel, fields: {client: c, month: m}, variables: [income, fee]}
  - {name: prices, path: prices.yaml, holds: price_book}
twin: {questions: [{treatment: fee, outcome: income}]}
""",
        "source.yaml",
    )
    people, accounts, truth, panel, prices = parsed.files
    assert (parsed.country, parsed.time_zone, parsed.date_order, parsed.root) == (
        "KZ",
        "Asia/Almaty",
        "mdy",
        "data",
    )
    assert (people.format, people.csv.delimiter, people.csv.trim) == ("csv", ";", True)
    assert people.fields["phone"] == (FieldSource(column="phone"), FieldSource(column="phone2"))
    assert people.fields["birth_date"][0].formats == ("%d.%m.%Y",)
    assert people.paths == ("FEATURES[].NAME_FIRST",)
    assert "FEATURES[].NAME_FIRST" not in people.columns
    assert accounts.fields["holder"][0].dataset == "people"
    assert truth.columns == ("R", "S", "c")
    assert (people.max_bad_share, truth.max_bad_share) == (0.1, 0.5)
    assert panel.variables == ("income", "fee")
    assert prices.format == "yaml"
    assert parsed.twin == {"questions": [{"treatment": "fee", "outcome": "income"}]}


PEOPLE = "{name: people, path: p.csv, holds: people, fields: {id: id}}"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name: x\nfiles: [", "source.yaml, line 2: not valid YAML"),
        ("- 1", "source.yaml: must be a mapping with the keys name, root,"),
        ("name: x", "source.yaml: key 'files' is missing; allowed are name, root,"),
        ("name: x\nfiles: []", "source.yaml: key 'files' must be a list with at least one entry"),
        (f"{HEAD}  - {PEOPLE}\nfile: 1", "source.yaml: unknown key 'file'; allowed are name, root,"),
        (
            f"{HEAD}  - {PEOPLE}\nmax_bad_share: 5",
            "source.yaml: key 'max_bad_share' must be a number from 0 to 1",
        ),
        (f"{HEAD}  - {PEOPLE}\ntime_zone: Mars", "key 'time_zone' must be an IANA name"),
        (f"{HEAD}  - {PEOPLE}\ntime_zone: Factory", "key 'time_zone' must be an IANA name"),
        (manifest("{path: p.csv, holds: people}"), "source.yaml, files entry 1: key 'name' is missing"),
        (
            manifest("{name: p, path: p.csv, holds: cats}"),
            "file 'p': key 'holds' must be one of people, organisations",
        ),
        (
            manifest("{name: p, path: p.dat, holds: people, fields: {id: id}}"),
            "key 'format' must be one of csv, jsonl",
        ),
        (
            manifest("{name: p, path: p.csv, holds: people, fields: {id: id, colour: c}}"),
            "file 'p', key 'fields': unknown key 'colour'; allowed are id, party_type",
        ),
        (manifest("{name: p, path: p.csv, holds: people, fields: {}}"), "key 'fields': key 'id' is missing"),
        (
            manifest("{name: p, path: p.csv, holds: people, fields: {id: {colum: id}}}"),
            "file 'p', field 'id': unknown key 'colum'; allowed are column, path",
        ),
        (
            manifest("{name: p, path: p.csv, holds: people, fields: {id: {column: a, path: b}}}"),
            "exactly one of column, path",
        ),
        (
            manifest("{name: p, path: p.csv, holds: people, fields: {id: 7}}"),
            "file 'p', field 'id': must be a mapping",
        ),
        (
            manifest("{name: p, path: p.csv, holds: people, fields: {id: {column: a, match: '('}}}"),
            "not a valid regular",
        ),
        (
            manifest("{name: p, path: p.csv, holds: people, fields: {id: {column: a, match: 'a+'}}}"),
            "needs a group",
        ),
        (
            manifest(
                "{name: p, path: p.csv, holds: people, fields: {id: a, birth_date: {column: b, format: dmY}}}"
            ),
            "a strptime",
        ),
        (
            manifest("{name: p, path: p.csv, holds: people, fields: {id: {path: 'a..b'}}}"),
            "must look like FEATURES[]",
        ),
        (
            manifest("{name: p, path: p.csv, holds: people, csv: {encoding: ebc}, fields: {id: a}}"),
            "text encoding",
        ),
        (
            manifest("{name: p, path: p.csv, holds: people, csv: {delimiter: ';;'}, fields: {id: a}}"),
            "one ASCII",
        ),
        (
            manifest("{name: l, path: l.csv, holds: labels, fields: {subject: a, value: b}}"),
            "labels, and only labels",
        ),
        (
            manifest("{name: l, path: l.csv, holds: panel, fields: {client: a, month: b}}"),
            "a panel, and only a panel",
        ),
        (
            manifest(
                "{name: a, path: a.csv, holds: accounts, "
                "fields: {id: a, holder: {column: b, dataset: people}}}"
            ),
            "file 'a', field 'holder': there is no party file 'people'; there are none",
        ),
        (f"{HEAD}  - {PEOPLE}\n  - {PEOPLE}", "the file name 'people' is used more than once"),
        (f"{HEAD}  - {PEOPLE}\nname: y", "source.yaml, line 4: not valid YAML: the key 'name' stands twice"),
        (f"{HEAD}  - {PEOPLE}\n? [a]\n: b", "source.yaml, line 4: not valid YAML: found unhashable key"),
        (f"{HEAD}  - {PEOPLE}\ncountry: Kazakhstan", "key 'country' must be a two-letter ISO code"),
        (f"{HEAD}  - {PEOPLE}\ncurrency: tenge", "key 'currency' must be a three-letter ISO code"),
        (
            manifest("{name: p, path: p.csv, holds: people, csv: {encoding: punycode}, fields: {id: a}}"),
            "text encoding",
        ),
        (
            manifest(
                "{name: l, path: l.csv, holds: panel, fields: {client: a, month: b}, variables: [x, month]}"
            ),
            "key 'variables' names 'month', which is a column of every panel",
        ),
        (
            events("amount: [{column: tiyn, unit: minor}, tenge]"),
            "file 'e', field 'amount': all its columns must have the same 'unit' and 'origin'",
        ),
        (
            events("occurred_at: {column: t, unit: step_days}"),
            "field 'occurred_at': key 'origin' goes with the units step_seconds,",
        ),
        (
            events("occurred_at: {column: t, unit: step_days, origin: '2024-13-45'}"),
            "field 'occurred_at': key 'origin' must be a date such as 2024-01-01",
        ),
        (
            events("occurred_at: {column: t, origin: 2024-01-01}"),
            "field 'occurred_at': key 'origin' goes with the units step_seconds,",
        ),
        (manifest("{name: outside, path: a.csv, holds: people, fields: {id: a}}"), "not 'outside'"),
    ],
)
def test_a_wrong_manifest_says_where_and_what_is_allowed(text, message):
    assert message in failure(text)


def test_an_anchor_may_be_merged_and_overridden():
    text = f"{HEAD}  - &one {PEOPLE}\n  - {{<<: *one, name: others}}\n"
    assert [spec.name for spec in parse_manifest(text, "source.yaml").files] == ["people", "others"]
