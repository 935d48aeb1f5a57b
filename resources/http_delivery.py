"""One POST to another system, and what became of it, told apart by whether it can have been accepted."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import httpx

from terag_pipelines.rings.alert_ports import Delivery

TIMEOUT = httpx.Timeout(10.0, connect=5.0)
NOT_SENT = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.UnsupportedProtocol,
    httpx.ProxyError,
)
GATEWAY = (httpx.codes.BAD_GATEWAY, httpx.codes.GATEWAY_TIMEOUT, *range(520, 530), 598, 599)
"""A gateway says of these that it does not know what the system behind it did; from 520 on some say so in
numbers of their own.
"""


class HiddenPath(httpx.BaseTransport):
    """Gives each request the path that it is really for, below the client: no log or error of that has it.

    `reveal` makes the path of the one that the client knows. A connection serves one request: one that went
    stale in between looks as if a reply were lost.
    """

    def __init__(self, reveal: Callable[[bytes], bytes], proxy: str | None = None) -> None:
        logging.getLogger("httpcore").setLevel(
            logging.WARNING
        )  # its DEBUG shows headers, which may repeat an address
        self._reveal = reveal
        self._inner = httpx.HTTPTransport(proxy=proxy, limits=httpx.Limits(max_keepalive_connections=0))

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Sends the request to its real path."""
        url = request.url.copy_with(raw_path=self._reveal(request.url.raw_path))
        real = httpx.Request(
            request.method,
            url,
            headers=request.headers,
            stream=request.stream,
            extensions=request.extensions,
        )
        return self._inner.handle_request(real)

    def close(self) -> None:
        """Closes the connections."""
        self._inner.close()


def post_json(
    client: httpx.Client, url: str, content: dict[str, Any], headers: dict[str, str] | None = None
) -> httpx.Response | Delivery:
    """The reply; a Delivery where there is none. No address is in its `why`: it may hold a secret."""
    try:
        return client.post(url, json=content, headers=headers)
    except NOT_SENT as error:
        return Delivery("delayed", f"no connection ({type(error).__name__})")
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        return Delivery("unknown", f"the connection broke before a reply ({type(error).__name__})")


def judge_status(reply: httpx.Response) -> Delivery:
    """What a reply's status alone says of the message."""
    why = f"answered {reply.status_code}"
    if reply.is_success:
        return Delivery("sent")
    if reply.status_code in GATEWAY:
        return Delivery("unknown", why)
    if reply.is_server_error or reply.status_code in (
        httpx.codes.TOO_MANY_REQUESTS,
        httpx.codes.REQUEST_TIMEOUT,
    ):
        return Delivery("delayed", why, _retry_after(reply))
    return Delivery("refused", why)


def _retry_after(reply: httpx.Response) -> float | None:
    """Seconds by the header; a date in it is left aside, as the clocks may differ."""
    text = reply.headers.get("Retry-After", "").strip()
    return float(text) if text.isdecimal() else None
