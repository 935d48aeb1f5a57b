"""What a case file is made of: titled sections of a few kinds of blocks, all of plain text but for pictures.

Whoever has something to add to a case hands in a Section; its texts are escaped where they are written.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from terag_pipelines.linking.web_pages import heading, paragraph, table, text

Row = tuple[str, ...]


@dataclass(frozen=True)
class Told:
    """A paragraph; `is_quiet` for what is said beside the matter."""

    text: str
    is_quiet: bool = False


@dataclass(frozen=True)
class Listed:
    """Sentences one below the other."""

    items: tuple[str, ...]


@dataclass(frozen=True)
class Rows:
    """A table; `numeric` columns stand to the right, a line break in a cell is kept."""

    head: Row
    rows: tuple[Row, ...]
    numeric: tuple[int, ...] = ()


@dataclass(frozen=True)
class Shown:
    """A picture: SVG that is escaped already, and what it shows."""

    svg: str
    caption: str


@dataclass(frozen=True)
class Folded:
    """Blocks that a click opens or closes; on paper those that are closed show their summary only."""

    summary: str
    blocks: tuple[Block, ...]
    is_open: bool = False


Block = Told | Listed | Rows | Shown | Folded


@dataclass(frozen=True)
class Section:
    """A part of a case file under its own heading."""

    title: str
    blocks: tuple[Block, ...]


def render_sections(sections: Sequence[Section]) -> str:
    """HTML of sections, one after the other."""
    return "\n".join(
        f"<section>{heading(section.title)}\n{_render_blocks(section.blocks)}</section>"
        for section in sections
        if section.blocks
    )


def _render_blocks(blocks: Sequence[Block]) -> str:
    return "\n".join(_render(block) for block in blocks)


def _render(block: Block) -> str:
    match block:
        case Told():
            return paragraph(block.text, "quiet" if block.is_quiet else "")
        case Listed():
            return "<ul>" + "".join(f"<li>{text(item)}</li>" for item in block.items) + "</ul>"
        case Rows():
            rows = [[_cell(cell) for cell in row] for row in block.rows]
            return table(block.head, rows, numeric=block.numeric)
        case Shown():
            caption = f"<figcaption>{text(block.caption)}</figcaption>" if block.caption else ""
            return f"<figure>{block.svg}{caption}</figure>"
        case Folded():
            state, inner = " open" if block.is_open else "", _render_blocks(block.blocks)
            return f"<details{state}><summary>{text(block.summary)}</summary>{inner}</details>"


def _cell(cell: str) -> str:
    return "<br>".join(text(part) for part in cell.split("\n")) if cell else ""


def section_as_json(section: Section) -> dict[str, Any]:
    """A section for machines: its texts and tables, without pictures."""
    return {"title": section.title, "blocks": _blocks_as_json(section.blocks)}


def _blocks_as_json(blocks: Sequence[Block]) -> list[dict[str, Any]]:
    return [told for told in map(_block_as_json, blocks) if told]


def _block_as_json(block: Block) -> dict[str, Any]:
    match block:
        case Told():
            return {"text": block.text}
        case Listed():
            return {"items": list(block.items)}
        case Rows():
            return {"head": list(block.head), "rows": [list(row) for row in block.rows]}
        case Folded():
            return {"summary": block.summary, "blocks": _blocks_as_json(block.blocks)}
        case Shown():
            return {}
