"""HTML to PDF in child processes that can be killed: a pool of workers, each capped, watched and renewed."""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import IO

from terag_pipelines.errors import ConfigurationError, RenderingError

WORKER = Path(__file__).with_name("pdf_worker.py")
FONTS = ("DejaVuSans.ttf", "DejaVuSans-Bold.ttf")
LENGTH = struct.Struct(">Q")
PDF, REFUSED = b"\0", b"\1"
DOCUMENT = "document.html"
N_DOCUMENTS_AT_ONCE = 100
# Only the fonts of the style sheet exist in the child: the same document gives the same bytes on any machine.
FONTCONFIG = """<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig><cachedir>{folder}/cache</cachedir></fontconfig>
"""


@dataclass(frozen=True)
class PdfLimits:
    """What one document may cost, and when a worker is renewed: WeasyPrint grows over thousands of them."""

    timeout_s: float = 60.0
    cpu_s: int = 45
    memory_mb: int = 1024
    max_html_bytes: int = 8 * 2**20
    n_documents_per_worker: int = 200


class PdfPrinter:
    """Renders documents with one style sheet, up to `n_workers` at once; threads share it.

    Workers start when they are needed. One that dies, or overruns its time, costs its own document only.
    """

    def __init__(self, style_sheet: str, n_workers: int = 2, limits: PdfLimits | None = None) -> None:
        self._limits = limits or PdfLimits()
        self._style_sheet, self._n_workers = style_sheet, n_workers
        self._idle: list[_Child] = []
        self._permits = threading.Semaphore(n_workers)
        self._lock = threading.Lock()

    def print_html(self, html: str) -> bytes:
        """The PDF of a document.

        Raises: RenderingError where the document is too long, asks for something outside itself, fails, or
        needs more CPU, memory or time than its limits.
        """
        source = html.encode()
        if len(source) > self._limits.max_html_bytes:
            raise RenderingError("the document is too long to be rendered")
        with self._permits:
            return self._render(source)

    def print_many(self, documents: Iterable[str]) -> Iterator[bytes | RenderingError]:
        """The PDF of each document in order, or the error that it alone met."""
        waiting = iter(documents)
        with ThreadPoolExecutor(self._n_workers) as threads:
            while batch := list(islice(waiting, N_DOCUMENTS_AT_ONCE)):
                yield from threads.map(self._print_or_error, batch)

    def close(self) -> None:
        """Ends the idle workers."""
        with self._lock:
            idle, self._idle = self._idle, []
        for child in idle:
            child.end()

    def __enter__(self) -> PdfPrinter:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _print_or_error(self, html: str) -> bytes | RenderingError:
        try:
            return self.print_html(html)
        except RenderingError as error:
            return error

    def _render(self, source: bytes) -> bytes:
        child = self._take()
        try:
            answer = child.ask(source, self._limits.timeout_s)
        except BaseException:
            child.end()
            raise
        self._give_back(child, is_well=answer[:1] in (PDF, REFUSED))
        if answer[:1] != PDF:
            raise RenderingError(f"the document cannot be rendered: {answer[1:].decode()}")
        return answer[1:]

    def _take(self) -> _Child:
        with self._lock:
            while self._idle:
                child = self._idle.pop()
                if child.is_alive():
                    return child
                child.end()
        return _Child(self._style_sheet, self._limits)

    def _give_back(self, child: _Child, is_well: bool) -> None:
        if not is_well or child.n_documents >= self._limits.n_documents_per_worker:
            child.end()
            return
        with self._lock:
            self._idle.append(child)


class _Child:
    """One worker process with a temporary folder of its own."""

    def __init__(self, style_sheet: str, limits: PdfLimits) -> None:
        self.n_documents = 0
        self._folder = Path(tempfile.mkdtemp(prefix="terag-pdf-"))
        (self._folder / "fonts.conf").write_text(FONTCONFIG.format(folder=self._folder))
        settings = {
            "style_sheet": style_sheet,
            "font_folder": str(font_folder()),
            "fonts": FONTS,
            "cpu_s": limits.cpu_s,
            "memory_mb": limits.memory_mb,
        }
        self._process = subprocess.Popen(
            [sys.executable, "-P", str(WORKER), json.dumps(settings)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=self._environment(),
            cwd=self._folder,
        )

    def ask(self, source: bytes, timeout_s: float) -> bytes:
        """The worker's answer. Raises: RenderingError where it ends or stays silent for too long."""
        self.n_documents += 1
        deadline = time.monotonic() + timeout_s
        jobs, answers = _pipe(self._process.stdin), _pipe(self._process.stdout)
        (self._folder / DOCUMENT).write_bytes(source)  # a pipe would block where the child does not read
        try:
            jobs.write(b"\n")
            jobs.flush()
            (length,) = LENGTH.unpack(_read(answers, LENGTH.size, deadline))
            return _read(answers, length, deadline)
        except (BrokenPipeError, EOFError):
            raise RenderingError(
                "rendering was ended: the document needs more CPU or memory than it may have"
            ) from None

    def is_alive(self) -> bool:
        """Whether the process still runs."""
        return self._process.poll() is None

    def end(self) -> None:
        """Kills the process and removes its folder."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            with contextlib.suppress(BrokenPipeError):
                _pipe(pipe).close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _environment(self) -> dict[str, str]:
        """Nothing of ours is passed on: no settings, no secrets, no proxies."""
        folder = str(self._folder)
        return {
            "HOME": folder,
            "TMPDIR": folder,
            "FONTCONFIG_FILE": f"{folder}/fonts.conf",
            "LANG": "C.UTF-8",
            "PATH": os.defpath,
            "PYTHONHASHSEED": "0",
            "SOURCE_DATE_EPOCH": "0",
        }


def font_folder() -> Path:
    """Where matplotlib's distribution keeps DejaVu: Latin, Russian, Kazakh and the sign of the tenge.

    Raises: ConfigurationError where it is not installed.
    """
    spec = find_spec("matplotlib")
    for location in (spec.submodule_search_locations if spec else None) or ():
        folder = Path(location) / "mpl-data" / "fonts" / "ttf"
        if all((folder / font).is_file() for font in FONTS):
            return folder
    raise ConfigurationError("the DejaVu fonts that invoices need are missing: install matplotlib")


def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
    if pipe is None:
        raise RenderingError("the rendering process has no pipes")
    return pipe


def _read(pipe: IO[bytes], length: int, deadline: float) -> bytes:
    """Exactly `length` bytes. Raises: EOFError where they end early, RenderingError when time is over."""
    chunks, missing = [], length
    while missing:
        wait_s = deadline - time.monotonic()
        if wait_s <= 0 or not select.select([pipe], [], [], wait_s)[0]:
            raise RenderingError("rendering took too long")
        chunk = os.read(pipe.fileno(), min(missing, 2**20))
        if not chunk:
            raise EOFError
        chunks.append(chunk)
        missing -= len(chunk)
    return b"".join(chunks)
