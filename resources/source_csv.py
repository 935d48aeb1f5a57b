"""CSV files (RFC 4180): every good row kept, every malformed one named."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv as arrow_csv

from resources.source_lines import UNDECODABLE, line_blocks, means_utf8
from resources.source_streams import ReadLimits
from terag_pipelines.entities.manifests import CsvOptions
from terag_pipelines.entities.raw_files import BadRow, RawFile
from terag_pipelines.errors import UnreadableFileError

Positions = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
_QUOTE, _NEWLINE, _RETURN = ord('"'), ord("\n"), ord("\r")
_MAX_JOINED_LINES = 1000
_MAX_SHOWN_CHARACTERS = 10_000
NOT_CLOSED = "a quote is not closed"
BROKEN_QUOTES = "quotes stand within a field or are not doubled"
NUL_BYTE = "holds a NUL byte"
BARE_RETURN = "holds a carriage return outside quotes"
TOO_LONG = "is longer than a row may be"


def read_csv(blocks: Iterable[bytes], name: str, options: CsvOptions, limits: ReadLimits) -> RawFile:
    """The rows of a CSV file as text columns named by its header, blank lines passed over.

    Rows with another number of fields than the header, broken quotes, undecodable bytes or NULs are bad rows.

    Raises: UnreadableFileError where the header cannot be used or there are more rows or columns than
    allowed.
    """
    lines = line_blocks(blocks, name, options.encoding)
    header, rest = _split_header(lines, name, options, limits)
    reader = _CsvReader(name, options, limits, header)
    for is_last, block in _with_last(rest):
        reader.add(block, is_last)
    return reader.finish()


def _split_header(
    lines: Iterator[bytes], name: str, options: CsvOptions, limits: ReadLimits
) -> tuple[list[str], Iterator[bytes]]:
    for block in lines:
        if body := block.lstrip(b"\n"):
            line, _, rest = body.partition(b"\n")
            return _parse_header(line, name, options, limits), _prepended(rest, lines)
    raise UnreadableFileError(f"{name}: the file has no header line")


def _prepended(first: bytes, others: Iterator[bytes]) -> Iterator[bytes]:
    yield first
    yield from others


def _parse_header(line: bytes, name: str, options: CsvOptions, limits: ReadLimits) -> list[str]:
    if len(line) > limits.max_record_bytes:
        raise UnreadableFileError(f"{name}: the header line {TOO_LONG}")
    try:
        text = line.decode()
        (header,) = csv.reader(
            [text], delimiter=options.delimiter, strict=True, skipinitialspace=options.trim
        )
    except (UnicodeDecodeError, csv.Error, ValueError):
        raise UnreadableFileError(f"{name}: the header line is not CSV in {options.encoding}") from None
    names = [column.strip() or f"column {number}" for number, column in enumerate(header, start=1)]
    if len(names) > limits.max_columns:
        raise UnreadableFileError(f"{name}: has more than {limits.max_columns:,} columns")
    if repeated := sorted({column for column in names if names.count(column) > 1}):
        raise UnreadableFileError(f"{name}: the header names the column {repeated[0]!r} more than once")
    return names


def _with_last(blocks: Iterator[bytes]) -> Iterator[tuple[bool, bytes]]:
    previous = next(blocks, None)
    for block in blocks:
        yield False, previous or b""
        previous = block
    yield True, previous or b""


@dataclass
class _CsvReader:
    """Reads blocks of whole lines one after another, carrying over a row whose quotes are still open."""

    name: str
    options: CsvOptions
    limits: ReadLimits
    header: list[str]
    carried: bytes = b""
    n_rows: int = 0
    tables: list[pa.Table] = field(default_factory=list)
    numbers: list[Positions] = field(default_factory=list)
    bad_rows: list[BadRow] = field(default_factory=list)

    def add(self, block: bytes, is_last: bool) -> None:
        text = _without_blanks_at_quotes(self.carried + block, self.options)
        records, self.carried = _split_records(text, self.options, len(self.header), is_last, self.limits)
        reasons = _judge(records, self.options, len(self.header), self.limits)
        numbers = self.n_rows + 1 + np.arange(len(records.starts))
        self._note_bad(records, reasons, numbers)
        good = np.ones(len(records.starts), np.bool_)
        good[list(reasons)] = False
        self._keep(records, good, numbers[good])
        self.n_rows += len(records.starts)
        if self.n_rows > self.limits.max_rows:
            raise UnreadableFileError(f"{self.name}: has more than {self.limits.max_rows:,} rows")

    def finish(self) -> RawFile:
        schema = pa.schema([(column, pa.string()) for column in self.header])
        table = pa.concat_tables([schema.empty_table(), *self.tables])
        rows = np.concatenate([np.empty(0, np.int64), *self.numbers])
        return RawFile(table, rows, tuple(self.header), tuple(self.bad_rows))

    def _note_bad(self, records: _Records, reasons: dict[int, str], numbers: Positions) -> None:
        for at, reason in sorted(reasons.items()):
            self.bad_rows.append(BadRow(int(numbers[at]), reason, line_as_json(records.line(at))))

    def _keep(self, records: _Records, good: Mask, numbers: Positions) -> None:
        if not len(numbers):
            return
        table = _parse(records.only(good), self.options, self.header)
        if table is None or table.num_rows != len(numbers):
            table = _parse_one_by_one(records, good, self.options, self.header)
        self.tables.append(_trimmed(table) if self.options.trim else table)
        self.numbers.append(numbers)


@dataclass(frozen=True)
class _Records:
    """Rows in a buffer: `starts` and `ends` (n,), the line end not included.

    `unclosed` rows opened a quote.
    """

    text: bytes
    codes: npt.NDArray[np.uint8]
    starts: Positions
    ends: Positions
    unclosed: Mask

    def line(self, at: int) -> bytes:
        return self.text[self.starts[at] : self.ends[at]]

    def only(self, good: Mask) -> bytes:
        """The good rows' bytes, each with its line end."""
        if good.all() and len(good) and int((self.ends - self.starts + 1).sum()) == len(self.text):
            return self.text
        change = np.zeros(len(self.text) + 1, np.int8)
        change[self.starts[good]] += 1
        change[self.ends[good] + 1] -= 1
        return self.codes[np.cumsum(change[:-1], dtype=np.int8).astype(np.bool_)].tobytes()


def _split_records(
    text: bytes, options: CsvOptions, n_fields: int, is_last: bool, limits: ReadLimits
) -> tuple[_Records, bytes]:
    """The rows of a block of whole lines, and the bytes to carry over because a quote is open at its end."""
    codes = np.frombuffer(text, np.uint8)
    ends = np.flatnonzero(codes == _NEWLINE)
    starts = np.concatenate(([0], ends[:-1] + 1)) if len(ends) else ends
    odd = _odd_lines(codes, ends)
    unclosed = np.zeros(len(ends), np.bool_)
    joined: list[tuple[int, int]] = []
    cut = len(ends)
    at = 0
    while at < len(odd):
        first = int(odd[at])
        last = int(odd[at + 1]) if at + 1 < len(odd) else None
        if last is None and not is_last and _may_go_on(len(ends) - first, len(text) - starts[first], limits):
            cut = first
            break
        if last is not None and _is_row(
            text, starts[first], ends[last], last - first, options, n_fields, limits
        ):
            joined.append((first, last))
            at += 2
        else:
            unclosed[first] = True
            at += 1
    carried = text[starts[cut] :] if cut < len(ends) else b""
    return _records(text, codes, starts[:cut], ends[:cut], unclosed[:cut], joined), carried


def _odd_lines(codes: npt.NDArray[np.uint8], ends: Positions) -> Positions:
    """Lines with an odd number of quotes: a quoted field goes on in the next line, or a quote is broken."""
    quotes = np.flatnonzero(codes == _QUOTE)
    counts = np.diff(np.searchsorted(quotes, ends), prepend=0)
    return np.flatnonzero(counts % 2)


def _may_go_on(n_lines: int, n_bytes: int, limits: ReadLimits) -> bool:
    return n_lines <= _MAX_JOINED_LINES and n_bytes <= limits.max_record_bytes


def _is_row(
    text: bytes, start: int, end: int, n_more: int, options: CsvOptions, n_fields: int, limits: ReadLimits
) -> bool:
    """Whether lines joined by an open quote make a row with the right number of well quoted fields."""
    if not _may_go_on(n_more, end - start, limits):
        return False
    piece = text[start:end] + b"\n"
    codes = np.frombuffer(piece, np.uint8)
    one = np.array([0]), np.array([len(piece) - 1])
    whole = _Records(piece, codes, *one, np.zeros(1, np.bool_))
    return not _judge(whole, options, n_fields, limits)


def _records(
    text: bytes,
    codes: npt.NDArray[np.uint8],
    starts: Positions,
    ends: Positions,
    unclosed: Mask,
    joined: list[tuple[int, int]],
) -> _Records:
    opens, closes = np.ones(len(starts), np.bool_), np.ones(len(starts), np.bool_)
    for first, last in joined:
        opens[first + 1 : last + 1] = False
        closes[first:last] = False
    starts, ends, unclosed = starts[opens], ends[closes], unclosed[opens]
    there = ends > starts
    return _Records(text, codes, starts[there], ends[there], unclosed[there])


def _judge(records: _Records, options: CsvOptions, n_fields: int, limits: ReadLimits) -> dict[int, str]:
    """The rows that cannot be used, by place, each with its first reason."""
    codes, starts = records.codes, records.starts
    if not len(starts):
        return {}
    quotes = _inside(np.flatnonzero(codes == _QUOTE), records)
    first_quotes = np.searchsorted(quotes, starts)
    delimiters = _outside_quotes(
        np.flatnonzero(codes == ord(options.delimiter)), records, quotes, first_quotes
    )
    n_found = np.bincount(_row_of(delimiters, starts), minlength=len(starts)) + 1
    reasons = {
        int(at): f"has {n_found[at]} fields where the header has {n_fields}"
        for at in np.flatnonzero(n_found != n_fields)
    }
    reasons |= dict.fromkeys(
        _broken_quotes(records, quotes, first_quotes, ord(options.delimiter)), BROKEN_QUOTES
    )
    returns = _outside_quotes(np.flatnonzero(codes == _RETURN), records, quotes, first_quotes)
    reasons |= dict.fromkeys(_row_of(returns, starts).tolist(), BARE_RETURN)
    reasons |= dict.fromkeys(np.flatnonzero(records.unclosed).tolist(), NOT_CLOSED)
    reasons |= dict.fromkeys(_row_of(_inside(np.flatnonzero(codes == 0), records), starts).tolist(), NUL_BYTE)
    reasons |= dict.fromkeys(
        np.flatnonzero(records.ends - starts > limits.max_record_bytes).tolist(), TOO_LONG
    )
    return reasons | _undecodable(records, options)


def _row_of(positions: Positions, starts: Positions) -> Positions:
    return np.searchsorted(starts, positions, side="right") - 1


def _inside(positions: Positions, records: _Records) -> Positions:
    """The positions that lie within a row, not in a blank line or behind the last row."""
    rows = _row_of(positions, records.starts)
    return positions[(rows >= 0) & (positions < records.ends[rows])]


def _outside_quotes(
    positions: Positions, records: _Records, quotes: Positions, first_quotes: Positions
) -> Positions:
    within = _inside(positions, records)
    if not len(quotes):
        return within
    before = np.searchsorted(quotes, within) - first_quotes[_row_of(within, records.starts)]
    outside: Positions = within[before % 2 == 0]
    return outside


def _broken_quotes(
    records: _Records, quotes: Positions, first_quotes: Positions, delimiter: int
) -> list[int]:
    """Rows where an opening quote is not at a field's start or a closing one not at its end."""
    if not len(quotes):
        return []
    rows = _row_of(quotes, records.starts)
    opens = (np.arange(len(quotes)) - first_quotes[rows]) % 2 == 0
    before = np.where(quotes == records.starts[rows], delimiter, records.codes[quotes - 1])
    after = np.where(
        quotes + 1 == records.ends[rows],
        delimiter,
        records.codes[np.minimum(quotes + 1, len(records.codes) - 1)],
    )
    neighbour = np.where(opens, before, after)
    broken: list[int] = np.unique(rows[(neighbour != delimiter) & (neighbour != _QUOTE)]).tolist()
    return broken


def _undecodable(records: _Records, options: CsvOptions) -> dict[int, str]:
    reason = f"is not valid {options.encoding}"
    if not means_utf8(options.encoding):
        found = [match.start() for match in re.finditer(UNDECODABLE, records.text)]
        places = _row_of(_inside(np.array(found, np.int64), records), records.starts)
        return dict.fromkeys(places.tolist(), reason)
    if is_utf8(records.text):
        return {}
    return {at: reason for at in range(len(records.starts)) if not is_utf8(records.line(at))}


def is_utf8(text: bytes) -> bool:
    """Whether the bytes are valid UTF-8."""
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True


def _without_blanks_at_quotes(text: bytes, options: CsvOptions) -> bytes:
    """With `trim`, blanks between a delimiter and a quote are dropped, so that the quote counts."""
    if not options.trim or b'"' not in text:
        return text
    delimiter = re.escape(options.delimiter.encode())
    opened = re.sub(rb"(?m)(^|" + delimiter + rb')[ \t]+(?=")', rb"\1", text)
    return re.sub(rb'(?m)"[ \t]+(?=' + delimiter + rb"|$)", b'"', opened)


def _parse(text: bytes, options: CsvOptions, header: list[str]) -> pa.Table | None:
    try:
        return arrow_csv.read_csv(
            pa.BufferReader(text),
            read_options=arrow_csv.ReadOptions(
                column_names=header, use_threads=False, block_size=len(text) + 1
            ),
            parse_options=arrow_csv.ParseOptions(delimiter=options.delimiter, newlines_in_values=True),
            convert_options=arrow_csv.ConvertOptions(
                column_types=dict.fromkeys(header, pa.string()), strings_can_be_null=True, null_values=[""]
            ),
        )
    except pa.ArrowInvalid:
        return None


def _parse_one_by_one(records: _Records, good: Mask, options: CsvOptions, header: list[str]) -> pa.Table:
    """The same by Python's csv, for rows that Arrow splits otherwise."""
    lines = (records.line(at).decode() for at in np.flatnonzero(good).tolist())
    rows = [next(csv.reader([line], delimiter=options.delimiter)) for line in lines]
    columns = [[value or None for value in column] for column in zip(*rows, strict=True)]
    return pa.table(
        {name: pa.array(column, pa.string()) for name, column in zip(header, columns, strict=True)}
    )


def _trimmed(table: pa.Table) -> pa.Table:
    return pa.table({name: pc.utf8_trim_whitespace(table[name]) for name in table.column_names})


def line_as_json(line: bytes) -> str:
    """A line that could not be parsed as a JSON object, so that it can be mended.

    Cut where it is very long.
    """
    return json.dumps({"line": line.decode("utf-8", "replace")[:_MAX_SHOWN_CHARACTERS]}, ensure_ascii=False)
