"""Parts of `cito bench database`: what watching a query costs, how a full pool refuses, how it outlives a restart."""

from __future__ import annotations

import asyncio
import contextlib
import statistics
import tempfile
import time
from importlib.resources import files
from pathlib import Path

import msgspec
import psycopg

from cito.core.database.errors import ConnectionLost, PoolFull
from cito.core.database.migrations import migrate
from cito.core.database.pool import Database
from cito.core.database.query import Query
from cito.core.embedded import Embedded, Urls
from cito.core.settings import DatabaseSettings
from cito.core.telemetry import Record

QUERIES_PER_REQUEST = 20
GOAL_RECORDING_US = 5.0


class Nothing(msgspec.Struct, frozen=True):
    """No parameters."""


class Position(msgspec.Struct, frozen=True):
    """Any row will do."""

    position: str


POSITION = Query("wal_position", Nothing, Position)


def recording(rounds: int) -> dict[str, float]:
    """Measure what one query's note in the request record costs, counting repeats and their place included."""
    costs = {}
    for kind, names in (
        ("different", [f"query_{n}" for n in range(QUERIES_PER_REQUEST)]),
        ("repeated", ["query"] * QUERIES_PER_REQUEST),
    ):
        costs[kind] = statistics.median(_microseconds_a_query(names) for _ in range(rounds * 3))
    print(
        f"\nNoting a query in the request's record: {costs['different']:.2f} us; of a query repeated "
        f"{QUERIES_PER_REQUEST} times, its place found: {costs['repeated']:.2f} us; goal under {GOAL_RECORDING_US:.0f} us"
    )
    return {f"{kind}_us": cost for kind, cost in costs.items()}


def _microseconds_a_query(names: list[str], requests: int = 2_000) -> float:
    spent = 0.0
    for _ in range(requests):
        record = Record("http")
        begun = time.perf_counter()
        for name in names:
            record.query(name, time.perf_counter_ns(), amount=1)
        spent += time.perf_counter() - begun
    return spent / requests / len(names) * 1e6


async def shedding(urls: Urls, callers: int = 1_000) -> dict[str, float]:
    """Measure how long callers wait for their refusal while every connection is held and the queue is full."""
    database = await Database.open(DatabaseSettings(pool_max=2), urls.app, {})
    held = [await database.pool.acquire("bench") for _ in range(2)]
    waiting = [asyncio.create_task(database.pool.acquire("bench")) for _ in range(2 * 16)]
    await asyncio.sleep(0)
    taken = []
    for _ in range(callers):
        begun = time.perf_counter()
        with contextlib.suppress(PoolFull):
            await POSITION.one(database.reader(None), Nothing())
        taken.append((time.perf_counter() - begun) * 1000)
    refused = database.figures().shed
    for task in waiting:
        task.cancel()
    await asyncio.wait(waiting)
    for connection in held:
        database.pool.take_back(connection)
    await database.close()
    print(
        f"\nA full pool refused {refused:,} of {callers:,} callers, the slowest in {max(taken):.2f} ms; goal 50 ms"
    )
    return {"refused": refused, "slowest_ms": max(taken)}


async def restart(rounds: int) -> dict[str, float]:
    """Restart a server under eight readers; measure from its first accepted connection to Cito's first answer."""
    recoveries, outages = [], []
    with tempfile.TemporaryDirectory() as folder:
        await asyncio.to_thread(Path(folder).chmod, 0o755)
        server = Embedded(Path(folder))
        urls = server.start(["postgres"])
        try:
            await migrate(urls.owner, [("core", files("cito.sql") / "core")])
            database = await Database.open(DatabaseSettings(pool_max=8), urls.app, {})
            for _ in range(rounds):
                outage, recovery = await _restarted(server, urls, database)
                outages.append(outage)
                recoveries.append(recovery)
            await database.close()
        finally:
            server.stop()
    print(
        f"\nPostgreSQL restarted {rounds} times under 8 readers: away for {statistics.median(outages):.2f} s, and "
        f"{max(recoveries) * 1000:.0f} ms at most from its first connection to the first answer; goal 1 s"
    )
    return {"outage_seconds": statistics.median(outages), "recovery_ms": max(recoveries) * 1000}


async def _restarted(server: Embedded, urls: Urls, database: Database) -> tuple[float, float]:
    """Return the seconds without an answer, and those of them after the server was there again."""
    answered: list[float] = []
    over = False

    async def reader() -> None:
        while not over:
            try:
                await POSITION.one(database.reader(None), Nothing())
            except ConnectionLost:
                await asyncio.sleep(0.005)
            else:
                answered.append(time.perf_counter())

    def until_it_accepts() -> float:
        while True:
            with contextlib.suppress(psycopg.OperationalError):
                psycopg.connect(urls.app).close()
                return time.perf_counter()
            time.sleep(0.002)

    readers = [asyncio.create_task(reader()) for _ in range(8)]
    await asyncio.sleep(0.5)
    await asyncio.to_thread(server.stop)
    gone = answered[-1]
    starting = asyncio.create_task(asyncio.to_thread(server.start, ["postgres"]))
    back = await asyncio.to_thread(until_it_accepts)
    await starting
    # Readers that all failed otherwise would never answer; what ended them is raised below.
    while answered[-1] <= gone and not all(task.done() for task in readers):  # noqa: ASYNC110 - has no event
        await asyncio.sleep(0.001)
    over = True
    await asyncio.gather(*readers)
    first = next(moment for moment in answered if moment > gone)
    return first - gone, max(0.0, first - back)
