"""Invoices as PDF: in Kazakh and Russian, A4, the same bytes for the same invoice.

The template escapes whatever it is given; a document cannot fetch anything but the two fonts; it is rendered
in a child process with caps (pdf_printer.py).
"""

from __future__ import annotations

import atexit
import json
from collections.abc import Iterable, Iterator
from datetime import date
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from resources.pdf_printer import PdfLimits, PdfPrinter
from terag_pipelines.billing.invoices import Invoice, InvoiceLine, TaxTotal
from terag_pipelines.billing.periods import first_day, last_day
from terag_pipelines.billing.price_book import BASE_FEE
from terag_pipelines.billing.words import kazakh_words, russian_words
from terag_pipelines.errors import RenderingError
from terag_pipelines.money import Money, minor_digits

TEMPLATES = Path(__file__).with_name("templates")
SIGNS = {"KZT": "₸", "USD": "$", "EUR": "€", "RUB": "₽"}
TAX_NAMES = {"VAT": ("ҚҚС", "НДС")}
THIN = "\u202f"
FIXED = "\u00a0"


class InvoicePrinter:
    """Renders invoices, up to `n_workers` at once; threads share it."""

    def __init__(self, n_workers: int = 2, limits: PdfLimits | None = None) -> None:
        style_sheet = (TEMPLATES / "invoice.css").read_text()
        self._printer = PdfPrinter(style_sheet, n_workers, limits)

    def render(self, invoice: Invoice) -> bytes:
        """The invoice's PDF. Raises: RenderingError."""
        return self._printer.print_html(invoice_html(invoice))

    def render_many(self, invoices: Iterable[Invoice]) -> Iterator[bytes | RenderingError]:
        """The PDF of each invoice in order, or the error that it alone met."""
        return self._printer.print_many(invoice_html(invoice) for invoice in invoices)

    def close(self) -> None:
        """Ends the workers."""
        self._printer.close()

    def __enter__(self) -> InvoicePrinter:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def render_invoice(invoice: Invoice) -> bytes:
    """The PDF of one invoice, by a printer that this process keeps. Raises: RenderingError."""
    return _shared_printer().render(invoice)


def invoice_html(invoice: Invoice) -> str:
    """The invoice as an HTML page, every value escaped."""
    return _environment().get_template("invoice.html").render(_view(invoice))


@cache
def _shared_printer() -> InvoicePrinter:
    printer = InvoicePrinter()
    atexit.register(printer.close)
    return printer


@cache
def _environment() -> Environment:
    return Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _view(invoice: Invoice) -> dict[str, Any]:
    content = invoice.content
    gross = Money(content.gross_minor, content.currency)
    return {
        "number": invoice.number,
        "issued_on": _day(invoice.issued_on),
        "due_on": _day(invoice.due_on),
        "period": f"{_day(first_day(content.month))}–{_day(last_day(content.month))}",
        "seller": content.seller,
        "buyer": content.buyer,
        "iban": _grouped(content.seller.iban),
        "sign": SIGNS.get(content.currency, content.currency),
        "lines": [_line_view(line, content.month, content.currency) for line in content.lines],
        "tax_column": TAX_NAMES["VAT"] if _has_only_vat(content.taxes) else ("Салық", "Налог"),
        "net": _money(content.net_minor, content.currency),
        "taxes": [_tax_view(tax, content.currency) for tax in content.taxes],
        "gross": _money(content.gross_minor, content.currency),
        "kazakh_words": kazakh_words(gross),
        "russian_words": russian_words(gross),
    }


def _line_view(line: InvoiceLine, month: str, currency: str) -> dict[str, Any]:
    is_fee = line.meter == BASE_FEE
    return {
        "number": line.line_number,
        "description": f"Айлық төлем · Абонентская плата: {line.description}" if is_fee else line.description,
        "notes": list(_notes(line, month, currency)),
        "quantity": _grouped_integer(line.quantity),
        "price": _price(line, currency),
        "tax_rate": "—" if line.tax_rate is None else _percent(line.tax_rate),
        "net": _amount(line.net_minor, currency),
    }


def _notes(line: InvoiceLine, month: str, currency: str) -> Iterator[str]:
    if line.usage_month != month:
        year, of_year = line.usage_month.split("-")
        yield f"Кеш түскен пайдалану · Поступившее позже потребление за {of_year}.{year}"
    steps = json.loads(line.price_steps)
    if len(steps) > 1:
        yield " + ".join(
            f"{_grouped_integer(step['quantity'])}{FIXED}×{FIXED}{_decimal(step['unit_price'], currency)}"
            for step in steps
        )
    elif steps and steps[0]["units"] > 1:
        units, n_packages = _grouped_integer(steps[0]["units"]), -(-steps[0]["quantity"] // steps[0]["units"])
        price = _decimal(steps[0]["unit_price"], currency)
        yield f"{_grouped_integer(n_packages)}{FIXED}×{FIXED}{price} · әр {units} үшін · за каждые {units}"


def _price(line: InvoiceLine, currency: str) -> str:
    if line.charge_model == "flat":
        return _amount(line.net_minor, currency)
    return "—" if line.unit_price is None else _decimal(line.unit_price, currency)


def _tax_view(tax: TaxTotal, currency: str) -> dict[str, str]:
    if tax.tax_rate is None:
        return {"label": "Салықсыз · Без налога", "amount": _money(0, currency)}
    name = " · ".join(TAX_NAMES.get(tax.tax_name or "", (tax.tax_name or "",)))
    base = _money(tax.net_minor, currency)
    return {"label": f"{name} {_percent(tax.tax_rate)} ({base})", "amount": _money(tax.tax_minor, currency)}


def _has_only_vat(taxes: Iterable[TaxTotal]) -> bool:
    return {tax.tax_name for tax in taxes} <= {"VAT", None}


def _day(day: date) -> str:
    return f"{day:%d.%m.%Y}"


def _money(amount_minor: int, currency: str) -> str:
    return f"{_amount(amount_minor, currency)}{FIXED}{SIGNS.get(currency, currency)}"


def _amount(amount_minor: int, currency: str) -> str:
    return _number(Money(amount_minor, currency).as_decimal())


def _decimal(text: str, currency: str) -> str:
    """A price: at least the currency's digits after the point, more where it has more."""
    price = Decimal(text)
    smallest = Decimal(1).scaleb(-minor_digits(currency))
    return _number(price.quantize(smallest) if price == price.quantize(smallest) else price)


def _grouped_integer(number: int) -> str:
    return _number(Decimal(number))


def _number(number: Decimal) -> str:
    return f"{number:,f}".replace(",", THIN).replace(".", ",").replace("-", "−")


def _percent(rate: str) -> str:
    return f"{(Decimal(rate) * 100).normalize():f}".replace(".", ",") + "%"


def _grouped(iban: str) -> str:
    return FIXED.join(iban[at : at + 4] for at in range(0, len(iban), 4))
