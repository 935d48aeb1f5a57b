"""What a message says: little to the outside, more to systems inside the house where that is configured."""

from __future__ import annotations

from typing import Any

from terag_pipelines.rings.alert_model import Message, write_amounts

REPEATED = "possibly repeated: the reply to the first one was lost"


def write_link(template: str | None, alert_id: str) -> str:
    """Where the alert can be read: the template's address, else the command that shows it."""
    return template.replace("{alert_id}", alert_id) if template else f"terag alerts show {alert_id}"


def write_title(message: Message) -> str:
    """Severity, alert id and what happened: that it is new, has changed, or waits for somebody."""
    happened = f"not acknowledged, escalation {message.escalation}" if message.escalation else message.kind
    return f"{message.severity.upper()} {message.alert_id}: {happened}"


def write_text(message: Message, link: str, is_repeat: bool) -> str:
    """All that may leave the house: no name, identifier, account, amount or figure of the ring."""
    lines = [write_title(message), link, f"runbook: {message.runbook}", *([REPEATED] if is_repeat else [])]
    return "\n".join(lines)


def write_details(message: Message) -> str:
    """Ring, figures, rules and what is new, in words, for channels inside the house."""
    seen = message.sighting
    figures = f"{seen.n_members} members, {seen.n_watchlist} on a watchlist, {write_amounts(seen)}"
    lines = [f"ring: {message.ring_id}", figures, f"rules: {', '.join(seen.rules) or '-'}"]
    return "\n".join([*lines, f"new: {', '.join(message.news) or '-'}"])


def describe_message(message: Message, link: str, is_repeat: bool, has_details: bool) -> dict[str, Any]:
    """The message as a JSON object; `details` only where asked for."""
    told = {
        "message_id": message.message_id,
        "alert_id": message.alert_id,
        "kind": message.kind,
        "severity": message.severity,
        "escalation": message.escalation,
        "link": link,
        "runbook": message.runbook,
        "created_at": message.created_at.isoformat(),
        "is_possibly_repeated": is_repeat,
    }
    return told | ({"details": _details(message)} if has_details else {})


def _details(message: Message) -> dict[str, Any]:
    seen = message.sighting
    return {
        "ring_id": message.ring_id,
        "news": list(message.news),
        "rules": list(seen.rules),
        "n_members": seen.n_members,
        "n_watchlist": seen.n_watchlist,
        "amounts_minor": dict(seen.amounts),
    }
