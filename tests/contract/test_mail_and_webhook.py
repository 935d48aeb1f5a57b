"""Alerts to systems inside the house, over real servers on loopback: what they may carry, and failures."""

from __future__ import annotations

import json
import logging
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email import message_from_string
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from pydantic import SecretStr

from resources.alert_senders import has_senders, open_senders
from resources.processes import choose_port
from resources.settings import load_settings
from resources.smtp_alerts import MailSender, MailServer
from resources.webhook_alerts import WebhookSender
from terag_pipelines.rings.alert_model import Finding, Message, Sighting, first_sight, write_message

NOON = datetime(2026, 11, 3, 12, tzinfo=UTC)
SECRET = "hook-secret-0123456789"


def message() -> Message:
    sighting = Sighting("high", 12, 1, {"KZT": 987_654_321}, ("amount", "risk"))
    return write_message(first_sight(Finding("ring_1", sighting)), "new", ("rule",), NOON)


@dataclass
class Heard:
    """What a server has heard, and what it is to answer."""

    address: tuple[str, int] = ("", 0)
    answer: Any = None
    told: list[Any] = field(default_factory=list)


@contextmanager
def running(server: socketserver.TCPServer, heard: Heard) -> Iterator[Heard]:
    heard.address = ("127.0.0.1", server.server_address[1])
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield heard
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def hook() -> Iterator[Heard]:
    heard = Heard(answer=(204, {}))

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            heard.told.append((self.path, dict(self.headers), json.loads(body)))
            status, headers = heard.answer
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()

        def log_message(self, *_: object) -> None:  # type: ignore[override]
            """Nothing to standard error."""

    with running(ThreadingHTTPServer(("127.0.0.1", 0), Handler), heard) as server:
        yield server


@pytest.fixture
def post() -> Iterator[Heard]:
    """A mail server that knows just enough; `answer` replaces its reply to one command, or cuts after it."""
    heard = Heard(answer={})

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            self._say("220 here")
            while line := self.rfile.readline().decode().strip():
                verb = line.split()[0].upper()
                if verb == "DATA" and verb not in heard.answer:
                    self._say("354 go on")
                    heard.told.append(self._read_mail())
                    verb = "."
                reply = heard.answer.get(verb, "250 fine")
                reply = reply if isinstance(reply, str) else next(reply)
                if reply == "cut":
                    return
                self._say(reply)

        def _read_mail(self) -> str:
            lines = []
            while (line := self.rfile.readline().decode()) != ".\r\n":
                lines.append(line)
            return "".join(lines)

        def _say(self, reply: str) -> None:
            self.wfile.write(f"{reply}\r\n".encode())

    server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    with running(server, heard) as listening:
        yield listening


def webhook(
    heard: Heard, has_details: bool = False, path: str = f"/in/{SECRET}?key={SECRET}"
) -> WebhookSender:
    host, port = heard.address
    return WebhookSender(SecretStr(f"http://{host}:{port}{path}"), has_details)


def test_a_webhook_gets_what_telegram_gets_and_more_where_that_is_configured(hook: Heard) -> None:
    assert webhook(hook).send(message(), is_repeat=False).outcome == "sent"
    webhook(hook, has_details=True).send(message(), is_repeat=True)
    (path, headers, calm), (_, _, full) = hook.told
    assert path == f"/in/{SECRET}?key={SECRET}"
    assert headers["Idempotency-Key"] == message().message_id
    assert calm == {
        "message_id": message().message_id,
        "alert_id": message().alert_id,
        "kind": "new",
        "severity": "high",
        "escalation": 0,
        "link": f"terag alerts show {message().alert_id}",
        "runbook": "docs/runbooks/ring-alert.md",
        "created_at": "2026-11-03T12:00:00+00:00",
        "is_possibly_repeated": False,
    }
    assert full["is_possibly_repeated"]
    assert full["details"] == {
        "ring_id": "ring_1",
        "news": ["rule"],
        "rules": ["amount", "risk"],
        "n_members": 12,
        "n_watchlist": 1,
        "amounts_minor": {"KZT": 987_654_321},
    }


@pytest.mark.parametrize(
    ("answer", "outcome", "retry_after_s"),
    [
        ((500, {}), "delayed", None),
        ((503, {"Retry-After": "7"}), "delayed", 7.0),
        ((429, {"Retry-After": "Wed, 21 Oct 2026 07:28:00 GMT"}), "delayed", None),
        ((502, {}), "unknown", None),
        ((404, {}), "refused", None),
        ((301, {"Location": "http://elsewhere.example/"}), "refused", None),
    ],
)
def test_what_became_of_a_post(
    hook: Heard, answer: tuple[int, dict[str, str]], outcome: str, retry_after_s: float | None
) -> None:
    hook.answer = answer
    delivery = webhook(hook).send(message(), is_repeat=False)
    assert (delivery.outcome, delivery.retry_after_s) == (outcome, retry_after_s)
    assert ("TERAG_ALERT_WEBHOOK_URL" in delivery.why) == (outcome == "refused")


def test_a_webhooks_secrets_are_in_no_log(hook: Heard, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    sender = webhook(hook)
    for answer in ((200, {}), (500, {}), (404, {})):
        hook.answer = answer
        assert SECRET not in sender.send(message(), is_repeat=False).why
    assert "HTTP Request" in caplog.text
    assert SECRET not in caplog.text + repr(sender) + str(vars(sender))


def test_a_webhook_that_repeats_its_address_in_a_header_gets_it_into_no_log(
    hook: Heard, caplog: pytest.LogCaptureFixture
) -> None:
    logging.getLogger("httpcore").setLevel(logging.NOTSET)
    caplog.set_level(logging.DEBUG)
    hook.answer = (301, {"Location": f"http://elsewhere.example/{SECRET}"})
    webhook(hook).send(message(), is_repeat=False)
    assert SECRET not in caplog.text


def mail_to(heard: Heard, has_details: bool = False) -> MailSender:
    host, port = heard.address
    server = MailServer(host, port, security="none")
    return MailSender(server, "terag@bank.example", "risk@bank.example", has_details)


def test_a_mail_names_alert_and_runbook_and_figures_where_that_is_configured(post: Heard) -> None:
    assert mail_to(post).send(message(), is_repeat=False).outcome == "sent"
    mail_to(post, has_details=True).send(message(), is_repeat=True)
    calm, full = (message_from_string(text) for text in post.told)
    assert calm["Subject"] == f"HIGH {message().alert_id}: new"
    assert calm["Message-ID"] == full["Message-ID"] == f"<{message().message_id}@terag>"
    assert "runbook: docs/runbooks/ring-alert.md" in calm.get_payload()
    assert "9 876 543.21 KZT" not in calm.get_payload()
    assert "12 members, 1 on a watchlist, 9 876 543.21 KZT" in full.get_payload()
    assert "possibly repeated" in full["Subject"]
    assert calm["Date"] == full["Date"] == "Tue, 03 Nov 2026 12:00:00 +0000"


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        ({"MAIL": "550 no"}, "refused"),
        ({"RCPT": "550 nobody"}, "refused"),
        ({"RCPT": "450 later"}, "delayed"),
        ({"DATA": "554 no"}, "refused"),
        ({"EHLO": "421 busy", "HELO": "421 busy"}, "delayed"),
        ({".": "cut"}, "unknown"),
        ({".": "452 full"}, "delayed"),
    ],
)
def test_what_became_of_a_mail(post: Heard, answer: dict[str, str], outcome: str) -> None:
    post.answer = answer
    assert mail_to(post).send(message(), is_repeat=False).outcome == outcome


def test_a_mail_server_that_is_not_there_has_surely_got_nothing() -> None:
    dead = MailServer("127.0.0.1", choose_port(), security="none")
    assert (
        MailSender(dead, "a@b.example", "c@d.example").send(message(), is_repeat=False).outcome == "delayed"
    )


def test_without_encryption_a_password_is_not_handed_to_a_server_that_should_have_it(post: Heard) -> None:
    """The server offers no STARTTLS: nothing is sent, rather than in the clear."""
    host, port = post.address
    sender = MailSender(
        MailServer(host, port, "starttls", "u", SecretStr(SECRET)), "a@b.example", "c@d.example"
    )
    delivery = sender.send(message(), is_repeat=False)
    assert (delivery.outcome, "TERAG_ALERT_MAIL" in delivery.why) == ("refused", True)
    assert post.told == []


@pytest.mark.parametrize(
    ("host", "password"), [("mail..example", SECRET), (None, "пароль")], ids=["host", "password"]
)
def test_mail_settings_that_cannot_be_spoken_are_told_and_not_raised(
    post: Heard, host: str | None, password: str
) -> None:
    post.answer = {"EHLO": "250 AUTH PLAIN"}
    server = MailServer(host or post.address[0], post.address[1], "none", "u", SecretStr(password))
    delivery = MailSender(server, "a@b.example", "c@d.example").send(message(), is_repeat=False)
    assert (delivery.outcome, "TERAG_ALERT_MAIL" in delivery.why) == ("refused", True)
    assert password not in delivery.why


def test_a_mail_that_one_of_several_is_refused_is_sent_and_the_log_says_so(
    post: Heard, caplog: pytest.LogCaptureFixture
) -> None:
    post.answer = {"RCPT": iter(["250 fine", "550 nobody"])}
    server = MailServer(*post.address, security="none")
    sender = MailSender(server, "a@b.example", "c@d.example, e@f.example")
    assert sender.send(message(), is_repeat=False).outcome == "sent"
    assert "refused 1 of the addresses in TERAG_ALERT_MAIL_TO" in caplog.text
    assert "@" not in caplog.text


def test_settings_decide_on_the_senders() -> None:
    assert not has_senders(load_settings())
    every = load_settings(
        telegram_token="1:a",
        telegram_chat_id="2",
        alert_webhook_url="http://inside.example/",
        alert_mail_host="mail.example",
        alert_mail_from="a@b.example",
        alert_mail_to="c@d.example",
    )
    assert has_senders(every)
    with open_senders(every) as senders:
        assert [sender.channel for sender in senders] == ["telegram", "webhook", "mail"]
