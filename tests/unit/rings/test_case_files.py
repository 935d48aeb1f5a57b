"""Case files: everything an analyst asks, nothing from elsewhere, nothing that names could break."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser

import pyarrow as pa
import pytest

from terag_pipelines.linking.model import ENTITIES
from terag_pipelines.rings.case_files import CaseFile, MemberRecord, Person, Provenance, open_case
from terag_pipelines.rings.case_pages import MAX_TRANSFERS, N_TRANSFERS, render_case, sections_of
from terag_pipelines.rings.detection import score_rings
from terag_pipelines.rings.evidence import evidence_of, find_circles
from terag_pipelines.rings.naming import name_rings
from terag_pipelines.rings.scenes import RingScene, SharedIdentifier
from terag_pipelines.rings.sections import Folded, Listed, Rows, Section, Told
from terag_pipelines.rings.words import say_risk
from tests.unit.rings.scene_makers import KINDS, Move, make_scene, ring_row, typical_scene
from tests.unit.rings.worlds import CYCLE, planted_world

HOSTILE = "<script>alert('x')</script><img src=x onerror=alert(1)>&\"'"
OUTSIDE = re.compile(
    r"""(?:src|href|action|xlink:href)\s*=|url\(|@import|https?://(?!www\.w3\.org/2000/svg)"""
)


class Tags(HTMLParser):
    """Collects tags, checks that they close, and keeps what a person reads."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.opened: list[str] = []
        self.seen: set[str] = set()
        self.attributes: set[str] = set()
        self.read: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)
        self.attributes |= {name for name, _ in attrs}
        if tag not in ("meta", "br"):
            self.opened.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_endtag(self, tag: str) -> None:
        assert self.opened.pop() == tag

    def handle_data(self, data: str) -> None:
        self.read.append(data)


def read(page: str) -> str:
    return " ".join(" ".join(Tags(page).read).split())


def make_case(scene: RingScene, name: str = "Айгүл", **changed: object) -> CaseFile:
    people = {one.number: Person(f"{name} {one.number}", reasons=("r1", "r2")) for one in scene.members}
    case = CaseFile(scene, people, Provenance("batch-0011", {"transfers": "ab12"}, "code 77"))
    return replace(case, **changed)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def world() -> dict[str, pa.Table]:
    tables = planted_world().tables()
    scores = score_rings(tables).scores
    named = name_rings(scores, tables)
    entities = ENTITIES.from_columns(
        entity_id=[f"e:{person:03d}" for person in CYCLE],
        display_name=["Айгүл Сәрсенбаева", "Мұрат Ахметов", "Ольга Ким", HOSTILE, "Ли"],
        party_type=["person"] * len(CYCLE),
    )
    more = {"fraud_rings": named.rings, "ring_members": named.members, "ring_scores": scores}
    return tables | more | {"entities": entities}


def cases_of(world: dict[str, pa.Table]) -> list[CaseFile]:
    ids = world["fraud_rings"]["ring_id"].to_pylist()
    return [open_case(ring_id, world, Provenance("batch-1")) for ring_id in ids]


@pytest.mark.parametrize("kind", KINDS)
def test_a_page_is_whole_and_needs_nothing_but_itself(kind: str) -> None:
    page = render_case(make_case(typical_scene(kind, 12)))
    tags = Tags(page)
    assert tags.opened == []
    assert tags.seen & {"script", "link", "iframe", "img", "object", "embed", "form"} == set()
    assert OUTSIDE.findall(page) == []
    assert page.count("<svg") == 2
    assert "@media print" in page
    assert "size: A4" in page


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_case_gives_the_same_bytes(kind: str) -> None:
    assert render_case(make_case(typical_scene(kind, 9))) == render_case(make_case(typical_scene(kind, 9)))


def test_hostile_texts_stay_texts_wherever_they_stand() -> None:
    scene = make_scene("fan_in", ["collector", "mule", "mule"], [(2, 1), (3, 1)])
    transfers = tuple(replace(one, purpose=HOSTILE, channel=HOSTILE) for one in scene.transfers)
    shared = (SharedIdentifier(HOSTILE, HOSTILE, (1, 2)),)
    ring = ring_row("fan_in", 3, reasons=[HOSTILE], severity=HOSTILE, ring_id=HOSTILE)
    scene = replace(scene, ring=ring, transfers=transfers, shared=shared)
    records = tuple(MemberRecord(f"{HOSTILE}{at}", HOSTILE, HOSTILE, 0.5) for at in range(2))
    people = {number: Person(HOSTILE, HOSTILE, records, (HOSTILE,)) for number in (1, 2, 3)}
    told = (Told(HOSTILE), Listed((HOSTILE,)), Rows((HOSTILE,), ((HOSTILE,),)), Folded(HOSTILE, ()))
    case = CaseFile(
        scene, people, Provenance(HOSTILE, {HOSTILE: HOSTILE}, HOSTILE), (Section(HOSTILE, told),)
    )
    tags = Tags(render_case(case))
    assert tags.opened == []
    assert tags.seen & {"script", "img"} == set()
    assert not {name for name in tags.attributes if name.startswith("on")}
    assert HOSTILE in "".join(tags.read)


def test_letters_of_three_alphabets_are_written_as_they_are() -> None:
    page = render_case(make_case(typical_scene("cycle", 4), "Әлия Ғаниқызы Müller Щукина"))
    assert page.count("Әлия Ғаниқызы Müller Щукина 3") > 3
    assert '<meta charset="utf-8">' in page


def test_the_head_says_plainly_what_kind_of_figure_the_risk_is() -> None:
    scene = typical_scene("cycle", 4)
    told = read(render_case(make_case(scene)))
    assert "0.83 score, uncalibrated: it ranks rings and is no probability" in told
    ring = ring_row("cycle", 4, is_calibrated=True, risk_probability=0.71)
    told = read(render_case(make_case(replace(scene, ring=ring))))
    assert "71% probability (calibrated on reviewed clients)" in told
    assert "no probability" not in told


def test_every_reason_of_found_rings_has_its_evidence(world: dict[str, pa.Table]) -> None:
    cases = cases_of(world)
    reasons = [(case, reason) for case in cases for reason in case.ring["reasons"]]
    assert len(reasons) >= 6
    assert [reason for case, reason in reasons if not evidence_of(case, reason)] == []


def test_the_circles_of_a_ring_are_found_once_each(world: dict[str, pa.Table]) -> None:
    (case,) = (case for case in cases_of(world) if case.scene.kind == "cycle")
    circles = find_circles(case)
    assert [len(circle) for circle in circles] == [5, 5, 5]
    ids = [one.transfer_id for circle in circles for one in circle]
    assert len(set(ids)) == len(ids)


def test_a_reason_in_unknown_words_stands_without_evidence() -> None:
    ring = ring_row("cycle", 4, reasons=["they all support one football club"])
    told = read(render_case(make_case(replace(typical_scene("cycle", 4), ring=ring))))
    assert "they all support one football club" in told


def test_members_come_with_names_reasons_and_the_watchlist(world: dict[str, pa.Table]) -> None:
    (case,) = (case for case in cases_of(world) if case.scene.kind == "cycle")
    page = render_case(case)
    for name in ("Айгүл Сәрсенбаева", "Мұрат Ахметов", "ways of money round"):
        assert name in read(page)
    assert "<script" not in page
    assert "on a watchlist" in read(render_case(make_case(typical_scene("fan_in", 5))))


def test_members_without_an_entity_are_called_as_their_transfers_call_them(
    world: dict[str, pa.Table],
) -> None:
    at = world["transfers"].column_names.index("source_name")
    names = pa.array([f"payer {account}" for account in world["transfers"]["source_account"].to_pylist()])
    called = world | {"transfers": world["transfers"].set_column(at, "source_name", names)}
    del called["entities"]
    case = next(case for case in cases_of(called) if case.scene.kind == "cycle")
    assert set(case.names.values()) == {f"payer a{person}" for person in CYCLE}


def test_weak_links_between_records_are_named_with_what_to_do() -> None:
    scene = typical_scene("cycle", 3)
    weak = (MemberRecord("crm:1", "crm", "A", 0.62), MemberRecord("crm:2", "crm", "Б", 0.62))
    sure = (MemberRecord("crm:3", "crm", "C", 0.9999), MemberRecord("crm:4", "crm", "Г", 0.9999))
    people = {1: Person("A", records=weak), 2: Person("C", records=sure), 3: Person("D")}
    told = read(render_case(CaseFile(scene, people, Provenance("b"))))
    assert "1 A : a link of 0.620" in told or "1 A: a link of 0.620, below 0.9" in told
    assert f"terag explain entity {scene.members[0].entity_id}" in told
    assert f"terag explain entity {scene.members[1].entity_id}" not in told
    assert ">0.999" in told
    assert "Every member is one record" in read(render_case(make_case(scene)))


def moves(n: int) -> list[Move]:
    return [(2 + at % 5, 1) for at in range(n)]


@pytest.mark.parametrize(
    ("n", "told", "n_rows"),
    [
        (0, "None.", 0),
        (1, "All 1 transfer, the largest first.", 1),
        (N_TRANSFERS, f"All {N_TRANSFERS} transfers, the largest first.", N_TRANSFERS),
        (500, f"{N_TRANSFERS} of 500 shown", N_TRANSFERS + 500),
        (2500, "The first 2,000 of 2,500 in order of time; all with --json", N_TRANSFERS + MAX_TRANSFERS),
    ],
)
def test_transfers_are_listed_or_counted(n: int, told: str, n_rows: int) -> None:
    scene = make_scene("fan_in", ["collector", *["mule"] * 5], moves(n))
    case = make_case(scene)
    page = render_case(case)
    assert told in read(page)
    assert len(re.findall(r"<td><bdi>t\d{4}</bdi></td>", page)) == n_rows
    assert len(case.as_json()["transfers"]) == n


def test_several_currencies_are_never_added() -> None:
    case = make_case(make_scene("fan_in", ["collector", "mule"], [(2, 1)] * 4, currencies=("KZT", "USD")))
    told = read(render_case(case))
    assert "22 740.00 KZT + 25 480.00 USD" in told
    assert "Got and paid: in KZT only" in told


def test_sections_of_others_stand_before_what_else_to_check() -> None:
    doubt = Section("Doubt", (Told("it may be a family"),))
    case = make_case(typical_scene("mixed", 5), further=(doubt,))
    titles = [section.title for section in sections_of(case)]
    assert titles.index("Doubt") == titles.index("What else to check") - 1
    assert "Doubt it may be a family" in read(render_case(case))
    assert case.as_json()["sections"] == [{"title": "Doubt", "blocks": [{"text": "it may be a family"}]}]


def test_what_else_to_check_depends_on_the_shape_and_names_the_runbook() -> None:
    told = {kind: read(render_case(make_case(typical_scene(kind, 5)))) for kind in KINDS}
    assert "savings circle" in told["cycle"]
    assert "savings circle" not in told["fan_in"]
    assert all("docs/runbooks/ring-alert.md" in page for page in told.values())


def test_where_it_comes_from_is_told_without_a_clock() -> None:
    told = read(render_case(make_case(typical_scene("cycle", 4))))
    for part in (
        "Batch batch-0011",
        "transfers ab12",
        "code 77",
        "member_threshold 0.5",
        "cycles.max_length 8",
    ):
        assert part in told


def test_the_number_of_a_member_stays_in_front_of_a_name_from_right_to_left() -> None:
    scene = make_scene("fan_in", ["collector", "mule", "mule"], [(2, 1), (3, 1)])
    page = render_case(make_case(scene, name="محمد"))
    assert "<bdi>2\u200e \u2068محمد 2\u2069</bdi>" in page
    assert "<bdi>2 Айгүл 2</bdi>" in render_case(make_case(scene))


def test_a_name_cannot_turn_its_letters_round() -> None:
    scene = make_scene("fan_in", ["collector", "mule", "mule"], [(2, 1), (3, 1)])
    page = render_case(make_case(scene, name="Ivan \u202elive\u202d"))
    assert "Ivan \ufffdlive\ufffd" in page
    assert not {"\u202d", "\u202e"} & set(page)


def test_mules_of_a_ring_without_a_collector_are_not_told_to_serve_one() -> None:
    scene = make_scene("mixed", ["mule"] * 4, [(1, 2), (3, 4), (2, 4)])
    read_page = read(render_case(make_case(scene)))
    assert "mule moves money from or to other members" in read_page
    assert "the collector" not in read_page


def test_a_main_currency_that_is_not_known_is_named_so() -> None:
    scene = make_scene("fan_in", ["collector", "mule"], [(2, 1)] * 4, currencies=["", "", "KZT"])
    unknown = replace(scene, ring={**scene.ring, "currency": None})
    assert "in an unknown currency only" in read(render_case(make_case(unknown)))


@pytest.mark.parametrize(
    ("probability", "told"),
    [(0.0, "0%"), (0.001, "under 1%"), (0.42, "42%"), (0.994, "99%"), (0.9961, "over 99%"), (1.0, "100%")],
)
def test_what_is_not_certain_is_not_told_as_certain(probability: float, told: str) -> None:
    ring = {"is_calibrated": True, "risk_probability": probability}
    assert say_risk(ring).startswith(f"{told} probability")
