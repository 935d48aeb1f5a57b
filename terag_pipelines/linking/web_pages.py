"""Pages that need nothing but themselves: HTML and SVG without scripts or network, in light and dark.

Every text of a record passes through `text`, which escapes it and keeps its writing direction to itself.
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence

_TURNING = range(0x202A, 0x202F)  # embeddings and overrides: with them a name reads as another
_CONTROLS = {code: 0xFFFD for code in (*range(32), *range(127, 160), *_TURNING) if chr(code) not in "\n\t"}

STYLE = """
:root { color-scheme: light dark; --ink: #1f2937; --paper: #ffffff; --line: #e2e8f0; --quiet: #64748b;
  --for: #0f766e; --against: #b91c1c; --total: #b45309; --band: #f1f5f9 }
@media (prefers-color-scheme: dark) { :root { --ink: #e5e7eb; --paper: #111827; --line: #374151;
  --quiet: #9ca3af; --for: #2dd4bf; --against: #f87171; --total: #fbbf24; --band: #1f2937 } }
* { box-sizing: border-box }
body { font: 15px/1.5 system-ui, "DejaVu Sans", "Noto Sans", sans-serif; color: var(--ink);
  background: var(--paper); max-width: 78rem; margin: 1.5rem auto; padding: 0 1rem }
h1 { font-size: 1.45rem; margin: .2rem 0 } h2 { font-size: 1.12rem; margin: 2rem 0 .5rem }
h3 { font-size: 1rem; margin: 1.2rem 0 .3rem }
p { margin: .4rem 0; max-width: 60rem } .quiet { color: var(--quiet) } .big { font-size: 1.05rem }
table { border-collapse: collapse; width: 100% }
th { text-align: left; font-weight: 600; color: var(--quiet); font-size: .85rem }
td, th { padding: .35rem .6rem .35rem 0; border-bottom: 1px solid var(--line); vertical-align: top;
  overflow-wrap: break-word }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap;
  overflow-wrap: normal }
table.waterfall td:first-child { white-space: nowrap; overflow-wrap: normal }
table.waterfall td:nth-child(2), table.waterfall td:nth-child(3) { min-width: 12rem; max-width: 16rem;
  overflow-wrap: anywhere }
tr.total td { font-weight: 600; border-top: 2px solid var(--ink) }
.wide { overflow-x: auto }
svg { display: block } svg text { fill: var(--ink); font-size: 12px; font-family: inherit }
.for { fill: var(--for) } .against { fill: var(--against) } .sum { fill: var(--total) }
.rest { fill: var(--quiet) }
.axis { stroke: var(--quiet); stroke-width: 1 } .edge { stroke: var(--for) }
.loose { stroke: var(--quiet); opacity: .45 }
.weak { stroke: var(--against) } .node { fill: var(--paper); stroke: var(--ink); stroke-width: 1.5 }
ul.tree, ul.tree ul { list-style: none; margin: 0; padding-left: 1.1rem; border-left: 2px solid var(--line) }
ul.tree { border-left: 0; padding-left: 0 } ul.tree li { margin: .35rem 0 }
.chip { display: inline-block; padding: 0 .5rem; border-radius: .6rem; background: var(--band);
  margin-right: .3rem }
details > summary { cursor: pointer; color: var(--quiet) }
"""


def text(value: object) -> str:
    """A value as it may stand in HTML: escaped, its writing direction kept to itself."""
    return f"<bdi>{plain(value)}</bdi>"


def plain(value: object) -> str:
    """A value as it may stand in HTML, SVG text or an attribute: escaped, control characters replaced."""
    cleaned = str(value).translate(_CONTROLS).encode("utf-8", "replace").decode("utf-8")
    return html.escape(cleaned, quote=True)


def page(title: str, *parts: str, style: str = "") -> str:
    """A whole HTML document. The title is escaped; the parts are HTML already, `style` adds CSS."""
    body = "\n".join(part for part in parts if part)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{plain(title)}</title>\n<style>{STYLE}{style}</style></head>\n"
        f"<body>\n<h1>{text(title)}</h1>\n{body}\n</body></html>\n"
    )


def paragraph(told: str, kind: str = "") -> str:
    """A paragraph of plain text."""
    return f'<p class="{kind}">{text(told)}</p>' if kind else f"<p>{text(told)}</p>"


def heading(told: str, level: int = 2) -> str:
    """A heading of plain text."""
    return f"<h{level}>{text(told)}</h{level}>"


def table(
    head: Sequence[str], rows: Iterable[Sequence[str]], numeric: Sequence[int] = (), kind: str = ""
) -> str:
    """A table: the head is plain text, cells are HTML already; `numeric` columns stand to the right."""
    sides = [' class="n"' if at in numeric else "" for at in range(len(head))]
    first = "".join(f"<th{side}>{plain(name)}</th>" for side, name in zip(sides, head, strict=True))
    body = "\n".join(
        "<tr>" + "".join(f"<td{side}>{cell}</td>" for side, cell in zip(sides, row, strict=True)) + "</tr>"
        for row in rows
    )
    parts = f"<thead><tr>{first}</tr></thead>\n<tbody>{body}</tbody>"
    return f'<div class="wide"><table class="{kind}">\n{parts}\n</table></div>'


def share_bar(share: float, kind: str = "for", width: int = 160, height: int = 10) -> str:
    """A bar of a share, 0 to 1."""
    long = max(0.0, min(share, 1.0)) * width
    return (
        f'<svg width="{width}" height="{height}" role="img" aria-label="{share:.4g}">'
        f'<rect class="{kind}" x="0" y="0" width="{long:.1f}" height="{height}"/></svg>'
    )


def listed(values: Iterable[object]) -> str:
    """Values one below the other."""
    return "<br>".join(text(value) for value in values)
