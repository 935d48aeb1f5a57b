"""Invoices as PDF: the same bytes, every letter, nothing fetched, and no document hurts another."""

from __future__ import annotations

import re
import tempfile
import threading
import zlib
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from fontTools.ttLib import TTFont

from resources.invoice_pdf import TEMPLATES, InvoicePrinter, invoice_html, render_invoice
from resources.pdf_printer import FONTS, PdfLimits, PdfPrinter, font_folder
from terag_pipelines.billing.history import History
from terag_pipelines.billing.invoices import Invoice, draft_invoices
from terag_pipelines.billing.price_book import Party
from terag_pipelines.billing.rating import rate_usage
from terag_pipelines.errors import RenderingError
from tests.unit.billing.cases import at, price_book, tenants, usage

STYLE = (TEMPLATES / "invoice.css").read_text()
THIN = "\u202f"
NBSP = "\u00a0"


def _invoice() -> Invoice:
    events = usage(
        ("acme", "api_calls", 12_000, at(2026, 1, 3)),
        ("acme", "what_if_answers", 7, at(2025, 12, 3)),
    )
    table, book = tenants(acme="starter"), price_book()
    history = History(closed=frozenset({("acme", "2025-12")}))
    rated = rate_usage(events, table, book, "2026-01", history)
    (draft,) = draft_invoices(rated.lines, table, book, "2026-01")
    return Invoice(draft, "2026-000123", date(2026, 2, 1), date(2026, 2, 15))


def _with_lines(n_lines: int) -> Invoice:
    invoice = _invoice()
    lines = tuple(replace(invoice.content.lines[1], line_number=n + 1) for n in range(n_lines))
    return replace(invoice, content=replace(invoice.content, lines=lines))


@pytest.fixture(scope="module")
def printer() -> Iterator[InvoicePrinter]:
    with InvoicePrinter(n_workers=1) as started:
        yield started


@pytest.fixture(scope="module")
def page_printer() -> Iterator[PdfPrinter]:
    with PdfPrinter(STYLE, n_workers=1) as started:
        yield started


def _n_pages(pdf: bytes) -> int:
    streams = re.findall(rb"stream\r?\n(.*?)\r?\nendstream", pdf, re.DOTALL)
    text = pdf + b"".join(zlib.decompressobj().decompress(s) for s in streams if s[:1] == b"x")
    return max(int(count) for count in re.findall(rb"/Count (\d+)", text))


# what it says


def test_an_invoice_has_what_one_needs_to_pay_it() -> None:
    html = invoice_html(_invoice())
    for text in (
        "2026-000123",
        "01.02.2026",
        "15.02.2026",
        "01.01.2026–31.01.2026",
        "ТОО «Продавец»",
        "180440012345",
        "ТОО «acme»",
        "990140000385",
        f"KZ86{NBSP}125K{NBSP}ZT50{NBSP}0410{NBSP}0100",
        f"28{THIN}050,00",  # api calls and fee, at 16%
        "НДС 16%",
        "НДС 12%",
        "за 12.2025",
        f"9{THIN}000{NBSP}×{NBSP}1,25",
        f"32{THIN}890,80{NBSP}₸",
        "Тридцать две тысячи восемьсот девяносто тенге 80 тиынов",
        "Отыз екі мың сегіз жүз тоқсан теңге 80 тиын",
    ):
        assert text in html, text


def test_the_fonts_have_every_letter_of_the_three_languages() -> None:
    letters = "АБВГДЕЁЖЗИЙКЛМНОПРСТУФХЦЧШЩЪЫЬЭЮЯӘҒҚҢӨҰҮҺІ"
    wanted = letters + letters.lower() + "".join(map(chr, range(0x20, 0x7F))) + f"«»„“№₸$€₽×·–—−…{NBSP}{THIN}"
    for font in FONTS:
        known = TTFont(font_folder() / font).getBestCmap()
        assert [char for char in wanted if ord(char) not in known] == []


def test_a_page_and_several(printer: InvoicePrinter) -> None:
    assert _n_pages(printer.render(_invoice())) == 1
    assert _n_pages(printer.render(_with_lines(100))) >= 3


def test_the_same_invoice_gives_the_same_bytes_in_every_process(printer: InvoicePrinter) -> None:
    pdf = printer.render(_invoice())
    assert pdf.startswith(b"%PDF-")
    assert pdf == printer.render(_invoice()) == render_invoice(_invoice())
    assert pdf != printer.render(replace(_invoice(), number="2026-000124"))


# what it does not do


class Canary(BaseHTTPRequestHandler):
    """Counts whoever comes, and sends some of them on to a file."""

    hits: list[str]

    def do_GET(self) -> None:
        self.hits.append(self.path)
        self.send_response(302 if "redirect" in self.path else 200)
        self.send_header("Location", "file:///etc/passwd")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


@pytest.fixture
def canary() -> Iterator[HTTPServer]:
    Canary.hits = []
    server = HTTPServer(("127.0.0.1", 0), Canary)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


MARKUP = (
    '<img src="{url}">',
    '<img srcset="{url} 2x" src="{url}">',
    '<link rel="stylesheet" href="{url}">',
    '<link rel="attachment" href="{url}">',
    '<a rel="attachment" href="{url}">x</a>',
    "<style>@import url({url});</style>",
    "<style>@font-face {{ font-family: x; src: url({url}) }} p {{ font-family: x }}</style><p>x</p>",
    '<p style="background: url({url})">x</p>',
    '<p style="content: url({url}); list-style-image: url({url}); border-image-source: url({url})">x</p>',
    '<object data="{url}"></object><embed src="{url}"><iframe src="{url}"></iframe>',
    '<svg width="9" height="9"><image href="{url}" width="9" height="9"/><use href="{url}#a"/></svg>',
    '<svg xmlns:xlink="http://www.w3.org/1999/xlink"><image xlink:href="{url}" width="9" height="9"/></svg>',
    '<base href="{url}"><img src="x.png">',
    '<meta http-equiv="refresh" content="0; url={url}">',
    '<?xml-stylesheet href="{url}"?><p>x</p>',
)


@pytest.mark.parametrize("markup", MARKUP)
@pytest.mark.parametrize(
    "address",
    ["http://127.0.0.1:{port}/x", "http://127.0.0.1:{port}/redirect", "{file}", "//127.0.0.1:{port}/x"],
)
def test_a_document_fetches_nothing(
    page_printer: PdfPrinter, canary: HTTPServer, tmp_path: Path, markup: str, address: str
) -> None:
    secret = tmp_path / "secret.svg"
    secret.write_text('<svg xmlns="http://www.w3.org/2000/svg"><title>SECRET</title></svg>')
    url = address.format(port=canary.server_port, file=secret.as_uri())
    try:
        pdf = page_printer.print_html(f"<!doctype html><body>{markup.format(url=url)}")
    except RenderingError:
        pass  # refused as a whole: the usual answer
    else:
        assert b"SECRET" not in pdf
        assert b"EmbeddedFile" not in pdf
    assert Canary.hits == []


def test_what_a_name_holds_is_text(printer: InvoicePrinter, canary: HTTPServer) -> None:
    address = f"http://127.0.0.1:{canary.server_port}/"
    markup = f"""</p><img src="{address}"><style>@import url({address})</style>{{{{ 7 * 7 }}}}<script>"""
    invoice = _invoice()
    content = replace(
        invoice.content,
        buyer=Party(party_id="x", name=markup, bin=markup, address=markup, email=markup),
        seller=replace(invoice.content.seller, name=markup, bank=markup, bic=markup, address=markup),
        lines=tuple(replace(line, description=markup, tax_name=markup) for line in invoice.content.lines),
    )
    html = invoice_html(replace(invoice, content=content))
    assert "<img" not in html
    assert "<script" not in html
    assert html.count("<style") == 0
    assert "{{ 7 * 7 }}" in html
    assert printer.render(replace(invoice, content=content)).startswith(b"%PDF-")
    assert Canary.hits == []


# bombs

GOOD = "<p>good</p>"
NESTED_SVG = "<svg>" * 30_000
LAUGHING_SVG = (
    '<svg width="9" height="9"><defs><g id="a0"><rect width="1" height="1"/></g>'
    + "".join(f'<g id="a{n}">' + f'<use href="#a{n - 1}"/>' * 10 + "</g>" for n in range(1, 10))
    + '</defs><use href="#a9"/></svg>'
)
WIDE_TABLE = '<table><tr><td colspan="99999999" rowspan="99999999">x</table>'


def test_a_bomb_is_ended_at_its_cap_and_the_others_go_on() -> None:
    limits = PdfLimits(timeout_s=120, cpu_s=2, memory_mb=700)
    lines = invoice_html(_with_lines(5_000))
    bombs = [lines, NESTED_SVG, LAUGHING_SVG, WIDE_TABLE]
    documents = [document for bomb in bombs for document in (GOOD, bomb, GOOD)]
    with PdfPrinter(STYLE, n_workers=2, limits=limits) as printer:
        answers = list(printer.print_many(documents))
    for document, answer in zip(documents, answers, strict=True):
        if document == GOOD:
            assert isinstance(answer, bytes)
            assert answer.startswith(b"%PDF-")
        else:
            assert isinstance(answer, RenderingError), document[:20]


def test_a_document_that_takes_too_long_is_ended() -> None:
    hurried = PdfPrinter(STYLE, limits=PdfLimits(timeout_s=0.05))
    with hurried, pytest.raises(RenderingError, match="too long"):
        hurried.print_html(LAUGHING_SVG)
    brief = PdfPrinter(STYLE, limits=PdfLimits(max_html_bytes=10))
    with brief, pytest.raises(RenderingError, match="too long"):
        brief.print_html(GOOD)


# workers


def _pid(printer: PdfPrinter) -> int:
    (idle,) = printer._idle
    return idle._process.pid


def test_a_worker_is_renewed_after_its_share_of_documents() -> None:
    with PdfPrinter(STYLE, n_workers=1, limits=PdfLimits(n_documents_per_worker=2)) as printer:
        printer.print_html(GOOD)
        first = _pid(printer)
        printer.print_html(GOOD)
        assert printer._idle == []
        printer.print_html(GOOD)
        assert _pid(printer) != first


def test_an_idle_worker_that_was_killed_is_replaced() -> None:
    with PdfPrinter(STYLE, n_workers=1) as printer:
        printer.print_html(GOOD)
        (idle,) = printer._idle
        idle._process.kill()
        idle._process.wait()
        assert printer.print_html(GOOD).startswith(b"%PDF-")


def test_a_worker_inherits_no_secret_and_leaves_no_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TERAG_TELEGRAM_TOKEN", "a-secret")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with PdfPrinter(STYLE, n_workers=1) as printer:
        printer.print_html(GOOD)
        assert b"a-secret" not in Path(f"/proc/{_pid(printer)}/environ").read_bytes()
        assert len(list(tmp_path.iterdir())) == 1
    assert list(tmp_path.iterdir()) == []


def test_a_worker_whose_parent_is_gone_ends_and_cleans_up(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    printer = PdfPrinter(STYLE, n_workers=1)
    printer.print_html(GOOD)
    (idle,) = printer._idle
    idle._process.stdin.close()  # what the child sees when its parent was killed
    assert idle._process.wait(timeout=60) == 0
    assert list(tmp_path.iterdir()) == []
