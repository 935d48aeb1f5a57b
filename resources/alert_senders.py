"""The senders that the settings ask for, and what else of the settings decides on alerts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from resources.settings import Settings
from resources.smtp_alerts import MailSender, MailServer
from resources.telegram_alerts import TelegramSender
from resources.webhook_alerts import WebhookSender
from terag_pipelines.rings.alert_desk import AlertDesk
from terag_pipelines.rings.alert_ports import AlertQueue
from terag_pipelines.rings.escalation import EscalationPolicy

ConfiguredSender = TelegramSender | WebhookSender | MailSender


@contextmanager
def open_senders(settings: Settings) -> Iterator[Sequence[ConfiguredSender]]:
    """The configured senders; none is fine. Their connections are closed afterwards."""
    made = [_telegram(settings), _webhook(settings), _mail(settings)]
    senders = [sender for sender in made if sender is not None]
    try:
        yield senders
    finally:
        for sender in senders:
            sender.close()


def has_senders(settings: Settings) -> bool:
    """Whether there is any way out of the house."""
    return any((settings.telegram_token, settings.alert_webhook_url, settings.alert_mail_host))


def open_desk(settings: Settings, queue: AlertQueue, senders: Sequence[ConfiguredSender]) -> AlertDesk:
    """The desk over a queue, with the settings' escalations and the senders' channels."""
    channels = tuple(sender.channel for sender in senders)
    hours = {str(severity): steps for severity, steps in settings.alert_escalation_hours.items()}
    return AlertDesk(queue, channels, policy=EscalationPolicy(hours))


def _telegram(settings: Settings) -> TelegramSender | None:
    token, chat_id = settings.telegram_token, settings.telegram_chat_id
    if token is None or chat_id is None:
        return None
    return TelegramSender(
        token,
        chat_id,
        settings.telegram_url,
        settings.telegram_escalation_chat_id,
        settings.alert_link,
        settings.telegram_interval_s,
        settings.telegram_proxy,
    )


def _webhook(settings: Settings) -> WebhookSender | None:
    if settings.alert_webhook_url is None:
        return None
    return WebhookSender(settings.alert_webhook_url, settings.alert_webhook_details, settings.alert_link)


def _mail(settings: Settings) -> MailSender | None:
    host, sender, recipient = settings.alert_mail_host, settings.alert_mail_from, settings.alert_mail_to
    if host is None or sender is None or recipient is None:
        return None
    server = MailServer(
        host,
        settings.alert_mail_port,
        settings.alert_mail_security,
        settings.alert_mail_user,
        settings.alert_mail_password,
    )
    return MailSender(server, sender, recipient, settings.alert_mail_details, settings.alert_link)
