"""The cache's own code against a virtual clock, a simulated shared tier and database, and a seeded schedule.

Real: `Cache` with everything in it, `Feed`, `Pulse`, `Relay`. Simulated: the server (scripts, pushes, evictions,
stalls, failover to an older state), the database (rows, outbox), the network (delays, losses), the clock.
One seed gives one schedule; `run(seed)` returns what was violated, and replays.
"""

from __future__ import annotations

import asyncio
import copy
import random
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
from virtual import VirtualClock, VirtualLoop

from cito.core.cache.codec import VECTOR_AT
from cito.core.cache.engine import Cache
from cito.core.cache.entry import DEAD
from cito.core.cache.feed import Feed
from cito.core.cache.keyring import KeyRing
from cito.core.cache.keys import Names
from cito.core.cache.pulse import EPOCH
from cito.core.cache.relay import Relay
from cito.core.cache.shared import Found, Reading, SharedAway, Stored, _range
from cito.core.cache.validators import stamp_digest
from cito.core.declarations import CacheFamily, Strategy

CLINIC = UUID(int=1)
ITEMS = 3
STALENESS = 1.0
DEADLINE = 0.05
RING = KeyRing.generate()
NAMES = Names(RING.names, "simulation")


@dataclass
class Faults:
    """What may go wrong in a run, as probabilities and times."""

    lost: float = 0.0  # of a command: half of them before, half after it was executed
    crash: float = 0.0  # of a writer between commit and bump
    evict: float = 0.0  # of a random key at a moment
    stalls: bool = False
    failover: float = 0.0  # to an older state, at a moment
    flush: bool = False
    relay_dies: bool = False
    relay_stops: float = 0.0  # between its poll and its beat, for a while
    slow: float = 0.0  # seconds that the answer to a load takes
    cuts: float = 0.0  # of a feed, at a moment
    turn: float = 0.00001  # of the server's loop: answers leave within it, pushes at its end


@dataclass
class Database:
    """Rows, the moments of their versions, and the outbox."""

    loop: VirtualLoop
    versions: list[list[float]] = field(default_factory=lambda: [[0.0] for _ in range(ITEMS)])
    outbox: list[str] = field(default_factory=list)
    mark: tuple[bytes, int] = (b"", 0)

    def commit(self, item: int) -> int:
        self.versions[item].append(self.loop.now)
        self.outbox += tags_of(item)
        return len(self.versions[item]) - 1

    def version(self, item: int) -> int:
        return len(self.versions[item]) - 1


def tags_of(item: int) -> list[str]:
    return [f"item:{item}", "items"]


def items_of(key: Any) -> Sequence[int]:
    """Return the items whose versions a key's value holds, in order."""
    if isinstance(key, ItemKey):
        return (key.id,)
    return (key.left, key.right) if isinstance(key, PairKey) else range(ITEMS)


class ItemKey(msgspec.Struct, frozen=True):
    id: int


class PairKey(msgspec.Struct, frozen=True):
    left: int
    right: int


class AllKey(msgspec.Struct, frozen=True):
    pass


class Versions(msgspec.Struct, frozen=True):
    versions: list[int]


class Server:
    """The shared tier: a dictionary, executed command by command, with pushes at the end of each turn."""

    def __init__(self, loop: VirtualLoop, rng: random.Random, faults: Faults) -> None:
        self.loop = loop
        self.rng = rng
        self.faults = faults
        self.data: dict[bytes, bytes] = {}
        self.leases: dict[bytes, tuple[bytes, float]] = {}
        self.feeds: list[Channel] = []
        self.stalled_until = 0.0
        self.history: list[tuple[float, dict[bytes, bytes]]] = []
        self._dirty: set[bytes] = set()
        self.turn = 0

    async def execute(self, work: Callable[[], Any], deadline: float = DEADLINE) -> Any:
        """Run one command there and back, within the deadline."""
        rng, loop = self.rng, self.loop
        answer: asyncio.Future[Any] = loop.create_future()
        fate = rng.random()

        def arrive() -> None:
            if loop.now < self.stalled_until:
                loop.call_at(self.stalled_until + rng.random() * 0.001, arrive)
                return
            if fate < self.faults.lost / 2:
                return
            result = work()
            if fate >= self.faults.lost:
                loop.call_later(delay(rng), lambda: answer.done() or answer.set_result(result))

        loop.call_later(delay(rng), arrive)
        late = loop.call_later(deadline, lambda: answer.done() or answer.set_exception(SharedAway()))
        try:
            return await answer
        finally:
            late.cancel()

    def set(self, key: bytes, value: bytes | None) -> None:
        if value is None:
            self.data.pop(key, None)
        else:
            self.data[key] = value
        if key.startswith(NAMES.stamp_prefix):
            if not self._dirty:
                self.loop.call_later(
                    self.faults.turn, self._end_turn
                )  # answers of this turn leave before its pushes
            self._dirty.add(key)

    def _end_turn(self) -> None:
        names, self._dirty = sorted(self._dirty), set()
        self.turn += 1
        for channel in self.feeds:
            channel.send(names)

    def remember(self) -> None:
        self.history.append((self.loop.now, dict(self.data)))

    def fail_over(self) -> None:
        """Go back to what a replica had: some moments ago; every connection is cut."""
        index = max(0, len(self.history) - self.rng.randint(1, 12))
        self.data = dict(self.history[index][1])
        self.leases.clear()
        for channel in list(self.feeds):
            channel.cut()

    def flush(self) -> None:
        self.data.clear()
        for channel in list(self.feeds):
            channel.send(None)

    def evict(self) -> None:
        keys = sorted(key for key in self.data if key != NAMES.heartbeat)
        if keys:
            self.set(self.rng.choice(keys), None)

    def beat(self, expected: bytes, following: bytes, tag_keys: Sequence[bytes]) -> bytes | None:
        for key in tag_keys:
            self.set(key, self.rng.randbytes(16))
        found = self.data.get(NAMES.heartbeat, b"")
        if found != expected:
            return found
        self.set(NAMES.heartbeat, following)
        return None


class Tier:
    """One process's way to the server: what the scripts do."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.token = server.rng.randbytes(8)
        self.available = True
        self.witness = NAMES.witness_prefix + self.token

    def _failed(self) -> None:
        if self.available:
            self.available = False
            self.server.loop.call_later(0.1, lambda: setattr(self, "available", True))

    async def _run(self, work: Callable[[], Any]) -> Any:
        if not self.available:
            raise SharedAway
        try:
            return await self.server.execute(work)
        except SharedAway:
            self._failed()
            raise

    async def read(self, wanted: Sequence[Any], witnesses: Sequence[bytes]) -> Reading:
        server, now = self.server, self.server.loop

        def work() -> Reading:
            clock = int(now.now * 1000)
            ranges = [_range(server.data.get(witness)) for witness in witnesses]
            heartbeat = server.data.get(NAMES.heartbeat)
            if heartbeat is None:
                return Reading(None, clock, ranges, [])
            found = []
            for one in wanted:
                for tag in one.tag_keys:
                    if tag not in server.data:
                        server.set(tag, server.rng.randbytes(16))
                vector = heartbeat[:EPOCH] + b"".join(server.data[tag] for tag in one.tag_keys)
                value = server.data.get(one.value_key)
                if (
                    value is not None
                    and value[VECTOR_AT:].startswith(vector)
                    and _fresh(value, vector, clock)
                ):
                    found.append(Found(value, b"", leased=False))
                    continue
                if any(
                    copy.digest == stamp_digest(one.value_key, vector, copy.valid_until_ms)
                    for copy in one.copies
                ):
                    found.append(Found(None, vector, leased=False))
                    continue
                holder, until = server.leases.get(one.value_key, (b"", 0.0))
                if until < now.now or holder[8:] != vector or holder[:8] == self.token:
                    server.leases[one.value_key] = (self.token + vector, now.now + 1)
                    found.append(Found(None, vector, leased=True))
                else:
                    found.append(Found(None, vector, leased=False))
            return Reading(heartbeat, clock, ranges, found)

        reading: Reading = await self._run(work)
        return reading

    async def store(self, values: Sequence[Stored]) -> None:
        def work() -> None:
            for value in values:
                if value.stored:
                    self.server.set(value.key, value.stored)
                if self.server.leases.get(value.key, (b"", 0))[0][:8] == self.token:
                    del self.server.leases[value.key]

        await self._run(work)

    async def bump(self, tag_keys: Sequence[bytes], number: int) -> None:
        def work() -> None:
            begun, ended = map(int, self.server.data.get(self.witness, b"0 0").split())
            first = begun if ended == number - 1 else number
            last = ended if begun == number + 1 else number
            self.server.set(self.witness, b"%d %d" % (first, last))
            for key in tag_keys:
                self.server.set(key, self.server.rng.randbytes(16))

        await self._run(work)

    async def beat(self, expected: bytes, following: bytes, tag_keys: Sequence[bytes]) -> bytes | None:
        found: bytes | None = await self.server.execute(
            lambda: self.server.beat(expected, following, tag_keys), 0.5
        )
        return found

    async def heartbeat(self) -> bytes:
        found: bytes = await self.server.execute(lambda: self.server.data.get(NAMES.heartbeat, b""), 0.5)
        return found

    async def stamps(self, tag_keys: Sequence[bytes]) -> Any:
        return await self._run(lambda: [self.server.data.get(key) for key in (NAMES.heartbeat, *tag_keys)])

    async def peek(self, value_key: bytes) -> Any:
        return await self._run(lambda: (self.server.data.get(value_key), int(self.server.loop.now * 1000)))

    async def close(self) -> None: ...


def _fresh(value: bytes, vector: bytes, clock: int) -> bool:
    at = VECTOR_AT + len(vector)
    return int.from_bytes(value[2:4], "little") == len(vector) and clock < int.from_bytes(
        value[at : at + 8], "little"
    )


class Channel:
    """A feed's connection: in order, with delays, until it is cut. It stands in for redis-py's `Connection`."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.arrived: asyncio.Queue[Any] = asyncio.Queue()
        self._parser = self
        self._handler: Any = None
        self._last = 0.0
        self._open = True
        self._turn = -1

    def set_invalidation_push_handler(self, handler: Any) -> None:
        self._handler = handler

    async def connect(self) -> None:
        await self.server.loop.pause(delay(self.server.rng))

    async def disconnect(self, *, nowait: bool = False) -> None:
        self._open = False
        if self in self.server.feeds:
            self.server.feeds.remove(self)

    async def send_command(self, *command: Any) -> None:
        server = self.server

        def arrive() -> None:
            if server.loop.now < server.stalled_until:
                server.loop.call_at(server.stalled_until + 0.001, arrive)
            elif self._turn == server.turn and server._dirty:  # it was answered in this turn already
                server.loop.call_later(server.faults.turn, arrive)
            elif command[:2] == ("CLIENT", "TRACKING"):
                server.feeds.append(self)
                self._deliver(("answer", b"OK"))
            elif command[0] == "GET":
                self._deliver(("answer", server.data.get(command[1])))
            else:
                self._deliver(("answer", b"PONG"))

        server.loop.call_later(delay(server.rng), arrive)

    async def read_response(self, **_: Any) -> Any:
        what, payload = await self.arrived.get()
        if what == "cut":
            raise ConnectionError
        if what == "push":
            return await self._handler([b"invalidate", payload])
        return payload

    def send(self, names: list[bytes] | None) -> None:
        self._deliver(("push", names))

    def cut(self) -> None:
        self._deliver(("cut", None))

    def _deliver(self, what: Any) -> None:
        if what[0] == "answer":
            self._turn = self.server.turn
        loop = self.server.loop
        self._last = max(self._last + 1e-7, loop.now + delay(self.server.rng))
        loop.call_at(self._last, lambda: self._open and self.arrived.put_nowait(what))


class Pool:
    def __init__(self, server: Server) -> None:
        self.server = server

    def make_connection(self) -> Channel:
        return Channel(self.server)

    async def aclose(self) -> None: ...


def delay(rng: random.Random) -> float:
    """Mostly a fraction of a millisecond, sometimes tens of them."""
    return rng.random() * (0.03 if rng.random() < 0.1 else 0.0008)


@dataclass
class Notes:
    """The outbox of one relay's session."""

    database: Database
    rng: random.Random
    stops: float
    taken: list[str] = field(default_factory=list)
    oldest_seconds: float = 0.0

    async def mark(self) -> Any:
        epoch, counter = self.database.mark
        return _Mark(epoch, counter, intact=True)

    async def take(self) -> list[str]:
        await self.database.loop.pause(delay(self.rng))
        self.taken = list(self.database.outbox)
        await self.database.loop.pause(delay(self.rng))
        if self.stops and self.rng.random() < self.stops:
            await self.database.loop.pause(self.rng.random() * 0.5)
        return self.taken

    async def done(self, mark: tuple[bytes, int] | None) -> None:
        await self.database.loop.pause(delay(self.rng))
        for tag in self.taken:
            self.database.outbox.remove(tag)
        self.taken = []
        if mark is not None:
            self.database.mark = mark

    async def undo(self) -> None:
        self.taken = []


@dataclass
class _Mark:
    epoch: bytes
    counter: int
    intact: bool


@dataclass
class Session:
    """What a client has: the versions that it wrote, and copies with their validators."""

    own: dict[int, int] = field(default_factory=dict)
    copies: dict[Any, tuple[str, list[int]]] = field(default_factory=dict)


class World:
    """Everything of one run, and the judge of its reads."""

    def __init__(self, seed: int, faults: Faults, loop: VirtualLoop, board: Path) -> None:
        self.rng = random.Random(seed)
        self.faults = faults
        self.loop = loop
        self.clock = VirtualClock(loop)
        self.database = Database(loop)
        self.server = Server(loop, self.rng, faults)
        near, beside, far = (self._process() for _ in range(3))
        self.nodes = [near, beside], [far]
        near.join(board)
        beside.join(board)
        self.caches = [near, beside, far]
        self.violations: list[str] = []
        self.reads = 0
        self.outcomes: dict[str, int] = {}

    def _process(self) -> Cache:
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
            _Readers(),
            NAMES,
            RING,
            tier,
            clock=self.clock,
            local_bytes=rng.choice([4_000, 1_000_000]),
        )
        feed = Feed(
            "redis://simulated",
            NAMES,
            changed=cache.changed,
            flushed=cache.flushed,
            beaten=cache._resolver.pulse.seen,
            vouched=lambda as_of: self.vouch(cache, as_of),
            monotonic=self.clock.monotonic,
            period_seconds=0.1,
        )
        feed._pool = Pool(self.server)  # type: ignore[assignment]
        cache.feed = feed
        return cache

    def vouch(self, cache: Cache, as_of: float) -> None:
        """Judge the claim itself: what a process holds as valid was not superseded before `as_of`."""
        cache.vouched(as_of)
        for plan in cache.plans.values():
            for entry in plan.entries.values():
                if entry.check_at == DEAD:
                    continue
                versions = msgspec.json.decode(entry.body, type=Versions).versions
                for item, version in zip(items_of(entry.key), versions, strict=True):
                    moments = self.database.versions[item]
                    if version + 1 < len(moments) and moments[version + 1] < as_of:
                        self.violations.append(
                            f"{self.loop.now:.4f} item {item}: vouched for, superseded before"
                        )

    async def read(self, cache: Cache, session: Session) -> None:
        """One read, judged: nothing superseded for longer than allowed, nothing older than one's own writes."""
        began = self.loop.now
        own = dict(session.own)
        family, key = self._question(cache)
        copy = session.copies.get(key) if self.rng.random() < 0.3 else None
        read = cache.get(family, key, CLINIC)
        entry: Any = await (read.unless(copy[0]) if copy else read)
        versions = copy[1] if copy and entry.not_modified else entry.value.versions
        session.copies[key] = entry.etag, versions
        seen = dict(zip(items_of(key), versions, strict=True))
        self.reads += 1
        self.outcomes[entry.outcome] = self.outcomes.get(entry.outcome, 0) + 1
        for item, version in seen.items():
            moments = self.database.versions[item]
            if version + 1 < len(moments) and moments[version + 1] < began - STALENESS:
                age = began - moments[version + 1]
                self.violations.append(
                    f"{began:.4f} item {item}: {entry.outcome} superseded {age:.3f} s before"
                )
            if version < own.get(item, 0):
                self.violations.append(f"{began:.4f} item {item}: {entry.outcome} older than its own write")

    def _question(self, cache: Cache) -> tuple[CacheFamily[Any, Any], Any]:
        kind, rng = self.rng.random(), self.rng
        if kind < 0.2:
            return cache.plans["items"].family, AllKey()
        if kind < 0.4:
            return cache.plans["pair"].family, PairKey(rng.randrange(ITEMS), rng.randrange(ITEMS))
        return cache.plans["item"].family, ItemKey(rng.randrange(ITEMS))

    async def write(self, cache: Cache, own: dict[int, int]) -> None:
        item = self.rng.randrange(ITEMS)
        await self.loop.pause(delay(self.rng))
        version = self.database.commit(item)
        await self.loop.pause(delay(self.rng) if self.rng.random() < 0.5 else 0)
        if self.rng.random() < self.faults.crash:
            return
        await cache.committed(tags_of(item))
        own[item] = max(own.get(item, 0), version)

    async def client(self, node: Sequence[Cache], steps: int, writes: float) -> None:
        """One session: through all processes of its node in turn."""
        session = Session()
        for _ in range(steps):
            await self.loop.pause(self.rng.random() * (0.6 if self.rng.random() < 0.1 else 0.02))
            cache = self.rng.choice(node)
            if self.rng.random() < writes:
                await self.write(cache, session.own)
            else:
                await self.read(cache, session)

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

    async def play(self, steps: int) -> None:
        for cache in self.caches:
            assert cache.feed is not None
            cache.feed.start()
        background = [asyncio.create_task(self.relay()), asyncio.create_task(self.trouble())]
        await self.loop.pause(0.5)
        writes = self.rng.choice([0.05, 0.2, 0.4])
        clients = [self.client(self.nodes[0], steps, writes) for _ in range(3)]
        await asyncio.gather(*clients, self.client(self.nodes[1], steps, writes))
        for task in background:
            task.cancel()
        await asyncio.gather(*background, return_exceptions=True)
        for cache in self.caches:
            await cache.close()


class _Readers:
    def reader(self, clinic_id: UUID | None, *, primary: bool = False) -> Any:
        assert primary
        return None


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
    )


def run(seed: int, steps: int = 40, faults: Faults | None = None) -> World:
    """Play one schedule."""
    loop = VirtualLoop()
    try:
        with tempfile.TemporaryDirectory(prefix="cito-board-") as board:
            world = World(seed, faults or faults_of(seed), loop, Path(board))
            loop.run_until_complete(world.play(steps))
    finally:
        loop.close()
    return copy.copy(world)
