"""From a fault to the webhook, for every rule there is: real pool, cache server, outbox and exporter; how long it took.

One process judges, another one answers requests and runs jobs: what it counts reaches the first as in a node of several.
Twice ten times, at twenty phases of the half-second tick: the 95th percentile is at most 2 s. `docs/observability.md`
has the figures; `test_alerts.py` tries the rules one by one, their time moved by hand.
"""

from __future__ import annotations

import asyncio
import logging
import statistics
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import msgspec
import psycopg
import pytest
import redis
from support import cloned
from valkey import Valkey

from cito.core.assembly import Assembly, assemble
from cito.core.cache.engine import Cache
from cito.core.clock import Clock
from cito.core.context import Context
from cito.core.database.pool import Database
from cito.core.database.sql import NamedQuery
from cito.core.declarations import CacheFamily, Job, Target
from cito.core.embedded import Urls
from cito.core.registry import Owned, Registry
from cito.core.settings import CacheSettings, DatabaseSettings, ObservabilitySettings, Settings
from cito.core.telemetry import What
from cito.observability.publisher import Publisher
from cito.observability.watch import Watch

from .conftest import make
from .otlp_server import Collector, collector
from .webhook_server import Receiver, receiver

Queries = Mapping[str, NamedQuery]
SLOWEST_SECONDS, MOST_P95_SECONDS = 5.0, 2.0
ENDS_WATCHED = 3  # so many times their ends are waited for too; once those that take a minute by design
LONG_WINDOWS = {"cache_evictions", "telemetry_dropped", "job_failing"}
RELAY_MAY_TAKE = 1.0  # seconds that a note may wait before it is a backlog
BUSY = "local n = 0 for i = 1, 100000 do n = n + i end return n"  # a ms or so of the cache server's CPU


@dataclass
class Faulty:
    """A watched node of two processes, and what can be done to it."""

    watch: Watch
    serving: Publisher
    urls: Urls
    valkey: Valkey
    spans: Collector
    got: Receiver
    broken: bool = False

    async def traffic(self) -> None:
        """Requests, cached reads and job runs, good ones until `broken`."""
        while True:
            bad = self.broken
            for _ in range(4):
                record = make(
                    "get_patient",
                    ms=3,
                    status=503 if bad else 200,
                    events=[(What.CACHE, "patient", 0, 1, "miss" if bad else "local")],
                    sampled=bad,
                )
                record.cache = "miss" if bad else "local"
                self.serving.recorder.take(record)
            self.serving.recorder.take(make("find_patient", ms=80 if bad else 3))
            if bad:
                self.serving.recorder.take(make("purge", kind="job", status=500))
            await asyncio.sleep(0.02)

    async def strain_pool(self, stack: AsyncExitStack) -> None:
        """Take every connection, and let one more caller wait."""
        pool = self.watch.context.database.pool
        held = [await pool.acquire("held") for _ in range(pool.figures().size)]
        waiting = asyncio.create_task(pool.acquire("waiting"))

        async def free() -> None:
            for connection in held:
                pool.take_back(connection)
            with suppress(Exception):
                pool.take_back(await waiting)

        stack.push_async_callback(free)

    def leave_note(self) -> None:
        """Leave a note in the outbox that no relay takes: already as old as it may be."""
        with psycopg.connect(self.urls.owner, autocommit=True) as owner:
            owner.execute(
                "insert into cito.outbox (tag, created_at) values ('x', clock_timestamp() - %s * interval '1 s')",
                (RELAY_MAY_TAKE,),
            )

    def fill_cache(self) -> None:
        """Fill the server to its brim, and a little more."""
        with redis.Redis.from_url(self.valkey.url) as server:
            server.config_set("maxmemory-policy", "allkeys-lru")
            used = int(server.info("memory")["used_memory"])
            server.config_set("maxmemory", used + 2_000_000)
            for number in range(40):
                server.set(f"filler:{number}", b"x" * 100_000)

    @contextmanager
    def busy_cache(self) -> Iterator[None]:
        """Give the cache server more to compute than it can, from two sides, in short scripts."""
        done = threading.Event()

        def press() -> None:
            with redis.Redis.from_url(self.valkey.url) as server:
                while not done.is_set():
                    server.eval(BUSY, 0)

        threads = [threading.Thread(target=press) for _ in range(2)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            done.set()
            for thread in threads:
                thread.join()

    def spoil(self) -> None:
        """Break what may break at once without the pool."""
        self.leave_note()
        self.fill_cache()
        self.spans.mode = "refuse"  # what it refuses for good is dropped
        self.broken = True

    def mend(self) -> None:
        """Undo all of it."""
        self.broken = False
        self.spans.mode = "ok"
        with psycopg.connect(self.urls.owner, autocommit=True) as owner:
            owner.execute("delete from cito.outbox")
        with redis.Redis.from_url(self.valkey.url) as server:
            server.flushall()
            server.config_set("maxmemory", 100_000_000)


class Key(msgspec.Struct, frozen=True):
    id: int


async def _nothing(*_: object) -> None:
    pass


FAMILY = CacheFamily(
    name="patient",
    version=1,
    key=Key,
    value=Key,
    load=_nothing,
    tags=("x:{id}",),
    ttl_seconds=1,
    hard_limit_seconds=1,
)
TARGETS = (
    Target(operation="get_patient", p95_ms=50, error_rate=0.01, hit_rate=0.5),  # the lowest that is declared
    Target(operation="find_patient", p95_ms=50, error_rate=0.01),
)
Name = tuple[str, str]  # rule, subject
AT_ONCE: set[Name] = {
    ("slow_operation", "find_patient"),
    ("error_rate", "get_patient"),
    ("hit_rate", "get_patient"),
    ("hit_rate", "patient"),
    ("job_failing", "purge"),
    ("cache_memory", "cache"),
    ("cache_evictions", "cache"),
    ("pool_waiting", "database"),
    ("relay_backlog", "relay"),
    ("telemetry_dropped", "telemetry"),
}
CPU, GONE = ("cache_cpu", "cache"), ("cache_unreachable", "cache")


@pytest.fixture(scope="module")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Valkey]:
    server = Valkey(tmp_path_factory.mktemp("valkey"))
    yield server
    server.stop()


@asynccontextmanager
async def faulty(
    *, urls: Urls, template: str, queries: Queries, home: Path, valkey: Valkey, phase_seconds: float
) -> AsyncIterator[Faulty]:
    """Watch a node without HTTP and without a relay, its cache server its own; its processes tick at another phase."""
    with collector() as spans, receiver() as got, cloned(urls, template) as own:
        settings = Settings(
            home=home,
            cache=CacheSettings(url=valkey.url),
            database=DatabaseSettings(pool_max=8),
            observability=ObservabilitySettings(webhook_url=got.url, otlp_url=spans.url("")),
        )
        registry = Registry(
            plugins=(),
            targets=tuple(Owned("x", target) for target in TARGETS),
            jobs=(Owned("x", Job(name="purge", run=_nothing, every_seconds=30)),),
            cache_families=(Owned("x", FAMILY),),
        )
        database = await Database.open(settings.database, own.app, queries)
        cache = await Cache.open(settings, valkey.url, database, Registry(plugins=()))
        try:
            async with Watch(Context(settings, registry, database, cache, Clock())) as watch:
                await asyncio.sleep(phase_seconds)
                async with Publisher(settings, targets_ms=watch.targets_ms) as serving:
                    watch.leader.engine._since = (
                        time.time() - 100
                    )  # settled; the windows of minutes are not full
                    found = Faulty(watch, serving, own, valkey, spans, got)
                    load = asyncio.create_task(found.traffic())
                    yield found
                    load.cancel()
        finally:
            await cache.close()
            await database.close()


async def until(condition: Callable[[], bool], seconds: float) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - it happens in a thread
            await asyncio.sleep(0.01)


def first(got: Receiver, status: str) -> dict[Name, float]:
    """Return when each alert was first told with a status."""
    times: dict[Name, float] = {}
    for one in got.taken:
        if one.alert["status"] == status:
            times.setdefault((one.alert["name"], one.alert["subject"]), one.at)
    return times


@pytest.mark.full  # times need a machine of their own
@pytest.mark.parametrize("phases", [range(10), range(10, 20)])
@pytest.mark.timeout(900)
async def test_every_fault_is_told_in_time_and_so_is_its_end(
    urls: Urls, templates: Callable[[Assembly], str], home: Path, valkey: Valkey, phases: range
) -> None:
    assembly = assemble(Settings(home=home, plugins=()))
    queries = {name: owned.value for name, owned in assembly.sources.queries.items()}
    template = await asyncio.to_thread(templates, assembly)
    told: dict[Name, list[float]] = {}
    ended: dict[Name, list[float]] = {}
    for number in phases:
        node = faulty(
            urls=urls,
            template=template,
            queries=queries,
            home=home / f"alerts-{number}",
            valkey=valkey,
            phase_seconds=number / 40,
        )
        async with node as found:

            async def firing(names: set[Name], began: float, found: Faulty = found) -> None:
                await until(lambda: first(found.got, "firing").keys() >= names, 60)
                for name in names:
                    told.setdefault(name, []).append(first(found.got, "firing")[name] - began)

            async def resolved(names: set[Name], began: float, found: Faulty = found) -> None:
                await until(lambda: first(found.got, "resolved").keys() >= names, 90)
                for name in names:
                    ended.setdefault(name, []).append(first(found.got, "resolved")[name] - began)

            await asyncio.sleep(5.0 + (7 * number) % 20 / 40)  # healthy for as long as a window is
            assert first(found.got, "firing") == {}
            with found.busy_cache():
                await firing({CPU}, time.time())
                mended = {CPU: time.time()}
            await asyncio.sleep(number / 40)  # it was told by a tick: the next faults come at another phase
            async with AsyncExitStack() as stack:
                began = time.time()
                await found.strain_pool(stack)
                await asyncio.to_thread(found.spoil)
                await firing(AT_ONCE, began)
            await asyncio.to_thread(found.mend)
            mended |= dict.fromkeys(AT_ONCE, time.time())
            with found.valkey.stalled():
                await firing({GONE}, time.time())
            mended[GONE] = time.time()
            if number < phases[ENDS_WATCHED]:
                for name, at in mended.items():
                    if number == phases[0] or name[0] not in LONG_WINDOWS:
                        await resolved({name}, at)
    log = logging.getLogger("cito")
    for name, seconds in told.items():
        shown = [f"{statistics.median(each):.2f} | {max(each):.2f}" for each in (seconds, ended[name])]
        log.warning("| %s | %s | %s |", ": ".join(name), *shown)
    everything = [seconds for each in told.values() for seconds in each]
    p95 = statistics.quantiles(everything, n=20)[-1]
    log.warning("all %s: p95 %.2f s, at most %.2f s", len(everything), p95, max(everything))
    assert max(everything) <= SLOWEST_SECONDS
    assert p95 <= MOST_P95_SECONDS
