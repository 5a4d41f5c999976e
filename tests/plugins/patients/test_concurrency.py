"""Two at once: one wins, the other is told; nobody is refused for having come in the wrong order."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import psycopg
import pytest
from support import CLINIC, Site


async def register(site: Site, **fields: Any) -> tuple[str, str]:
    answer = await site.client.post(
        "/api/patients", json={"lastName": "Doe"} | fields, headers=site.headers()
    )
    assert answer.status_code == 201, answer.text
    return answer.json()["id"], answer.headers["etag"]


async def test_of_two_changes_of_one_version_one_is_refused(clinics: Site) -> None:
    for _ in range(5):
        id_, etag = await register(clinics)
        answers = await asyncio.gather(
            *(
                clinics.client.patch(
                    f"/api/patients/{id_}",
                    json={"grade": grade},
                    headers=clinics.headers(**{"If-Match": etag}),
                )
                for grade in ("1", "2", "3")
            )
        )
        assert sorted(answer.status_code for answer in answers) == [200, 412, 412]


async def test_of_two_merges_into_each_other_one_is_refused(clinics: Site) -> None:
    for _ in range(5):
        (one, _), (two, _) = await register(clinics), await register(clinics)
        answers = await asyncio.gather(
            *(
                clinics.client.post(
                    f"/api/patients/{kept}/merge", json={"duplicateId": double}, headers=clinics.headers()
                )
                for kept, double in ((one, two), (two, one))
            )
        )
        assert sorted(answer.status_code for answer in answers) == [200, 409]


@pytest.mark.parametrize("times", [8])
def test_opposite_changes_of_status_wait_for_each_other(domain: Any, times: int) -> None:
    """Each transaction changes one patient from active to inactive and another back, in its own order."""
    with psycopg.connect(domain.owner, autocommit=True) as owner:
        owner.execute(
            "insert into patient (clinic_id, id, mrn, family_name, status)"
            " select %s, gen_random_uuid(), 'W' || n, 'Waiting', case when n <= 2 then 'active' else 'inactive' end"
            " from generate_series(1, 4) as n",
            (CLINIC,),
        )
    together, failures = threading.Barrier(2), []

    def swing(number: str) -> None:
        with psycopg.connect(domain.owner, autocommit=True) as connection:
            for _ in range(times):
                together.wait(timeout=20)
                try:
                    connection.execute(
                        "update patient set status = case status when 'active' then 'inactive' else 'active' end"
                        " where mrn = %s",
                        (number,),
                    )
                except psycopg.errors.DeadlockDetected as error:
                    failures.append(error)

    threads = [threading.Thread(target=swing, args=(number,)) for number in ("W1", "W3")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    with psycopg.connect(domain.admin) as superuser:
        counted = superuser.execute(
            "select status, patients from patient_count where clinic_id = %s", (CLINIC,)
        )
        assert {status: n for status, n in counted if n} == {"active": 2, "inactive": 2}
