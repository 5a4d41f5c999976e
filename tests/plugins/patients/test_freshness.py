"""What makes a search stale: each column that it compares and no other, and no write without a fresh answer."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID, uuid4

import msgspec
import psycopg
import pytest
from support import CLINIC, Site

from cito.core.database.pool import Database
from cito.core.database.sql import read_queries
from cito.core.settings import DatabaseSettings
from cito.plugins.patients.criteria import Filters, interpret
from cito.plugins.patients.plugin import PatientsPlugin
from cito.plugins.patients.queries import SomePatients, find_patients_by_ids
from cito.plugins.patients.search import search

NAMES = {
    "given_name": "'Kerstin'",
    "middle_name": "'Kerstin'",
    "family_name": "'Kerstin'",
    "date_of_birth": "date '1970-01-01'",
    "status": "'inactive'",
    "deleted_at": "now()",
    "merged_into": "id",
}
NUMBERS = {
    "mrn": "'NEW-1'",
    "student_number": "'NEW-1'",
    "phone": "'0123'",
    "phone_e164": "'+14155550188'",
    "email": "'new@example.org'",
}
SHOWN = {
    "sex": "'other'",
    "grade": "'9'",
    "phone_extension": "'9'",
    "address": "'9 Main Street'",
    "version": "9",
    "created_at": "now()",
    "updated_at": "now()",
}


def test_every_column_of_a_patient_is_one_of_these(clinics: Site) -> None:
    with psycopg.connect(clinics.urls.owner) as owner:
        columns = owner.execute(
            "select attname from pg_attribute where attrelid = 'patient'::regclass"
            " and attnum > 0 and attgenerated = '' and not attisdropped"
        ).fetchall()
    assert {name for (name,) in columns} == {"clinic_id", "id", *NAMES, *NUMBERS, *SHOWN}


@pytest.mark.parametrize(("column", "value"), (NAMES | NUMBERS | SHOWN).items())
def test_a_column_makes_stale_what_depends_on_it(clinics: Site, column: str, value: str) -> None:
    id_ = uuid4()
    with psycopg.connect(clinics.urls.owner) as owner:
        owner.execute(
            "insert into patient (clinic_id, id, mrn, family_name) values (%s, %s, 'OLD-1', 'Old')",
            (CLINIC, id_),
        )
        owner.execute("delete from cito.outbox where xid = pg_current_xact_id()")
        owner.execute(f"update patient set {column} = {value} where id = %s".encode(), (id_,))
        written = owner.execute("select tag from cito.outbox where xid = pg_current_xact_id()").fetchall()
        owner.rollback()
    expected = {f"patient:{id_}", f"patients:{CLINIC}"}
    expected |= {f"patient_names:{CLINIC}"} if column in NAMES else set()
    expected |= {f"patient_numbers:{CLINIC}"} if column in NUMBERS else set()
    assert {tag for (tag,) in written} == expected


def as_json(value: Any) -> Any:
    return json.loads(msgspec.json.encode(value))


@pytest.fixture
async def truth(clinics: Site) -> AsyncIterator[Any]:
    """What the database says about a search at this moment, past every cache."""
    queries = read_queries(PatientsPlugin.sql / "queries.sql")
    database = await Database.open(DatabaseSettings(pool_max=1), clinics.urls.app, queries)
    reader = database.reader(CLINIC)

    async def look(text: str) -> Any:
        page = await search(reader, interpret(Filters(search=text), "US", None), "active", 1, 20)
        ids = [hit.id for hit in page.hits]
        rows = await find_patients_by_ids.all(reader, SomePatients(CLINIC, ids))
        shown = {row.id: as_json(row.patient) for row in rows}
        return [shown[hit.id] | {"match": as_json(hit.match)} for hit in page.hits]

    yield look
    await database.close()


SEARCHES = (
    "ferdinand quast",
    "quast 1981-02-03",
    "verdinand",
    "1981-02-03",
    "QF-1",
    "QF-2",
    "0161",
    "ferdinand@example.org",
    "quast@",
)
CHANGES: tuple[dict[str, Any], ...] = (
    {"grade": "4"},
    {"contact": {"phone": "415-555-0162"}},
    {"contact": {"email": "quast@example.org", "address": "2 Side Street"}},
    {"emergencyContacts": [{"name": "Anna Quast", "phone": "415-555-0163"}]},
    {"mrn": "QF-2"},
    {"dateOfBirth": "1981-03-02"},
    {"firstName": "Verdinand"},
    {"status": "inactive"},
)


async def test_after_each_write_each_search_is_what_the_database_says(clinics: Site, truth: Any) -> None:
    """All searches are warm before every write, and asked again right after it."""

    async def agree() -> None:
        for text in SEARCHES:
            answer = await clinics.client.get(
                "/api/patients", params={"search": text}, headers=clinics.headers()
            )
            assert answer.status_code == 200, answer.text
            assert answer.json()["patients"] == await truth(text), text

    async def wrote(method: str, path: str, **more: Any) -> Any:
        answer = await clinics.client.request(method, f"/api/patients{path}", **more)
        assert answer.status_code < 300, answer.text
        await agree()
        return answer

    await agree()
    body = {
        "firstName": "Ferdinand",
        "lastName": "Quast",
        "mrn": "QF-1",
        "dateOfBirth": "1981-02-03",
        "contact": {"phone": "415-555-0161", "email": "ferdinand@example.org"},
    }
    one = await wrote("POST", "", json=body, headers=clinics.headers())
    two = await wrote("POST", "", json=body | {"mrn": "QF-3"}, headers=clinics.headers())
    where, etag = f"/{one.json()['id']}", one.headers["etag"]
    for change in CHANGES:
        changed = await wrote("PATCH", where, json=change, headers=clinics.headers(**{"If-Match": etag}))
        etag = changed.headers["etag"]
    double = {"duplicateId": two.json()["id"]}
    await wrote("POST", f"{where}/merge", json=double, headers=clinics.headers())
    with psycopg.connect(clinics.urls.owner) as owner:
        assert owner.execute(
            "select merged_into from patient where id = %s", (UUID(double["duplicateId"]),)
        ).fetchone()
    await wrote("DELETE", where, headers=clinics.headers())


async def test_the_validator_of_a_page_changes_with_what_it_shows(clinics: Site) -> None:
    body = {"firstName": "Vera", "lastName": "Zwingli"}
    made = await clinics.client.post("/api/patients", json=body, headers=clinics.headers())

    async def ask(etag: str) -> Any:
        headers = clinics.headers(**{"If-None-Match": etag})
        return await clinics.client.get("/api/patients", params={"search": "zwingli"}, headers=headers)

    first = await ask('"none"')
    while (
        again := await ask(first.headers["etag"])
    ).status_code != 304:  # the relay tells of the new patient once more
        first = again
    changed = await clinics.client.patch(
        f"/api/patients/{made.json()['id']}",
        json={"grade": "5"},
        headers=clinics.headers(**{"If-Match": made.headers["etag"]}),
    )
    assert changed.status_code == 200
    after = await ask(first.headers["etag"])
    assert (after.status_code, after.json()["patients"][0]["grade"]) == (200, "5")
