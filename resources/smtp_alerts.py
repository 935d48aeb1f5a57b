"""Sends alerts by mail, over a server inside the house; with the ring's figures where that is configured."""

from __future__ import annotations

import logging
import smtplib
import ssl
from contextlib import suppress
from dataclasses import dataclass
from email.message import EmailMessage
from typing import Literal

from pydantic import SecretStr

from terag_pipelines.rings.alert_model import Message
from terag_pipelines.rings.alert_ports import Delivery
from terag_pipelines.rings.alert_texts import REPEATED, write_details, write_link, write_text, write_title

logger = logging.getLogger(__name__)

CHANNEL = "mail"
TIMEOUT_S = 10.0
MIN_PERMANENT = 500
FAILURES = (OSError, smtplib.SMTPException, ValueError)
"""A ValueError comes of settings: a password or a host that cannot be written in the protocol's letters."""
CHECK = "check the settings TERAG_ALERT_MAIL_..."


@dataclass(frozen=True)
class MailServer:
    """Where mail is handed in; `security` "starttls" or "tls" checks the server's certificate."""

    host: str
    port: int
    security: Literal["starttls", "tls", "none"] = "starttls"
    user: str | None = None
    password: SecretStr | None = None


class MailSender:
    """Implements Sender over SMTP, one connection a message.

    `Message-ID` is made of the message's id: a mail program shows a repeated one once.
    """

    channel = CHANNEL
    interval_s = 0.0

    def __init__(
        self,
        server: MailServer,
        sender: str,
        recipient: str,
        has_details: bool = False,
        link: str | None = None,
    ) -> None:
        self._server = server
        self._sender, self._recipient = sender, recipient
        self._has_details = has_details
        self._link = link

    def send(self, message: Message, is_repeat: bool) -> Delivery:
        """Hands the mail in; never raises for what the server or the network does."""
        mail = self._write(message, is_repeat)
        try:
            connection = self._connect()
        except FAILURES as error:
            return _judge(error, "delayed")
        try:
            refused = connection.send_message(mail)
        except FAILURES as error:
            return _judge(error, "unknown")
        finally:
            with suppress(OSError, smtplib.SMTPException):
                connection.quit()
        if refused:
            logger.warning("the mail server refused %d of the addresses in TERAG_ALERT_MAIL_TO", len(refused))
        return Delivery("sent")

    def close(self) -> None:
        """Nothing is open between messages."""

    def _write(self, message: Message, is_repeat: bool) -> EmailMessage:
        text = write_text(message, write_link(self._link, message.alert_id), is_repeat)
        mail = EmailMessage()
        mail["Subject"] = write_title(message) + (f" ({REPEATED})" if is_repeat else "")
        mail["From"], mail["To"] = self._sender, self._recipient
        mail["Date"] = message.created_at
        mail["Message-ID"] = f"<{message.message_id}@terag>"
        mail.set_content("\n".join([text, *([write_details(message)] if self._has_details else [])]))
        return mail

    def _connect(self) -> smtplib.SMTP:
        host, port, secure = self._server.host, self._server.port, self._server.security
        if secure == "tls":
            context = ssl.create_default_context()
            connection: smtplib.SMTP = smtplib.SMTP_SSL(host, port, timeout=TIMEOUT_S, context=context)
        else:
            connection = smtplib.SMTP(host, port, timeout=TIMEOUT_S)
        try:
            self._introduce(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _introduce(self, connection: smtplib.SMTP) -> None:
        if self._server.security == "starttls":
            connection.starttls(context=ssl.create_default_context())
        if self._server.user and self._server.password:
            connection.login(self._server.user, self._server.password.get_secret_value())


def _judge(error: Exception, otherwise: Literal["delayed", "unknown"]) -> Delivery:
    """By the server's code where it gave one: from 500 on it will not change its mind by itself."""
    if isinstance(error, ValueError | smtplib.SMTPNotSupportedError):
        return Delivery("refused", f"mail cannot be handed in like this ({type(error).__name__}): {CHECK}")
    codes = (
        [code for code, _ in error.recipients.values()]
        if isinstance(error, smtplib.SMTPRecipientsRefused)
        else []
    )
    code = codes[0] if codes else getattr(error, "smtp_code", None)
    if code is None:
        return Delivery(otherwise, f"the mail server gave no answer ({type(error).__name__})")
    if code >= MIN_PERMANENT:
        return Delivery("refused", f"the mail server answered {code}: {CHECK}")
    return Delivery("delayed", f"the mail server answered {code}")
