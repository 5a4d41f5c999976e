"""One domain asks, another answers: triage asks whose request it is, and the patients plugin knows."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import httpx
import pytest
from support import CLINIC, OTHER_CLINIC, Site

from cito.core.seeding import run_seeds, seeds_in_order

URL = "/api/prescriptions/requests"


@pytest.fixture(scope="module", autouse=True)
async def clinics(site: Site) -> None:
    seeds = [seed for seed in seeds_in_order(site.assembly.registry) if seed.name == "clinics"]
    await run_seeds(site.urls.owner, seeds, None, lambda *_: None)


async def register(site: Site, family: str, clinic: Any = CLINIC) -> dict[str, Any]:
    person = {"firstName": "Ada", "lastName": family, "dateOfBirth": "2012-03-04", "sex": "female"}
    made = await site.client.post("/api/patients", json=person, headers=site.headers(clinic=clinic))
    assert made.status_code == 201, made.text
    return dict(made.json())


async def triage(site: Site, patient: Any) -> httpx.Response:
    asked = {"patientId": str(patient), "medications": [{"medicationName": "paracetamol"}]}
    return await site.client.post(URL, json=asked, headers=site.headers())


async def test_a_request_is_for_a_patient_of_the_clinic(site: Site) -> None:
    patient = await register(site, "Nakamura")
    answer = await triage(site, patient["id"])
    assert answer.status_code == 201
    assert answer.json()["patientId"] == patient["id"]


async def test_no_patient_and_another_clinics_are_the_same_refusal(site: Site) -> None:
    theirs = await register(site, "Okonkwo", OTHER_CLINIC)
    refused = [(await triage(site, patient)) for patient in (theirs["id"], uuid4())]
    assert [answer.status_code for answer in refused] == [422, 422]
    assert [answer.json()["errors"] for answer in refused] == [
        [{"field": "patientId", "rule": "unknown", "message": "no such patient in this clinic"}]
    ] * 2


async def test_a_merged_record_stands_for_the_one_it_became(site: Site) -> None:
    kept, double = await register(site, "Petrov"), await register(site, "Petroff")
    merged = await site.client.post(
        f"/api/patients/{kept['id']}/merge", json={"duplicateId": double["id"]}, headers=site.headers()
    )
    assert merged.status_code == 200, merged.text
    assert (await triage(site, double["id"])).json()["patientId"] == kept["id"]
