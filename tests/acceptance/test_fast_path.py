"""Both ways side by side: the same bytes, headers, audit events and records; and all that ends a memo."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from typing import Any
from uuid import UUID

import httpx
import pytest
from both_ways import BothWays, Way, journals, make_way, noted, same, told, written
from support import CLINIC, OTHER_CLINIC, OpenSite, Site, alive

from cito.core.audit.journal import JournalFullError
from cito.core.http.fastpath import Hit
from cito.core.seeding import run_seeds, seeds_in_order

MEDICINES = "/api/medications?search=aspirin&limit=5"
SAMPLED = {"traceparent": f"00-{'ab' * 16}-{'cd' * 8}-01"}

READS = {
    "/api/drugs": {"search": "valium"},
    "/api/drugs/{drug_id}": {},
    "/api/drugs/lookup": {"name": "valium"},
    "/api/medications": {"search": "aspirin"},
    "/api/medications/autocomplete": {"query": "asp"},
    "/api/medications/{medicine_id}": {},
    "/api/patients": {"search": "quick"},
    "/api/patients/metadata": {},
    "/api/patients/{patient_id}": {},
}
UNCACHED = {
    "/api/admin/audit",
    "/api/admin/performance",
    "/api/admin/performance/live",
    "/api/prescriptions/requests/{request_id}",
}


@pytest.fixture(scope="module")
async def seeded(open_site: OpenSite) -> AsyncIterator[Site]:
    """A site with all demo data but patients."""
    async with open_site() as site:
        seeds = [seed for seed in seeds_in_order(site.assembly.registry) if seed.name != "patients"]
        await run_seeds(site.urls.owner, seeds, None, lambda *_: None)
        yield site


@pytest.fixture(scope="module")
async def ways(seeded: Site) -> AsyncIterator[tuple[Way, Way]]:
    """The fast way and the long way, over one database and one shared cache."""
    fast, long = (make_way(seeded.assembly, seeded.urls, fast=fast) for fast in (True, False))
    async with alive(fast.app), alive(long.app), fast.client, long.client:
        yield fast, long


async def warm(way: Way, path: str, **headers: str) -> httpx.Response:
    """Ask until the fast way answers, as soon as the relay vouches."""
    before = way.fast
    for _ in range(200):
        answer = await way.get(path, **headers)
        if way.fast > before:
            return answer
        await asyncio.sleep(0.02)
    raise AssertionError(f"{path}: never answered by the fast path")


@pytest.fixture(scope="module")
async def patient(seeded: Site, ways: tuple[Way, Way]) -> dict[str, Any]:
    fast, _ = ways
    born = {"firstName": "Quick", "lastName": "Path", "dateOfBirth": "2010-05-05", "mrn": "MRN-FAST-1"}
    made = await fast.client.post("/api/patients", json=born, headers=seeded.headers())
    assert made.status_code == 201, made.text
    return made.json()


async def both(
    fast: Way, long: Way, path: str, headers: dict[str, str]
) -> tuple[httpx.Response, httpx.Response]:
    """Ask both ways until neither had to pass the cache by: on a busy machine the relay may pause."""
    for _ in range(100):
        fast.forget()
        long.forget()
        one, other = await fast.get(path, **headers), await long.get(path, **headers)
        if "bypass" not in (fast.records[0].cache, long.records[0].cache):
            return one, other
        await asyncio.sleep(0.02)
    raise AssertionError(f"{path}: never through the cache both ways")


async def agreed(
    fast: Way, long: Way, path: str, headers: dict[str, str]
) -> tuple[httpx.Response, httpx.Response]:
    """Ask both ways, again for as long as one may not have heard of the last write: a second, by the protocol."""
    until = asyncio.get_running_loop().time() + 1.0
    while True:
        one, other = await both(fast, long, path, headers)
        if told(one) == told(other) or asyncio.get_running_loop().time() > until:
            return one, other
        await asyncio.sleep(0.02)


async def both_local(
    fast: Way, long: Way, path: str, headers: dict[str, str]
) -> tuple[httpx.Response, httpx.Response]:
    """Ask both ways until both find the answer in their local cache, one of them before routing."""
    for _ in range(100):
        await warm(fast, path, **headers)
        count = fast.fast
        one, other = await both(fast, long, path, headers)
        if fast.fast == count + 1 and long.records[0].cache == "local":
            return one, other
    raise AssertionError(f"{path}: never local both ways")


async def shows(way: Way, path: str, version: int, headers: dict[str, str]) -> None:
    """Wait until a way shows a version: another process hears of a write under the protocol, not at once."""
    for _ in range(500):
        if (await way.get(path, **headers)).json()["version"] == version:
            return
        await asyncio.sleep(0.02)
    raise AssertionError(f"{path}: version {version} never shows")


async def test_the_same_answer_event_and_record_both_ways(
    seeded: Site, ways: tuple[Way, Way], patient: dict[str, Any]
) -> None:
    fast, long = ways
    for path in (f"/api/patients/{patient['id']}", MEDICINES):
        headers = seeded.headers()
        etag = (await warm(fast, path, **headers)).headers["etag"]
        for _ in range(3):
            await long.get(path, **headers)
        for more in (
            {},
            {"If-None-Match": etag},
            {"Accept-Encoding": "gzip"},
            {"X-Request-Id": "abc-1"},
            SAMPLED,
        ):
            one, other = await both_local(fast, long, path, {**headers, **more})
            assert fast.records[0].sampled == (more == SAMPLED)
            assert told(one) == told(other)
            assert [*map(noted, fast.records)] == [*map(noted, long.records)]
            assert [*map(written, fast.events)] == [*map(written, long.events)]
            assert len(fast.events) == (1 if "patients" in path else 0)
            if fast.events:
                assert fast.events[0].patients == (UUID(patient["id"]),)


async def test_a_write_ends_the_memo_and_shows_at_the_next_read(
    seeded: Site, ways: tuple[Way, Way], patient: dict[str, Any]
) -> None:
    fast, long = ways
    path, headers = f"/api/patients/{patient['id']}", seeded.headers()
    for name in ("First", "Second"):
        version = (await warm(fast, path, **headers)).json()["version"]
        changed = await fast.client.patch(
            path, json={"middleName": name}, headers={**headers, "If-Match": f'"{version}"'}
        )
        assert changed.status_code == 200, changed.text
        assert (await fast.get(path, **headers)).json()["middleName"] == name
        assert (await long.get(path, **headers)).json()["middleName"] == name


async def test_a_write_through_another_process_ends_the_memo_before_its_push_is_read(
    seeded: Site, ways: tuple[Way, Way], patient: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    fast, long = ways
    path, headers = f"/api/patients/{patient['id']}", seeded.headers()
    version = (await warm(fast, path, **headers)).json()["version"]
    entry = next(entry for memo in fast.app._memos.values() if (entry := memo.entry()) is not None)
    board = entry.plan.look.__self__
    monkeypatch.setattr(board._heard.__self__.feed, "_changed", lambda _names: None)  # it lies in the socket
    changed = await long.client.patch(
        path, json={"middleName": "Elsewhere"}, headers={**headers, "If-Match": f'"{version}"'}
    )
    assert changed.status_code == 200, changed.text
    assert (await fast.get(path, **headers)).json()["middleName"] == "Elsewhere"


async def test_another_clinic_or_role_gets_nothing_of_a_warm_memo(
    seeded: Site, ways: tuple[Way, Way], patient: dict[str, Any]
) -> None:
    fast, _ = ways
    path = f"/api/patients/{patient['id']}"
    await warm(fast, path, **seeded.headers())
    count = fast.fast
    assert (await fast.get(path, **seeded.headers(clinic=OTHER_CLINIC))).status_code == 404
    assert (await fast.get(path, **seeded.headers("auditor"))).status_code == 403
    assert (await fast.get(path)).status_code == 401
    assert (await fast.get(path, **seeded.headers(), **{"X-Clinic-Id": str(OTHER_CLINIC)})).status_code == 422
    assert fast.fast == count


async def test_a_revoked_and_an_expired_token_end_at_once(
    seeded: Site, ways: tuple[Way, Way], patient: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    fast, _ = ways
    path = f"/api/patients/{patient['id']}"
    verifier = fast.app._remembered.__self__
    for end in ("revoked", "expired"):
        headers = seeded.headers()
        await warm(fast, path, **headers)
        caller = verifier.verify(headers["Authorization"].removeprefix("Bearer ").encode())
        if end == "revoked":
            verifier.revoke({caller.token_id})
        else:
            monkeypatch.setattr(verifier, "_now", lambda: caller.expires_at + 1.0)  # noqa: B023 - called in this turn
        assert (await fast.get(path, **headers)).status_code == 401
    verifier.revoke(())


async def test_a_silent_heartbeat_sends_reads_the_long_way(
    seeded: Site, ways: tuple[Way, Way], patient: dict[str, Any]
) -> None:
    fast, _ = ways
    path, headers = f"/api/patients/{patient['id']}", seeded.headers()
    await warm(fast, path, **headers)
    entry = next(memo.entry() for key, memo in reversed(fast.app._memos.items()) if key[1] == path)
    plan = entry.plan
    kept, plan.vouched_until = plan.vouched_until, float("-inf")
    count = fast.fast
    try:
        assert (await fast.get(path, **headers)).status_code == 200
        assert fast.fast == count
    finally:
        plan.vouched_until = max(kept, plan.vouched_until)


async def test_a_journal_without_room_shows_no_patient(
    seeded: Site, ways: tuple[Way, Way], patient: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    fast, _ = ways
    path, headers = f"/api/patients/{patient['id']}", seeded.headers()
    await warm(fast, path, **headers)

    def full(_payload: bytes, _at_ns: int) -> None:
        raise JournalFullError

    for journal in journals(fast.app):
        monkeypatch.setattr(journal, "append", full)
    count = fast.fast
    assert (await fast.get(path, **headers)).status_code == 503
    assert fast.fast == count


async def test_rate_limits_hold_on_the_fast_way(
    seeded: Site, ways: tuple[Way, Way], monkeypatch: pytest.MonkeyPatch
) -> None:
    fast, _ = ways
    headers = seeded.headers("doctor")
    await warm(fast, MEDICINES, **headers)
    limits = fast.app._limits
    monkeypatch.setattr(limits, "take_at_once", lambda _: False)
    count = fast.fast
    await fast.get(MEDICINES, **headers)
    assert fast.fast == count
    monkeypatch.setattr(limits, "in_flight", limits.max_in_flight)
    assert (await fast.get(MEDICINES, **headers)).status_code == 503


@pytest.mark.parametrize(
    "seed", [1, pytest.param(2, marks=pytest.mark.full), pytest.param(3, marks=pytest.mark.full)]
)
async def test_a_stream_of_reads_and_changes_is_the_same_both_ways(
    seeded: Site, ways: tuple[Way, Way], patient: dict[str, Any], seed: int
) -> None:
    """Random callers, paths, validators and writes: after each, the two ways may not differ in one byte."""
    fast, long = ways
    choose = random.Random(seed)
    callers = [
        seeded.headers(role, clinic)
        for role in ("nurse", "doctor", "clerk")
        for clinic in (CLINIC, OTHER_CLINIC)
    ]
    paths = [
        f"/api/patients/{patient['id']}",
        MEDICINES,
        "/api/patients?search=quick",
        "/api/drugs/lookup?name=valium",
    ]
    etag = '"none"'
    count = fast.fast
    for step in range(150):
        headers, path = choose.choice(callers), choose.choice(paths)
        if choose.random() < 0.05:
            version = (await long.get(paths[0], **callers[0])).json()["version"]
            writing = {**callers[0], "If-Match": f'"{version}"'}
            writer = choose.choice((fast, long))
            changed = await writer.client.patch(
                paths[0], json={"middleName": f"Step {step}"}, headers=writing
            )
            assert changed.status_code == 200
            for way in (fast, long):
                await shows(way, paths[0], version + 1, callers[0])
        # Problem documents name both.
        more = {"X-Request-Id": f"step-{step}", "traceparent": f"00-{step + 1:032x}-00f067aa0ba902b7-00"}
        more |= {"If-None-Match": etag} if choose.random() < 0.3 else {}
        await fast.get(path, **headers, **more)  # fills the memo of one and the local cache of the other
        await long.get(path, **headers, **more)
        one, other = await agreed(fast, long, path, {**headers, **more})
        assert told(one) == told(other), (step, path)
        etag = one.headers.get("etag", etag)
    assert fast.fast > count + 30


async def test_every_read_of_the_api_is_the_same_both_ways(
    seeded: Site, ways: tuple[Way, Way], patient: dict[str, Any]
) -> None:
    transport = BothWays(httpx.ASGITransport(seeded.app), *ways)
    headers, fast = seeded.headers(), same.fast
    async with httpx.AsyncClient(transport=transport, base_url="http://cito.test") as client:
        medicines = (await client.get("/api/medications", headers=headers)).json()["medications"]
        drugs = (await client.get("/api/drugs", headers=headers)).json()["drugs"]
        ids = {"patient_id": patient["id"], "medicine_id": medicines[0]["id"], "drug_id": drugs[0]["id"]}
        for path, query in READS.items():
            count = same.compared
            for _ in range(100):
                answer = await client.get(path.format(**ids), params=query, headers=headers)
                assert answer.status_code == 200, path
                if same.compared > count:
                    break
                await asyncio.sleep(0.02)
            else:
                raise AssertionError(f"{path}: never through the cache both ways")
    assert same.fast - fast >= len(READS) - 1  # a search of patients reads the clinic, too, and has no memo


def another_byte(hit: Hit) -> None:
    hit.body = {**hit.body, "body": hit.body["body"] + b" "}


def another_header(hit: Hit) -> None:
    hit.start["headers"].append((b"x-other", b"1"))


def another_record(hit: Hit) -> None:
    hit.record.operation = "another"


DIFFERENCES = {
    another_byte: "answers differ",
    another_header: "answers differ",
    another_record: "records differ",
    None: "audit events differ",  # its event is forgotten
}


@pytest.mark.parametrize("change", DIFFERENCES)
async def test_a_difference_between_the_ways_is_found(
    seeded: Site,
    ways: tuple[Way, Way],
    patient: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    change: Callable[[Hit], None] | None,
) -> None:
    fast, long = ways
    path, headers = f"/api/patients/{patient['id']}", seeded.headers()
    await both_local(fast, long, path, headers)
    find = fast.app.find

    def altered(scope: Any) -> Hit | None:
        hit = find(scope)
        if hit is not None:
            change(hit) if change else fast.events.clear()
        return hit

    monkeypatch.setattr(fast.app, "find", altered)
    transport = BothWays(httpx.ASGITransport(seeded.app), fast, long, attempts=2)
    async with httpx.AsyncClient(transport=transport, base_url="http://cito.test") as client:
        with pytest.raises(AssertionError, match=DIFFERENCES[change]):
            await client.get(path, headers=headers)


async def test_reads_of_the_api_that_are_not_compared_are_known(seeded: Site) -> None:
    document = (await seeded.client.get("/docs/openapi.json")).json()
    reads = {
        path for path, methods in document["paths"].items() if path.startswith("/api") and "get" in methods
    }
    assert reads == READS.keys() | UNCACHED
