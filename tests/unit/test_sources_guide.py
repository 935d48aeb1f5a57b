"""The guide to sources shows what really happens: its example is read and compared with its own text."""

import re
from pathlib import Path

import pytest

from resources.source_files import SourceFolder
from terag_pipelines.entities.model import QUARANTINED_ROWS
from terag_pipelines.entities.vocabulary import FIELDS, REQUIRED_FIELDS
from terag_pipelines.errors import SourceError
from terag_pipelines.linking.explanation import LinkedBatch
from terag_pipelines.linking.explanation_pairs import explain_pair
from terag_pipelines.linking.pipeline import link_records

GUIDE = (Path(__file__).parents[2] / "docs" / "how-to" / "sources.md").read_text(encoding="utf-8")
FILE = re.compile(r"^`([\w.]+)`:\n\n```\w+\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def example(folder: Path) -> SourceFolder:
    for name, content in FILE.findall(GUIDE):
        folder.joinpath(name).write_text(content, encoding="utf-8")
    return SourceFolder(folder)


def refusal(folder: Path, **changes: tuple[str, str]) -> str:
    """What the example says when a text in one of its files is replaced by another."""
    opened = example(folder)
    for name, (old, new) in changes.items():
        path = folder / name.replace("_", ".")
        assert old in path.read_text(encoding="utf-8")
        path.write_text(path.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")
    with pytest.raises(SourceError) as caught:
        opened.ingest()
    return f"{type(caught.value).__name__}: {caught.value}".replace(f"{folder}/", "")


def quarantine_table(folder: Path) -> str:
    rows = example(folder).ingest().tables["quarantined_rows"].to_pylist()
    lines = [f"| {' | '.join(str(row[name]) for name in QUARANTINED_ROWS.schema.names)} |" for row in rows]
    head = ["file", "row", "field", "reason", "raw_row"]
    return "\n".join([f"| {' | '.join(head)} |", "|---" * len(head) + "|", *lines])


def fields_table() -> str:
    groups: dict[tuple[str, ...], list[str]] = {}
    for holds, fields in FIELDS.items():
        groups.setdefault((*fields, "|", *REQUIRED_FIELDS[holds]), []).append(holds)
    lines = [_fields_line(holds) for holds in groups.values()]
    return "\n".join(["| `holds` | fields |", "|---|---|", *lines])


def _fields_line(holds: list[str]) -> str:
    fields, required = FIELDS[holds[0]], REQUIRED_FIELDS[holds[0]]
    shown = ", ".join(f"**{name}**" if name in required else name for name in fields)
    return f"| {', '.join(f'`{name}`' for name in holds)} | {shown or 'a YAML file taken whole'} |"


def too_many(folder: Path) -> str:
    return refusal(folder, source_yaml=("max_bad_share: 0.5", "max_bad_share: 0.05"))


def missing_column(folder: Path) -> str:
    return refusal(folder, source_yaml=("iin: iin", "iin: tax_number"))


def unknown_key(folder: Path) -> str:
    return refusal(folder, source_yaml=("{column: born, format:", "{colum: born, format:"))


def unreadable(folder: Path) -> str:
    missing = refusal(folder, source_yaml=("path: watched.csv", "path: watch.csv"))
    outside = refusal(folder, source_yaml=("path: watched.csv", "path: ../watched.csv"))
    unpacked = refusal(folder, source_yaml=("path: watched.csv", "path: watched.csv, format: parquet"))
    return "\n".join([missing, outside, unpacked])


def dated_example(folder: Path) -> SourceFolder:
    """The example of numbers that change hands, which has a manifest and one file."""
    section = GUIDE.partition("## Numbers, cards and addresses that change hands")[2]
    for name, kind in (("source.yaml", "yaml"), ("clients.csv", "csv")):
        content = section.partition(f"```{kind}\n")[2].partition("```")[0]
        folder.joinpath(name).write_text(content, encoding="utf-8")
    return SourceFolder(folder)


MESSAGES = [too_many, missing_column, unknown_key, unreadable]


def test_every_kind_of_file_is_in_the_example(tmp_path):
    held = {spec.holds for spec in example(tmp_path).manifest().files}
    assert held | {"parties", "price_book"} == set(FIELDS)


def test_the_quarantine_of_the_example_is_the_one_in_the_guide(tmp_path):
    assert quarantine_table(tmp_path) in GUIDE


def test_the_fields_in_the_guide_are_those_that_a_manifest_may_map():
    assert fields_table() in GUIDE


@pytest.mark.parametrize("message", MESSAGES)
def test_the_messages_in_the_guide_are_real(message, tmp_path):
    assert f"```text\n{message(tmp_path)}\n```" in GUIDE


def test_a_recycled_number_of_the_guide_links_nobody_and_says_why(tmp_path):
    tables = dated_example(tmp_path).ingest().tables
    records = tables["entity_records"]
    linked = link_records(records)
    assert linked.pairs.table.num_rows == 1
    assert linked.links.num_rows == 0
    tables_of = linked.scores.scores, linked.scores.model, linked.links, linked.resolved.members
    pair = explain_pair(LinkedBatch(records, *tables_of), "clients:1", "clients:2")
    (part,) = pair.weighed.at_other_times
    assert f"```text\n{part.sentence.partition(': ')[2]}\n```" in GUIDE
    (row,) = tables["quarantined_rows"].to_pylist()
    told = f"{row['file']}, row {row['row']}, {row['field']}: {row['reason']}"
    assert f"```text\n{told}\n```" in GUIDE
    assert records["phones"].to_pylist()[2] == ["+77077654321"]


def test_the_good_rows_of_the_example_are_kept(tmp_path):
    tables = example(tmp_path).ingest().tables
    counts = {name: table.num_rows for name, table in tables.items() if table.num_rows}
    assert counts == {
        "entity_records": 5,
        "accounts": 3,
        "transfers": 2,
        "party_events": 1,
        "relationships": 3,
        "labels": 1,
        "client_panel": 1,
        "tenants": 1,
        "usage_events": 1,
        "quarantined_rows": 16,
        "source_files": 12,
    }
