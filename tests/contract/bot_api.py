"""A server on loopback that plays Telegram's Bot API: it accepts, refuses, slows down, and breaks off."""

from __future__ import annotations

import json
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

TOKEN = "8123456789:AAH-planted_Token-0123456789abcdefgh"
CHAT = "-1001234567890"

Behaviour = Callable[["Call"], str]
"""What a call meets: "accept", "accept slowly", "limit:SECONDS", "cut before", "cut after", a status, a
reply's JSON, or "raw:STATUS:" and a reply's text."""


@dataclass(frozen=True)
class Call:
    """One request as it came in."""

    number: int
    path: str
    headers: str
    body: str
    at: float

    @property
    def content(self) -> dict[str, Any]:
        return dict(json.loads(self.body))

    @property
    def text(self) -> str:
        return str(self.content["text"])


@dataclass
class BotApi:
    """What the server has heard; `accepted` are those messages that a chat would show."""

    url: str = ""
    behave: Behaviour = lambda _call: "accept"
    calls: list[Call] = field(default_factory=list)
    accepted: list[Call] = field(default_factory=list)
    n_cut: int = 0
    lost_replies: list[Call] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def note(self, path: str, headers: str, body: str) -> tuple[Call, str]:
        with self.lock:
            call = Call(len(self.calls), path, headers, body, time.monotonic())
            self.calls.append(call)
            deed = self.behave(call) if path == f"/bot{TOKEN}/sendMessage" else "404"
            if deed in ("accept", "accept slowly", "cut after"):
                self.accepted.append(call)
            self.n_cut += deed.startswith("cut")
            if deed == "cut after":
                self.lost_replies.append(call)
            return call, deed


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    api: BotApi

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        _, deed = self.api.note(self.path, str(self.headers), body)
        if deed.startswith("cut"):
            self._cut()
        elif deed.startswith("accept"):
            time.sleep(0.03 * (deed == "accept slowly"))
            self._reply(200, {"ok": True, "result": {"message_id": 1}})
        elif deed.startswith("limit:"):
            seconds = int(deed.partition(":")[2])
            told = {"description": f"Too Many Requests: retry after {seconds}"}
            self._reply(429, {"ok": False, "error_code": 429, "parameters": {"retry_after": seconds}, **told})
        elif deed.startswith("raw:"):
            _, status, body = deed.split(":", 2)
            self._answer(int(status), body.encode())
        elif deed.startswith("{"):
            told = json.loads(deed)
            self._reply(told["error_code"], told)
        else:
            self._reply(int(deed), {"ok": False, "error_code": int(deed), "description": f"said {self.path}"})

    def _reply(self, status: int, content: dict[str, Any]) -> None:
        self._answer(status, json.dumps(content).encode())

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        if 300 <= status < 400:
            self.send_header("Location", f"http://127.0.0.1:9{self.path}")
        self.end_headers()
        self.wfile.write(body)

    def _cut(self) -> None:
        """Breaks the connection with a reset, as a network that fails does."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()
        self.close_connection = True

    def log_message(self, *_: object) -> None:  # type: ignore[override]
        """Nothing to standard error."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that is gone, or a connection that was cut on purpose."""


@contextmanager
def running_bot_api(behave: Behaviour | None = None) -> Iterator[BotApi]:
    """The server, listening, for the block."""
    api = BotApi()
    if behave is not None:
        api.behave = behave
    handler = type("Handler", (_Handler,), {"api": api})
    server = _Server(("127.0.0.1", 0), handler)
    api.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield api
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def one_by_one(*deeds: str) -> Behaviour:
    """Does these things in turn, then accepts."""
    return lambda call: deeds[call.number] if call.number < len(deeds) else "accept"
