"""The routes over hand-written ports: who may ask what, and what is answered."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any, ClassVar

import pyarrow as pa
import pytest
from fastapi.testclient import TestClient
from prometheus_client.parser import text_string_to_metric_families

from serving.app import create_app
from serving.ports import Ports
from terag_pipelines.billing.invoices import DraftInvoice, Invoice, InvoiceLine
from terag_pipelines.billing.price_book import Party
from terag_pipelines.errors import IncompleteBatchError, NotFoundError, StoreUnavailableError
from terag_pipelines.graph.ports import EntityView, RecordView
from terag_pipelines.rings.model import FRAUD_RINGS, RING_MEMBERS
from terag_pipelines.security.api_keys import ApiKeyRecord, make_api_key
from terag_pipelines.security.roles import Role
from terag_pipelines.tables import TableSchema
from terag_pipelines.tuning.model import GRAPH_READINGS
from terag_pipelines.twin.model import CLIENT_TWINS, TWIN_EFFECTS
from tests.unit.linking.memory_reviews import MemoryReviews

PEPPER = b"a pepper of thirty-two bytes ...."
RECORD = RecordView("people:1", "people", "Айгүл Сәрсенова", "person", 0.98)
ENTITY = EntityView("ent_1", "person", "Айгүл Сәрсенова", False, False, 1, (RECORD,), (), (), (), ())
RINGS = FRAUD_RINGS.from_columns(
    ring_id=[f"ring_{n}" for n in range(5)],
    community_id=["c"] * 5,
    n_members=[4] * 5,
    kind=["cycle"] * 5,
    risk_score=[0.1, 0.3, 0.9, 0.5, 0.7],
    is_calibrated=[False] * 5,
    severity=["high"] * 5,
    amount_minor=[1_000] * 5,
    currency=["KZT"] * 5,
    reasons=[["because"]] * 5,
    first_at=[datetime(2026, 10, 1, tzinfo=UTC)] * 5,
)
MEMBERS = RING_MEMBERS.from_columns(
    ring_id=["ring_2", "ring_2"], entity_id=["ent_1", "ent_2"], role=["mule", "collector"], score=[0.8, 0.9]
)
TWINS = CLIENT_TWINS.from_columns(
    client_id=["people:1", "people:2"],
    treatment=["fee_waiver"] * 2,
    outcome=["balance_next"] * 2,
    effect=[18.0, None],
    effect_low=[15.0, None],
    effect_high=[21.0, None],
    treatment_now=[0.0, 0.0],
    treatment_low=[0.0, 0.0],
    treatment_high=[1.0, 1.0],
    is_answerable=[True, False],
    reason=[None, "no comparable clients"],
)
EFFECTS = TWIN_EFFECTS.from_columns(
    treatment=["fee_waiver"],
    outcome=["balance_next"],
    treatment_kind=["binary"],
    estimand=["average effect"],
    adjustment_set=[["income"]],
    is_answerable=[True],
)
SELLER = Party(party_id="s", name="Seller")


class FakeGraph:
    def promoted_batch(self) -> str | None:
        return "b1"

    def find_entity(self, entity_id: str) -> EntityView | None:
        return ENTITY if entity_id == "ent_1" else None


class FakeTables:
    kept: ClassVar = {
        FRAUD_RINGS.name: RINGS,
        RING_MEMBERS.name: MEMBERS,
        CLIENT_TWINS.name: TWINS,
        TWIN_EFFECTS.name: EFFECTS,
    }

    def shelf(self) -> str:
        return "batch-b1"

    def tables(self, *schemas: TableSchema) -> tuple[pa.Table, ...]:
        return tuple(self.kept.get(schema.name, schema.empty()) for schema in schemas)

    def rows(self, *schemas: TableSchema, **wanted: str) -> tuple[list[dict[str, Any]], ...]:
        return tuple(
            [row for row in table.to_pylist() if wanted.items() <= row.items()]
            for table in self.tables(*schemas)
        )


class FakeKeys(dict[str, ApiKeyRecord]):
    def find(self, key_id: str) -> ApiKeyRecord | None:
        return self.get(key_id)


class FakeInvoices:
    def invoice(self, invoice_id: str) -> Invoice:
        if invoice_id != "inv_1":
            raise NotFoundError("there is no such invoice")
        line = InvoiceLine(1, "2026-10", "api_calls", "API", "per_unit", 3, "1.50", "[]", 450, None, None, 0)
        content = DraftInvoice("inv_1", "tenant_a", "2026-10", "invoice", "KZT", 14, SELLER, SELLER, (line,))
        return Invoice(content, "2026-000001", date(2026, 11, 1), date(2026, 11, 15))

    def document_of(self, invoice_id: str, render: Any) -> bytes:
        return bytes(render(self.invoice(invoice_id)))


@pytest.fixture
def ports() -> Ports:
    return Ports(
        FakeGraph(),
        FakeTables(),
        FakeKeys(),
        FakeInvoices(),
        lambda _: b"%PDF-1.7",
        PEPPER,
        MemoryReviews(),
        lambda: READINGS,
    )


READINGS = GRAPH_READINGS.from_columns(
    measured_at=[datetime(2026, 11, 24, tzinfo=UTC)] * 3,
    server=["primary", "backup", "primary"],
    figure=["nodes", "nodes", "index_online"],
    about=["", "", 'odd "name"'],
    value=[8.0, 7.0, 1.0],
)


@pytest.fixture
def client(ports: Ports) -> Iterator[TestClient]:
    with TestClient(create_app(ports), raise_server_exceptions=False) as client:
        yield client


def key_of(ports: Ports, role: Role, tenant: str | None = None) -> dict[str, str]:
    key = make_api_key(
        random.Random(str(role)).randbytes(38),
        PEPPER,
        role=role,
        name="t",
        created_at=datetime(2026, 11, 1, tzinfo=UTC),
        tenant_id=tenant,
    )
    assert isinstance(ports.keys, FakeKeys)
    ports.keys[key.record.key_id] = key.record
    return {"X-API-Key": key.text}


PROTECTED = {
    "/v1/entities/ent_1": {Role.ANALYST, Role.ADMIN},
    "/v1/rings": {Role.ANALYST, Role.ADMIN},
    "/v1/rings/ring_2": {Role.ANALYST, Role.ADMIN},
    "/v1/invoices/inv_1": {Role.BILLING, Role.ADMIN},
    "/v1/invoices/inv_1/pdf": {Role.BILLING, Role.ADMIN},
}


@pytest.mark.parametrize("path", PROTECTED)
def test_no_key_no_answer(client: TestClient, path: str) -> None:
    for headers in ({}, {"X-API-Key": "terag_000000000000_" + "A" * 43}):
        answer = client.get(path, headers=headers)
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"] == "ApiKey"


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("path", PROTECTED)
def test_a_role_gets_what_it_may_and_no_more(client: TestClient, ports: Ports, path: str, role: Role) -> None:
    expected = 200 if role in PROTECTED[path] else 403
    assert client.get(path, headers=key_of(ports, role)).status_code == expected


def test_an_entity_comes_with_its_records(client: TestClient, ports: Ports) -> None:
    answer = client.get("/v1/entities/ent_1", headers=key_of(ports, Role.ANALYST)).json()
    assert answer["records"] == [
        {
            "record_id": "people:1",
            "dataset": "people",
            "display_name": "Айгүл Сәрсенова",
            "party_type": "person",
            "link_probability": 0.98,
        }
    ]


@pytest.mark.parametrize("path", ["/v1/entities/ent_x", "/v1/rings/ring_x", "/v1/invoices/inv_x"])
def test_what_is_not_there_is_404(client: TestClient, ports: Ports, path: str) -> None:
    answer = client.get(path, headers=key_of(ports, Role.ADMIN))
    assert (answer.status_code, answer.json()["error"]) == (404, "NotFoundError")


def test_rings_come_riskiest_first_page_by_page(client: TestClient, ports: Ports) -> None:
    headers = key_of(ports, Role.ANALYST)
    first = client.get("/v1/rings", params={"limit": 2, "min_risk": 0.2}, headers=headers).json()
    second = client.get(
        "/v1/rings", params={"limit": 2, "offset": 2, "min_risk": 0.2}, headers=headers
    ).json()
    pages = [ring["ring_id"] for page in (first, second) for ring in page["rings"]]
    assert pages == ["ring_2", "ring_4", "ring_3", "ring_1"]
    assert (first["n_rings"], first["next_offset"], second["next_offset"]) == (4, 2, None)


def test_a_ring_comes_with_members_and_reasons(client: TestClient, ports: Ports) -> None:
    answer = client.get("/v1/rings/ring_2", headers=key_of(ports, Role.ANALYST)).json()
    assert {member["entity_id"]: member["role"] for member in answer["members"]} == {
        "ent_1": "mule",
        "ent_2": "collector",
    }
    assert answer["reasons"] == ["because"]
    assert answer["first_at"] == "2026-10-01T00:00:00Z"


def ask(client: TestClient, ports: Ports, role: Role = Role.ANALYST, **question: Any) -> Any:
    return client.post(
        "/v1/what-if", json={"treatment": "fee_waiver"} | question, headers=key_of(ports, role)
    )


def test_a_what_if_is_answered_with_its_interval(client: TestClient, ports: Ports) -> None:
    answer = ask(client, ports, client_id="people:1", value=1).json()
    assert (answer["change"], answer["change_low"], answer["change_high"]) == (18.0, 15.0, 21.0)
    assert answer["adjustment_set"] == ["income"]


def test_a_what_if_that_cannot_be_known_is_refused(client: TestClient, ports: Ports) -> None:
    for question, why in (
        ({"client_id": "people:2", "value": 1}, "no comparable clients"),
        ({"client_id": "people:1", "value": 0.5}, "0 and 1"),
    ):
        answer = ask(client, ports, **question)
        assert (answer.status_code, answer.json()["error"]) == (422, "EffectRefusedError")
        assert why in answer.json()["detail"]
    assert ask(client, ports, client_id="people:3", value=1).status_code == 404
    assert ask(client, ports, Role.BILLING, client_id="people:1", value=1).status_code == 403


def test_another_tenants_invoice_does_not_exist(client: TestClient, ports: Ports) -> None:
    assert (
        client.get("/v1/invoices/inv_1", headers=key_of(ports, Role.BILLING, "tenant_a")).status_code == 200
    )
    assert (
        client.get("/v1/invoices/inv_1", headers=key_of(ports, Role.BILLING, "tenant_b")).status_code == 404
    )


def test_an_invoice_is_exact_and_printable(client: TestClient, ports: Ports) -> None:
    headers = key_of(ports, Role.BILLING)
    invoice = client.get("/v1/invoices/inv_1", headers=headers).json()
    assert (invoice["net_minor"], invoice["number"]) == (450, "2026-000001")
    pdf = client.get("/v1/invoices/inv_1/pdf", headers=headers)
    assert (pdf.headers["content-type"], pdf.content[:4]) == ("application/pdf", b"%PDF")


def test_the_documentation_asks_nobody_else_for_anything(client: TestClient) -> None:
    page = client.get("/docs")
    assert page.status_code == 200
    assert "://" not in page.text.replace(str(client.base_url), "")
    assert client.get("/openapi.json").json()["info"]["title"] == "TERAG Pipelines"


def test_readiness_names_the_part_that_is_not_there(ports: Ports) -> None:
    class Away(FakeGraph):
        def promoted_batch(self) -> str | None:
            raise StoreUnavailableError("Neo4j gave no answer in time")

    class Unpromoted(FakeTables):
        def shelf(self) -> str:
            raise IncompleteBatchError("nothing has been promoted yet")

    broken = replace(ports, graph=Away(), tables=Unpromoted())
    with TestClient(create_app(broken)) as client:
        answer = client.get("/readyz")
        assert client.get("/healthz").json() == {"status": "ok"}
    assert answer.status_code == 503
    assert answer.json()["parts"] == {
        "lake": "nothing has been promoted yet",
        "graph": "Neo4j gave no answer in time",
        "keys": "ok",
    }


def test_metrics_are_read_by_operators_only_and_as_prometheus_reads_them(ports, client):
    assert client.get("/metrics").status_code == 401
    assert client.get("/metrics", headers=key_of(ports, Role.ANALYST)).status_code == 403
    answer = client.get("/metrics", headers=key_of(ports, Role.OPERATOR))
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    values = {
        (family.name, sample.labels["server"], sample.labels["about"]): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }
    assert values == {
        ("terag_graph_index_online", "primary", 'odd "name"'): 1.0,
        ("terag_graph_nodes", "backup", ""): 7.0,
        ("terag_graph_nodes", "primary", ""): 8.0,
    }
