"""Fifty users search, read and write for a while: no error, nothing stale, memory flat, most reads from the cache."""

from __future__ import annotations

import asyncio
import gc
import random
import re
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import psutil
import psycopg
import pytest
from support import Site

from cito.plugins.patients.clinics import DEMO_CLINICS
from cito.plugins.patients.seed import load_clinics, load_patients

USERS = 50
LEAST_TURNS = 3  # of each, however busy the machine
WRITES = 0.05
"""Share of all that users do. Of twenty writes, sixteen correct a detail, three register somebody, one a name."""
TIER = re.compile(r'cache;desc="(\w+)"')
TIERS = ("local", "shared", "miss", "bypass", "stale")
CLINICS = [clinic.id for clinic in DEMO_CLINICS]


@pytest.fixture(scope="module")
async def busy(open_site: Any) -> Any:
    async with open_site(plugins=("patients",)) as site:
        async with await psycopg.AsyncConnection.connect(site.urls.owner) as owner:
            await load_clinics(owner, None, lambda *_: None)
            await load_patients(owner, 1_000, lambda *_: None)
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
        if chance < WRITES and self._known:
            kind = self._dice.randrange(20)
            if kind < 3:
                await self._register()
            else:
                await self._correct(self._dice.choice(self._known), name=kind == 3)
        elif chance < 0.4 and self._known:
            await self._read(self._dice.choice(self._known))
        else:
            await self._search()

    async def _ask(self, method: str, path: str, **more: Any) -> Any:
        headers = self._headers | more.pop("headers", {})
        answer = await self._site.client.request(method, f"/api/patients{path}", headers=headers, **more)
        self._seen[f"{answer.status_code}"] += 1
        assert answer.status_code < 500, answer.text
        if method == "GET":
            self._seen["read"] += 1
            self._seen[TIER.findall(answer.headers["server-timing"])[0]] += 1
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

    async def _correct(self, id_: str, *, name: bool) -> None:
        """Change a detail, or the middle name, which every search for a name looks at."""
        was = await self._read(id_)
        detail = (
            {"grade": str(self._dice.randint(1, 12))},
            {"contact": {"address": f"{self._dice.randint(1, 99)} Main Street"}},
            {"contact": {"email": f"p{self._dice.randint(1, 10**6)}@example.org"}},
            {"emergencyContacts": [{"name": "Someone Else", "relationship": "parent"}]},
        )
        middle = "".join(self._dice.choices("bcdfghjklm", k=8)).capitalize()
        body = {"middleName": middle} if name else self._dice.choice(detail)
        answer = await self._ask("PATCH", f"/{id_}", json=body, headers={"If-Match": was.headers["etag"]})
        assert answer.status_code in (200, 412), answer.text
        if answer.status_code == 200:
            version = answer.json()["version"]
            self._acknowledged[id_] = max(version, self._acknowledged.get(id_, 0))
            assert (await self._read(id_)).json()["version"] >= version
            if name:
                last = was.json()["lastName"]
                await self._expect(id_, search=f"{last} {middle}", version=version)

    async def _register(self) -> None:
        """Somebody new, with a name that others are searching for."""
        first, last = self._dice.choice(("James", "Mary", "Maria")), self._dice.choice(("Smith", "Brown"))
        answer = await self._ask("POST", "", json={"firstName": first, "lastName": last})
        assert answer.status_code == 201, answer.text
        await self._expect(answer.json()["id"], search=answer.json()["mrn"], version=1)

    async def _expect(self, id_: str, *, search: str, version: int) -> None:
        """Whoever wrote finds what was written."""
        answer = await self._ask("GET", "", params={"search": search})
        if id_ not in [patient["id"] for patient in answer.json()["patients"]]:
            # Somebody else may have corrected the name since.
            assert (await self._read(id_)).json()["version"] > version, "stale search"


@pytest.mark.parametrize(
    "seconds", [4, pytest.param(600, marks=[pytest.mark.full, pytest.mark.timeout(700)])]
)
async def test_fifty_users(busy: Site, seconds: float, figure: Callable[[str], None]) -> None:
    acknowledged: dict[str, int] = {}
    seen: Counter[str] = Counter()
    until = time.monotonic() + seconds
    memory = []

    async def user(number: int) -> None:
        session = Session(busy, number, acknowledged, seen)
        turns = 0
        while turns < LEAST_TURNS or time.monotonic() < until:
            turns += 1
            await session.act()
            await asyncio.sleep(random.Random(number).random() * 0.4)

    async def watch() -> None:
        while time.monotonic() < until:
            gc.collect()
            memory.append(psutil.Process().memory_info().rss / 1e6)
            await asyncio.sleep(min(10.0, seconds / 4))

    await asyncio.gather(watch(), *(user(number) for number in range(USERS)))
    hit_rate = (seen["local"] + seen["shared"]) / seen["read"]
    tiers = ", ".join(f"{tier} {seen[tier] / seen['read']:.1%}" for tier in TIERS)
    corrections = seen["200"] - seen["read"]
    figure(
        f"50 users, {seconds:.0f} s: {seen['read']:,} reads, {hit_rate:.1%} from the cache ({tiers}); {corrections:,} corrections,"
        f" {seen['201']:,} new patients, {seen['412']:,} times 412; memory {memory[0]:.0f} MB at first,"
        f" {memory[len(memory) // 2]:.0f} MB half-way, {memory[-1]:.0f} MB at the end"
    )
    assert set(seen) - {"200", "201", "412", "read", *TIERS} == set()
    assert seen["read"] >= USERS
    assert busy.budgets.over == set()
    if seconds > 60:
        assert acknowledged
        assert hit_rate >= 0.7
        half = len(memory) // 2
        assert max(memory[half:]) <= 1.1 * max(memory[half // 2 : half]) + 5
