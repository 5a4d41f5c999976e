from __future__ import annotations

import asyncio
from typing import Any
from uuid import uuid4

import httpx
import psycopg
import pytest
from support import Site

PATH = "/api/medications"
ASPIRIN = {
    "name": "Test Aspirin 81mg",
    "genericName": "aspirin",
    "dosageForm": "chewable tablet",
    "strength": "81 mg",
    "manufacturer": "Test Works",
    "ndc": "0777-3105-02",
    "isControlled": False,
}


async def get(site: Site, path: str = PATH, *, role: str = "nurse", **params: Any) -> httpx.Response:
    return await site.client.get(path, params=params, headers=site.headers(role))


async def add(site: Site, role: str = "nurse", **fields: Any) -> httpx.Response:
    return await site.client.post(PATH, json={**ASPIRIN, **fields}, headers=site.headers(role))


async def change(site: Site, made: httpx.Response, body: object, **headers: str) -> httpx.Response:
    headers = {"If-Match": made.headers["etag"], **headers}
    path = f"{PATH}/{made.json()['id']}"
    return await site.client.patch(path, json=body, headers=site.headers(**headers))


def rules(answer: httpx.Response) -> list[tuple[str, str]]:
    return [(error["field"], error["rule"]) for error in answer.json()["errors"]]


async def test_pages_hold_every_medicine_once_and_in_order(formulary: Site) -> None:
    whole, page = [], 1
    while rows := (await get(formulary, page=page, limit=100)).json()["medications"]:
        whole += rows
        page += 1
    total = (await get(formulary)).json()["pagination"]
    assert total == {
        "page": 1,
        "limit": 20,
        "total": len(whole),
        "totalIsCapped": False,
        "pages": -(-len(whole) // 20),
    }
    assert len({row["id"] for row in whole}) == len(whole) > 500
    small = [(await get(formulary, page=n, limit=7)).json()["medications"] for n in (1, 2, 3)]
    assert [row for rows in small for row in rows] == whole[:21]


async def test_a_medicine_has_all_its_fields(formulary: Site) -> None:
    row = (await get(formulary, search="xanax 0.5mg")).json()["medications"][0]
    assert row | {"id": ""} == {
        "id": "",
        "name": "Xanax 0.5mg",
        "genericName": "alprazolam",
        "dosageForm": "tablet",
        "strength": "0.5 mg",
        "manufacturer": None,
        "ndc": None,
        "isControlled": True,
        "activePrescriptions": 0,
        "version": 1,
    }
    assert (await get(formulary, f"{PATH}/{row['id']}")).json() == row


async def test_pages_of_a_search_are_stable_and_their_total_right(formulary: Site) -> None:
    first = (await get(formulary, search="tablet", limit=100)).json()
    assert first["pagination"]["total"] == 1000
    assert first["pagination"]["totalIsCapped"] is True
    seen: list[str] = []
    for page in range(1, 12):
        rows = (await get(formulary, search="tablet", limit=100, page=page)).json()["medications"]
        seen += [row["id"] for row in rows]
    assert len(seen) == len(set(seen)) == 1000, "ranked lists end at the cap"
    again = (await get(formulary, search="metformin", limit=5)).json()
    second = (await get(formulary, search="metformin", limit=5, page=2)).json()
    assert again["pagination"]["total"] == second["pagination"]["total"]
    assert not {row["id"] for row in again["medications"]} & {row["id"] for row in second["medications"]}


async def test_a_page_after_the_last_is_empty_and_knows_the_total(formulary: Site) -> None:
    found = (await get(formulary, search="aspirin 81 mg", page=9)).json()
    assert found["medications"] == []
    assert found["pagination"]["total"] == 3
    total = (await get(formulary)).json()["pagination"]["total"]
    assert (await get(formulary, page=500, limit=100)).json()["pagination"]["total"] == total


@pytest.mark.parametrize(
    ("params", "broken"),
    [
        ({"page": 0}, ("page", "minimum")),
        ({"page": "abc"}, ("page", "type")),
        ({"page": 10**9}, ("page", "maximum")),
        ({"limit": 100_000}, ("limit", "maximum")),
        ({"limit": 0}, ("limit", "minimum")),
        ({"search": "x" * 201}, ("search", "max_length")),
        ({"search": "a\0b"}, ("search", "pattern")),
        ({"serach": "x"}, ("serach", "unknown")),
        ({"clinicId": "x"}, ("clinicId", "unknown")),
    ],
)
async def test_a_wrong_parameter_is_named_with_its_rule(
    formulary: Site, params: dict[str, Any], broken: tuple[str, str]
) -> None:
    refused = await get(formulary, **params)
    assert refused.status_code == 422
    assert broken in rules(refused)


@pytest.mark.parametrize(
    "search", ["%", "_", "%%%", "___", "\\", "'", "-- ", "...", "☃", "\u200b", "(", "&|!", ":*"]
)
async def test_signs_find_nothing_rather_than_everything(formulary: Site, search: str) -> None:
    found = await get(formulary, search=search)
    assert (found.status_code, found.json()["medications"]) == (200, [])


async def test_space_alone_is_no_search(formulary: Site) -> None:
    assert (await get(formulary, search="   ")).json() == (await get(formulary)).json()


async def test_write_then_read_is_fresh(formulary: Site) -> None:
    for search in ("test aspirin", ""):
        await get(formulary, search=search)
    before = (await get(formulary)).json()["pagination"]["total"]
    assert (await get(formulary, search="zzyzx")).json()["pagination"]["total"] == 0
    made = await add(formulary, name="Zzyzx 5mg", ndc=None)
    assert made.status_code == 201
    assert made.headers["location"] == f"{PATH}/{made.json()['id']}"
    assert (await get(formulary)).json()["pagination"]["total"] == before + 1
    assert (await get(formulary, search="zzyzx")).json()["medications"] == [made.json()]
    assert (await get(formulary, made.headers["location"])).json() == made.json()
    changed = await change(formulary, made, {"name": "Xyzzy 5mg"})
    assert changed.json() == {**made.json(), "name": "Xyzzy 5mg", "version": 2}
    assert (await get(formulary, search="zzyzx")).json()["medications"] == []
    assert (await get(formulary, search="xyzzy")).json()["medications"] == [changed.json()]
    assert (await get(formulary, made.headers["location"])).json() == changed.json()
    suggested = await get(formulary, f"{PATH}/autocomplete", query="xyzz")
    assert [one["name"] for one in suggested.json()["suggestions"]] == ["Xyzzy 5mg"]


async def test_a_code_is_unique_in_every_form_and_found_in_every_form(formulary: Site) -> None:
    made = await add(formulary)
    assert made.json()["ndc"] == "00777-3105-02"
    for form in ("0777-3105-02", "00777-3105-02", "00777310502"):
        twice = await add(formulary, name="Other", ndc=form)
        assert (twice.status_code, rules(twice)) == (409, [("ndc", "unique")])
    other = await add(formulary, name="Other", ndc="50242-040-62")
    clash = await change(formulary, other, {"ndc": "00777310502"})
    assert (clash.status_code, rules(clash)) == (409, [("ndc", "unique")])
    for typed in ("0777-3105-02", "00777-3105-02", "00777310502", "0777310502", "0777-3105", "00777-3105-"):
        found = (await get(formulary, search=typed)).json()
        assert found["medications"] == [made.json()], typed
        assert found["pagination"]["total"] == 1
    assert (await get(formulary, search="0777-3105", page=2)).json()["pagination"]["total"] == 1


async def test_a_change_needs_the_version_that_was_read(formulary: Site) -> None:
    made = await add(formulary, name="Versioned", ndc=None)
    path, headers = made.headers["location"], formulary.headers()
    missing = await formulary.client.patch(path, json={"strength": "5 mg"}, headers=headers)
    assert missing.status_code == 428
    first = await change(formulary, made, {"strength": "5 mg"})
    assert (first.status_code, first.json()["version"]) == (200, 2)
    stale = await change(formulary, made, {"strength": "6 mg"})
    assert stale.status_code == 412
    for tag in ('W/"2"', '"nonsense"', "2", '"1", "3"', '"22"'):
        other = await change(formulary, made, {"strength": "6 mg"}, **{"If-Match": tag})
        assert other.status_code == 412, tag
    assert (await get(formulary, path)).json()["strength"] == "5 mg"
    read = await get(formulary, path)
    assert (await change(formulary, read, {"strength": "6 mg"})).json()["version"] == 3
    assert (await change(formulary, read, {"strength": None}, **{"If-Match": '"9", "3"'})).json()[
        "strength"
    ] is None
    assert (await change(formulary, read, {"isControlled": True}, **{"If-Match": "*"})).json()["version"] == 5


async def test_two_who_read_the_same_version_cannot_both_change_it(formulary: Site) -> None:
    made = await add(formulary, name="Contested", ndc=None)
    # The other writer's row lock makes ours wait between its reading and its writing.
    async with await psycopg.AsyncConnection.connect(formulary.urls.owner) as other:
        sql = "update medications set strength = '1 mg' where id = %s"
        await other.execute(sql, (made.json()["id"],))

        ours = asyncio.create_task(change(formulary, made, {"strength": "2 mg"}))
        while not (await (await other.execute(WAITING)).fetchone())[0]:  # noqa: ASYNC110 - PostgreSQL tells nobody who waits
            await asyncio.sleep(0.01)
        await other.commit()
        assert (await ours).status_code == 412
    for _ in range(100):  # the other's write is heard of by the relay, soon but not at once
        if (await get(formulary, made.headers["location"])).json()["strength"] == "1 mg":
            return
        await asyncio.sleep(0.02)
    raise AssertionError("the other's write never showed")


WAITING = "select exists (select from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database())"


@pytest.mark.parametrize(
    ("fields", "broken"),
    [
        ({"name": ""}, ("name", "min_length")),
        ({"name": "   "}, ("name", "pattern")),
        ({"name": "a\nb"}, ("name", "pattern")),
        ({"name": "x" * 201}, ("name", "max_length")),
        ({"name": None}, ("name", "type")),
        ({"name": 5}, ("name", "type")),
        ({"genericName": ""}, ("genericName", "min_length")),
        ({"isControlled": "yes"}, ("isControlled", "type")),
        ({"ndc": "12-34"}, ("ndc", "ndc")),
        ({"ndc": "0777310502"}, ("ndc", "ambiguous")),
        ({"id": "x"}, ("id", "unknown")),
        ({"clinicId": "x"}, ("clinicId", "unknown")),
        ({"activePrescriptions": 7}, ("activePrescriptions", "unknown")),
    ],
)
async def test_a_wrong_field_is_named_with_its_rule(
    formulary: Site, fields: dict[str, Any], broken: tuple[str, str]
) -> None:
    refused = await add(formulary, **fields)
    assert refused.status_code == 422, refused.text
    assert rules(refused) == [broken]
    made = await add(formulary, name="Steady", ndc=None)
    refused = await change(formulary, made, fields)
    assert (refused.status_code, rules(refused)) == (422, [broken])


async def test_required_fields_are_required_and_a_change_changes_something(formulary: Site) -> None:
    refused = await formulary.client.post(PATH, json={"name": "X"}, headers=formulary.headers())
    assert (refused.status_code, rules(refused)[0][1]) == (422, "required")
    made = await add(formulary, name="Steady", ndc=None)
    assert rules(await change(formulary, made, {})) == [("body", "empty")]


async def test_texts_are_kept_without_the_space_around_them(formulary: Site) -> None:
    made = await add(formulary, name="  Spaced 5mg ", manufacturer=" Works ", ndc=" 60575-4112-1 ")
    kept = {name: made.json()[name] for name in ("name", "manufacturer", "ndc")}
    assert kept == {"name": "Spaced 5mg", "manufacturer": "Works", "ndc": "60575-4112-01"}


async def test_what_is_not_there_is_not_found(formulary: Site) -> None:
    path = f"{PATH}/{uuid4()}"
    assert (await get(formulary, path)).status_code == 404
    headers = formulary.headers(**{"If-Match": "*"})
    assert (await formulary.client.patch(path, json={"name": "X"}, headers=headers)).status_code == 404
    assert (await get(formulary, f"{PATH}/not-an-id")).status_code == 404


@pytest.mark.parametrize(
    ("role", "reads", "writes"),
    [
        ("nurse", 200, 201),
        ("doctor", 200, 201),
        ("pharmacist", 200, 201),
        ("clerk", 200, 403),
        ("admin", 200, 201),
        ("auditor", 403, 403),
    ],
)
async def test_who_reads_and_who_writes(formulary: Site, role: str, reads: int, writes: int) -> None:
    assert (await get(formulary, role=role)).status_code == reads
    assert (await get(formulary, f"{PATH}/autocomplete", role=role, query="as")).status_code == reads
    assert (await add(formulary, role=role, name="By role", ndc=None)).status_code == writes


async def test_nothing_without_a_token(formulary: Site) -> None:
    assert (await formulary.client.get(PATH)).status_code == 401
    assert (await formulary.client.post(PATH, json=ASPIRIN)).status_code == 401
