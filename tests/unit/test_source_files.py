"""Source files on disk: good rows are kept, bad ones named, and what is no source is refused."""

import gzip
import io
import json
import random
import zipfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from resources.loose_files import read_loose_file
from resources.source_files import SourceFolder
from resources.source_streams import ReadLimits
from terag_pipelines.entities.ingestion import TABLES
from terag_pipelines.entities.manifests import FileSpec, Manifest, parse_manifest
from terag_pipelines.errors import ManifestError, MissingColumnError, UnreadableFileError

SOURCES = Path(__file__).parents[1] / "sources"
PUBLIC_SETS = {
    "febrl3": {"entity_records": 5000, "labels": 5000},
    "splink_fake_1000": {"entity_records": 1000, "labels": 1000},
    "paysim_fpf": {"entity_records": 1334, "party_events": 16213, "labels": 2668},
    "amlsim_20k": {"entity_records": 20000, "accounts": 20000, "transfers": 120558, "labels": 40000},
    "senzing_truthset": {"entity_records": 159, "relationships": 12, "labels": 159},
}


def packed(content: bytes) -> bytes:
    """The bytes as gzip makes them, the same at any time: workers compare the names of tests."""
    return gzip.compress(content, mtime=0)


def source(folder: Path, *entries: str, head: str = "max_bad_share: 1") -> SourceFolder:
    folder.joinpath("source.yaml").write_text(
        f"name: bank\n{head}\nfiles:\n" + "".join(f"  - {e}\n" for e in entries)
    )
    return SourceFolder(folder, limits=ReadLimits(max_expanded_bytes=4_000_000, max_record_bytes=100_000))


def people(path: str, extra: str = "", fields: str = "id: id, full_name: name") -> str:
    return f"{{name: people, path: {path}, holds: people, {extra} fields: {{{fields}}}}}"


def read(folder: Path, path: str, content: bytes, extra: str = "", fields: str = "id: id, full_name: name"):
    folder.joinpath(path).write_bytes(content)
    opened = source(folder, people(path, extra, fields))
    manifest = opened.manifest()
    return opened.read(manifest, manifest.files[0])


def refusal(folder: Path, path: str, content: bytes, **how) -> str:
    with pytest.raises(UnreadableFileError) as caught:
        read(folder, path, content, **how)
    return str(caught.value)


def rows_of(raw) -> list[dict]:
    return raw.table.to_pylist()


def bad_of(raw) -> list[tuple[int, str]]:
    return [(bad.row, bad.reason) for bad in raw.bad_rows]


# CSV


def test_csv_rows_are_kept_and_malformed_ones_named(tmp_path):
    content = (
        b'\xef\xbb\xbfid,name\r\n1,A\r\n\r\n2,"B, ""b""\nBB"\r\n3\r\n4,a,b\r\n'
        b'5,a"b\r\n6,"a"b"\r\n7,\xff\r\n8,a\x00\r\n'
        b'9,\xd3\x98\r\n10,""\r\n11,a\rb\r\n12,"open\r\n13,last'
    )
    raw = read(tmp_path, "p.csv", content)
    assert rows_of(raw) == [
        {"id": "1", "name": "A"},
        {"id": "2", "name": 'B, "b"\nBB'},
        {"id": "9", "name": "Ә"},
        {"id": "10", "name": None},
        {"id": "13", "name": "last"},
    ]
    assert raw.rows.tolist() == [1, 2, 9, 10, 13]
    assert bad_of(raw) == [
        (3, "has 1 fields where the header has 2"),
        (4, "has 3 fields where the header has 2"),
        (5, "a quote is not closed"),
        (6, "a quote is not closed"),
        (7, "is not valid utf-8"),
        (8, "holds a NUL byte"),
        (11, "holds a carriage return outside quotes"),
        (12, "a quote is not closed"),
    ]
    assert json.loads(raw.bad_rows[0].text) == {"line": "3"}
    assert raw.n_rows == 13


@pytest.mark.parametrize("n_rows", [3, 40_000])
def test_a_quote_that_never_closes_costs_one_row(tmp_path, n_rows):
    lines = [f"{n},name {n}" for n in range(n_rows)]
    lines[1] = '1,"name'
    raw = read(tmp_path, "p.csv", "\n".join(["id,name", *lines]).encode())
    assert bad_of(raw) == [(2, "a quote is not closed")]
    assert raw.table.num_rows == n_rows - 1


def test_csv_across_many_blocks_equals_itself(tmp_path):
    values = [f'x{n}, "{n}"\n{"я" * (n % 7)}' for n in range(20_000)]
    text = "id,name\n" + "".join(f'{n},"{v.replace(chr(34), chr(34) * 2)}"\n' for n, v in enumerate(values))
    for path, content in {"p.csv": text.encode(), "p.csv.gz": packed(text.encode())}.items():
        raw = read(tmp_path, path, content)
        assert raw.table["name"].to_pylist() == values
        assert bad_of(raw) == []


def test_csv_dialects(tmp_path):
    cyrillic = read(
        tmp_path,
        "p.csv",
        "id;name\n1;Иван\n".encode("windows-1251") + b"2;\x98\n",
        "csv: {delimiter: ';', encoding: windows-1251},",
    )
    assert (rows_of(cyrillic), bad_of(cyrillic)) == (
        [{"id": "1", "name": "Иван"}],
        [(2, "is not valid windows-1251")],
    )
    wide = read(tmp_path, "p.csv", "id,name\r\n1,Әлия\r\n".encode("utf-16"), "csv: {encoding: utf-16},")
    assert rows_of(wide) == [{"id": "1", "name": "Әлия"}]
    spaced = read(tmp_path, "p.csv", b'id, name\n 1 ,  "A, B"  \n', "csv: {trim: true},")
    assert rows_of(spaced) == [{"id": "1", "name": "A, B"}]
    tabs = read(tmp_path, "p.tsv", b"id\tname\n1\tA,B\n", 'csv: {delimiter: "\\t"},')
    assert rows_of(tabs) == [{"id": "1", "name": "A,B"}]


def zipped() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("people.csv", "id,name\n1,A\n")
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("path", "content", "message"),
    [
        ("p.csv", b"", "p.csv: the file is empty"),
        ("p.csv", b"\n\n", "p.csv: the file has no header line"),
        ("p.csv", zipped(), "p.csv: this is a ZIP archive or an Excel workbook, not text"),
        ("p.csv", b"PAR1....", "p.csv: this is a Parquet file, not text"),
        (
            "p.csv",
            "id,name\n1,A".encode("utf-16"),
            "p.csv: is full of NUL bytes; it is binary or UTF-16, not UTF-8 text",
        ),
        ("p.csv", b"id,id\n1,2\n", "p.csv: the header names the column 'id' more than once"),
        ("p.csv", b'id,"na\n1,2\n', "p.csv: the header line is not CSV in utf-8"),
        ("p.csv", b"id,\xff\n", "p.csv: the header line is not CSV in utf-8"),
        ("p.csv", b"id,name\r1,A\r2,B", "p.csv: the header line is not CSV in utf-8"),
        ("p.csv.gz", b"id,name\n1,A\n", "p.csv.gz: ends in .gz but is no gzip file"),
        (
            "p.csv.gz",
            packed(b"id,name\n" + bytes(range(32, 127)) * 50)[:-9],
            "p.csv.gz: the gzip stream ends too early; the file is torn",
        ),
        (
            "p.csv.gz",
            packed(b"id,name\n1,A\n")[:-8] + b"\x00" * 8,
            "p.csv.gz: the gzip stream is damaged",
        ),
        ("p.csv.gz", packed(b""), "p.csv.gz: the file is empty"),
        (
            "p.csv.gz",
            packed(b"id,name\n" + b"1,A\n" * 2_000_000),
            "p.csv.gz: holds more than 4,000,000 bytes when expanded",
        ),
        (
            "p.csv",
            b"id,name\n" + b"1,A\n" * 2_000_000,
            "p.csv: holds more than 4,000,000 bytes when expanded",
        ),
        ("p.jsonl", b"", "p.jsonl: the file is empty"),
        ("p.jsonl", b"id,name\n1,A\n", "p.jsonl: no line is a JSON object; the file is not JSONL"),
        ("p.parquet", b"", "p.parquet: the file is empty"),
        ("p.parquet", b"id,name\n1,A\n", "p.parquet: this is no Parquet file"),
    ],
)
def test_what_is_no_such_file_is_refused(tmp_path, path, content, message):
    assert refusal(tmp_path, path, content) == message


@pytest.mark.parametrize("encoding", ["u8", "UTF", "utf-8-sig"])
def test_utf8_by_any_name_has_bad_rows_named(tmp_path, encoding):
    raw = read(tmp_path, "p.csv", b"id,name\n1,A\n2,\xff\n", extra=f"csv: {{encoding: {encoding}}},")
    assert (raw.rows.tolist(), bad_of(raw)) == ([1], [(2, f"is not valid {encoding}")])


def test_utf16_without_a_mark_is_refused(tmp_path):
    said = refusal(tmp_path, "p.csv", b"id,name\n1,A\n", extra="csv: {encoding: utf-16},")
    assert said == "p.csv: is no text in utf-16"


# JSON Lines


def test_jsonl_rows_are_kept_and_malformed_ones_named(tmp_path):
    lines = [
        b'{"id": 1, "name": {"full": ["A", "B"]}, "n": 1.10, "flag": true}',
        b"",
        b'{"id": 2',
        b"[1]",
        b'{"id": NaN}',
        b'{"id": "\xff"}',
        b'{"id": "\\ud800"}',
        b"[" * 10_000,
        b'{"id": 4, "name": {"full": ' + b"[" * 900 + b'"A"' + b"]" * 900 + b"}}",
        b'{"id": 5, "\\ud800": "A"}',
        b'{"id": 3, "name": {"full": "C"}, "n": null}',
        b'{"id": "' + b"x" * 100_001 + b'"}',
    ]
    raw = read(
        tmp_path,
        "p.jsonl",
        b"\n".join(lines),
        fields='id: id, full_name: {path: "name.full[]"}, alias: [n, flag], email: name',
    )
    assert rows_of(raw) == [
        {"id": "1", "n": "1.10", "flag": "true", "name": '{"full": ["A", "B"]}', "name.full[]": ["A", "B"]},
        {"id": "3", "n": None, "flag": None, "name": '{"full": "C"}', "name.full[]": ["C"]},
    ]
    assert raw.rows.tolist() == [1, 10]
    assert bad_of(raw) == [
        (2, "is not valid JSON at character 9"),
        (3, "is no JSON object"),
        (4, "holds NaN or Infinity, which JSON does not have"),
        (5, "is not valid utf-8"),
        (6, "holds half of a surrogate pair"),
        (7, "is nested too deeply"),
        (8, "is nested too deeply"),
        (9, "holds half of a surrogate pair"),
        (11, "is longer than a row may be"),
    ]
    assert raw.raw_rows(np.array([0])) == [lines[0].decode()]


def test_a_json_path_that_no_row_has_is_a_missing_column(tmp_path):
    tmp_path.joinpath("p.jsonl").write_text('{"id": 1, "names": []}\n')
    entry = people("p.jsonl", fields='id: id, full_name: {path: "names[].full"}')
    with pytest.raises(
        MissingColumnError,
        match=r"p.jsonl: there is no column 'names\[\].full', .* the columns are: id, names",
    ):
        source(tmp_path, entry).ingest()
    optional = entry.replace('full"}', 'full", optional: true}')
    assert source(tmp_path, optional).ingest().tables["entity_records"].num_rows == 1


# Parquet


def parquet(table: pa.Table, **options) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(table, buffer, **options)
    return buffer.getvalue()


def test_parquet_keeps_types_and_names_rows_that_are_not_text(tmp_path):
    broken = pa.array([b"A", b"\xff", None, b"A"], pa.binary()).view(pa.string())
    nested = pa.array([{"a": 1}, None, None, {"a": 2}])
    table = pa.table(
        {"id": pa.array([1, 2, 3, 4]), "name": broken, "more": nested, "list": [["x"], ["y", "z"], None, []]}
    )
    raw = read(tmp_path, "p.parquet", parquet(table))
    assert raw.table.drop_columns(["name"]).to_pylist() == [
        {"id": 1, "more": '{"a": 1}', "list": ["x"]},
        {"id": 3, "more": None, "list": None},
        {"id": 4, "more": '{"a": 2}', "list": []},
    ]
    assert raw.table["name"].to_pylist() == ["A", None, "A"]
    assert bad_of(raw) == [(2, "is not valid utf-8")]


def test_parquet_bytes_that_are_no_text_spoil_no_row(tmp_path):
    digests = pa.array([b"\xff\xfe", None, b"ok", b"\x80\x81"], pa.binary())
    uuids = pa.array([b"\xff" * 16] * 4, pa.binary(16))
    words = pa.array([b"a", b"b", None, b"\xd0\x9b"], pa.binary())
    raw = read(tmp_path, "p.parquet", parquet(pa.table({"digest": digests, "uuid": uuids, "word": words})))
    assert raw.table["digest"].to_pylist() == ["fffe", None, "6f6b", "8081"]
    assert raw.table["uuid"].to_pylist() == ["ff" * 16] * 4
    assert raw.table["word"].to_pylist() == ["a", "b", None, "Л"]
    assert bad_of(raw) == []


def test_parquet_bombs_and_torn_files_are_refused(tmp_path):
    repeated = pa.table({"id": pa.array(["x" * 10_000] * 5_000), "name": ["y"] * 5_000})
    assert len(parquet(repeated)) < 50_000
    assert (
        refusal(tmp_path, "p.parquet", parquet(repeated))
        == "p.parquet: holds more than 4,000,000 bytes when expanded"
    )
    zeros = pa.table({"id": pa.array(np.zeros(2_000_000, np.int64))})
    assert "holds more than" in refusal(tmp_path, "p.parquet", parquet(zeros))
    whole = parquet(pa.table({"id": ["1", "2"], "name": ["A", "B"]}))
    assert "the Parquet file is torn or damaged" in refusal(tmp_path, "p.parquet", whole[:-3])
    assert "the Parquet file is torn or damaged" in refusal(tmp_path, "p.parquet", whole[: len(whole) // 2])


# The folder


@pytest.mark.parametrize("path", ["/etc/passwd", "../secret.csv", "sub/../../secret.csv", "..\\secret.csv"])
def test_paths_do_not_leave_the_root(tmp_path, path):
    tmp_path.joinpath("secret.csv").write_text("id,name\n1,A\n")
    inner = tmp_path / "inner"
    inner.mkdir()
    opened = source(inner, f"{{name: p, path: '{path}', format: csv, holds: people, fields: {{id: id}}}}")
    with pytest.raises(ManifestError, match="must lie within the root"):
        opened.ingest()


def test_links_do_not_leave_the_root(tmp_path):
    tmp_path.joinpath("secret.csv").write_text("id,name\n1,A\n")
    inner = tmp_path / "inner"
    inner.mkdir()
    inner.joinpath("p.csv").symlink_to(tmp_path / "secret.csv")
    with pytest.raises(ManifestError, match="leads out of the root"):
        source(inner, people("p.csv")).ingest()
    assert source(inner, people("p.csv")).manifest().files[0].path == "p.csv"


def test_a_missing_file_or_manifest_is_named_with_what_is_there(tmp_path):
    with pytest.raises(ManifestError, match=r"a source is a folder with source\.yaml"):
        SourceFolder(tmp_path).manifest()
    tmp_path.joinpath("persons.csv").write_text("id\n")
    with pytest.raises(
        ManifestError,
        match=r"there is no file 'people\.csv'; the files there are: persons\.csv, source\.yaml",
    ):
        source(tmp_path, people("people.csv")).ingest()


def test_the_root_may_be_given_or_named(tmp_path):
    tmp_path.joinpath("data").mkdir()
    tmp_path.joinpath("data", "p.csv").write_text("id,name\n1,A\n")
    named = source(tmp_path, people("p.csv"), head="root: data")
    assert named.ingest().tables["entity_records"].num_rows == 1
    given_root = SourceFolder(source(tmp_path, people("p.csv")).folder, root=tmp_path / "data")
    assert given_root.ingest().tables["entity_records"].num_rows == 1


def test_the_digest_is_of_content_alone(tmp_path):
    digests = []
    for name, text in {"a": "id,name\n1,A\n", "b": "id,name\n1,A\n", "c": "id,name\n1,B\n"}.items():
        folder = tmp_path / name
        folder.mkdir()
        folder.joinpath("p.csv").write_text(text)
        digests.append(source(folder, people("p.csv")).content_digest())
    assert digests[0] == digests[1] != digests[2]
    folder.joinpath("p.csv").write_text("id,name\n1,C\n")
    assert source(folder, people("p.csv")).content_digest() not in digests
    assert source(tmp_path / "a", people("p.csv"), head="country: US").content_digest() not in digests


@pytest.mark.parametrize("name", PUBLIC_SETS)
def test_the_public_sets_load(name, shared_data):
    found = SourceFolder(SOURCES / name, root=shared_data).ingest()
    tables = {schema.name for schema in TABLES} - {"quarantined_rows", "source_files"}
    assert {t: found.tables[t].num_rows for t in tables if found.tables[t].num_rows} == PUBLIC_SETS[name]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a: &a [*a]", "line 1: not valid YAML: an alias is not allowed here"),
        ("a: &a [x, x]\nb: [*a, *a]", "line 2: not valid YAML: an alias is not allowed here"),
        ("2024-01-01: a", "line 1: not valid YAML: a key must be a text; put it in quotes"),
        ("a: 1\na: 2", "line 2: not valid YAML: the key 'a' stands twice"),
        ("a: [", "line 1: not valid YAML"),
    ],
)
def test_a_price_book_that_json_could_not_hold_is_refused(tmp_path, text, problem):
    tmp_path.joinpath("prices.yaml").write_text(text)
    with pytest.raises(UnreadableFileError) as caught:
        source(tmp_path, "{name: prices, path: prices.yaml, holds: price_book}").ingest()
    assert f"prices.yaml, {problem}" in str(caught.value)


# Fault row 33: whatever is done to a file, it is either read with every row accounted for, or refused.

FUZZ_ENTRIES = {
    "csv": people("p.csv", fields="id: id, full_name: name, birth_date: born, email: email"),
    "csv.gz": people("p.csv.gz", fields="id: id, full_name: name, birth_date: born, email: email"),
    "jsonl": people(
        "p.jsonl", fields='id: id, full_name: name, birth_date: born, email: {path: "contacts[].email"}'
    ),
    "jsonl.gz": people(
        "p.jsonl.gz", fields='id: id, full_name: name, birth_date: born, email: {path: "contacts[].email"}'
    ),
    "parquet": people("p.parquet", fields="id: id, full_name: name, birth_date: born, email: email"),
}
INTERESTING = [
    b'"',
    b"\n",
    b"\r",
    b",",
    b"\x00",
    b"\xff",
    b"{",
    b"}",
    b"[",
    b"\\",
    b'""',
    b"\xef\xbb\xbf",
    b"PAR1",
    b"\x1f\x8b",
    b"-1",
    b"1e999",
    b"\xed\xa0\x80",
    b"\\ud800",
    b"9" * 400,
]


def seeds() -> dict[str, bytes]:
    rows = [
        {"id": str(n), "name": f'Имя "{n}", A\n', "born": f"19{n:02d}-01-31", "email": f"a{n}@b.kz"}
        for n in range(30)
    ]
    csv_text = "id,name,born,email\n" + "".join(
        f'{r["id"]},"{r["name"].replace(chr(34), chr(34) * 2)}",{r["born"]},{r["email"]}\n' for r in rows
    )
    lines = "".join(
        json.dumps({**r, "contacts": [{"email": r["email"]}]}, ensure_ascii=False) + "\n" for r in rows
    )
    return {
        "csv": csv_text.encode(),
        "csv.gz": packed(csv_text.encode()),
        "jsonl": lines.encode(),
        "jsonl.gz": packed(lines.encode()),
        "parquet": parquet(pa.Table.from_pylist(rows)),
    }


def mutate(content: bytes, rng: random.Random) -> bytes:
    changed = bytearray(content)
    for _ in range(rng.choice((1, 1, 2, 5, 20))):
        at = rng.randrange(len(changed) + 1)
        kind = rng.randrange(6)
        if kind == 0 and changed:
            changed[at % len(changed)] ^= 1 << rng.randrange(8)
        elif kind == 1:
            changed[at:at] = rng.choice(INTERESTING)
        elif kind == 2:
            del changed[at : at + rng.randrange(1, 40)]
        elif kind == 3:
            changed[at:at] = changed[: rng.randrange(1, 60)]
        elif kind == 4:
            changed = changed[: max(at, 1)]
        else:
            changed[at : at + 4] = rng.randbytes(4)
    return bytes(changed)


def mutated_file(kind: str, content: bytes, rng: random.Random) -> bytes:
    """The file with bytes changed; every second gzip file is changed inside and packed again."""
    if kind.endswith(".gz") and rng.random() < 0.5:
        return packed(mutate(gzip.decompress(content), rng))
    return mutate(content, rng)


def check_mutated(folder: Path, manifest: Manifest, spec: FileSpec, content: bytes) -> bool:
    folder.joinpath(spec.path).write_bytes(content)
    opened = SourceFolder(folder, limits=ReadLimits(max_expanded_bytes=2_000_000, max_record_bytes=100_000))
    try:
        found = opened.ingest()
        raw = opened.read(manifest, spec)
    except (UnreadableFileError, ManifestError, MissingColumnError):
        return False
    counts = found.file_counts["people"]
    numbers = sorted([*raw.rows.tolist(), *(bad.row for bad in raw.bad_rows)])
    assert numbers == list(range(1, raw.n_rows + 1))
    assert counts.n_rows == raw.n_rows
    quarantined = {row["row"] for row in found.tables["quarantined_rows"].to_pylist()}
    kept = set(found.tables["entity_records"]["row"].to_pylist())
    assert kept | quarantined == set(numbers)
    assert counts.n_rejected == raw.n_rows - len(kept)
    return True


@pytest.mark.parametrize("n_files", [300, pytest.param(50_000, marks=pytest.mark.torture)])
def test_mutated_files_are_read_or_refused(tmp_path, n_files):
    rng = random.Random(33)
    seed_files = seeds()
    specs = {}
    for kind, entry in FUZZ_ENTRIES.items():
        folder = tmp_path / kind
        folder.mkdir()
        manifest = source(folder, entry).manifest()
        specs[kind] = (folder, manifest, manifest.files[0])
    kinds = list(seed_files)
    n_read = sum(
        check_mutated(*specs[kind], mutated_file(kind, seed_files[kind], rng))
        for kind in (kinds[n % len(kinds)] for n in range(n_files))
    )
    assert n_files * 0.2 < n_read < n_files * 0.9
    assert parse_manifest((specs["csv"][0] / "source.yaml").read_text(), "source.yaml") == specs["csv"][1]


@pytest.mark.parametrize(
    ("row", "found"),
    [
        ({"client.name": "A", "id[0]": "1"}, {"client.name": "A", "id[0]": "1"}),
        ({"a.b": "key", "a": {"b": "path"}}, {r"a\.b": ["key"], "a.b": ["path"]}),
        ({"home": {"post.code": "05"}}, {r"home.post\.code": ["05"]}),
        ({"home": {"x[]": ["1", "2"]}}, {r"home.x\[\][]": ["1", "2"]}),
        ({"a\\": {"b": "1"}, "a\\.b": "2"}, {"a\\\\.b": ["1"], "a\\.b": "2"}),
        ({"": "1", "n": {"": "2"}}, {"": "1", "n.": ["2"]}),
        ({"phones": ["1", ["2"]]}, {"phones[]": ["1", "2"]}),
    ],
)  # fmt: skip
def test_loose_json_is_read_whatever_its_keys_hold(tmp_path, row, found):
    file = tmp_path / "p.jsonl"
    file.write_text(json.dumps(row) + "\n")
    [read] = read_loose_file(file).table.to_pylist()
    assert read == found


def test_loose_json_that_is_nested_deeply_is_read_as_its_text(tmp_path):
    row = {"deep": "x"}
    for key in "hgfedcba":
        row = {key: row}
    (tmp_path / "p.jsonl").write_text(json.dumps(row) + "\n")
    read = read_loose_file(tmp_path / "p.jsonl").table
    assert read.to_pydict() == {"a.b.c.d.e.f.g.h": [['{"deep": "x"}']]}
