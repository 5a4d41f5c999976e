"""Triage over HTTP, on the real database: cases, freshness, who answers, who may, what is kept."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest
from msgspec import convert
from support import CLINIC, OTHER_CLINIC, Site

from cito.core.database.connection import Command
from cito.core.database.pool import Database
from cito.core.database.replicas import Replicas
from cito.core.declarations import Answer
from cito.core.registry import Owned, Registry
from cito.plugins.clinical.vocabulary import (
    ACTIVE_MEDICATIONS,
    ALLERGIES,
    ActiveMedication,
    ActiveMedications,
    Allergies,
    Allergy,
    AskPatient,
    Severity,
)
from cito.plugins.drugs import deciding
from cito.plugins.drugs.models import Resolution

URL = "/api/prescriptions/requests"
PATIENT = "01900000-0000-7000-8000-0000000000aa"


async def ask(site: Site, *medications: Any, role: str = "nurse", clinic: UUID = CLINIC, **more: Any) -> Any:
    asked = [m if isinstance(m, dict) else {"medicationName": m} for m in medications]
    return await site.client.post(
        URL, json={"medications": asked, **more}, headers=site.headers(role, clinic)
    )


@contextmanager
def answering(registry: Registry, answers: tuple[Answer[Any, Any], ...]) -> Iterator[None]:
    """As if a plugin that answers were enabled."""
    before = registry.answers_given
    object.__setattr__(registry, "answers_given", tuple(Owned("records", answer) for answer in answers))
    try:
        yield
    finally:
        object.__setattr__(registry, "answers_given", before)


def of_case(case: dict[str, Any]) -> dict[str, Any]:
    medications = [
        {"medicationName": m}
        if isinstance(m, str)
        else {"medicationName": m["name"], "dosage": m["frequency"]}
        for m in case["medications"]
    ]
    context = {}
    if "allergies" in case["context"]:
        context["allergies"] = case["context"]["allergies"]
    if "active_medications" in case["context"]:
        context["activeMedications"] = case["context"]["active_medications"]
    return {"medications": medications, "context": context}


async def test_every_case(subtests: pytest.Subtests, case_site: Site, shared: Path) -> None:
    for case in json.loads((shared / "cases" / "triage.json").read_text())["cases"]:
        with subtests.test(case["id"]):
            answer = await case_site.client.post(URL, json=of_case(case), headers=case_site.headers("nurse"))
            if case["expect"]["route"] == "invalid":
                assert answer.status_code == 422
                continue
            assert answer.status_code == 201, answer.text
            said = answer.json()
            assert said["route"] == case["expect"]["route"]
            assert set(case["expect"]["flags"]) <= set(said["flags"])


@pytest.mark.parametrize(
    ("typed", "shown"),
    [("1,000 mgs", "1000 mg"), (".5 mg", "0.5 mg"), ("-2+3", "-2+3"), ("{{7*7}}", "{{7*7}}")],
)
async def test_a_strength_is_written_alike_or_kept_as_typed(case_site: Site, typed: str, shown: str) -> None:
    answer = await ask(case_site, {"medicationName": "paracetamol", "strength": typed})
    assert answer.json()["medications"][0]["strength"] == shown


async def test_an_answer_names_items_readings_and_sources(case_site: Site) -> None:
    answer = await ask(
        case_site,
        {"medicationName": "Paracetamol 500mg", "dosage": "2 tablets every 4 hours"},
        "paracetomol",
        symptoms=["headache"],
        duration="2 days",
        context={"activeMedications": ["Coumadin", {"name": "Ecotrin"}]},
    )
    said = answer.json()
    first, second = said["medications"]
    assert (first["status"], first["drug"]["genericName"], first["strength"]) == (
        "resolved",
        "paracetamol",
        "500 mg",
    )
    assert (first["dosageStatus"], first["dosesPerDay"], first["route"]) == ("ok", "6", "doctor")
    assert "dose_limit:paracetamol" in first["flags"]
    assert (second["status"], second["route"], second["flags"]) == (
        "suggest",
        "clarify",
        ["unconfirmed_match"],
    )
    assert second["suggestions"][0]["drug"]["genericName"] == "paracetamol"
    assert said["sources"] == {"allergies": [], "activeMedications": ["request"]}
    assert len(said["rulesVersion"]) == 12
    limit = next(reason for reason in said["reasons"] if reason["flag"].startswith("dose_limit"))
    assert limit["items"] == [0]
    assert limit["source"]
    assert answer.headers["location"] == f"{URL}/{said['id']}"
    again = await case_site.client.get(f"{URL}/{said['id']}", headers=case_site.headers("doctor"))
    assert again.json() == said


@pytest.mark.parametrize(
    "body",
    [
        {"medications": []},
        {"medications": [{"medicationName": ""}]},
        {"medications": [{"medicationName": "Panadol", "colour": "red"}]},
        {"medications": [{"medicationName": "Panadol"}] * 21},
        {"medications": [{"medicationName": "Panadol"}], "clinicId": str(CLINIC)},
        {"medications": [{"medicationName": "Panadol"}], "context": {"allergies": [{"substance": "x", "severity": "BAD"}]}},
        {},
    ],
)  # fmt: skip
async def test_what_is_no_request_is_refused(case_site: Site, body: dict[str, Any]) -> None:
    answer = await case_site.client.post(URL, json=body, headers=case_site.headers("nurse"))
    assert answer.status_code == 422
    assert answer.json()["errors"]


async def test_a_new_schedule_counts_in_the_very_next_triage(case_site: Site) -> None:
    """Case K3: whatever is cached, the decision reads the primary."""
    headers = case_site.headers("pharmacist")
    for _ in range(2):  # the name is cached
        assert (await ask(case_site, "levothyroxine")).json()["route"] == "pharmacist"
    found = (await case_site.client.get("/api/drugs/lookup?name=levothyroxine", headers=headers)).json()[
        "drug"
    ]
    with psycopg.connect(case_site.urls.owner, autocommit=True) as connection:
        connection.execute(
            "insert into drug_schedules (drug_id, jurisdiction, schedule) values (%s, 'US', 'IV')",
            [found["id"]],
        )
    said = (await ask(case_site, "levothyroxine")).json()
    assert (said["route"], "controlled:IV" in said["flags"]) == ("doctor", True)


async def test_a_name_that_moved_to_another_drug_counts_at_once(
    case_site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However old a cached meaning is: the drug as the primary has it must still have the name."""
    url = "/api/drugs/lookup?name=Coartem"
    old = (await case_site.client.get(url, headers=case_site.headers())).json()["drug"]
    stale = convert({"status": "resolved", "drug": old, "matchedOn": "brand"}, Resolution)

    async def cached(_context: Any, names: Sequence[str]) -> list[Resolution]:
        return [stale for _ in names]

    monkeypatch.setattr(deciding, "look_up_many", cached)
    assert (await ask(case_site, "Coartem")).json()["route"] == "pharmacist"
    with psycopg.connect(case_site.urls.owner, autocommit=True) as connection:
        connection.execute(
            "update drug_aliases set drug_id = (select id from drugs where generic_name = 'morphine') where name = 'Coartem'"
        )
    said = (await ask(case_site, "Coartem")).json()
    assert (said["route"], said["medications"][0]["drug"]["genericName"]) == ("doctor", "morphine")


async def test_one_query_decides_however_many_names(case_site: Site) -> None:
    names = ["Panadol", "morphine", "Valium", "metformin", "Ritalin"]
    await ask(case_site, *names, "aspirin", "Coumadin")
    known = {"allergies": [{"substance": "aspirin"}], "activeMedications": ["Coumadin"]}
    timings = [(await ask(case_site, *names, context=known)).headers["server-timing"] for _ in range(5)]
    # With names cached: schedules and status of all in one, and the request stored. An invalidation of an earlier
    # test may still be on its way.
    assert any('db;desc="2"' in timing for timing in timings), timings
    assert all('db;desc="2"' in timing or 'db;desc="3"' in timing for timing in timings), timings


async def test_overrides_need_a_reason_and_are_kept(case_site: Site) -> None:
    asked = (await ask(case_site, "morphine", patientId=PATIENT)).json()
    url = f"{URL}/{asked['id']}/override"
    doctor = case_site.headers("doctor")
    for body in ({}, {"reason": ""}, {"reason": "because"}, {"route": "auto"}, {"reason": " " * 20}):
        assert (await case_site.client.post(url, json=body, headers=doctor)).status_code == 422
    nurse = await case_site.client.post(
        url, json={"reason": "I would like to, thank you"}, headers=case_site.headers("nurse")
    )
    assert nurse.status_code == 403
    reason = "palliative care, seen today"
    done = await case_site.client.post(url, json={"reason": reason, "route": "pharmacist"}, headers=doctor)
    assert done.status_code == 201, done.text
    said = done.json()
    assert (said["route"], said["rulesRoute"]) == ("pharmacist", "doctor")
    assert [(o["reason"], o["role"], o["route"]) for o in said["overrides"]] == [
        (reason, "doctor", "pharmacist")
    ]
    again = await case_site.client.get(f"{URL}/{asked['id']}", headers=doctor)
    assert again.json() == said
    assert (
        await case_site.client.post(url, json={"reason": reason, "route": "pharmacist"}, headers=doctor)
    ).status_code == 422
    back = await case_site.client.post(url, json={"reason": reason, "route": "clarify"}, headers=doctor)
    assert (back.json()["route"], len(back.json()["overrides"])) == ("clarify", 2)  # the last one counts
    journals = [
        path.read_bytes() for path in (case_site.assembly.settings.home / "audit").iterdir() if path.is_file()
    ]
    event = f'"dev-doctor","doctor","{CLINIC}","override","success","triage","{asked["id"]}",["{PATIENT}"]'
    assert any(event.encode() in journal for journal in journals)
    assert not any(reason.encode() in journal for journal in journals)
    missing = f"{URL}/01900000-0000-7000-8000-00000000dead/override"
    assert (await case_site.client.post(missing, json={"reason": reason}, headers=doctor)).status_code == 404


async def test_a_decision_is_read_from_the_primary(case_site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = (await ask(case_site, "morphine")).json()
    left_to_replicas: list[str] = []

    async def read(
        _replicas: Replicas, _database: Database, _scope: Command, command: Command
    ) -> tuple[bool, None]:
        left_to_replicas.append(command.name)
        return False, None

    monkeypatch.setattr(Replicas, "__bool__", lambda _: True)
    monkeypatch.setattr(Replicas, "read", read)
    doctor = case_site.headers("doctor")
    assert (await case_site.client.get(f"{URL}/{asked['id']}", headers=doctor)).status_code == 200
    assert "find_prescription_request" not in left_to_replicas


async def test_another_clinic_sees_and_decides_nothing(case_site: Site) -> None:
    asked = (await ask(case_site, "morphine")).json()
    elsewhere = case_site.headers("doctor", OTHER_CLINIC)
    assert (await case_site.client.get(f"{URL}/{asked['id']}", headers=elsewhere)).status_code == 404
    override = await case_site.client.post(
        f"{URL}/{asked['id']}/override", json={"reason": "long enough a reason"}, headers=elsewhere
    )
    assert override.status_code == 404
    with psycopg.connect(case_site.urls.app, autocommit=True) as connection:
        assert connection.execute("select count(*) from prescription_requests").fetchone() == (0,)
        connection.execute("select set_config('cito.clinic_id', %s, false)", [str(CLINIC)])
        seen = connection.execute("select count(*) from prescription_requests").fetchone()
        assert seen is not None
        assert seen[0] > 0
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("delete from prescription_overrides")


@pytest.mark.parametrize(("role", "status"), [("nurse", 201), ("doctor", 201), ("pharmacist", 201), ("clerk", 403), ("auditor", 403), ("admin", 403)])  # fmt: skip
async def test_who_may_ask(case_site: Site, role: str, status: int) -> None:
    assert (await ask(case_site, "Panadol", role=role)).status_code == status


async def test_the_record_answers_when_a_plugin_knows_the_patient(
    case_site: Site,
) -> None:
    """Allergies and medicines come from the plugin that knows them; the request's own add to them."""
    asked: list[tuple[UUID, AskPatient]] = []

    async def allergies(_context: Any, clinic_id: UUID, patient: AskPatient) -> Allergies:
        asked.append((clinic_id, patient))
        return Allergies((Allergy("amoxicillin", Severity.SEVERE, verified=True),))

    async def medications(_context: Any, _clinic_id: UUID, _patient: AskPatient) -> ActiveMedications:
        return ActiveMedications((ActiveMedication("Parnate"),))

    given = (
        Answer(question=ALLERGIES, provide=allergies),
        Answer(question=ACTIVE_MEDICATIONS, provide=medications),
    )
    with answering(case_site.assembly.registry, given):
        own = {"allergies": [{"substance": "fluoxetine"}], "activeMedications": ["Panadol"]}
        said = (
            await ask(case_site, "Augmentin", "fluoxetine", "Panadol", patientId=PATIENT, context=own)
        ).json()
    assert said["route"] == "blocked"
    assert {"allergy:ingredient", "interaction:high"} <= set(said["flags"])
    assert {reason.get("against") for reason in said["reasons"]} >= {
        "amoxicillin",
        "fluoxetine",
        "Parnate",
        "Panadol",
    }
    both = ["record", "request"]
    assert said["sources"] == {"allergies": both, "activeMedications": both}
    assert asked == [(CLINIC, AskPatient(UUID(PATIENT)))]
    unknown = (await ask(case_site, "Augmentin")).json()
    assert (unknown["route"], unknown["sources"]["allergies"]) == ("pharmacist", [])
