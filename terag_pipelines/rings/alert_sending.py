"""Sends what waits in the outbox: at the other side's pace, again where that is sure to be no repeat.

A sender's protocol that knows no idempotency key (Telegram's) leaves one gap: who dies between sending and
noting the reply leaves a message that may have arrived. It is sent once more, and says so.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from terag_pipelines.rings.alert_desk import AlertDesk
from terag_pipelines.rings.alert_ports import Backlog, Claim, Delivery, Outbox, Sender

MAX_REST_S = 86_400.0
"""However long the other side asks for."""


@dataclass(frozen=True)
class Clock:
    """Time that passes, and waiting for it, in seconds."""

    elapsed_s: Callable[[], float]
    sleep: Callable[[float], None]


@dataclass(frozen=True)
class SendingParams:
    """`budget_s`: how long one call goes on for one sender. `lease_s` is far longer than any sender waits for
    a reply: it ends only for one that died. After a failure the channel rests `first_backoff_s`, then twice
    as long each time, to `max_backoff_s`.
    """

    budget_s: float = 600.0
    lease_s: float = 120.0
    first_backoff_s: float = 2.0
    max_backoff_s: float = 300.0


@dataclass(frozen=True)
class Sent:
    """What one sender did, what it left, and why."""

    channel: str
    n_sent: int
    n_pending: int
    why: str = ""


def send_due(
    desk: AlertDesk, outbox: Outbox, senders: Sequence[Sender], clock: Clock, now: datetime,
    params: SendingParams | None = None,
) -> list[Sent]:  # fmt: skip
    """Raises escalations that are due, then sends by each sender what waits for it.

    Raises: StoreUnavailableError; what was not sent waits.
    """
    desk.pass_time(now)
    if not senders:
        return []
    outbox.assign([sender.channel for sender in senders])
    return [send_pending(outbox, sender, clock, params) for sender in senders]


def send_pending(outbox: Outbox, sender: Sender, clock: Clock, params: SendingParams | None = None) -> Sent:
    """Sends until nothing waits, the time is used up, or the other side refuses.

    Raises: StoreUnavailableError.
    """
    chosen = params or SendingParams()
    deadline = clock.elapsed_s() + chosen.budget_s
    n_sent, outcome = 0, "sent"
    while outcome != "refused" and _backlog(outbox, sender) is not None:
        if (claim := _next_claim(outbox, sender, clock, deadline, chosen)) is None:
            break
        outcome = _send_one(outbox, sender, claim, chosen)
        n_sent += outcome == "sent"
    left = _backlog(outbox, sender)
    return Sent(sender.channel, n_sent, left.n_pending if left else 0, (left and left.last_failure) or "")


def _backlog(outbox: Outbox, sender: Sender) -> Backlog | None:
    return next((one for one in outbox.backlogs() if one.channel == sender.channel), None)


def _next_claim(
    outbox: Outbox, sender: Sender, clock: Clock, deadline: float, params: SendingParams
) -> Claim | None:
    """The next message, claimed when its turn comes; None where that is too late or there is none."""
    patience = deadline - clock.elapsed_s()
    if patience <= 0:
        return None
    wait = outbox.take_turn(sender.channel, sender.interval_s, patience)
    if wait > patience:
        return None
    clock.sleep(wait)
    began = clock.elapsed_s()
    claim = outbox.claim(sender.channel, params.lease_s)
    if claim is not None and clock.elapsed_s() - began > params.lease_s / 2:
        outbox.put_back(claim, 0.0, "the store was too slow", may_be_sent=False)  # another may hold it soon
        return None
    return claim


def _send_one(outbox: Outbox, sender: Sender, claim: Claim, params: SendingParams) -> str:
    delivery = sender.send(claim.message, is_repeat=claim.n_faults > 0)
    if delivery.outcome == "sent":
        outbox.settle(claim)
    else:
        rest = 0.0 if delivery.outcome == "refused" else _rest(delivery, claim, params)
        outbox.put_back(
            claim,
            rest,
            delivery.why,
            may_be_sent=delivery.outcome == "unknown",
            to_the_end=delivery.outcome == "refused",
        )
    return delivery.outcome


def _rest(delivery: Delivery, claim: Claim, params: SendingParams) -> float:
    if delivery.retry_after_s:
        return min(delivery.retry_after_s, MAX_REST_S)
    return min(params.first_backoff_s * 2.0 ** min(claim.n_attempts - 1, 30), params.max_backoff_s)
