"""Drugs over HTTP: reading, searching, and writes of those who may, each against the version it was made from."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from support import OpenSite, Site

from cito.plugins.drugs.seed import load_drugs

DRUGS = "/api/drugs"


@pytest.fixture(scope="module")
async def demo(open_site: OpenSite) -> AsyncIterator[Site]:
    """A site with the demo vocabulary."""
    async with open_site(plugins=("drugs",)) as site:
        async with await psycopg.AsyncConnection.connect(site.urls.owner) as connection:
            await load_drugs(connection, None, lambda *_: None)
        yield site


async def got(site: Site, path: str = "", role: str = "nurse", **params: Any) -> dict[str, Any]:
    said = await site.client.get(f"{DRUGS}{path}", params=params, headers=site.headers(role))
    assert said.status_code == 200, said.text
    answer: dict[str, Any] = said.json()
    return answer


def generics(page: dict[str, Any]) -> list[str]:
    return [drug["genericName"] for drug in page["drugs"]]


async def test_a_drug_has_the_fields_that_were_promised(demo: Site) -> None:
    found = (await got(demo, "/lookup", name="Valium 5mg tabs"))["drug"]
    assert found == await got(demo, f"/{found['id']}")
    assert found == {
        "id": found["id"],
        "genericName": "diazepam",
        "brandNames": ["Valium", "Diastat", "Stesolid"],
        "keywords": [],
        "ingredients": ["diazepam"],
        "classes": ["benzodiazepine", "sedative"],
        "schedules": [{"jurisdiction": "US", "schedule": "IV"}],
        "prescriptionOnly": True,
        "isActive": True,
        "version": 1,
    }


async def test_pages_of_all_active_drugs_meet_and_do_not_overlap(demo: Site) -> None:
    first, second = await got(demo, limit=50), await got(demo, limit=50, page=2)
    assert sorted({*generics(first), *generics(second)}) == sorted(generics(first) + generics(second))
    total = first["pagination"]["total"]
    assert first["pagination"] == {
        "page": 1,
        "limit": 50,
        "total": total,
        "totalIsCapped": False,
        "pages": -(-total // 50),
    }
    past = await got(demo, page=1000)
    assert (past["drugs"], past["pagination"]["total"]) == ([], total)
    assert "rofecoxib" not in generics(await got(demo, search="rofecoxib"))


@pytest.mark.parametrize(
    ("search", "first"),
    [
        ("amoxicillin", "amoxicillin"),
        ("AMOXI", "amoxicillin"),
        ("tylenol w", "codeine/paracetamol"),
        ("with codeine", "codeine/paracetamol"),
        ("ibruprofen", "ibuprofen"),
        ("co", "co"),
        ("%", None),
        ("qqqqqq", None),
    ],
)
async def test_search(demo: Site, search: str, first: str | None) -> None:
    page = await got(demo, search=search)
    if first is None:
        assert page["drugs"] == []
    elif first == "co":
        assert all(starts(drug, first) for drug in page["drugs"])
    else:
        assert first in generics(page)[:2]


def starts(drug: dict[str, Any], letters: str) -> bool:
    names = (drug["genericName"], *drug["brandNames"], *drug["keywords"])
    return any(name.lower().replace("-", "").startswith(letters) for name in names)


async def test_class_and_schedule_narrow_each_other(demo: Site) -> None:
    opioids = await got(demo, **{"class": "opioid", "limit": 100})
    assert all("opioid" in drug["classes"] for drug in opioids["drugs"])
    second = await got(demo, **{"class": "Opioid", "schedule": "II", "limit": 100})
    assert 0 < second["pagination"]["total"] < opioids["pagination"]["total"]
    assert all({"jurisdiction": "US", "schedule": "II"} in drug["schedules"] for drug in second["drugs"])
    of_two = await got(demo, schedule="II", limit=100)
    assert set(generics(second)) < set(generics(of_two))
    assert generics(await got(demo, **{"search": "morph", "class": "opioid", "schedule": "II"}))[:1] == [
        "morphine"
    ]


@pytest.mark.parametrize(
    "query", ["page=0", "limit=101", "limit=x", "search=a&search=b", "sort=name", "search=%00", "name=x"]
)
async def test_parameters_that_are_refused(demo: Site, query: str) -> None:
    said = await demo.client.get(f"{DRUGS}?{query}", headers=demo.headers())
    assert said.status_code == 422
    assert said.json()["errors"]


NEW = {
    "genericName": " new  med ",
    "brandNames": ["Newbrand", "Newbrand"],
    "classes": ["CYP3A4 inhibitor"],
    "schedules": [{"jurisdiction": "US", "schedule": "V"}],
}


async def test_a_drug_is_added_changed_and_withdrawn(demo: Site) -> None:
    headers = demo.headers("pharmacist")
    said = await demo.client.post(DRUGS, json=NEW, headers=headers)
    assert said.status_code == 201
    drug = said.json()
    assert said.headers["location"] == f"{DRUGS}/{drug['id']}"
    assert (drug["genericName"], drug["brandNames"]) == ("new med", ["Newbrand"])
    assert (drug["classes"], drug["ingredients"], drug["version"]) == (["cyp3a4_inhibitor"], ["new med"], 1)
    path = f"{DRUGS}/{drug['id']}"
    etag = (await demo.client.get(path, headers=headers)).headers["etag"]
    change = {"schedules": [{"jurisdiction": "US", "schedule": "IV"}], "isActive": False}
    changed = await demo.client.patch(path, json=change, headers={**headers, "If-Match": etag})
    assert changed.status_code == 200, changed.text
    assert changed.json() == {**drug, **change, "version": 2}
    assert (await got(demo, "/lookup", name="newbrand"))["status"] == "inactive"
    for tag, status in ((etag, 412), ('"7.x"', 412), (None, 428)):
        tagged = headers if tag is None else {**headers, "If-Match": tag}
        again = await demo.client.patch(path, json={"isActive": True}, headers=tagged)
        assert again.status_code == status
    assert (await got(demo, f"/{drug['id']}"))["version"] == 2
    renamed = await demo.client.patch(
        path, json={"genericName": "other med"}, headers={**headers, "If-Match": "*"}
    )
    assert (renamed.json()["ingredients"], renamed.json()["version"]) == (["other med"], 3)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "genericName"),
        ({"genericName": ""}, "genericName"),
        ({"genericName": "--"}, "genericName"),
        ({"genericName": "x", "brandNames": ["--"]}, "brandNames"),
        ({"genericName": "x", "brandNames": [""]}, "brandNames"),
        ({"genericName": "x", "price": 1}, "price"),
        ({"genericName": "x", "schedules": [{"jurisdiction": "us", "schedule": "V"}]}, "schedules"),
        ({"genericName": "x", "id": str(uuid4())}, "id"),
        (
            {"genericName": "x", "schedules": [{"jurisdiction": "US", "schedule": s} for s in "IV"]},
            "schedules",
        ),
    ],
)
async def test_drugs_that_are_refused(demo: Site, body: dict[str, Any], field: str) -> None:
    said = await demo.client.post(DRUGS, json=body, headers=demo.headers("admin"))
    assert said.status_code == 422, said.text
    assert said.json()["errors"][0]["field"].startswith(field)


async def test_a_generic_name_is_there_once(demo: Site) -> None:
    said = await demo.client.post(DRUGS, json={"genericName": "Para-cetamol"}, headers=demo.headers("admin"))
    assert said.status_code == 409
    assert said.json()["errors"][0]["field"] == "genericName"


async def test_what_is_not_there(demo: Site) -> None:
    path = f"{DRUGS}/{uuid4()}"
    assert (await demo.client.get(path, headers=demo.headers())).status_code == 404
    changed = await demo.client.patch(
        path, json={"isActive": False}, headers=demo.headers("admin", **{"If-Match": "*"})
    )
    assert changed.status_code == 404


@pytest.mark.parametrize(
    ("role", "reads", "writes"),
    [
        ("nurse", 200, 403),
        ("doctor", 200, 403),
        ("clerk", 200, 403),
        ("pharmacist", 200, 422),
        ("admin", 200, 422),
        ("auditor", 403, 403),
    ],
)
async def test_roles(demo: Site, role: str, reads: int, writes: int) -> None:
    headers = demo.headers(role)
    for path in ("/lookup?name=panadol", "?search=panadol"):
        assert (await demo.client.get(f"{DRUGS}{path}", headers=headers)).status_code == reads
    assert (
        await demo.client.post(f"{DRUGS}/lookup", json={"names": []}, headers=headers)
    ).status_code == reads
    assert (await demo.client.post(DRUGS, json={}, headers=headers)).status_code == writes


async def test_an_unchanged_lookup_is_304(demo: Site) -> None:
    first = await demo.client.get(f"{DRUGS}/lookup?name=panadol", headers=demo.headers())
    again = await demo.client.get(
        f"{DRUGS}/lookup?name=Panadol%20", headers=demo.headers(**{"If-None-Match": first.headers["etag"]})
    )
    assert (again.status_code, again.content) == (304, b"")
