"""Sends alerts as JSON to an address inside the house; with the ring's figures where that is configured."""

from __future__ import annotations

import httpx
from pydantic import SecretStr

from resources.http_delivery import TIMEOUT, HiddenPath, judge_status, post_json
from terag_pipelines.rings.alert_model import Message
from terag_pipelines.rings.alert_ports import Delivery
from terag_pipelines.rings.alert_texts import describe_message, write_link

CHANNEL = "webhook"


class WebhookSender:
    """Implements Sender over one HTTP address; close it when done.

    The message's id is its `Idempotency-Key`: who receives a message twice can tell.
    """

    channel = CHANNEL
    interval_s = 0.0

    def __init__(self, url: SecretStr, has_details: bool = False, link: str | None = None) -> None:
        address = httpx.URL(url.get_secret_value())
        login = (address.username, address.password) if address.username else None
        host = address.copy_with(raw_path=b"/", userinfo=b"")
        hidden = HiddenPath(lambda _path: address.raw_path)
        self._client = httpx.Client(base_url=host, auth=login, timeout=TIMEOUT, transport=hidden)
        self._has_details = has_details
        self._link = link

    def send(self, message: Message, is_repeat: bool) -> Delivery:
        """Posts the message; never raises for what the other side does."""
        link = write_link(self._link, message.alert_id)
        content = describe_message(message, link, is_repeat, self._has_details)
        headers = {"Idempotency-Key": message.message_id}
        reply = post_json(self._client, "/", content, headers)
        judged = reply if isinstance(reply, Delivery) else judge_status(reply)
        if judged.outcome == "refused":
            return Delivery("refused", f"the webhook {judged.why}: check TERAG_ALERT_WEBHOOK_URL")
        return judged

    def close(self) -> None:
        """Closes the connections."""
        self._client.close()
