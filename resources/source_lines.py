"""Text files as blocks of whole lines in UTF-8, whatever their encoding and line ends."""

from __future__ import annotations

import codecs
from collections.abc import Iterable, Iterator

from terag_pipelines.errors import UnreadableFileError

UNDECODABLE = "\ufffd".encode()
"""What stands in a transcoded line for bytes that are none of its encoding."""


def line_blocks(blocks: Iterable[bytes], name: str, encoding: str = "utf-8") -> Iterator[bytes]:
    """The text in UTF-8 without a byte-order mark, line ends as LF, each block ending with a line end.

    UTF-8 is passed on unchecked: its validity is judged line by line. Other encodings are transcoded,
    undecodable bytes become U+FFFD.

    Raises: UnreadableFileError where text said to be UTF-8 is full of NUL bytes, as UTF-16 and binary files
    are, or text said to be UTF-16 or UTF-32 has no byte-order mark.
    """
    source = _without_mark(blocks, name) if means_utf8(encoding) else _transcoded(blocks, name, encoding)
    rest = b""
    for block in source:
        head, newline, tail = (rest + block).rpartition(b"\n")
        rest = tail
        if newline:
            yield (head + newline).replace(b"\r\n", b"\n")
    if rest:
        yield rest.removesuffix(b"\r") + b"\n"


def means_utf8(encoding: str) -> bool:
    """Whether a name such as utf8, U8 or utf-8-sig stands for UTF-8."""
    return codecs.lookup(encoding).name in ("utf-8", "utf-8-sig")


def _without_mark(blocks: Iterable[bytes], name: str) -> Iterator[bytes]:
    for number, block in enumerate(blocks):
        if number == 0 and _looks_binary(block[:4096]):
            raise UnreadableFileError(f"{name}: is full of NUL bytes; it is binary or UTF-16, not UTF-8 text")
        yield block.removeprefix(codecs.BOM_UTF8) if number == 0 else block


def _looks_binary(start: bytes) -> bool:
    return start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) or start.count(0) * 10 > len(start)


def _transcoded(blocks: Iterable[bytes], name: str, encoding: str) -> Iterator[bytes]:
    decoder = codecs.getincrementaldecoder(encoding)("replace")
    try:
        for block in blocks:
            yield decoder.decode(block).encode("utf-8", "replace")
        yield decoder.decode(b"", final=True).encode("utf-8", "replace")
    except UnicodeError:
        raise UnreadableFileError(f"{name}: is no text in {encoding}") from None
