"""Alerts by Telegram, over a real server on loopback that plays its Bot API: what is said, and when again."""

from __future__ import annotations

import itertools
import json
import logging
import time
import traceback
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import SecretStr

from resources.processes import choose_port
from resources.telegram_alerts import TelegramSender
from terag_pipelines.rings.alert_desk import AlertDesk
from terag_pipelines.rings.alert_model import Finding, Message, Sighting, first_sight, write_message
from terag_pipelines.rings.alert_ports import Delivery
from terag_pipelines.rings.alert_sending import Clock, SendingParams, Sent, send_due
from terag_pipelines.rings.alerts import identify_alert
from tests.contract.bot_api import CHAT, TOKEN, BotApi, one_by_one, running_bot_api
from tests.contract.lately import LATE_NOON
from tests.unit.rings.memory_alerts import MemoryAlerts

NOON = LATE_NOON
CLOCK = Clock(time.monotonic, time.sleep)
QUICK = SendingParams(budget_s=20.0, lease_s=30.0, first_backoff_s=0.02, max_backoff_s=0.1)
LINK = "https://risk.example/alerts/{alert_id}"


@pytest.fixture
def api() -> Iterator[BotApi]:
    with running_bot_api() as running:
        yield running


def sender_to(url: str, **more: Any) -> TelegramSender:
    return TelegramSender(SecretStr(TOKEN), CHAT, url, **{"link": LINK, "interval_s": 0.0, **more})


def message(kind: Any = "new") -> Message:
    sighting = Sighting("critical", 12, 1, {"KZT": 987_654_321}, ("risk",))
    return write_message(first_sight(Finding("ring_1", sighting)), kind, ("rule",), NOON)


def queue_of(n: int, severity: str = "high") -> tuple[MemoryAlerts, AlertDesk]:
    queue = MemoryAlerts()
    desk = AlertDesk(queue, ("telegram",))
    desk.offer([Finding(f"r{k}", Sighting(severity, 5, rules=("risk",))) for k in range(n)], NOON)
    return queue, desk


def send_all(api: BotApi, queue: MemoryAlerts, desk: AlertDesk, params: SendingParams = QUICK) -> Sent:
    sender = sender_to(api.url)
    [sent] = send_due(desk, queue, [sender], CLOCK, NOON, params)
    sender.close()
    return sent


def test_a_message_has_severity_id_link_and_runbook_and_nothing_else(api: BotApi) -> None:
    assert sender_to(api.url).send(message(), is_repeat=False) == Delivery("sent")
    [call] = api.accepted
    alert_id = message().alert_id
    assert call.content == {
        "chat_id": CHAT,
        "text": f"CRITICAL {alert_id}: new\nhttps://risk.example/alerts/{alert_id}\n"
        "runbook: docs/runbooks/ring-alert.md",
        "link_preview_options": {"is_disabled": True},
    }


def test_without_an_address_the_link_is_the_command_that_shows_the_alert(api: BotApi) -> None:
    sender_to(api.url, link=None).send(message(), is_repeat=True)
    lines = api.accepted[0].text.splitlines()
    assert lines[1] == f"terag alerts show {message().alert_id}"
    assert lines[-1].startswith("possibly repeated")


def test_escalations_may_go_to_another_chat(api: BotApi) -> None:
    sender = sender_to(api.url, escalation_chat_id="77")
    for kind in ("new", "changed", "escalation"):
        sender.send(message(kind), is_repeat=False)
    assert [call.content["chat_id"] for call in api.accepted] == [CHAT, CHAT, "77"]
    assert "not acknowledged, escalation 1" in api.accepted[2].text


@pytest.mark.parametrize(
    ("deed", "outcome", "told"),
    [
        ("401", "refused", "TERAG_TELEGRAM_TOKEN"),
        ("403", "refused", "add it to the chat"),
        ("404", "refused", "TERAG_TELEGRAM_URL"),
        ("400", "refused", "TERAG_TELEGRAM_CHAT_ID"),
        ("302", "refused", "302"),
        ("500", "delayed", "500"),
        ("503", "delayed", "503"),
        ("502", "unknown", "502"),
        ("504", "unknown", "504"),
        ("524", "unknown", "524"),
        ("200", "unknown", "proxy"),
        ("cut before", "unknown", "broke"),
        ("cut after", "unknown", "broke"),
    ],
)
def test_what_became_of_a_message(api: BotApi, deed: str, outcome: str, told: str) -> None:
    api.behave = one_by_one(deed)
    delivery = sender_to(api.url).send(message(), is_repeat=False)
    assert (delivery.outcome, told in delivery.why) == (outcome, True)
    assert TOKEN not in delivery.why


@pytest.mark.parametrize("status", [200, 429])
@pytest.mark.parametrize(
    "body",
    [
        f'{{"parameters": {{"retry_after": {10**400}}}}}',
        f'{{"parameters": {{"retry_after": {"9" * 5_000}}}}}',
        '{"parameters": {"retry_after": NaN}}',
        '{"parameters": [1], "description": ["x"]}',
        '{"description": "\\ud800\\u001b[2J\\u0000"}',
        "[" * 100_000,
        '"\\ud800"',
    ],
    ids=["huge", "too long", "no number", "other types", "bad letters", "deep", "no object"],
)
def test_a_reply_that_makes_no_sense_is_told_and_not_raised(api: BotApi, status: int, body: str) -> None:
    api.behave = one_by_one(f"raw:{status}:{body}")
    delivery = sender_to(api.url).send(message(), is_repeat=False)
    assert delivery.outcome == ("unknown" if status == 200 else "delayed")
    assert delivery.why.isprintable()
    assert delivery.retry_after_s in (None, 86_400.0)


def test_the_secret_half_of_the_token_is_not_told_either(api: BotApi) -> None:
    written = TOKEN.replace(":", "%3A")
    api.behave = one_by_one(f'raw:404:{{"description": "no /bot{written}/sendMessage"}}')
    delivery = sender_to(api.url).send(message(), is_repeat=False)
    assert "***/sendMessage" in delivery.why
    assert TOKEN.partition(":")[2] not in delivery.why


@pytest.mark.parametrize("deed", ["400", "403"])
def test_an_escalation_that_is_refused_in_its_own_chat_goes_to_the_other(
    api: BotApi, deed: str, caplog: pytest.LogCaptureFixture
) -> None:
    api.behave = lambda call: deed if call.content["chat_id"] == "77" else "accept"
    sender = sender_to(api.url, escalation_chat_id="77")
    assert sender.send(message("escalation"), is_repeat=False).outcome == "sent"
    assert [call.content["chat_id"] for call in api.calls] == ["77", CHAT]
    assert "TERAG_TELEGRAM_ESCALATION_CHAT_ID" in caplog.text
    assert TOKEN not in caplog.text


def test_an_escalation_chat_that_has_moved_is_told_by_its_own_setting(
    api: BotApi, caplog: pytest.LogCaptureFixture
) -> None:
    moved = {"error_code": 400, "parameters": {"migrate_to_chat_id": -100999}}
    api.behave = one_by_one(json.dumps(moved), "500")
    sender = sender_to(api.url, escalation_chat_id="77")
    assert sender.send(message("escalation"), is_repeat=False).outcome == "delayed"
    assert "TERAG_TELEGRAM_ESCALATION_CHAT_ID=-100999" in caplog.text


def test_a_server_that_is_not_there_has_surely_got_nothing() -> None:
    delivery = sender_to(f"http://127.0.0.1:{choose_port()}").send(message(), is_repeat=False)
    assert delivery.outcome == "delayed"


def test_a_group_that_has_moved_is_told_with_its_new_id(api: BotApi) -> None:
    moved = {"ok": False, "error_code": 400, "description": "group chat was upgraded to a supergroup chat"}
    api.behave = one_by_one(json.dumps(moved | {"parameters": {"migrate_to_chat_id": -100999}}))
    delivery = sender_to(api.url).send(message(), is_repeat=False)
    assert delivery.outcome == "refused"
    assert "TERAG_TELEGRAM_CHAT_ID=-100999" in delivery.why


def test_the_address_may_have_a_path_of_its_own(api: BotApi) -> None:
    sender_to(f"{api.url}/bots/eu").send(message(), is_repeat=False)
    assert api.calls[0].path == f"/bots/eu/bot{TOKEN}/sendMessage"


@pytest.mark.parametrize(("chat", "interval"), [("-100", 3.0), ("@risk", 3.0), ("42", 1.0)])
def test_a_group_is_written_to_at_a_groups_pace(chat: str, interval: float) -> None:
    assert TelegramSender(SecretStr(TOKEN), chat).interval_s == interval


# sending what waits


def test_a_limit_is_honoured_to_the_second(api: BotApi) -> None:
    api.behave = one_by_one("accept", "limit:1")
    queue, desk = queue_of(5)
    assert send_all(api, queue, desk) == Sent("telegram", 5, 0)
    assert len(api.accepted) == 5
    gaps = [later.at - call.at for call, later in zip(api.calls, api.calls[1:], strict=False)]
    assert gaps[1] >= 1.0
    assert not any("repeated" in call.text for call in api.calls)


def test_a_limit_holds_for_the_next_process_too(api: BotApi) -> None:
    api.behave = one_by_one("limit:600")
    queue, desk = queue_of(3)
    first = send_all(api, queue, desk)
    assert (first.n_sent, first.n_pending, "429" in first.why) == (0, 3, True)
    assert send_all(api, queue, desk).n_sent == 0
    assert len(api.calls) == 1


def test_a_limit_that_makes_no_sense_holds_for_a_day_at_most(api: BotApi) -> None:
    api.behave = one_by_one("limit:99999999999999999999")
    queue, desk = queue_of(1)
    send_all(api, queue, desk)
    assert 86_000 < queue.take_turn("telegram", 0.0, 0.0) <= 86_400


def test_a_limit_of_no_seconds_is_no_invitation_to_ask_again_at_once(api: BotApi) -> None:
    api.behave = lambda _call: "limit:0"
    queue, desk = queue_of(1)
    send_all(api, queue, desk, SendingParams(budget_s=0.5, lease_s=30.0, first_backoff_s=60.0))
    assert len(api.calls) == 1


def test_the_time_is_used_up_also_where_no_turn_is_waited_for(api: BotApi) -> None:
    seconds = itertools.count()
    clock = Clock(lambda: float(next(seconds)), time.sleep)
    queue, desk = queue_of(50)
    [sent] = send_due(desk, queue, [sender_to(api.url)], clock, NOON, SendingParams(budget_s=20.0))
    assert 0 < sent.n_sent < 20
    assert sent.n_pending == 50 - sent.n_sent


def test_a_message_that_is_refused_holds_up_no_others(api: BotApi) -> None:
    queue, desk = queue_of(4)
    poison = identify_alert("r0")
    api.behave = lambda call: "400" if poison in call.text else "accept"
    first, second = (send_all(api, queue, desk) for _ in range(2))
    assert first.n_sent + second.n_sent == 3
    assert second.n_pending == 1
    api.behave = lambda _call: "accept"
    assert send_all(api, queue, desk) == Sent("telegram", 1, 0)
    assert len({call.text for call in api.accepted}) == len(api.accepted) == 4


def test_messages_keep_their_distance(api: BotApi) -> None:
    queue, desk = queue_of(4)
    sender = sender_to(api.url, interval_s=0.2)
    send_due(desk, queue, [sender], CLOCK, NOON, QUICK)
    gaps = [later.at - call.at for call, later in zip(api.calls, api.calls[1:], strict=False)]
    assert len(gaps) == 3
    assert min(gaps) >= 0.15  # from one to the other, less what the first took longer on its way


def test_a_failing_server_is_asked_again_and_nothing_is_marked(api: BotApi) -> None:
    api.behave = one_by_one("500", "503", "500")
    queue, desk = queue_of(3)
    assert send_all(api, queue, desk) == Sent("telegram", 3, 0)
    texts = [call.text for call in api.accepted]
    assert len(set(texts)) == 3
    assert not any("repeated" in text for text in texts)


@pytest.mark.parametrize("deed", ["400", "401", "403"])
def test_a_refusal_leaves_everything_pending_and_says_what_to_do(api: BotApi, deed: str) -> None:
    api.behave = lambda _call: deed
    queue, desk = queue_of(4)
    sent = send_all(api, queue, desk)
    assert (sent.n_sent, sent.n_pending, "TERAG_TELEGRAM" in sent.why) == (0, 4, True)
    assert len(api.calls) == 1
    api.behave = lambda _call: "accept"
    assert send_all(api, queue, desk) == Sent("telegram", 4, 0)
    assert not any("repeated" in call.text for call in api.accepted)


def test_a_reply_that_is_lost_repeats_its_message_once_and_says_so(api: BotApi) -> None:
    api.behave = one_by_one("accept", "cut after", "accept", "accept", "cut before")
    queue, desk = queue_of(4)
    assert send_all(api, queue, desk) == Sent("telegram", 4, 0)
    texts = [call.text for call in api.accepted]
    marked = [text for text in texts if "possibly repeated" in text]
    assert (len(texts), len(marked)) == (5, 2)  # of the first lost reply both arrived, of the second one
    assert len({text.split("\npossibly")[0] for text in texts}) == 4


def test_a_server_that_comes_back_gets_everything(api: BotApi) -> None:
    port = choose_port()
    queue, desk = queue_of(3, severity="critical")
    gone = sender_to(f"http://127.0.0.1:{port}")
    [sent] = send_due(desk, queue, [gone], CLOCK, NOON.replace(hour=18), SendingParams(0.3, 30.0, 0.02, 0.1))
    assert (sent.n_sent, sent.n_pending) == (0, 9)  # each with the two escalations that came meanwhile
    assert send_all(api, queue, desk) == Sent("telegram", 9, 0)
    assert sum("escalation" in call.text for call in api.accepted) == 6
    assert len({call.text for call in api.accepted}) == 9


# the token


def test_the_token_is_in_no_log_error_or_picture_of_the_sender(
    api: BotApi, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    """At the most talkative level of every logger, whatever the server does; its replies repeat the token."""
    caplog.set_level(logging.DEBUG)
    for name in ("httpx", "urllib3", "asyncio"):
        logging.getLogger(name).setLevel(logging.DEBUG)
    deeds = ("accept", "401", "500", "302", "cut before", "cut after", "limit:0", "200")
    api.behave = one_by_one(*deeds)
    sender = sender_to(api.url)
    whys = [sender.send(message(), is_repeat=False) for _ in deeds]
    dead = sender_to(f"http://127.0.0.1:{choose_port()}")
    whys.append(dead.send(message(), is_repeat=False))
    shown = [repr(sender), str(vars(sender)), repr(whys), *capfd.readouterr()]
    assert "HTTP Request" in caplog.text  # the client does log
    assert not [text for text in (caplog.text, *shown) if TOKEN in text or TOKEN.split(":")[1] in text]
    assert all(TOKEN in call.path for call in api.calls)


def test_an_error_inside_the_client_does_not_name_the_token() -> None:
    sender = sender_to("http://127.0.0.1:9")
    try:
        sender._client.post("/sendMessage")
    except Exception as error:  # noqa: BLE001 - whatever it is
        told = "".join(traceback.format_exception(error)) + repr(error) + repr(getattr(error, "request", ""))
    assert "sendMessage" in told
    assert TOKEN not in told
