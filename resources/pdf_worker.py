"""The child process that turns HTML into PDF: no network, no files but its fonts, capped CPU and memory.

It imports nothing of this project and is run by its path, so that it starts alike from anywhere. A byte on
standard input says that a document lies in its folder; the answer goes to standard output: eight bytes of
length, then the bytes. The first of them is 0 before a PDF; before the reason why there is none it is 1 where
the worker is well, and 2 where it had better be renewed.
"""

from __future__ import annotations

import hashlib
import json
import logging
import resource
import shutil
import struct
import sys
from pathlib import Path
from typing import Any, BinaryIO

from weasyprint import CSS, HTML
from weasyprint.text.fonts import FontConfiguration
from weasyprint.urls import FatalURLFetchingError, URLFetcherResponse

LENGTH = struct.Struct(">Q")
PDF, REFUSED, FAILED = b"\0", b"\1", b"\2"
DOCUMENT = "document.html"


class FontsOnly:
    """A fetcher that opens the fonts it was given and nothing else: no http, file or data address."""

    def __init__(self, folder: Path, names: list[str]) -> None:
        self._paths = {f"font:{name}": folder / name for name in names}

    def __call__(self, url: str) -> Any:
        """The font's bytes. Raises: FatalURLFetchingError, which ends the rendering, for anything else."""
        return self.fetch(url)

    def fetch(self, url: str, headers: object = None) -> Any:  # noqa: ARG002 - WeasyPrint's own signature
        """As calling it does."""
        if url not in self._paths:
            raise FatalURLFetchingError("the document asks for something outside itself")
        return URLFetcherResponse(url, self._paths[url].read_bytes(), {"Content-Type": "font/ttf"})


class PdfWorker:
    """Style sheet and fonts, read once, and the rendering of one document after the other."""

    def __init__(self, style_sheet: str, fetcher: FontsOnly, cpu_s: int) -> None:
        self._fetcher, self._cpu_s = fetcher, cpu_s
        self._fonts = FontConfiguration()
        self._style = CSS(string=style_sheet, font_config=self._fonts, url_fetcher=fetcher)

    def render(self, html: bytes) -> bytes:
        """The PDF of a document, the same bytes for the same document."""
        self._allow_cpu()
        document = HTML(string=html.decode(), url_fetcher=self._fetcher)
        pdf: bytes = document.write_pdf(
            stylesheets=[self._style],
            font_config=self._fonts,
            pdf_identifier=hashlib.sha256(html).digest()[:16],
            pdf_tags=True,
        )
        return pdf

    def _allow_cpu(self) -> None:
        """The kernel ends the process when this document has had its seconds."""
        used = resource.getrusage(resource.RUSAGE_SELF)
        limit = int(used.ru_utime + used.ru_stime) + self._cpu_s + 1
        resource.setrlimit(resource.RLIMIT_CPU, (limit, resource.getrlimit(resource.RLIMIT_CPU)[1]))


def serve(worker: PdfWorker, jobs: BinaryIO, answers: BinaryIO) -> None:
    """Renders until the jobs end."""
    while jobs.read(1):
        try:
            answer = PDF + worker.render(Path(DOCUMENT).read_bytes())
        except MemoryError:
            answer = FAILED + b"it needs more memory than it may have"
        except FatalURLFetchingError as error:
            answer = REFUSED + str(error).encode()
        except RecursionError:
            answer = FAILED + b"it is nested too deeply"
        except Exception as error:  # noqa: BLE001 - whatever a document does to the renderer is an answer
            answer = FAILED + f"the renderer failed with {type(error).__name__}".encode()
        answers.write(LENGTH.pack(len(answer)) + answer)
        answers.flush()


def main(settings: dict[str, Any]) -> None:
    """Runs a worker with the caps, style sheet and fonts of the settings."""
    logging.getLogger("weasyprint").setLevel(logging.CRITICAL)
    fetcher = FontsOnly(Path(settings["font_folder"]), settings["fonts"])
    worker = PdfWorker(settings["style_sheet"], fetcher, settings["cpu_s"])
    memory = settings["memory_mb"] * 2**20
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    serve(worker, sys.stdin.buffer, sys.stdout.buffer)
    shutil.rmtree(Path.cwd(), ignore_errors=True)  # the parent ended without a word: nobody else will


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
