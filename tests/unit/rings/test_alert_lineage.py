"""Alerts of rings that merge, part, die and come back: nothing is told twice, nothing waits unseen."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest

from terag_pipelines.errors import AlertStateError
from terag_pipelines.rings.alert_desk import AlertDesk
from terag_pipelines.rings.alert_lineage import Fates, end_of_mergers, read_fates
from terag_pipelines.rings.alert_model import Alert, Finding, Sighting
from terag_pipelines.rings.alerts import identify_alert
from terag_pipelines.rings.lineage import EarlierRings, Lineage, trace_rings
from terag_pipelines.rings.model import RING_COMMUNITIES, RING_HISTORY
from tests.unit.rings.memory_alerts import MemoryAlerts

NOON = datetime(2026, 11, 3, 12, tzinfo=UTC)
CALM = Sighting("medium", 10, 0, {"KZT": 1_000}, ("risk",))
INTO_OTHER = Fates(merged={"old": "other"})


def found(ring_id: str, **figures: Any) -> Finding:
    return Finding(ring_id, replace(CALM, **figures))


def later(hours: float) -> datetime:
    return NOON + timedelta(hours=hours)


def desk_with(*findings: Finding) -> tuple[AlertDesk, MemoryAlerts]:
    queue = MemoryAlerts()
    desk = AlertDesk(queue, ("telegram",))
    desk.offer(findings, NOON)
    return desk, queue


def alert_of(queue: MemoryAlerts, ring_id: str) -> Alert:
    return queue.find(identify_alert(ring_id))


def steps_of(queue: MemoryAlerts, ring_id: str) -> list[tuple[str, str]]:
    return [(step.what, step.note) for step in alert_of(queue, ring_id).history]


def messages_of(queue: MemoryAlerts, ring_id: str) -> list[tuple[str, int]]:
    told = [row.message for row in queue.rows.values() if row.message.ring_id == ring_id]
    return [(message.kind, message.escalation) for message in told]


# rings that become one


@pytest.mark.parametrize("known", [True, False], ids=["into a known ring", "into a new ring"])
def test_a_ring_that_was_merged_into_another_is_not_told_twice(known: bool) -> None:
    before = [found("old"), found("other")] if known else [found("old"), found("older")]
    desk, queue = desk_with(*before)
    fates = Fates({"old": "other"} if known else {"old": "older", "older": "other"})
    both = found("other", n_members=20, amounts={"KZT": 2_000})
    for _ in range(3):
        assert desk.offer([both, found("old")], later(24), fates) == 0
    alert = alert_of(queue, "other")
    assert (alert.state, alert.told.n_members, alert.told.amounts) == ("open", 20, {"KZT": 2_000})
    old = alert_of(queue, "old")
    assert (old.state, old.merged_into) == ("closed", alert.alert_id)
    assert steps_of(queue, "old")[-1] == ("merged", f"into {alert.alert_id}")
    assert ("absorbed", old.alert_id) in steps_of(queue, "other")
    with pytest.raises(AlertStateError, match=alert.alert_id):
        desk.acknowledge(old.alert_id, "Anna", NOON)
    assert desk.offer([replace(both, sighting=replace(both.sighting, n_watchlist=1))], later(48), fates) == 1


def test_an_alert_that_was_merged_away_escalates_no_more_and_the_other_does_for_both() -> None:
    desk, queue = desk_with(found("old", severity="critical"), found("other", rules=()))
    assert desk.offer([found("other", n_members=20, rules=())], later(0.5), INTO_OTHER) == 0
    assert (alert_of(queue, "other").state, desk.pass_time(later(100))) == ("open", 2)
    assert messages_of(queue, "old") == [("new", 0)]
    assert messages_of(queue, "other") == [("escalation", 1), ("escalation", 2)]


def test_an_acknowledged_alert_takes_over_one_that_nobody_looked_at_and_is_open_with_its_owner() -> None:
    desk, queue = desk_with(found("old"), found("other"))
    desk.acknowledge(identify_alert("other"), "Anna", later(1))
    desk.offer([found("other", n_members=20)], later(24), INTO_OTHER)
    alert = alert_of(queue, "other")
    assert (alert.state, alert.owner, alert.opened_at) == ("open", "Anna", NOON)


def test_the_owner_is_who_has_the_alert_that_goes_on() -> None:
    desk, queue = desk_with(found("old"), found("other"))
    desk.acknowledge(identify_alert("other"), "Bolat", later(1))
    desk.close(identify_alert("other"), "a family", later(1))
    desk.acknowledge(identify_alert("old"), "Anna", later(2))
    desk.offer([found("other", n_members=20)], later(24), INTO_OTHER)
    alert = alert_of(queue, "other")
    assert (alert.state, alert.owner) == ("acknowledged", "Anna")


def test_of_two_that_sleep_the_one_that_goes_on_keeps_its_own_snooze() -> None:
    desk, queue = desk_with(found("old"), found("other"))
    desk.snooze(identify_alert("other"), 7, NOON)
    desk.snooze(identify_alert("old"), 30, NOON)
    desk.offer([found("other", n_members=20)], later(24), INTO_OTHER)
    alert = alert_of(queue, "other")
    assert (alert.state, alert.snoozed_until) == ("snoozed", later(7 * 24))


def test_a_merger_tells_no_step_of_escalation_again() -> None:
    """The ring that goes on is the graver one and has told both its steps; the other was opened before."""
    desk, _ = desk_with(found("old"))
    desk.offer([found("old"), found("other", severity="critical")], later(10))
    assert desk.pass_time(later(20)) == 2
    desk.offer([found("other", n_members=20, severity="critical")], later(24), INTO_OTHER)
    assert desk.pass_time(later(200)) == 0


def test_two_that_are_graver_together_than_the_open_one_begin_a_new_count_of_hours() -> None:
    desk, _ = desk_with(found("old"), found("other", severity="critical"))
    desk.acknowledge(identify_alert("other"), "Anna", NOON)
    desk.offer([found("other", n_members=20, severity="critical")], later(24), INTO_OTHER)
    assert [desk.pass_time(later(hours)) for hours in (24.5, 25, 28)] == [0, 1, 1]


def test_what_was_absorbed_is_not_counted_again_when_the_two_go_into_a_third() -> None:
    desk, queue = desk_with(found("old"), found("other"), found("third"))
    desk.offer([found("other", n_members=20), found("third")], later(24), INTO_OTHER)
    fates = Fates(merged={"old": "other", "other": "third"})
    assert desk.offer([found("third", n_members=30)], later(48), fates) == 0
    assert alert_of(queue, "third").told.n_members == 30
    assert alert_of(queue, "old").merged_into == identify_alert("other")


def test_mergers_are_followed_to_their_end() -> None:
    assert end_of_mergers({"a": "b", "b": "c", "d": "c", "e": "e"}) == {"a": "c", "b": "c", "d": "c"}


# rings that part


def test_a_ring_that_came_out_of_another_has_an_alert_of_its_own_that_names_it() -> None:
    desk, queue = desk_with(found("whole"))
    fates = Fates(origins={"part": "whole"})
    batch = [found("whole", n_members=6), found("part", n_members=4)]
    assert [desk.offer(batch, later(24), fates) for _ in range(2)] == [1, 0]
    assert messages_of(queue, "part") == [("new", 0)]
    assert steps_of(queue, "part")[0] == ("split", f"from {identify_alert('whole')}")
    assert [what for what, _ in steps_of(queue, "whole")] == ["opened"]


@pytest.mark.parametrize("state", ["open", "acknowledged", "snoozed", "closed"])
def test_a_ring_that_is_back_out_of_a_merger_waits_as_the_two_did(state: str) -> None:
    desk, queue = desk_with(found("old"), found("other"))
    desk.offer([found("other", n_members=20)], later(1), INTO_OTHER)
    merged = identify_alert("other")
    if state == "acknowledged":
        desk.acknowledge(merged, "Anna", later(2))
    elif state == "snoozed":
        desk.snooze(merged, 5, later(2))
    elif state == "closed":
        desk.close(merged, "a family", later(2))
    for _ in range(2):
        assert desk.offer([found("other"), found("old")], later(24)) == 0
    old, other = alert_of(queue, "old"), alert_of(queue, "other")
    assert (old.state, old.merged_into, old.owner) == (state, None, other.owner)
    assert (old.opened_at, old.snoozed_until) == (other.opened_at, other.snoozed_until)
    assert steps_of(queue, "old")[-1] == ("parted", f"from {merged}")


def test_what_happens_to_a_ring_between_two_mergers_is_not_lost() -> None:
    desk, queue = desk_with(found("old"), found("other"))
    together = found("other", n_members=20, amounts={"KZT": 2_000})
    desk.offer([together], later(1), INTO_OTHER)
    desk.acknowledge(identify_alert("other"), "Anna", later(2))
    desk.offer([found("other"), found("old")], later(24))
    assert desk.offer([found("other"), found("old", n_watchlist=1, severity="high")], later(48)) == 1
    both = found("other", n_members=20, n_watchlist=1, amounts={"KZT": 2_000}, severity="high")
    assert desk.offer([both], later(50), INTO_OTHER) == 0
    alert = alert_of(queue, "other")
    assert (alert.state, alert.told.n_members, alert.told.n_watchlist) == ("open", 20, 1)
    assert desk.pass_time(later(56)) == 1


# rings that die


def test_the_alert_of_a_ring_that_died_says_so_and_waits_for_somebody_but_not_for_ever() -> None:
    desk, queue = desk_with(found("old", severity="critical"))
    fates = Fates(died=frozenset({"old"}))
    for hours in (24, 48):
        assert desk.offer([], later(hours), fates) == 0
    assert [what for what, _ in steps_of(queue, "old")] == ["opened", "ring died"]
    assert sum(desk.pass_time(later(hours)) for hours in range(24, 2_000)) == 2
    desk.close(identify_alert("old"), "the accounts were closed", later(2_000))
    desk.offer([], later(2_001), fates)
    assert alert_of(queue, "old").state == "closed"


def test_a_ring_that_came_back_says_so() -> None:
    desk, queue = desk_with(found("old"))
    desk.offer([], later(24), Fates(died=frozenset({"old"})))
    for hours in (48, 72):
        assert desk.offer([found("old")], later(hours)) == 0
    assert [what for what, _ in steps_of(queue, "old")] == ["opened", "ring died", "ring came back"]
    assert not alert_of(queue, "old").is_gone


def test_a_ring_that_was_merged_into_one_that_nobody_knows_has_died() -> None:
    desk, queue = desk_with(found("old"))
    desk.offer([], later(24), INTO_OTHER)
    assert alert_of(queue, "old").is_gone


@pytest.mark.parametrize("do", ["watch", "close"])
def test_nobody_need_hear_of_the_death_of_a_ring_that_nobody_waits_for(do: str) -> None:
    desk, queue = desk_with(found("old", rules=() if do == "watch" else ("risk",)))
    if do == "close":
        desk.close(identify_alert("old"), "a family", NOON)
    before = alert_of(queue, "old")
    desk.offer([], later(24), Fates(died=frozenset({"old"})))
    assert alert_of(queue, "old") == before


# what a history tells


def members_of(**rings: str) -> pa.Table:
    """RING_MEMBERS, with a letter for each member."""
    rows = [{"ring_id": ring, "entity_id": one} for ring, members in rings.items() for one in members]
    return pa.Table.from_pylist(rows, pa.schema([("ring_id", pa.string()), ("entity_id", pa.string())]))


def live(*batches: pa.Table) -> Lineage:
    """The lineage after some batches."""
    lineage = trace_rings(batches[0], "b1")
    for n, batch in enumerate(batches[1:], 2):
        earlier = EarlierRings(RING_COMMUNITIES.empty(), lineage.traces, lineage.history)
        lineage = trace_rings(batch, f"b{n}", earlier)
    return lineage


def test_fates_are_read_from_a_history() -> None:
    before = members_of(r1="abcdef", r2="ghij", r3="klm", r4="nopqrstu")
    after = members_of(n1="abcdefghij", n4="nopqr", n5="stu")
    assert read_fates(live(before, after).history) == Fates({"r2": "r1"}, frozenset({"r3"}), {"n5": "r4"})


def test_a_fate_is_told_for_some_batches_and_until_the_ring_is_back() -> None:
    before, merged = members_of(r1="abcdef", r2="ghij", r3="klm"), members_of(n1="abcdefghij")
    assert read_fates(live(before, merged, merged, merged).history) == Fates({"r2": "r1"}, frozenset({"r3"}))
    assert read_fates(live(before, merged, before).history) == Fates()
    assert read_fates(live(before, merged, *[members_of(n1="abcdefghij")] * 20).history) == Fates()


def test_of_no_rings_there_are_no_fates() -> None:
    assert read_fates(RING_HISTORY.empty()) == Fates()
