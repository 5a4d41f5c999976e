"""Fifty users search, read and write for a while: no error, nothing stale, memory flat, most reads from the cache."""

from __future__ import annotations

import asyncio
import gc
import random
import time
from collections import Counter
from typing import Any

import psutil
import psycopg
import pytest
from support import Site

from cito.plugins.patients.clinics import DEMO_CLINICS
from cito.plugins.patients.seed import load_clinics, load_patients

USERS = 50
_WRITES = 0.005  # a front desk corrects a record now and then; each correction empties its clinic's searches
CLINICS = [clinic.id for clinic in DEMO_CLINICS]


@pytest.fixture(scope="module")
async def busy(open_site: Any) -> Any:
    async with open_site(plugins=("patients",)) as site:
        async with await psycopg.AsyncConnection.connect(site.urls.owner) as owner:
            await load_clinics(owner, None, lambda *_: None)
            await load_patients(owner, 2_000, lambda *_: None)
        yield site


class Session:
    """One user: what they do, and what they may rely on."""

    def __init__(self, site: Site, number: int, acknowledged: dict[str, int], seen: Counter[str]) -> None:
        self._site = site
        self._dice = random.Random(number)
        self._headers = site.headers(clinic=CLINICS[number % len(CLINICS)])
        self._acknowledged = acknowledged
        self._seen = seen
        self._known: list[str] = []

    async def act(self) -> None:
        chance = self._dice.random()
        if chance < _WRITES and self._known:
            await self._write(self._dice.choice(self._known))
        elif chance < 0.4 and self._known:
            await self._read(self._dice.choice(self._known))
        else:
            await self._search()

    async def _ask(self, method: str, path: str, **more: Any) -> Any:
        headers = self._headers | more.pop("headers", {})
        answer = await self._site.client.request(method, f"/api/patients{path}", headers=headers, **more)
        self._seen[f"{answer.status_code}"] += 1
        if method == "GET":
            self._seen["read"] += 1
            self._seen["hit"] += any(
                tier in answer.headers.get("server-timing", "") for tier in ("local", "shared")
            )
        return answer

    async def _search(self) -> None:
        # A few names are most of what is searched for, as on a working day.
        words = (
            "smith",
            "johnson",
            "mary",
            "james smith",
            "wil",
            "brown",
            "maria garcia",
            "jon",
            "davis",
            "miller",
        )
        text = words[min(int(self._dice.expovariate(0.6)), len(words) - 1)]
        before = dict(self._acknowledged)
        answer = await self._ask("GET", "", params={"search": text})
        assert answer.status_code == 200, answer.text
        patients = answer.json()["patients"]
        for patient in patients:
            assert patient["version"] >= before.get(patient["id"], 0), "stale search"
        self._known = [patient["id"] for patient in patients] or self._known

    async def _read(self, id_: str) -> Any:
        before = self._acknowledged.get(id_, 0)
        answer = await self._ask("GET", f"/{id_}")
        assert answer.status_code == 200, answer.text
        assert answer.json()["version"] >= before, "stale profile"
        return answer

    async def _write(self, id_: str) -> None:
        etag = (await self._read(id_)).headers["etag"]
        body = {"grade": str(self._dice.randint(1, 12))}
        answer = await self._ask("PATCH", f"/{id_}", json=body, headers={"If-Match": etag})
        assert answer.status_code in (200, 412), answer.text
        if answer.status_code == 200:
            version = answer.json()["version"]
            self._acknowledged[id_] = max(version, self._acknowledged.get(id_, 0))
            assert (await self._read(id_)).json()["version"] >= version


@pytest.mark.parametrize(
    "seconds", [4, pytest.param(600, marks=[pytest.mark.full, pytest.mark.timeout(700)])]
)
async def test_fifty_users(busy: Site, seconds: float) -> None:
    acknowledged: dict[str, int] = {}
    seen: Counter[str] = Counter()
    until = time.monotonic() + seconds
    memory = []

    async def user(number: int) -> None:
        session = Session(busy, number, acknowledged, seen)
        while time.monotonic() < until:
            await session.act()
            await asyncio.sleep(random.Random(number).random() * 0.4)

    async def watch() -> None:
        while time.monotonic() < until:
            await asyncio.sleep(min(10.0, seconds / 4))
            gc.collect()
            memory.append(psutil.Process().memory_info().rss / 1e6)

    await asyncio.gather(watch(), *(user(number) for number in range(USERS)))
    assert set(seen) - {"200", "412", "read", "hit"} == set()
    assert seen["read"] > 100
    assert acknowledged or seconds < 60
    hit_rate = seen["hit"] / seen["read"]
    assert hit_rate >= (0.7 if seconds > 60 else 0.0), f"{hit_rate:.2f} of {seen['read']} reads"
    settled = memory[len(memory) // 3 :]
    if seconds > 60:
        assert max(settled[len(settled) // 2 :]) <= 1.1 * max(settled[: len(settled) // 2]) + 5
