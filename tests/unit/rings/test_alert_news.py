"""An alert's life: what is news of a ring, what people do, and that nothing is told twice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from terag_pipelines.errors import AlertStateError, NotFoundError
from terag_pipelines.rings.alert_actions import acknowledge, close, pass_time, snooze
from terag_pipelines.rings.alert_desk import AlertDesk
from terag_pipelines.rings.alert_lineage import Fates
from terag_pipelines.rings.alert_model import (
    LIVE_STATES,
    Alert,
    Change,
    Finding,
    Message,
    Sighting,
    read_findings,
    severity_rank,
    tabulate_alerts,
)
from terag_pipelines.rings.alert_news import NewsParams, take_finding
from terag_pipelines.rings.alerts import identify_alert, raise_alerts
from terag_pipelines.rings.escalation import EscalationPolicy
from terag_pipelines.rings.model import FRAUD_RINGS
from tests.unit.rings.memory_alerts import MemoryAlerts

NOON = datetime(2026, 11, 3, 12, tzinfo=UTC)
PARAMS, POLICY = NewsParams(), EscalationPolicy()
CALM = Sighting("medium", 10, 0, {"KZT": 1_000}, ("risk",))


def found(ring_id: str = "ring_1", **figures: Any) -> Finding:
    return Finding(ring_id, replace(CALM, **figures))


def take(alert: Alert | None, now: datetime = NOON, **figures: Any) -> Change:
    return take_finding(alert, found(**figures), now, PARAMS)


def opened(**figures: Any) -> Alert:
    return take(None, **figures).alert


def news_of(change: Change) -> list[tuple[str, ...]]:
    return [message.news for message in change.messages]


def later(hours: float) -> datetime:
    return NOON + timedelta(hours=hours)


def test_a_ring_that_breaks_a_rule_is_told_once() -> None:
    first = take(None)
    assert (first.alert.state, first.alert.severity, news_of(first)) == ("open", "medium", [("rule",)])
    assert first.messages[0].kind == "new"
    assert first.messages[0].runbook == "docs/runbooks/ring-alert.md"
    again = take(first.alert, later(24))
    assert (again.alert, again.messages) == (first.alert, ())


@pytest.mark.parametrize(
    ("figures", "news"),
    [
        ({"severity": "high"}, ("severity",)),
        ({"severity": "low"}, ()),
        ({"n_watchlist": 1}, ("watchlist",)),
        ({"rules": ("amount", "risk")}, ("rule",)),
        ({"rules": ()}, ()),
        ({"amounts": {"KZT": 1_999}}, ()),
        ({"amounts": {"KZT": 2_000}}, ("amount",)),
        ({"n_members": 14}, ()),
        ({"n_members": 15}, ("growth",)),
        ({"n_members": 3, "amounts": {}}, ()),
        ({"severity": "critical", "n_watchlist": 2, "n_members": 30}, ("severity", "watchlist", "growth")),
    ],
)
def test_what_is_news(figures: dict[str, Any], news: tuple[str, ...]) -> None:
    change = take(opened(), later(24), **figures)
    assert news_of(change) == ([news] if news else [])
    assert news_of(take(change.alert, later(48), **figures)) == []


def test_a_small_ring_grows_by_members_and_not_only_by_share() -> None:
    assert news_of(take(opened(n_members=3), n_members=5)) == []
    assert news_of(take(opened(n_members=3), n_members=6)) == [("growth",)]


def test_a_ring_that_goes_to_and_fro_is_told_once() -> None:
    """Two shapes of one ring that take turns, each larger in something: told twice in all."""
    shapes = ({"severity": "high"}, {"n_members": 20, "severity": "medium", "amounts": {"KZT": 400}})
    alert, messages = None, []
    for day in range(20):
        change = take(alert, later(24 * day), **shapes[day % 2])
        alert, messages = change.alert, [*messages, *change.messages]
    assert [message.news for message in messages] == [("rule",), ("growth",)]


def test_a_watched_ring_is_no_alert_until_it_breaks_a_rule_or_grows() -> None:
    first = take(None, rules=())
    assert (first.alert.state, first.messages) == ("watched", ())
    for figures in ({"severity": "critical"}, {"amounts": {"KZT": 10**9}}):
        assert take(first.alert, rules=(), **figures).alert.state == "watched"
    assert take(first.alert, rules=(), n_members=30, severity="low").messages == ()
    grown = take(first.alert, rules=(), n_members=30)
    assert (news_of(grown), grown.messages[0].kind, grown.alert.told.rules) == (
        [("growth",)], "new", ("growth",),
    )  # fmt: skip
    with pytest.raises(AlertStateError, match="no alert"):
        acknowledge(first.alert, "Anna", NOON)


def test_an_amount_in_another_currency_is_compared_with_the_first_in_it() -> None:
    other = take(opened(), amounts={"USD": 10**9})
    assert other.messages == ()
    assert news_of(take(other.alert, amounts={"USD": 2 * 10**9})) == [("amount",)]


def test_news_opens_an_alert_again_and_the_owner_stays() -> None:
    held = acknowledge(opened(), " Anna  K ", later(1))
    assert (held.state, held.owner) == ("acknowledged", "Anna K")
    again = take(held, later(30), severity="critical")
    assert (again.alert.state, again.alert.owner, again.alert.opened_at) == ("open", "Anna K", later(30))
    done = close(again.alert, "a family", later(31))
    assert take(done, later(48), severity="critical").messages == ()
    assert take(done, later(48), severity="critical", n_watchlist=1).alert.state == "open"


@pytest.mark.parametrize(
    ("figures", "state", "news"),
    [
        ({"n_watchlist": 1}, "open", [("watchlist",)]),
        ({"amounts": {"KZT": 2_000}}, "open", [("amount",)]),
        ({"severity": "critical"}, "snoozed", []),
        ({"n_members": 40, "rules": ("amount", "risk")}, "snoozed", []),
    ],
)
def test_what_breaks_a_snooze(figures: dict[str, Any], state: str, news: list[tuple[str, ...]]) -> None:
    change = take(snooze(opened(), 7, NOON), later(24), **figures)
    assert (change.alert.state, news_of(change)) == (state, news)


def test_what_a_snooze_held_back_is_told_when_it_ends() -> None:
    asleep = take(snooze(opened(), 7, NOON), later(24), severity="critical").alert
    assert pass_time(asleep, later(7 * 24 - 1), POLICY, PARAMS) == Change(asleep)
    woken = pass_time(asleep, later(7 * 24), POLICY, PARAMS)
    assert (woken.alert.state, news_of(woken)) == ("open", [("severity",)])
    assert pass_time(woken.alert, later(7 * 24), POLICY, PARAMS).messages == ()


def test_a_snooze_ends_without_a_word_where_nothing_came() -> None:
    woken = pass_time(snooze(opened(), 7, NOON), later(7 * 24), POLICY, PARAMS)
    assert (woken.alert.state, woken.alert.opened_at, woken.messages) == ("open", later(7 * 24), ())


def test_who_acts_on_a_ring_that_has_shrunk_is_told_when_it_is_as_large_again() -> None:
    shrunk = take(opened(amounts={"KZT": 1_000}), amounts={"KZT": 100}).alert
    assert take(shrunk, amounts={"KZT": 250}).messages == ()
    assert news_of(take(snooze(shrunk, 7, NOON), amounts={"KZT": 250})) == [("amount",)]
    seen_larger = take(opened(), amounts={"KZT": 1_900}).alert
    assert news_of(take(snooze(seen_larger, 7, NOON), amounts={"KZT": 2_000})) == [("amount",)]


@pytest.mark.parametrize(
    ("severity", "hours"),
    [("critical", [1, 4]), ("high", [8, 24]), ("medium", [48]), ("low", [])],
)
def test_an_alert_that_nobody_takes_escalates_at_each_step_once(severity: str, hours: list[float]) -> None:
    alert, told = opened(severity=severity), []
    for quarter in range(4 * 60):
        change = pass_time(alert, later(quarter / 4), POLICY, PARAMS)
        alert, told = change.alert, [*told, *((quarter / 4, one.escalation) for one in change.messages)]
    assert told == [(hour, step + 1) for step, hour in enumerate(hours)]


def test_steps_that_came_while_nobody_looked_are_all_told() -> None:
    change = pass_time(opened(severity="critical"), later(100), POLICY, PARAMS)
    assert [message.escalation for message in change.messages] == [1, 2]
    assert len({message.message_id for message in change.messages}) == 2


def test_only_an_open_alert_escalates() -> None:
    alert = opened(severity="critical")
    quiet = [acknowledge(alert, "Anna", NOON), close(alert, "no", NOON), snooze(alert, 365, NOON)]
    assert [pass_time(one, later(200), POLICY, PARAMS).messages for one in quiet] == [(), (), ()]


def test_news_of_an_open_alert_does_not_put_its_escalation_off_but_a_rise_begins_a_new_count() -> None:
    grown = take(opened(severity="high"), later(7), severity="high", n_members=30).alert
    assert [one.escalation for one in pass_time(grown, later(8), POLICY, PARAMS).messages] == [1]
    risen = take(grown, later(7.5), severity="critical", n_members=30).alert
    assert pass_time(risen, later(8), POLICY, PARAMS).messages == ()
    assert [one.severity for one in pass_time(risen, later(8.5), POLICY, PARAMS).messages] == ["critical"]


def test_an_alert_that_opens_again_escalates_from_the_first_step() -> None:
    tired = pass_time(opened(severity="high"), later(30), POLICY, PARAMS).alert
    assert tired.n_escalations == 2
    again = take(acknowledge(tired, "Anna", later(31)), later(48), severity="high", n_watchlist=1).alert
    assert [one.escalation for one in pass_time(again, later(56), POLICY, PARAMS).messages] == [1]


@pytest.mark.parametrize("owner", ["", "   ", "x" * 501])
def test_an_owner_has_a_name(owner: str) -> None:
    with pytest.raises(AlertStateError, match="an owner is needed"):
        acknowledge(opened(), owner, NOON)


def test_what_cannot_be_done_is_refused() -> None:
    closed = close(opened(), "a family", NOON)
    for act in (
        lambda: acknowledge(closed, "Anna", NOON),
        lambda: close(opened(), " ", NOON),
        lambda: snooze(opened(), 0, NOON),
        lambda: snooze(opened(), 366, NOON),
    ):
        with pytest.raises(AlertStateError):
            act()


# tables


def test_findings_are_read_from_a_batch() -> None:
    row = {"kind": "cycle", "risk_score": 0.9, "severity": "medium", "n_watchlist": 1, "reasons": []}
    rows = [
        {**row, "ring_id": "b", "n_members": 3, "amount_minor": 10**9, "currency": "KZT"},
        {**row, "ring_id": "a", "n_members": 4, "amount_minor": 0, "currency": None, "n_watchlist": 0,
         "risk_score": 0.1},
    ]  # fmt: skip
    rings = pa.Table.from_pylist(rows, FRAUD_RINGS.schema)
    calm, grave = read_findings(rings, raise_alerts(rings))
    assert calm == Finding("a", Sighting("medium", 4, 0, {}, ()))
    assert grave == Finding("b", Sighting("high", 3, 1, {"KZT": 10**9}, ("amount", "risk", "watchlist")))
    assert set(raise_alerts(rings)["alert_id"].to_pylist()) == {identify_alert("b")}


def test_the_queue_is_a_table() -> None:
    [row] = tabulate_alerts([acknowledge(opened(), "Anna", NOON)]).to_pylist()
    assert (row["state"], row["owner"], row["rules"], row["amounts"]) == (
        "acknowledged", "Anna", ["risk"], "10.00 KZT",
    )  # fmt: skip


# whatever happens

RINGS = ("a", "b", "c")
SIGHTINGS = st.builds(
    Sighting,
    st.sampled_from(["low", "medium", "high", "critical"]),
    st.integers(3, 40),
    st.integers(0, 3),
    st.dictionaries(st.sampled_from(["KZT", "USD"]), st.integers(1, 5_000), max_size=1),
    st.sets(st.sampled_from(["amount", "risk", "watchlist"])).map(lambda s: tuple(sorted(s))),
)
BATCH = st.dictionaries(st.sampled_from(RINGS), SIGHTINGS, max_size=3)
ACT = st.tuples(st.sampled_from(["ack", "snooze", "close"]), st.sampled_from(RINGS))
FATE = st.tuples(st.just("fates"), st.permutations(RINGS), BATCH)
EVENTS = st.lists(st.one_of(BATCH, BATCH, ACT, FATE, st.integers(1, 60)), max_size=25)


def play(event: Any, desk: AlertDesk, now: datetime) -> None:
    """One event: a batch, time (hours have passed already), what a person does, or a batch in which a ring
    is merged into a second one and a third one dies, or comes out of the second.
    """
    if isinstance(event, dict):
        desk.offer([Finding(ring, sighting) for ring, sighting in event.items()], now)
    elif isinstance(event, int):
        desk.pass_time(now)
    elif event[0] == "fates":
        old, ring, third = event[1]
        findings = [Finding(ring, sighting) for ring, sighting in event[2].items()]
        desk.offer(findings, now, Fates({old: ring}, frozenset({third}), {third: ring}))
    else:
        act(event[0], identify_alert(event[1]), desk, now)


def act(what: str, alert_id: str, desk: AlertDesk, now: datetime) -> None:
    deeds = {
        "ack": lambda: desk.acknowledge(alert_id, "Anna", now),
        "snooze": lambda: desk.snooze(alert_id, 2, now),
        "close": lambda: desk.close(alert_id, "seen", now),
    }
    try:
        deeds[what]()
    except (AlertStateError, NotFoundError):
        return  # the alert is in no state for it


def sent(queue: MemoryAlerts) -> list[Message]:
    return [row.message for row in queue.rows.values()]


def exceeds(one: Sighting, other: Sighting, name: str) -> bool:
    """Whether one sighting has more of what a message says is new."""
    if name == "amount":
        return any(n > other.amounts.get(currency, 0) for currency, n in one.amounts.items())
    if name == "rule":
        return bool(set(one.rules) - set(other.rules))
    if name == "severity":
        return severity_rank(one.severity) > severity_rank(other.severity)
    return getattr(one, {"watchlist": "n_watchlist", "growth": "n_members"}[name]) > getattr(
        other, {"watchlist": "n_watchlist", "growth": "n_members"}[name]
    )


@given(EVENTS)
def test_whatever_happens_the_same_again_says_nothing(events: Sequence[Any]) -> None:
    queue = MemoryAlerts()
    desk, now = AlertDesk(queue, ("telegram",)), NOON
    for event in events:
        now += timedelta(hours=event if isinstance(event, int) else 1)
        play(event, desk, now)
        before, state = len(sent(queue)), {one.alert_id: one for one in queue.in_states(LIVE_STATES)}
        if isinstance(event, dict | int) or event[0] == "fates":
            play(event, desk, now)
        assert len(sent(queue)) == before
        assert {one.alert_id: one for one in queue.in_states(LIVE_STATES)} == state


@given(st.lists(st.one_of(BATCH, BATCH, st.integers(1, 60)), max_size=40))
def test_of_a_ring_that_nobody_touches_every_message_says_more_than_all_before(
    events: Sequence[Any],
) -> None:
    queue = MemoryAlerts()
    desk, now = AlertDesk(queue, ("telegram",)), NOON
    for event in events:
        now += timedelta(hours=event if isinstance(event, int) else 1)
        play(event, desk, now)
    for ring in RINGS:
        told = [m for m in sent(queue) if m.ring_id == ring and m.kind != "escalation"]
        for at, message in enumerate(told[1:], 1):
            for name in message.news:
                assert all(exceeds(message.sighting, earlier.sighting, name) for earlier in told[:at])
        steps = [(m.severity, m.escalation) for m in sent(queue) if m.ring_id == ring and m.escalation]
        assert len(steps) == len(set(steps))


@given(EVENTS)
def test_messages_are_numbered_without_a_gap(events: Sequence[Any]) -> None:
    queue = MemoryAlerts()
    desk, now = AlertDesk(queue, ("telegram",)), NOON
    for event in events:
        now += timedelta(hours=event if isinstance(event, int) else 1)
        play(event, desk, now)
    for ring in RINGS:
        ids = [m.message_id for m in sent(queue) if m.ring_id == ring]
        assert ids == [f"{identify_alert(ring)}-{n:06d}" for n in range(1, len(ids) + 1)]


def goes_on_in(queue: MemoryAlerts, alert: Alert) -> Alert:
    """The alert, or the one that it is part of by now."""
    now = queue.find(alert.alert_id)
    return now if now.merged_into is None else goes_on_in(queue, queue.find(now.merged_into))


@given(EVENTS)
def test_no_batch_hides_an_open_alert_or_loses_whose_it_is(events: Sequence[Any]) -> None:
    """Whatever merges, parts or dies; a batch may only open more."""
    queue = MemoryAlerts()
    desk, now = AlertDesk(queue, ("telegram",)), NOON
    for event in events:
        now += timedelta(hours=event if isinstance(event, int) else 1)
        live = queue.in_states(["open", "acknowledged"])
        play(event, desk, now)
        if isinstance(event, dict) or (isinstance(event, tuple) and event[0] == "fates"):
            after = [goes_on_in(queue, alert) for alert in live]
            assert all(
                one.state == "open" for one, was in zip(after, live, strict=True) if was.state == "open"
            )
            assert {one.state for one in after} <= {"open", "acknowledged"}
            assert all(one.owner for one, was in zip(after, live, strict=True) if was.owner)
