"""A patient of another clinic does not exist: by search, profile, change, merge, cache and error."""

from __future__ import annotations

import re
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from support import CLINIC, OTHER_CLINIC, Site


@pytest.fixture(scope="module")
async def theirs(clinics: Site) -> dict[str, Any]:
    """A patient of the other clinic, read by its own nurse, so that every cache is warm."""
    headers = clinics.headers(clinic=OTHER_CLINIC)
    body = {
        "firstName": "Xaver",
        "lastName": "Fremdling",
        "mrn": "FOREIGN-1",
        "dateOfBirth": "1977-07-17",
        "contact": {"phone": "415-555-0177", "email": "xaver@example.org"},
    }
    patient = (await clinics.client.post("/api/patients", json=body, headers=headers)).json()
    assert (await clinics.client.get(f"/api/patients/{patient['id']}", headers=headers)).status_code == 200
    return dict(patient)


@pytest.mark.parametrize(
    "search",
    [
        "xaver fremdling",
        "fremdling",
        "fre",
        "FOREIGN-1",
        "1977-07-17",
        "415-555-0177",
        "0177",
        "xaver@example.org",
        "id",
    ],
)
async def test_search(clinics: Site, theirs: dict[str, Any], search: str) -> None:
    params = {"search": theirs["id"] if search == "id" else search, "status": "any"}
    own = await clinics.client.get(
        "/api/patients", params=params, headers=clinics.headers(clinic=OTHER_CLINIC)
    )
    assert [p["id"] for p in own.json()["patients"]] == [theirs["id"]]
    other = await clinics.client.get("/api/patients", params=params, headers=clinics.headers())
    assert other.json()["patients"] == []
    assert other.json()["pagination"]["total"] == 0


async def test_profile_change_delete_and_merge_are_404_like_a_missing_one(
    clinics: Site, theirs: dict[str, Any]
) -> None:
    mine = await clinics.client.post("/api/patients", json={"lastName": "Own"}, headers=clinics.headers())

    def comparable(answer: Any) -> tuple[int, dict[str, Any]]:
        problem = answer.json()
        return answer.status_code, {k: v for k, v in problem.items() if k not in ("requestId", "instance")}

    async def tries(id_: str) -> list[tuple[int, dict[str, Any]]]:
        where, headers = f"/api/patients/{id_}", clinics.headers(**{"If-Match": '"1."'})
        merge = f"/api/patients/{mine.json()['id']}/merge"
        return [
            comparable(await clinics.client.get(where, headers=headers)),
            comparable(await clinics.client.patch(where, json={"grade": "1"}, headers=headers)),
            comparable(await clinics.client.delete(where, headers=headers)),
            comparable(
                await clinics.client.post(
                    f"{where}/merge", json={"duplicateId": mine.json()["id"]}, headers=headers
                )
            ),
            comparable(await clinics.client.post(merge, json={"duplicateId": id_}, headers=headers)),
        ]

    foreign, missing = await tries(theirs["id"]), await tries(str(uuid4()))
    assert foreign == missing
    assert {status for status, _ in foreign} == {404}


def test_each_layer_holds_alone(clinics: Site, theirs: dict[str, Any]) -> None:
    with psycopg.connect(clinics.urls.app) as app:  # row-level security without a predicate in the query
        app.execute("select set_config('cito.clinic_id', %s, true)", (str(CLINIC),))
        assert app.execute("select id from patient_profile where id = %s", (theirs["id"],)).fetchall() == []
        assert app.execute("select id from patient where id = %s", (theirs["id"],)).fetchall() == []
        app.execute("select set_config('cito.clinic_id', '', true)")
        assert app.execute("select id from patient").fetchall() == []
    with psycopg.connect(clinics.urls.admin) as superuser:  # the predicate in the function without the policy
        superuser.execute("select set_config('cito.clinic_id', %s, true)", (str(CLINIC),))
        asked = "select id from find_patients(%s, array['fremdling'], null::patient_criteria, 0, 'any', 1001)"
        assert superuser.execute(asked, (CLINIC,)).fetchall() == []
        assert superuser.execute(asked, (OTHER_CLINIC,)).fetchall() == []


@pytest.mark.parametrize("table", ["patient_name", "patient_name_word", "name_vocabulary"])
def test_the_application_cannot_read_the_search_tables(clinics: Site, table: str) -> None:
    with psycopg.connect(clinics.urls.app) as app, pytest.raises(psycopg.errors.InsufficientPrivilege):
        app.execute(f"select from {table}".encode())


@pytest.mark.parametrize(
    ("role", "method", "status"),
    [
        ("pharmacist", "get", 200),
        ("pharmacist", "post", 403),
        ("clerk", "post", 201),
        ("admin", "get", 403),
        ("auditor", "get", 403),
    ],
)
async def test_roles(clinics: Site, role: str, method: str, status: int) -> None:
    body = {"json": {"lastName": "Role"}} if method == "post" else {"params": {"search": "anybody"}}
    answer = await clinics.client.request(method, "/api/patients", headers=clinics.headers(role), **body)  # type: ignore[arg-type]
    assert answer.status_code == status


async def test_a_foreign_patient_takes_the_same_work_as_a_missing_one(clinics: Site) -> None:
    """What is not done cannot be timed: the same answers of the cache and as many queries, cold and warm."""
    mine = await clinics.client.post("/api/patients", json={"lastName": "Own"}, headers=clinics.headers())
    merge = {"duplicateId": mine.json()["id"]}
    headers = clinics.headers(**{"If-Match": '"1."'})

    async def work(number: str, id_: str) -> list[tuple[int, str]]:
        asked = [
            ("GET", "", {"params": {"search": number}}),
            ("GET", "", {"params": {"search": f"{number.lower()}@example.org"}}),
            ("GET", f"/{id_}", {}),
            ("PATCH", f"/{id_}", {"json": {"grade": "1"}}),
            ("DELETE", f"/{id_}", {}),
            ("POST", f"/{id_}/merge", {"json": merge}),
            ("POST", f"/{mine.json()['id']}/merge", {"json": {"duplicateId": id_}}),
        ]
        done = []
        for method, path, more in asked * 2:
            answer = await clinics.client.request(method, f"/api/patients{path}", headers=headers, **more)  # type: ignore[arg-type]
            timing = re.sub(r"dur=[\d.]+", "", answer.headers["server-timing"].partition(", total")[0])
            done.append(
                (answer.status_code, timing.replace("shared", "local"))
            )  # which tier: the heartbeat says
        return done

    for attempt in range(10):  # a shared cache that was away for a moment strikes one of them
        body = {"lastName": "Fremd", "mrn": f"F-{attempt}", "contact": {"email": f"f-{attempt}@example.org"}}
        theirs = await clinics.client.post(
            "/api/patients", json=body, headers=clinics.headers(clinic=OTHER_CLINIC)
        )
        foreign = await work(f"F-{attempt}", theirs.json()["id"])
        missing = await work(f"M-{attempt}", str(uuid4()))
        if foreign == missing:
            break
    assert foreign == missing
