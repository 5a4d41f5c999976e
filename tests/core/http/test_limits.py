from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from uuid import UUID, uuid4

import httpx
import pytest

from cito.core.cache.keys import Names
from cito.core.cache.shared import SharedAway, SharedTier
from cito.core.caller import Caller
from cito.core.embedded import Urls
from cito.core.errors import TooManyRequests
from cito.core.http.asgi import App, Send
from cito.core.http.limits import Limited, Limits
from cito.core.settings import HttpSettings

from .conftest import CLINIC, Site

THING = "/api/things/01890000-0000-7000-8000-000000000009"


def caller(subject: str = "staff-1", clinic: UUID | None = CLINIC) -> Caller:
    return Caller(subject, "nurse", clinic, "jti", 0)


class Clock:
    def __init__(self) -> None:
        self.seconds = 1_795_000_000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
async def tier(urls: Urls) -> AsyncIterator[SharedTier]:
    shared = SharedTier(urls.cache, Names(uuid4().bytes * 2, "limits"), 1.0)
    yield shared
    await shared.close()


async def allowed(limits: Limits, who: Caller, tries: int) -> int:
    """How many of some tries get through, one after another."""
    passed = 0
    for _ in range(tries):
        if not limits.take(who):
            try:
                await limits.wait(who)
            except TooManyRequests:
                continue
        passed += 1
    return passed


@pytest.fixture(autouse=True)
async def closed(tier: SharedTier) -> AsyncIterator[None]:
    """End leases before the shared tier is closed."""
    yield
    for one in MADE:
        await one.close()
    MADE.clear()


MADE: list[Limits] = []


def limits_of(clock: Clock, *, subject: float = 100, clinic: float = 10_000) -> Limits:
    settings = HttpSettings(rate_per_subject_per_second=subject, rate_per_clinic_per_second=clinic)
    MADE.append(Limits(settings, clock))
    return MADE[-1]


@pytest.mark.parametrize("rate", [1, 7, 100, 1_000])
async def test_one_process_lets_through_the_rate_and_not_one_more(tier: SharedTier, rate: int) -> None:
    clock = Clock()
    limits = limits_of(clock, subject=rate)
    limits.share(tier.count)
    for _ in range(3):
        assert await allowed(limits, caller(), 2 * rate + 10) == pytest.approx(rate, abs=max(1, rate // 10))
        clock.seconds += 1


async def test_processes_share_a_rate(tier: SharedTier) -> None:
    clock = Clock()
    processes = [limits_of(clock, subject=100) for _ in range(4)]
    for one in processes:
        one.share(tier.count)
    passed = sum(await asyncio.gather(*(allowed(one, caller(), 200) for one in processes)))
    assert 100 <= passed <= 100 + 4 * 10


async def test_callers_do_not_take_from_each_other(tier: SharedTier) -> None:
    limits = limits_of(Clock(), subject=20)
    limits.share(tier.count)
    for name in ("a", "b", "c"):
        assert await allowed(limits, caller(name), 100) == 20


async def test_a_clinic_has_a_rate_of_its_own(tier: SharedTier) -> None:
    limits = limits_of(Clock(), subject=100, clinic=50)
    limits.share(tier.count)
    passed = [await allowed(limits, caller(f"staff-{number}"), 40) for number in range(3)]
    assert 45 <= sum(passed) <= 55
    assert await allowed(limits, caller("elsewhere", uuid4()), 40) == 40


@pytest.mark.parametrize("away", [True, False])
async def test_without_the_shared_tier_each_process_holds_the_rate(*, away: bool) -> None:
    async def gone(*_: object) -> int:
        raise SharedAway

    limits = limits_of(Clock(), subject=100)
    if away:
        limits.share(gone)
    assert await allowed(limits, caller(), 300) == 100


async def test_most_requests_need_no_round_trip(tier: SharedTier) -> None:
    limits = limits_of(Clock(), subject=1_000)
    limits.share(tier.count)
    assert await allowed(limits, caller(), 900) == 900
    assert tier.counts.trips <= 20


async def test_the_buckets_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cito.core.http.rates._MAX_BUCKETS", 10)
    limits = limits_of(Clock())
    for number in range(50):
        limits.take(caller(f"staff-{number}"))
    assert len(limits._subjects._buckets) == 10


async def test_a_bucket_that_was_let_go_is_not_taken_from(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cito.core.http.rates._MAX_BUCKETS", 2)
    limits = limits_of(Clock())
    limits.take(caller())
    buckets = limits.buckets_of(caller())
    assert limits.take_at_once(buckets)
    for number in range(2):
        limits.take(caller(f"staff-{number + 2}"))
    assert not limits.take_at_once(buckets)


def limited(site: Site, limits: Limits, app: App | None = None) -> httpx.AsyncClient:
    authenticated = site.app._app
    authenticated._app = Limited(app or authenticated._app, limits)
    return httpx.AsyncClient(transport=httpx.ASGITransport(site.app), base_url="http://cito.test")


async def test_too_many_requests_are_told_when_to_come_back(site: Site) -> None:
    limits = limits_of(Clock(), subject=5)
    async with limited(site, limits) as client:
        answers = [await client.get(THING, headers=site.headers()) for _ in range(8)]
        assert [answer.status_code for answer in answers] == [200] * 5 + [429] * 3
        assert answers[-1].headers["retry-after"] == "1"
        assert answers[-1].json()["type"] == "urn:cito:problem:too-many-requests"
        assert (await client.get("/health")).status_code == 200


async def test_a_full_process_sheds_all_but_health(site: Site) -> None:
    limits = Limits(HttpSettings(max_in_flight=2))
    release, entered = asyncio.Event(), asyncio.Semaphore(0)
    routes = site.app._app._app

    async def slow(scope: object, receive: object, send: object) -> None:
        if scope["path"] != "/health":  # type: ignore[index]
            entered.release()
            await release.wait()
        await routes(scope, receive, send)

    async with limited(site, limits, slow) as client:
        headers = site.headers()
        waiting = [asyncio.create_task(client.get(THING, headers=headers)) for _ in range(2)]
        for _ in waiting:
            await entered.acquire()
        assert limits.in_flight == 2
        shed = await client.get(THING, headers=headers)
        assert (shed.status_code, shed.headers["retry-after"]) == (503, "1")
        assert (await client.get("/health")).status_code == 200
        release.set()
        assert [answer.status_code for answer in await asyncio.gather(*waiting)] == [200, 200]
        assert limits.in_flight == 0


async def test_a_request_that_takes_too_long_is_given_up(site: Site) -> None:
    cancelled = asyncio.Event()

    async def hangs(*_: object) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    async with limited(site, Limits(HttpSettings(request_timeout_seconds=0.01)), hangs) as client:
        answer = await client.get(THING, headers=site.headers())
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert cancelled.is_set()
    task = asyncio.current_task()
    assert task is not None
    assert not task.cancelling()  # it was this one that asked: what it awaits next is not given up


async def test_a_timeout_within_a_route_is_its_own_matter(site: Site) -> None:
    async def fails(*_: object) -> None:
        raise TimeoutError

    async with limited(site, Limits(HttpSettings()), fails) as client:
        answer = await client.get(THING, headers=site.headers())
    assert answer.status_code == 500


async def test_an_answer_that_has_begun_is_cut_off_and_not_begun_again(site: Site) -> None:
    begun: list[object] = []

    async def hangs(_scope: object, _receive: object, send: Send) -> None:
        begun.append(await send({"type": "http.response.start", "status": 200, "headers": []}))
        await asyncio.Event().wait()

    async with limited(site, Limits(HttpSettings(request_timeout_seconds=0.01)), hangs) as client:
        asking = asyncio.create_task(client.get(THING, headers=site.headers()))
        await asyncio.wait((asking,))
    assert asking.cancelled()
    assert begun == [None]
