"""A process that sends alerts until nothing waits, and may be killed; it logs all it can to a file."""

from __future__ import annotations

import logging
import multiprocessing
import random
import signal
import time
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pymongo
from pydantic import SecretStr

from resources.mongo_alerts import MongoAlerts
from resources.telegram_alerts import TelegramSender
from terag_pipelines.rings.alert_desk import AlertDesk
from terag_pipelines.rings.alert_sending import Clock, SendingParams, Sent, send_due
from tests.contract.bot_api import CHAT, TOKEN

FORK = multiprocessing.get_context("forkserver")
CLOCK = Clock(time.monotonic, time.sleep)
QUICK = SendingParams(budget_s=60.0, lease_s=1.0, first_backoff_s=0.01, max_backoff_s=0.05)
"""A lease that one need not wait for long; a loopback server answers in far less."""


def send_once(queue: MongoAlerts, url: str, now: datetime, budget_s: float = 60.0) -> Sent:
    """What `terag alerts send` does, by Telegram alone."""
    sender = TelegramSender(
        SecretStr(TOKEN), CHAT, url, link="https://risk.example/{alert_id}", interval_s=0.0
    )
    params = replace(QUICK, budget_s=budget_s)
    [sent] = send_due(AlertDesk(queue, ("telegram",)), queue, [sender], CLOCK, now, params)
    sender.close()
    return sent


def send_until_nothing_waits(queue: MongoAlerts, url: str, now: datetime) -> None:
    """Goes on where a lease of somebody who died has yet to end."""
    while send_once(queue, url, now).n_pending:
        time.sleep(0.1)


def _run(uri: str, database: str, url: str, now: datetime, log: str, ready: Any) -> None:
    logging.basicConfig(filename=log, level=logging.DEBUG)
    logging.getLogger("pymongo").setLevel(logging.INFO)  # at DEBUG the driver logs what is written
    client: pymongo.MongoClient[dict[str, Any]] = pymongo.MongoClient(uri, tz_aware=True)
    queue = MongoAlerts(client[database])
    queue.backlogs()
    ready.send(True)
    send_once(queue, url, now)


def send_and_be_killed(
    uri: str, database: str, url: str, now: datetime, log: Path, rng: random.Random, within_s: float
) -> bool:
    """Starts the process and kills it at a random moment of its sending; whether it was still at it."""
    receiver, ready = FORK.Pipe(duplex=False)
    process = FORK.Process(target=_run, args=(uri, database, url, now, str(log), ready))
    process.start()
    ready.close()
    receiver.recv()
    time.sleep(rng.uniform(0.0, within_s))
    process.kill()
    process.join()
    return process.exitcode == -signal.SIGKILL
