"""10,000 findings over 30 days: one message for each real event, over a network that fails and senders that
are killed, with nothing of 40,000 planted values in what leaves the house or in any log.

What is expected is reckoned from the script of each ring, day by day, and not by the code under test.
"""

from __future__ import annotations

import logging
import random
import secrets
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pymongo.database import Database

from resources.mongo_alerts import MongoAlerts
from resources.processes import choose_port
from resources.stores import connect_documents
from terag_pipelines.money import Money
from terag_pipelines.rings.alert_desk import AlertDesk
from terag_pipelines.rings.alert_model import read_findings
from terag_pipelines.rings.alerts import identify_alert, raise_alerts
from terag_pipelines.rings.model import FRAUD_RINGS
from tests.conftest import RunningPair
from tests.contract.bot_api import TOKEN, BotApi, Call, running_bot_api
from tests.contract.lately import LATE_NOON
from tests.contract.sending_process import send_and_be_killed, send_once, send_until_nothing_waits

FIRST_DAY = LATE_NOON.replace(hour=6)
N_DAYS, N_RINGS = 30, 334
TICK_HOURS = (0.0, 6.0, 12.0, 18.0)
STEPS = {"critical": (1.0, 4.0), "high": (8.0, 24.0), "medium": (48.0,), "low": ()}
SEVERITIES = ("low", "medium", "high", "critical")
OUTAGES, KILLS = (4, 5, 17), (3, 9, 14, 20, 26)
Document = dict[str, Any]
Planted = defaultdict[str, set[str]]
"""What must not be seen outside, by kind."""


def instant(day: int, hours: float = 0.0) -> datetime:
    return FIRST_DAY + timedelta(days=day, hours=hours)


@dataclass
class Ring:
    """A ring and its script: `events` by day; `told` is what its last message said, at its most."""

    ring_id: str
    rng: random.Random
    severity: str
    events: dict[int, str] = field(default_factory=dict)
    n_members: int = 0
    n_watchlist: int = 0
    amount_minor: int = 0
    messages: list[tuple[str, str, datetime]] = field(default_factory=list)
    spans: list[tuple[datetime, datetime, str]] = field(default_factory=list)

    @property
    def first_day(self) -> int:
        return min(self.events, default=N_DAYS)

    def begins(self, day: int) -> None:
        """An alert opens, or opens again, or becomes graver: its escalations count from now."""
        self.ends(instant(day))
        self.spans.append((instant(day), instant(N_DAYS), self.severity))

    def ends(self, at: datetime) -> None:
        if self.spans and self.spans[-1][1] > at:
            self.spans[-1] = (self.spans[-1][0], at, self.spans[-1][2])

    def is_open(self, day: int) -> bool:
        return bool(self.spans) and self.spans[-1][1] > instant(day)


def write_script(n: int, rng: random.Random) -> Ring:
    """One ring in four breaks a rule some day; of those each has up to four more events, days apart."""
    ring_id = f"ring_{planted_iin(n)}" if n % 2 else f"ring_{n:016x}"
    ring = Ring(
        ring_id, rng, rng.choice(("medium", "high")), {}, rng.randint(4, 20), 0, 4 * 10**9 + 1_009 * n
    )
    if n % 4 == 0:
        day = rng.randint(0, 8)
        ring.events[day] = "first"
        for _ in range(rng.randint(0, 4)):
            day += rng.randint(1, 5)
            ring.events[day] = rng.choice(
                ("rise", "watch", "double", "grow", "ack", "snooze", "broken snooze")
            )
            day += 8 if "snooze" in ring.events[day] else 0
    return ring


def live(ring: Ring, day: int) -> str | None:
    """What happens to a ring this day; notes the message that it must give. A snooze takes eight days."""
    event = ring.events.get(day)
    ring.amount_minor += 1
    if event in ("rise", "watch", "double", "grow", "first"):
        happen(ring, event, day)
    for began, name in ring.events.items():
        if "snooze" in name and day == began + 2:
            ring.n_members = max(ring.n_members + 3, (3 * ring.n_members + 1) // 2)  # held back by the snooze
        if name == "broken snooze" and day == began + 4:
            ring.amount_minor *= 2
            tell(ring, day)
        if name == "snooze" and day == began + 7:
            tell(ring, day, hours=6.0)  # at the first tick after its end
    return event


def happen(ring: Ring, event: str, day: int) -> None:
    before = ring.severity
    if event == "rise" and ring.severity == "critical":
        return
    if event == "rise":
        ring.severity = SEVERITIES[SEVERITIES.index(ring.severity) + 1]
    elif event == "watch":
        ring.n_watchlist += 1
        ring.severity = max(ring.severity, "high", key=SEVERITIES.index)
    elif event == "double":
        ring.amount_minor *= 2
    elif event == "grow":
        ring.n_members = max(ring.n_members + 3, (3 * ring.n_members + 1) // 2)
    else:
        ring.severity = max(ring.severity, "high", key=SEVERITIES.index)  # rule "amount" is at least high
    tell(ring, day, is_graver=ring.severity != before)


def tell(ring: Ring, day: int, is_graver: bool = False, hours: float = 0.0) -> None:
    ring.messages.append((ring.ring_id, "changed" if ring.messages else "new", instant(day, hours)))
    if is_graver or not ring.is_open(day):
        ring.begins(day)
        if hours:  # a snooze that ended at `hours - 1` o'clock: escalations count from there
            ring.spans[-1] = (instant(day, 1.0), *ring.spans[-1][1:])


def expected_escalations(ring: Ring) -> Iterator[tuple[str, str, datetime]]:
    """Each step of each span at the first tick that finds it due."""
    ticks = [instant(day, hour) for day in range(N_DAYS) for hour in TICK_HOURS]
    for began, ended, severity in ring.spans:
        for step, hours in enumerate(STEPS[severity], 1):
            due = began + timedelta(hours=hours)
            found = next((tick for tick in ticks if due <= tick < ended), None)
            if found is not None:
                yield ring.ring_id, f"escalation {step}", found


# what is planted


def planted_iin(n: int) -> str:
    return f"{850_101_300_000 + 7 * n}"


def planted_values(n: int) -> tuple[str, str, str]:
    """Name, IIN and IBAN of the n-th finding; its amount is that of its ring, and unlike any other."""
    return f"Zharaskhan{n:05d} Plantuly", planted_iin(n), f"KZ{n % 90 + 10}125KZT{7_000_000_000 + n}"


def batch_of(rings: list[Ring], day: int, planted: Planted) -> pa.Table:
    """FRAUD_RINGS of one day: figures wander below what would be news, and reasons name people."""
    rows = []
    for n, ring in enumerate(rings):
        name, iin, iban = planted_values(day * N_RINGS + n)
        is_calm = day not in ring.events and all(
            day != began + k for began, what in ring.events.items() if "snooze" in what for k in range(9)
        )
        has_begun = day >= ring.first_day
        share = ring.rng.uniform(0.3, 1.7) if is_calm and has_begun else 1.0
        amount = int(ring.amount_minor * share)
        planted["amount"].add(str(amount))
        planted["rounded amount"].add(str(amount // 100))
        for kind, value in zip(
            ("name", "IIN", "IBAN", "written amount"),
            (name, iin, iban, str(Money(amount, "KZT"))),
            strict=True,
        ):
            planted[kind].add(value)
        rows.append(
            {
                "ring_id": ring.ring_id,
                "community_id": f"people:{iin}",
                "n_members": ring.n_members - (ring.rng.randint(0, 2) if is_calm else 0),
                "kind": "cycle",
                "risk_score": 0.9 if has_begun else 0.2,
                "severity": ring.severity if has_begun else "low",
                "amount_minor": amount,
                "currency": "KZT",
                "n_watchlist": ring.n_watchlist,
                "reasons": [f"{name} ({iin}) emptied {iban} of {amount}"],
            }
        )
    return pa.Table.from_pylist(rows, FRAUD_RINGS.schema)


def act(desk: AlertDesk, ring: Ring, event: str | None, day: int) -> None:
    """What a person does an hour after the batch."""
    at, alert_id = instant(day, 1.0), identify_alert(ring.ring_id)
    if event == "ack":
        desk.acknowledge(alert_id, "Anna", at)
        ring.ends(at)
    elif event is not None and "snooze" in event:
        desk.snooze(alert_id, 7, at, "Anna")
        ring.ends(at)


def misbehave(rng: random.Random) -> Any:
    deeds = ["accept", "accept slowly", "500", "limit:0", "cut before", "cut after"]
    return lambda _call: "limit:1" if rng.random() < 0.002 else rng.choices(deeds, [80, 10, 3, 3, 2, 2])[0]


@dataclass
class Month:
    """What came of the month."""

    rings: list[Ring]
    api: BotApi
    n_findings: int
    n_killed: int
    planted: Planted
    logs: str
    rows: list[Document]


@pytest.fixture(scope="module")
def month(stores: RunningPair, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Month]:
    log = tmp_path_factory.mktemp("month") / "all.log"
    client = connect_documents(stores.settings, stores.addresses).client
    database = client.get_database(f"test_{secrets.token_hex(6)}")
    with everything_logged_to(log):
        yield live_a_month(stores.addresses.mongo_uri.get_secret_value(), database, log)
    client.drop_database(database.name)
    client.close()


@contextmanager
def everything_logged_to(log: Path) -> Iterator[None]:
    handler = logging.FileHandler(log)
    talkative = [logging.getLogger(name) for name in ("httpx", "httpcore", "terag_pipelines", "resources")]
    logging.getLogger().addHandler(handler)
    for logger in talkative:
        logger.setLevel(logging.DEBUG)
    yield
    logging.getLogger().removeHandler(handler)
    for logger in talkative:
        logger.setLevel(logging.NOTSET)


def live_a_month(uri: str, database: Database[Document], log: Path) -> Month:
    rng, planted, n_findings, n_killed = random.Random(40), defaultdict[str, set[str]](set), 0, 0
    rings = [write_script(n, random.Random(n)) for n in range(N_RINGS)]
    queue = MongoAlerts(database)
    desk = AlertDesk(queue, ("telegram",))
    nowhere = f"http://127.0.0.1:{choose_port()}"
    with running_bot_api(misbehave(random.Random(41))) as api:
        for day in range(N_DAYS):
            events = [live(ring, day) for ring in rings]
            batch = batch_of(rings, day, planted)
            findings = read_findings(batch, raise_alerts(batch))
            n_findings += len(findings)
            for again in range(1 + (day % 7 == 0)):  # a batch is run again now and then
                assert desk.offer(findings, instant(day)) == 0 or not again
            for hours in TICK_HOURS:
                if hours == TICK_HOURS[0] and day in KILLS:
                    desk.pass_time(instant(day))
                    n_killed += send_and_be_killed(uri, database.name, api.url, instant(day), log, rng, 0.4)
                send_once(
                    queue,
                    *(
                        (nowhere, instant(day, hours), 0.1)
                        if day in OUTAGES
                        else (api.url, instant(day, hours))
                    ),
                )
                if hours == TICK_HOURS[0]:
                    for ring, event in zip(rings, events, strict=True):
                        act(desk, ring, event, day)
        send_until_nothing_waits(queue, api.url, instant(N_DAYS - 1, TICK_HOURS[-1]))
    rows = list(database["alert_messages"].find())
    return Month(rings, api, n_findings, n_killed, planted, log.read_text(), rows)


pytestmark = [pytest.mark.stores, pytest.mark.xdist_group("month of alerts")]


def told(row: Document) -> tuple[str, str, datetime]:
    message = row["message"]
    kind = f"escalation {message['escalation']}" if message["escalation"] else message["kind"]
    return message["ring_id"], kind, message["created_at"].replace(tzinfo=UTC)


def text_of(call: Call) -> str:
    return call.text.partition("\npossibly repeated")[0]


def test_each_real_event_gives_one_message_and_no_escalation_is_missed(month: Month) -> None:
    assert month.n_findings >= 10_000
    expected = Counter(one for ring in month.rings for one in ring.messages)
    expected.update(one for ring in month.rings for one in expected_escalations(ring))
    assert Counter(map(told, month.rows)) == expected
    assert max(expected.values()) == 1
    assert {kind for _, kind, _ in expected} == {"new", "changed", "escalation 1", "escalation 2"}


def test_nothing_is_lost_and_what_is_repeated_had_its_fault_and_says_so(month: Month) -> None:
    assert {row["state"] for row in month.rows} == {"sent"}
    wanted = Counter(text_of_row(row) for row in month.rows)
    arrived = Counter(text_of(call) for call in month.api.accepted)
    unmarked = Counter(call.text for call in month.api.accepted if "possibly repeated" not in call.text)
    assert wanted <= arrived
    assert unmarked <= wanted
    assert (arrived - wanted).total() <= len(month.api.lost_replies) + month.n_killed
    assert sum(row["n_faults"] for row in month.rows) <= month.api.n_cut + month.n_killed
    assert month.n_killed
    assert month.api.lost_replies


def text_of_row(row: Document) -> str:
    message = row["message"]
    happened = (
        f"not acknowledged, escalation {message['escalation']}" if message["escalation"] else message["kind"]
    )
    link = f"https://risk.example/{message['alert_id']}"
    title = f"{message['severity'].upper()} {message['alert_id']}: {happened}"
    return f"{title}\n{link}\nrunbook: docs/runbooks/ring-alert.md"


def test_nothing_planted_leaves_the_house_or_is_logged(month: Month) -> None:
    counts = {kind: len(values) for kind, values in month.planted.items() if kind != "rounded amount"}
    assert min(counts.values()) > 10_000, counts
    planted = set().union(*month.planted.values())
    left = {call.path.replace(TOKEN, "") + call.headers + call.body for call in month.api.calls}
    outside = "\n".join(sorted(left))
    assert not [value for value in planted if value in outside]
    lines = "\n".join({line.partition(": ")[2] for line in month.logs.splitlines()})
    assert not [value for value in planted if value in lines]


def test_the_token_is_in_no_log(month: Month) -> None:
    assert "HTTP Request" in month.logs
    assert TOKEN not in month.logs
    assert TOKEN.partition(":")[2] not in month.logs
