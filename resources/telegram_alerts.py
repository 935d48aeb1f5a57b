"""Sends alerts by Telegram's Bot API: severity, alert id, link and runbook, and nothing else.

The bot's token is part of the address of every call. It is put in below the HTTP client, so that neither the
client's log nor its errors ever have it.
"""

from __future__ import annotations

import logging
from typing import Any

import httpx
from pydantic import SecretStr

from resources.http_delivery import TIMEOUT, HiddenPath, judge_status, post_json
from terag_pipelines.rings.alert_model import Message
from terag_pipelines.rings.alert_ports import Delivery
from terag_pipelines.rings.alert_sending import MAX_REST_S
from terag_pipelines.rings.alert_texts import write_link, write_text

logger = logging.getLogger(__name__)

CHANNEL = "telegram"
MAX_WHY = 200
CHAT_INTERVAL_S, GROUP_INTERVAL_S = 1.0, 3.0
"""Telegram asks for no more than a message a second in a chat and twenty a minute in a group."""
CHAT_SETTINGS = ("TERAG_TELEGRAM_CHAT_ID", "TERAG_TELEGRAM_ESCALATION_CHAT_ID")
REMEDIES = {
    400: "check {setting}",
    401: "the token is not valid (any more): set TERAG_TELEGRAM_TOKEN to the one that @BotFather shows",
    403: "the bot may not write there: add it to the chat of {setting}, or unblock it",
    404: "there is no such bot: check TERAG_TELEGRAM_TOKEN and TERAG_TELEGRAM_URL",
}


class TelegramSender:
    """Implements Sender over the Bot API; close it when done.

    Escalations go to `escalation_chat_id` where there is one; one that is refused there goes to `chat_id`,
    rather than wait with all that comes after it. `interval_s`: seconds between two messages;
    without it what Telegram asks for. A redirect is not followed: the token is meant for one host.
    """

    channel = CHANNEL

    def __init__(
        self,
        token: SecretStr,
        chat_id: str,
        url: str = "https://api.telegram.org",
        escalation_chat_id: str | None = None,
        link: str | None = None,
        interval_s: float | None = None,
        proxy: SecretStr | None = None,
    ) -> None:
        hidden = HiddenPath(self._with_token, proxy.get_secret_value() if proxy else None)
        self._client = httpx.Client(base_url=url, timeout=TIMEOUT, transport=hidden)
        self._token = token
        self._chats = (chat_id, escalation_chat_id or chat_id)
        self._link = link
        self.interval_s = _usual_interval(self._chats) if interval_s is None else interval_s

    def send(self, message: Message, is_repeat: bool) -> Delivery:
        """Hands the message to Telegram; never raises for what Telegram or the network does."""
        text = write_text(message, write_link(self._link, message.alert_id), is_repeat)
        has_own_chat = message.kind == "escalation" and self._chats[0] != self._chats[1]
        delivery = self._post(has_own_chat, text)
        if has_own_chat and delivery.outcome == "refused":
            logger.warning("an escalation goes to the chat of %s: %s", CHAT_SETTINGS[0], delivery.why)
            return self._post(False, text)
        return delivery

    def close(self) -> None:
        """Closes the connections."""
        self._client.close()

    def _post(self, to_escalations: bool, text: str) -> Delivery:
        content = {
            "chat_id": self._chats[to_escalations],
            "text": text,
            "link_preview_options": {
                "is_disabled": True
            },  # else Telegram's servers ask for the internal address
        }
        reply = post_json(self._client, "/sendMessage", content)
        return reply if isinstance(reply, Delivery) else self._judge(reply, CHAT_SETTINGS[to_escalations])

    def _judge(self, reply: httpx.Response, setting: str) -> Delivery:
        told = _read_object(reply)
        if reply.is_success:
            is_ok = told.get("ok") is True
            return (
                Delivery("sent") if is_ok else Delivery("unknown", "a reply that is not Telegram's: a proxy?")
            )
        judged = judge_status(reply)
        description = self._clean(str(told.get("description") or ""))[:MAX_WHY]
        why = ": ".join(
            part for part in (f"Telegram {judged.why}", description, _remedy(reply, told, setting)) if part
        )
        return Delivery(judged.outcome, why, _retry_after(told, judged))

    def _with_token(self, path: bytes) -> bytes:
        folder, _, method = path.rpartition(b"/")
        return b"%b/bot%b/%b" % (folder, self._token.get_secret_value().encode(), method)

    def _clean(self, text: str) -> str:
        """Text of the other side without the token or its secret half, and without what steers a terminal."""
        token = self._token.get_secret_value()
        for secret in (token, token.partition(":")[2]):
            text = text.replace(secret, "***") if secret else text
        return "".join(letter if letter.isprintable() else " " for letter in text)


def _usual_interval(chats: tuple[str, ...]) -> float:
    """Ids of groups and channels begin with a minus, names of public ones with @."""
    return GROUP_INTERVAL_S if any(chat.startswith(("-", "@")) for chat in chats) else CHAT_INTERVAL_S


def _read_object(reply: httpx.Response) -> dict[str, Any]:
    try:
        told = reply.json()
    except (ValueError, RecursionError):
        return {}
    return told if isinstance(told, dict) else {}


def _parameters(told: dict[str, Any]) -> dict[str, Any]:
    found = told.get("parameters")
    return found if isinstance(found, dict) else {}


def _retry_after(told: dict[str, Any], judged: Delivery) -> float | None:
    asked = _parameters(told).get("retry_after")
    if isinstance(asked, int | float) and asked >= 0:
        return float(min(asked, MAX_REST_S))
    return judged.retry_after_s


def _remedy(reply: httpx.Response, told: dict[str, Any], setting: str) -> str:
    moved = _parameters(told).get("migrate_to_chat_id")
    if isinstance(moved, int):
        return f"the group has a new id: set {setting}={moved}"
    return REMEDIES.get(reply.status_code, "").format(setting=setting)
