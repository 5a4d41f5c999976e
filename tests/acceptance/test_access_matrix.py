"""Every route of the API x every role x own, other and no clinic: the exact status of each.

Written from contract.md, not from the code: a route that is not in `ROWS` fails, and so does a changed grant.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from support import CLINIC, OTHER_CLINIC, OpenSite, Site

from cito.core.http.tokens import mint

# contract.md, Roles.
ROLES: dict[str, set[str]] = {
    "nurse": {
        *("formulary:read", "formulary:write", "medications:read", "medications:write"),
        *("patients:read", "patients:write", "health_records:read", "health_records:write"),
        *("allergies:read", "drugs:read", "triage:ask"),
    },
    "doctor": {
        *("formulary:read", "formulary:write", "medications:read", "medications:write"),
        *("patients:read", "patients:write", "health_records:read", "health_records:write"),
        *("allergies:read", "drugs:read", "triage:ask", "triage:override"),
    },
    "pharmacist": {
        *("formulary:read", "formulary:write", "medications:read", "medications:write"),
        *("patients:read", "allergies:read", "drugs:read", "drugs:write", "triage:ask", "triage:override"),
    },
    "clerk": {"formulary:read", "patients:read", "patients:write", "drugs:read"},
    "auditor": {"audit:read"},
    "admin": {
        *("formulary:read", "formulary:write", "drugs:read", "drugs:write"),
        *("admin:read", "admin:write", "metrics:read"),
    },
}
CLINIC_BOUND = {"nurse", "doctor", "pharmacist", "clerk"}


@dataclass
class Stage:
    """A site with two clinics and what rows need made for them."""

    site: Site
    medicine: str = ""
    drug: str = ""

    def headers(self, role: str, clinic: UUID | None) -> dict[str, str]:
        return {"Authorization": f"Bearer {mint(self.site.assembly.settings, role, clinic)}", "If-Match": "*"}

    async def post(self, url: str, body: Any, role: str = "doctor", clinic: UUID | None = CLINIC) -> str:
        answer = await self.site.client.post(url, json=body, headers=self.headers(role, clinic))
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    async def patient(self) -> str:
        return await self.post("/api/patients", {"lastName": "Person", "mrn": uuid4().hex[:12]})

    async def request(self) -> str:
        return await self.post(
            "/api/prescriptions/requests", {"medications": [{"medicationName": "aspirin"}]}
        )


@dataclass(frozen=True)
class Row:
    """One operation: what it needs, what it answers a caller of the own clinic, and one of another."""

    scope: str
    ok: int = 200
    other: int | None = None  # None: it belongs to no clinic, or makes something new in the caller's
    clinic: bool = False
    query: dict[str, str] = field(default_factory=dict)
    body: Callable[[Stage], Awaitable[Any]] | None = None
    path: dict[str, Callable[[Stage], Awaitable[str]]] = field(default_factory=dict)


def sends(body: Any) -> Callable[[Stage], Awaitable[Any]]:
    async def made(_: Stage) -> Any:
        return {name: (uuid4().hex[:12] if value is FRESH else value) for name, value in body.items()}

    return made


async def medicine(stage: Stage) -> str:
    return stage.medicine


async def drug(stage: Stage) -> str:
    return stage.drug


async def merge(stage: Stage) -> Any:
    return {"duplicateId": await stage.patient()}


FRESH = object()
A_PATIENT = {"patient_id": Stage.patient}
A_REQUEST = {"request_id": Stage.request}
A_MEDICINE = {"medicine_id": medicine}
A_DRUG = {"drug_id": drug}

ROWS: dict[str, Row] = {
    "search_audit_events": Row("audit:read"),
    "revoke_token": Row("admin:write", 204, body=sends({"tokenId": FRESH})),
    "performance": Row("admin:read"),
    "set_log_level": Row("admin:write", body=sends({"level": "info"})),
    "search_drugs": Row("drugs:read"),
    "read_drug": Row("drugs:read", path=A_DRUG),
    "look_up_drug": Row("drugs:read", query={"name": "aspirin"}),
    "look_up_drugs": Row("drugs:read", body=sends({"names": ["aspirin"]})),
    "add_drug": Row("drugs:write", 201, body=sends({"genericName": FRESH})),
    "change_drug": Row("drugs:write", path=A_DRUG, body=sends({"isActive": True})),
    "ask_for_prescription": Row(
        "triage:ask", 201, clinic=True, body=sends({"medications": [{"medicationName": "aspirin"}]})
    ),
    "read_prescription_request": Row("triage:ask", 200, 404, clinic=True, path=A_REQUEST),
    "override_prescription_request": Row(
        "triage:override",
        201,
        404,
        clinic=True,
        path=A_REQUEST,
        body=sends({"reason": "seen in the ward today"}),
    ),
    "search_formulary": Row("formulary:read"),
    "autocomplete_formulary": Row("formulary:read", query={"query": "asp"}),
    "read_medication": Row("formulary:read", path=A_MEDICINE),
    "add_medication": Row(
        "formulary:write", 201, body=sends({"name": FRESH, "genericName": "aspirin", "dosageForm": "tablet"})
    ),
    "change_medication": Row("formulary:write", path=A_MEDICINE, body=sends({"isControlled": False})),
    "parse_frequency": Row("medications:read", clinic=True, body=sends({"text": "twice a day"})),
    "search_patients": Row("patients:read", clinic=True),
    "read_patient": Row("patients:read", 200, 404, clinic=True, path=A_PATIENT),
    "read_patient_metadata": Row("patients:read", clinic=True),
    "register_patient": Row(
        "patients:write", 201, clinic=True, body=sends({"lastName": "Person", "mrn": FRESH})
    ),
    "change_patient": Row(
        "patients:write", 200, 404, clinic=True, path=A_PATIENT, body=sends({"lastName": "Other"})
    ),
    "delete_patient": Row("patients:write", 204, 404, clinic=True, path=A_PATIENT),
    "merge_patients": Row("patients:write", 200, 404, clinic=True, path=A_PATIENT, body=merge),
}
# An endless answer is opened in the tests of the page; here it would never end.
STREAMS = {"performance_live"}


@pytest.fixture(scope="module")
async def stage(open_site: OpenSite, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    async with open_site(home=tmp_path_factory.mktemp("home")) as site:
        with psycopg.connect(site.urls.admin) as connection:
            for clinic in (CLINIC, OTHER_CLINIC):
                connection.execute(
                    "insert into clinic (id, name, time_zone, region, locale) values (%s, 'C', 'UTC', 'US', 'en-US')",
                    [clinic],
                )
        made = Stage(site)
        made.medicine = await made.post(
            "/api/medications", {"name": "Aspirin 81mg", "genericName": "aspirin", "dosageForm": "tablet"}
        )
        made.drug = await made.post("/api/drugs", {"genericName": "aspirin"}, "pharmacist")
        yield made


@pytest.fixture(scope="module")
async def operations(stage: Stage) -> dict[str, tuple[str, str]]:
    """Method and path of each operation under `/api`, from the OpenAPI document."""
    document = (await stage.site.client.get("/docs/openapi.json")).json()
    return {
        operation["operationId"]: (method.upper(), path)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
        if path.startswith("/api")
    }


async def test_every_route_has_a_row(operations: dict[str, tuple[str, str]]) -> None:
    assert set(operations) == set(ROWS) | STREAMS, "a new route needs a row in ROWS; a removed one loses it"


def expected(row: Row, role: str, clinic: UUID | None) -> int:
    if row.scope not in ROLES[role]:
        return 403
    if clinic is None and (row.clinic or role in CLINIC_BOUND):
        return 403
    return row.other if clinic == OTHER_CLINIC and row.other is not None else row.ok


@pytest.mark.parametrize("operation", ROWS)
async def test_each_role_gets_exactly_what_is_its(
    stage: Stage, operations: dict[str, tuple[str, str]], operation: str
) -> None:
    row = ROWS[operation]
    method, template = operations[operation]
    wrong: list[str] = []
    for role in ROLES:
        for clinic, where in ((CLINIC, "own"), (OTHER_CLINIC, "other"), (None, "none")):
            status = expected(row, role, clinic)
            # What is refused anyway needs nothing of its own.
            made = {
                name: str(uuid4()) if status == 403 else await make(stage) for name, make in row.path.items()
            }
            body = None if row.body is None else await row.body(stage)
            answer = await stage.site.client.request(
                method,
                template.format(**made),
                params=row.query,
                json=body,
                headers=stage.headers(role, clinic),
            )
            if answer.status_code != status:
                wrong.append(
                    f"{role}, {where} clinic: {answer.status_code}, not {status}: {answer.text[:200]}"
                )
    assert wrong == []


@pytest.mark.parametrize("operation", [*ROWS, *sorted(STREAMS)])
async def test_nobody_gets_anything_without_a_token(
    stage: Stage, operations: dict[str, tuple[str, str]], operation: str
) -> None:
    method, template = operations[operation]
    path = template.replace("{", "").replace("}", "")
    assert (await stage.site.client.request(method, path)).status_code == 401


@pytest.mark.parametrize("operation", ROWS)
async def test_the_document_says_what_each_operation_needs(stage: Stage, operation: str) -> None:
    document = (await stage.site.client.get("/docs/openapi.json")).json()
    found = next(
        one
        for methods in document["paths"].values()
        for one in methods.values()
        if one.get("operationId") == operation
    )
    assert found["security"] == [{"bearer": [ROWS[operation].scope]}]
    assert {"401", "403", "422", "429", "503"} <= set(found["responses"])


async def test_metrics_are_for_admins(stage: Stage) -> None:
    for role in ROLES:
        clinic = CLINIC if role in CLINIC_BOUND else None
        answer = await stage.site.client.get("/metrics", headers=stage.headers(role, clinic))
        assert answer.status_code == (200 if role == "admin" else 403)
    assert (await stage.site.client.get("/metrics")).status_code == 401


async def test_no_answer_of_another_clinic_differs_from_one_about_nothing(stage: Stage) -> None:
    """A foreign id and an id that nobody has are the same answer, byte for byte."""
    foreign, missing = await stage.patient(), str(uuid4())
    same = {"X-Request-Id": "same", "traceparent": f"00-{7:032x}-00f067aa0ba902b7-00"}
    headers = stage.headers("nurse", OTHER_CLINIC) | same
    answers = [
        await stage.site.client.get(f"/api/patients/{one}", headers=headers) for one in (foreign, missing)
    ]
    assert [answer.status_code for answer in answers] == [404, 404]
    assert answers[0].content == answers[1].content
    assert {*answers[0].headers} == {*answers[1].headers}
