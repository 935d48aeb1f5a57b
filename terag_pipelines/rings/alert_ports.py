"""What alerts need of the outside: a queue that remembers them, an outbox of messages, and senders."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol

from terag_pipelines.rings.alert_model import Alert, AlertState, Change, Message

UNASSIGNED = "unassigned"
"""The channel of messages that were written while no sender was configured."""


class AlertQueue(Protocol):
    """The alerts, one for each ring. What `store` has returned from survives a kill of anybody."""

    def find(self, alert_id: str) -> Alert:
        """The alert of this id. Raises: NotFoundError, StoreUnavailableError."""
        ...

    def of_rings(self, ring_ids: Collection[str]) -> Mapping[str, Alert]:
        """The alerts of some rings, by ring id; rings never seen are left out."""
        ...

    def in_states(self, states: Collection[AlertState]) -> Sequence[Alert]:
        """The alerts in these states, by alert id."""
        ...

    def store(self, changes: Sequence[Change], channels: Sequence[str]) -> None:
        """Stores all changes and puts each message into the outbox of each channel: all of it or nothing.

        Without channels a message is UNASSIGNED.

        Raises: AlertRaceError where one of the alerts is not as it was read; StoreUnavailableError.
        """
        ...


@dataclass(frozen=True)
class Claim:
    """A message that one sender holds until its lease ends. `fence` tells its claim from later ones.

    `n_faults`: how often a sender may have sent it without knowing; `n_attempts`: how often it was claimed.
    """

    message: Message
    channel: str
    fence: int
    n_faults: int
    n_attempts: int


@dataclass(frozen=True)
class Backlog:
    """What a channel has yet to send: how many messages, since when, and what the last failure was."""

    channel: str
    n_pending: int
    oldest_at: datetime
    last_failure: str | None


class Outbox(Protocol):
    """Messages by channel, each sent by one sender at a time. Leases and pauses follow the store's clock."""

    def assign(self, channels: Sequence[str]) -> int:
        """Gives what is UNASSIGNED to these channels; how many messages that were."""
        ...

    def take_turn(self, channel: str, interval_s: float, patience_s: float) -> float:
        """Seconds to wait for the channel's next turn; turns are `interval_s` apart, whoever takes them.

        Where that is longer than `patience_s` no turn is taken.
        """
        ...

    def claim(self, channel: str, lease_s: float) -> Claim | None:
        """The oldest message that nobody holds; None where there is none or the channel is held back.

        Those that were put back `to_the_end` come after all others, the one that waits longest first.
        One whose lease ended without a word may have been sent: that counts as a fault.
        """
        ...

    def settle(self, claim: Claim) -> bool:
        """Notes that the message was sent; False where the claim is no longer the last one."""
        ...

    def put_back(
        self, claim: Claim, delay_s: float, why: str, may_be_sent: bool, to_the_end: bool = False
    ) -> bool:
        """Leaves the message for later and holds its channel back for `delay_s`; False as in `settle`.

        `to_the_end`: behind what else waits, so that one that is refused holds up no others.
        """
        ...

    def backlogs(self) -> Sequence[Backlog]:
        """What is not sent yet, by channel; channels without any are left out."""
        ...


@dataclass(frozen=True)
class Delivery:
    """What became of a message.

    "sent"; "delayed": surely not accepted, `retry_after_s` where the other side said so; "unknown": it went
    out and no reply came back; "refused": until somebody changes what `why` names. No secret is in `why`.
    """

    outcome: Literal["sent", "delayed", "unknown", "refused"]
    why: str = ""
    retry_after_s: float | None = None


class Sender(Protocol):
    """One way out of the house."""

    @property
    def channel(self) -> str:
        """Its name in the outbox."""
        ...

    @property
    def interval_s(self) -> float:
        """Least seconds between two messages."""
        ...

    def send(self, message: Message, is_repeat: bool) -> Delivery:
        """Hands the message over, marked where it may be a repeat; failures are told, not raised."""
        ...
