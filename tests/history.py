"""A history of the real thing: readers and writers through several processes, every read judged afterwards.

Each process holds a cache and a pool, and answers lines over a Unix socket: a write, or some reads. Clients (all in one
process, so on one clock) read and write through any of them at random; another writes as psql does, past every
process. `Trouble` stalls, kills, flushes and cuts off the shared tier, and stalls the relay. A row's version grows with each write. A read is stale by the time between the acknowledgement of the first
newer version and the read's own beginning; of one's own writes, nothing may be stale at all.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import uvloop
from redis.asyncio import Redis
from shelf import FindItem, Process, Shelf, renamed_item
from valkey import Valkey, stopped

from cito.core.registry import Registry
from cito.core.relaying import run_relay
from cito.core.settings import CacheSettings

ROWS = 200
READS_AT_ONCE = 10


@dataclass
class History:
    """What was seen."""

    reads: int = 0
    writes: int = 0
    raw_writes: int = 0
    failed: int = 0
    own_stale: list[str] = field(default_factory=list)
    stale_seconds: list[float] = field(default_factory=list)
    raw_visible_seconds: list[float] = field(default_factory=list)
    outcomes: dict[str, int] = field(default_factory=dict)
    acknowledged: dict[tuple[int, int], float] = field(default_factory=dict)

    def judge(self, row: int, version: int, outcome: str, began: float, own: int) -> None:
        """Take one read in."""
        self.reads += 1
        if version < own:
            self.own_stale.append(f"{outcome} row {row}: version {version} after its own {own}")
        newer = self.acknowledged.get((row, version + 1))
        if newer is not None and newer < began:
            self.stale_seconds.append(began - newer)

    def summary(self) -> dict[str, Any]:
        """Figures: staleness over all reads, in milliseconds."""
        stale = sorted(self.stale_seconds)

        def quantile(share: float) -> float:
            rank = int(self.reads * share) - (self.reads - len(stale))
            return round(stale[min(rank, len(stale) - 1)] * 1000, 3) if stale and rank >= 0 else 0.0

        raw = sorted(self.raw_visible_seconds)
        return {
            "reads": self.reads,
            "writes": self.writes,
            "rawWrites": self.raw_writes,
            "failed": self.failed,
            "ownStale": len(self.own_stale),
            "staleReads": len(stale),
            "olderThanOneSecond": sum(1 for seconds in stale if seconds > 1),
            "stalenessMs": {
                "p50": quantile(0.5),
                "p99": quantile(0.99),
                "p99.99": quantile(0.9999),
                "max": round(stale[-1] * 1000, 3) if stale else 0.0,
            },
            "rawWriteVisibleMs": {
                "p50": round(raw[len(raw) // 2] * 1000, 3) if raw else None,
                "p99": round(raw[int(len(raw) * 0.99)] * 1000, 3) if raw else None,
            },
            "outcomes": self.outcomes,
        }


def serve(shelf: Shelf, socket: Path, settings: CacheSettings) -> None:
    """One process of the system under test."""

    async def main() -> None:
        async with shelf.process(wait=False, cache=settings) as one:

            async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                while line := await reader.readline():
                    verb, *rows = line.decode().split()
                    answer = " ".join([await _do(one, verb, int(row)) for row in rows])
                    writer.write(f"{answer}\n".encode())

            server = await asyncio.start_unix_server(talk, str(socket))
            async with server:
                await server.serve_forever()

    uvloop.run(main())


async def _do(process: Process, verb: str, row: int) -> str:
    """Return the version that was read or written, and how."""
    try:
        if verb == "r":
            entry = await process.get(row)
            return f"{entry.value.version}:{entry.outcome}"
        async with process.database.transaction(process.clinic) as tx:
            found = await renamed_item.one(tx, FindItem(process.clinic, row))
        assert found is not None
    except Exception as error:  # noqa: BLE001 - told to the client
        return f"-1:{type(error).__name__}"
    return f"{found.version}:written"


def relay(shelf: Shelf) -> None:
    """The relay, as a process."""
    uvloop.run(run_relay(shelf.settings, Registry(plugins=()), shelf.urls.app, shelf.urls.cache))


@asynccontextmanager
async def processes(
    shelf: Shelf, folder: Path, count: int, settings: CacheSettings
) -> AsyncIterator[tuple[list[Path], int]]:
    """Run the processes of a system; yields the sockets of its API and the process id of its relay."""
    context = multiprocessing.get_context("spawn")
    sockets = [folder / f"{number}.sock" for number in range(count)]
    children = [
        context.Process(target=serve, args=(shelf, socket, settings), daemon=True) for socket in sockets
    ]
    children.append(context.Process(target=relay, args=(shelf,), daemon=True))
    for child in children:
        child.start()
    try:
        async with asyncio.timeout(60):
            while not all(socket.exists() for socket in sockets):  # noqa: ASYNC110 - other processes make them
                await asyncio.sleep(0.05)
        await asyncio.sleep(1)
        assert children[-1].pid is not None
        yield sockets, children[-1].pid
    finally:
        for child in children:
            child.terminate()
            child.join(10)


class Client:
    """One session: it reads and writes through all processes in turn, and knows its own writes."""

    def __init__(self, history: History, connections: list[Any], rng: random.Random, writes: float) -> None:
        self._history = history
        self._connections = connections
        self._rng = rng
        self._writes = writes
        self._own: dict[int, int] = {}
        self._last: list[int] = []

    async def step(self) -> None:
        """Write once, or read some rows at once; often those of the last step."""
        rng, history = self._rng, self._history
        verb = "w" if rng.random() < self._writes * READS_AT_ONCE else "r"
        if rng.random() < 0.7 or not self._last:
            self._last = [self._row() for _ in range(READS_AT_ONCE if verb == "r" else 1)]
        elif verb == "w":
            self._last = self._last[:1]
        rows, own = self._last, dict(self._own)
        reader, writer = rng.choice(self._connections)
        began = time.monotonic()
        writer.write(f"{verb} {' '.join(map(str, rows))}\n".encode())
        answers = (await reader.readline()).decode().split()
        for row, answer in zip(rows, answers, strict=True):
            version, outcome = answer.split(":")
            number = int(version)
            if number < 0:
                history.failed += 1
            elif verb == "w":
                history.writes += 1
                history.acknowledged[row, number] = time.monotonic()
                self._own[row] = number
            else:
                history.judge(row, number, outcome, began, own.get(row, 0))
                history.outcomes[outcome] = history.outcomes.get(outcome, 0) + 1

    def _row(self) -> int:
        """Return a row, the first ones more often."""
        return max(1, min(ROWS, int(ROWS ** self._rng.random())))


class Trouble:
    """One fault after another, at random.

    Args:
        valkey: the shared tier.
        pause_seconds: longest pause between two.
    """

    def __init__(self, valkey: Valkey, pause_seconds: float) -> None:
        self._valkey = valkey
        self._pause_seconds = pause_seconds
        self._rng = random.Random(5)
        self.made: dict[str, int] = {}

    async def __call__(self, relay_pid: int) -> None:
        rng, valkey = self._rng, self._valkey
        await asyncio.sleep(rng.random() * self._pause_seconds)
        kind = rng.choice(["stall", "kill", "flush", "cut", "stall relay"])
        self.made[kind] = self.made.get(kind, 0) + 1
        if kind == "stall":
            with valkey.stalled():
                await asyncio.sleep(rng.random() * 1.5)
        elif kind == "kill":
            valkey.kill()
            await asyncio.sleep(rng.random() * 0.5)
            await asyncio.to_thread(valkey.start)
        elif kind == "stall relay":
            with stopped(relay_pid):
                await asyncio.sleep(rng.random() * 1.5)
        else:
            async with Redis.from_url(valkey.url) as server:
                command = ("FLUSHALL",) if kind == "flush" else ("CLIENT", "KILL", "TYPE", "normal")
                await server.execute_command(*command)


async def play(
    shelf: Shelf,
    folder: Path,
    *,
    reads: int,
    count: int = 3,
    clients: int = 24,
    writes: float = 0.01,
    seed: int = 1,
    faults: Callable[[int], Awaitable[None]] | None = None,
    seconds: float = float("inf"),
) -> History:
    """Play until there are enough reads, or the time is over; returns the history."""
    history = History()
    shelf.psql("delete from items")
    shelf.psql(
        "insert into items (clinic_id, id, name) select %s::uuid, g, 'n' from generate_series(1, %s::int) g",
        shelf.clinic,
        ROWS,
    )
    # Without faults, a busy machine must not make one: the deadline is for servers that stall.
    settings = CacheSettings(deadline_ms=5_000 if faults is None else 50)
    async with processes(shelf, folder, count, settings) as (sockets, relay_pid):
        stop, over = asyncio.Event(), time.monotonic() + seconds

        async def client(number: int) -> None:
            connections = [await asyncio.open_unix_connection(str(socket)) for socket in sockets]
            session = Client(history, connections, random.Random(seed * 1000 + number), writes)
            while history.reads < reads and time.monotonic() < over:
                await session.step()
            for _, writer in connections:
                writer.close()

        async def raw() -> None:
            """Write as psql does, and see how soon it shows."""
            rng = random.Random(seed)
            reader, writer = await asyncio.open_unix_connection(str(sockets[0]))
            async with await psycopg.AsyncConnection.connect(shelf.urls.owner, autocommit=True) as connection:
                while not stop.is_set():
                    row = rng.randint(1, ROWS)
                    cursor = await connection.execute(
                        "update items set name = name, version = version + 1 where id = %s returning version",
                        (row,),
                    )
                    found = await cursor.fetchone()
                    assert found is not None
                    written = history.acknowledged[row, found[0]] = time.monotonic()
                    history.raw_writes += 1
                    while not stop.is_set():
                        writer.write(f"r {row}\n".encode())
                        if int((await reader.readline()).split(b":")[0]) >= found[0]:
                            history.raw_visible_seconds.append(time.monotonic() - written)
                            break
                        await asyncio.sleep(0.001)
                    await asyncio.sleep(0.02)
            writer.close()

        background = [asyncio.create_task(raw())]
        if faults is not None:
            background.append(asyncio.create_task(_again(faults, relay_pid, stop)))
        await asyncio.gather(*(client(number) for number in range(clients)))
        stop.set()
        await asyncio.gather(*background)
    return history


async def _again(faults: Callable[[int], Awaitable[None]], relay_pid: int, stop: asyncio.Event) -> None:
    while not stop.is_set():
        await faults(relay_pid)
