"""The cache's own code against a virtual clock, a simulated shared tier and database, and a seeded schedule.

Real: `Cache` with everything in it, `Feed`, `Words`, `Pulse`, `Relay`. Simulated: the server (`simulated_server.py`), the
ways to it (`simulated_tier.py`, `simulated_feed.py`), the database (`simulated_database.py`), the clock (`virtual.py`).
Two nodes of two processes each. One seed gives one schedule; `run(seed)` returns what was violated, and replays.
"""

from __future__ import annotations

import asyncio
import copy
import random
import tempfile
from pathlib import Path
from typing import Any

from judge import Judge, Session
from simulated import (
    CLINIC,
    DEADLINE,
    ITEMS,
    NAMES,
    RING,
    STALENESS,
    AllKey,
    Faults,
    ItemKey,
    PairKey,
    Versions,
    delay,
    items_of,
    tags_of,
)
from simulated_database import Database, Notes, Readers
from simulated_feed import Pool
from simulated_server import Server
from simulated_tier import Tier
from virtual import VirtualClock, VirtualLoop

from cito.core.cache.engine import Cache
from cito.core.cache.relay import Relay
from cito.core.cache.shared import SharedAway
from cito.core.declarations import CacheFamily, Strategy
from cito.core.telemetry import Record, current_record

_ELSEWHERE = 0.2


class World:
    """Everything of one run."""

    def __init__(self, seed: int, faults: Faults, loop: VirtualLoop, boards: Path) -> None:
        self.rng = random.Random(seed)
        self.faults = faults
        self.loop = loop
        self.clock = VirtualClock(loop)
        self.database = Database(loop)
        self.server = Server(loop, self.rng, faults)
        self.judge = Judge(self.database)
        self.codes: dict[str, int] = {}
        self.nodes = [[self._process(boards / name) for _ in range(2)] for name in ("here", "there")]
        self.caches = [cache for node in self.nodes for cache in node]

    def _process(self, board: Path) -> Cache:
        rng = self.rng

        async def load(_on: Any, key: ItemKey) -> Versions:
            await self.loop.pause(delay(rng))
            version = self.database.version(key.id)
            await self.loop.pause(delay(rng) + self.faults.slow)
            return Versions([version])

        async def load_pair(_on: Any, key: PairKey) -> Versions:
            await self.loop.pause(delay(rng))
            versions = [self.database.version(item) for item in (key.left, key.right)]
            await self.loop.pause(delay(rng))
            return Versions(versions)

        async def load_all(_on: Any, _key: AllKey) -> Versions:
            await self.loop.pause(delay(rng))
            versions = [self.database.version(item) for item in range(ITEMS)]
            await self.loop.pause(delay(rng))
            return Versions(versions)

        common: dict[str, Any] = {
            "version": 1,
            "value": Versions,
            "ttl_seconds": 2,
            "hard_limit_seconds": 10,
            "max_staleness_seconds": STALENESS,
        }
        strategy = rng.choice(list(Strategy))
        families: list[CacheFamily[Any, Any]] = [
            CacheFamily(
                name="item", key=ItemKey, load=load, tags=("item:{id}",), strategy=strategy, **common
            ),
            CacheFamily(
                name="pair", key=PairKey, load=load_pair, tags=("item:{left}", "item:{right}"), **common
            ),
            CacheFamily(name="items", key=AllKey, load=load_all, tags=("items",), **common),
        ]
        tier = Tier(self.server)
        cache = Cache(
            families,
            Readers(),
            NAMES,
            RING,
            tier,
            clock=self.clock,
            local_bytes=rng.choice([4_000, 1_000_000]),
        )
        cache.join(board)
        feed = cache.follow("redis://simulated", bound_seconds=2 * DEADLINE)
        feed._pool = Pool(self.server)  # type: ignore[assignment]
        feed._vouched = lambda as_of: self.judge.vouched(cache, as_of)
        return cache

    async def read(self, session: Session, at: int, item: int | None = None) -> None:
        """One read of an item (None: of anything), through any process of either node; judged."""
        at_home = self.rng.random() >= _ELSEWHERE
        cache = self.rng.choice(self.nodes[at if at_home else 1 - at])
        began = self.loop.now
        own = dict(session.own if at_home else session.known)
        family, key = self._question(cache, item)
        copy = session.copies.get(key) if self.rng.random() < 0.3 else None
        read = cache.get(family, key, CLINIC)
        entry: Any = await (read.unless(copy[0]) if copy else read)
        versions = copy[1] if copy and entry.not_modified else entry.value.versions
        session.copies[key] = entry.etag, versions
        self.judge.answered(entry.outcome, dict(zip(items_of(key), versions, strict=True)), began, own)

    def _question(self, cache: Cache, item: int | None) -> tuple[CacheFamily[Any, Any], Any]:
        kind, rng = self.rng.random(), self.rng
        first = rng.randrange(ITEMS) if item is None else item
        if kind < 0.2:
            return cache.plans["items"].family, AllKey()
        if kind < 0.4:
            return cache.plans["pair"].family, PairKey(first, rng.randrange(ITEMS))
        return cache.plans["item"].family, ItemKey(first)

    async def write(self, session: Session, at: int) -> None:
        """One write through a process of the session's node; often it looks at once at what it has written."""
        cache = self.rng.choice(self.nodes[at])
        item = self.rng.randrange(ITEMS)
        await self.loop.pause(delay(self.rng))
        version = self.database.commit(item)
        await self.loop.pause(delay(self.rng) if self.rng.random() < 0.5 else 0)
        if self.rng.random() < self.faults.crash:
            return
        record = Record("write")
        token = current_record.set(record)
        await cache.committed(tags_of(item))
        current_record.reset(token)
        code = record.events[-1].code if record.events else ""
        self.codes[code] = self.codes.get(code, 0) + 1
        session.own[item] = max(session.own.get(item, 0), version)
        if not code and not self._cut_off:
            session.known[item] = session.own[item]
        for _ in range(self.rng.choice([0, 1, 3])):
            await self.read(session, at, item)

    @property
    def _cut_off(self) -> bool:
        """Whether a process may be told no more without knowing it yet: then nobody waits for it either."""
        return bool(self.faults.cuts or self.faults.failover)

    async def client(self, at: int, steps: int, writes: float) -> None:
        """One session: it writes through its own node, and sometimes reads through the other one."""
        session = Session()
        for _ in range(steps):
            await self.loop.pause(self.rng.random() * (0.6 if self.rng.random() < 0.1 else 0.02))
            await (self.write if self.rng.random() < writes else self.read)(session, at)

    async def relay(self) -> None:
        """A relay that may die at any moment and is followed by another; what it has sent may still arrive."""
        while True:
            life = self.rng.random() * 2 if self.faults.relay_dies else 1e9
            try:
                async with asyncio.timeout(life):
                    await self._lead()
            except TimeoutError:
                await self.loop.pause(self.rng.random() * 1.5)

    async def _lead(self) -> None:
        notes = Notes(self.database, self.rng, self.faults.relay_stops)
        relay = Relay(
            notes,
            Tier(self.server),
            NAMES,
            full=1000,
            finished=lambda _: None,
            monotonic=self.clock.monotonic,
        )
        while True:
            try:
                await relay.begin()
                while True:
                    await relay.step()
                    await self.loop.pause(0.05)
            except SharedAway:
                await self.loop.pause(0.1)

    async def trouble(self) -> None:
        """Faults at random moments."""
        faults, rng, server = self.faults, self.rng, self.server
        while True:
            await self.loop.pause(rng.random() * 0.1)
            server.remember()
            if rng.random() < faults.evict:
                server.evict()
            if faults.stalls and rng.random() < 0.02:
                server.stalled_until = self.loop.now + rng.random() * 1.5
            if rng.random() < faults.failover:
                server.fail_over()
            if faults.flush and rng.random() < 0.02:
                server.flush()
            if rng.random() < faults.cuts and server.feeds:
                rng.choice(server.feeds).cut()
            if rng.random() < faults.deaf and server.feeds:
                rng.choice(server.feeds).deaf_until = self.loop.now + rng.random() * 1.5

    async def play(self, steps: int) -> None:
        for cache in self.caches:
            assert cache.feed is not None
            cache.feed.start()
        background = [asyncio.create_task(self.relay()), asyncio.create_task(self.trouble())]
        await self.loop.pause(0.5)
        writes = self.rng.choice([0.05, 0.2, 0.4])
        await asyncio.gather(*(self.client(at, steps, writes) for at in (0, 0, 0, 1)))
        for task in background:
            task.cancel()
        await asyncio.gather(*background, return_exceptions=True)
        for cache in self.caches:
            await cache.close()


def faults_of(seed: int) -> Faults:
    """Every fourth seed runs without faults, the others with some."""
    rng = random.Random(seed ^ 0x5EED)
    if seed % 4 == 0:
        return Faults()
    pick = rng.random
    return Faults(
        lost=0.05 if pick() < 0.4 else 0.0,
        crash=0.3 if pick() < 0.4 else 0.0,
        evict=0.3 if pick() < 0.4 else 0.0,
        stalls=pick() < 0.3,
        failover=0.02 if pick() < 0.3 else 0.0,
        flush=pick() < 0.2,
        relay_dies=pick() < 0.3,
        cuts=0.03 if pick() < 0.3 else 0.0,
        relay_stops=0.1 if pick() < 0.3 else 0.0,
        deaf=0.1 if pick() < 0.3 else 0.0,
    )


def run(seed: int, steps: int = 40, faults: Faults | None = None) -> World:
    """Play one schedule."""
    loop = VirtualLoop()
    try:
        with tempfile.TemporaryDirectory(prefix="cito-boards-") as boards:
            world = World(seed, faults or faults_of(seed), loop, Path(boards))
            loop.run_until_complete(world.play(steps))
    finally:
        loop.close()
    return copy.copy(world)
