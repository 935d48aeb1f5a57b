"""Sends alerts by Telegram's Bot API: severity, alert id, link and runbook, and nothing else.

The bot's token is part of the address of every call. It is put in below the HTTP client, so that neither the
client's log nor its errors ever have it.
"""

from __future__ import annotations

import json
import logging
from typing import Any

import httpx
from pydantic import SecretStr

from resources.http_delivery import TIMEOUT, HiddenPath, judge_status, post_json
from terag_pipelines.rings.alert_model import Message
from terag_pipelines.rings.alert_ports import Delivery
from terag_pipelines.rings.alert_texts import write_link, write_text

CHANNEL = "telegram"
MAX_WHY = 200
CHAT_INTERVAL_S, GROUP_INTERVAL_S = 1.0, 3.0
"""Telegram asks for no more than a message a second in a chat and twenty a minute in a group."""
REMEDIES = {
    401: "the token is not valid (any more): set TERAG_TELEGRAM_TOKEN to the one that @BotFather shows",
    403: "the bot may not write there: add it to the chat of TERAG_TELEGRAM_CHAT_ID, or unblock it",
    404: "there is no such bot: check TERAG_TELEGRAM_TOKEN and TERAG_TELEGRAM_URL",
}


class TelegramSender:
    """Implements Sender over the Bot API; close it when done.

    Escalations go to `escalation_chat_id` where there is one. `interval_s`: seconds between two messages;
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
        logging.getLogger("httpcore").setLevel(
            logging.WARNING
        )  # its DEBUG shows headers, which may repeat an address
        hidden = HiddenPath(self._with_token, proxy.get_secret_value() if proxy else None)
        self._client = httpx.Client(base_url=url, timeout=TIMEOUT, transport=hidden)
        self._token = token
        self._chats = (chat_id, escalation_chat_id or chat_id)
        self._link = link
        self.interval_s = _usual_interval(self._chats) if interval_s is None else interval_s

    def send(self, message: Message, is_repeat: bool) -> Delivery:
        """Hands the message to Telegram; never raises for what Telegram or the network does."""
        text = write_text(message, write_link(self._link, message.alert_id), is_repeat)
        content = {
            "chat_id": self._chats[message.kind == "escalation"],
            "text": text,
            "link_preview_options": {
                "is_disabled": True
            },  # else Telegram's servers ask for the internal address
        }
        reply = post_json(self._client, "/sendMessage", content)
        return reply if isinstance(reply, Delivery) else self._judge(reply)

    def close(self) -> None:
        """Closes the connections."""
        self._client.close()

    def _judge(self, reply: httpx.Response) -> Delivery:
        told = _read_object(reply)
        if reply.is_success:
            is_ok = told.get("ok") is True
            return (
                Delivery("sent") if is_ok else Delivery("unknown", "a reply that is not Telegram's: a proxy?")
            )
        judged = judge_status(reply)
        description = self._without_token(str(told.get("description") or ""))[:MAX_WHY]
        why = ": ".join(
            part for part in (f"Telegram {judged.why}", description, _remedy(reply, told)) if part
        )
        return Delivery(judged.outcome, why, _retry_after(told, judged))

    def _with_token(self, path: bytes) -> bytes:
        folder, _, method = path.rpartition(b"/")
        return b"%b/bot%b/%b" % (folder, self._token.get_secret_value().encode(), method)

    def _without_token(self, text: str) -> str:
        return text.replace(self._token.get_secret_value(), "***")


def _usual_interval(chats: tuple[str, ...]) -> float:
    """Ids of groups and channels begin with a minus, names of public ones with @."""
    return GROUP_INTERVAL_S if any(chat.startswith(("-", "@")) for chat in chats) else CHAT_INTERVAL_S


def _read_object(reply: httpx.Response) -> dict[str, Any]:
    try:
        told = reply.json()
    except (json.JSONDecodeError, UnicodeDecodeError):
        return {}
    return told if isinstance(told, dict) else {}


def _parameters(told: dict[str, Any]) -> dict[str, Any]:
    found = told.get("parameters")
    return found if isinstance(found, dict) else {}


def _retry_after(told: dict[str, Any], judged: Delivery) -> float | None:
    asked = _parameters(told).get("retry_after")
    return float(asked) if isinstance(asked, int | float) and asked >= 0 else judged.retry_after_s


def _remedy(reply: httpx.Response, told: dict[str, Any]) -> str:
    moved = _parameters(told).get("migrate_to_chat_id")
    if isinstance(moved, int):
        return f"the group has a new id: set TERAG_TELEGRAM_CHAT_ID={moved}"
    if reply.status_code == httpx.codes.BAD_REQUEST:
        return "check TERAG_TELEGRAM_CHAT_ID"
    return REMEDIES.get(reply.status_code, "")
