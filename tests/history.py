"""A history of the real thing: readers and writers through several processes, every read judged afterwards.

Each process holds a cache and a pool, and speaks one line for one answer over a Unix socket. Clients (all in one
process, so on one clock) read and write through any of them at random; another writes as psql does, past every
process. A row's version grows with each write. A read is stale by the time between the acknowledgement of the first
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
from shelf import FindItem, Shelf, renamed_item

from cito.core.registry import Registry
from cito.core.relaying import run_relay
from cito.core.settings import CacheSettings

ROWS = 200


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
                    verb, row = line.split()
                    try:
                        if verb == b"r":
                            entry = await one.get(int(row))
                            answer = f"{entry.value.version} {entry.outcome}\n"
                        else:
                            async with one.database.transaction(shelf.clinic) as tx:
                                found = await renamed_item.one(tx, FindItem(shelf.clinic, int(row)))
                            assert found is not None
                            answer = f"{found.version} written\n"
                    except Exception as error:  # noqa: BLE001 - told to the client
                        answer = f"-1 {type(error).__name__}\n"
                    writer.write(answer.encode())

            server = await asyncio.start_unix_server(talk, str(socket))
            async with server:
                await server.serve_forever()

    uvloop.run(main())


def relay(shelf: Shelf) -> None:
    """The relay, as a process."""
    uvloop.run(run_relay(shelf.settings, Registry(plugins=()), shelf.urls.app, shelf.urls.cache))


@asynccontextmanager
async def processes(
    shelf: Shelf, folder: Path, count: int, settings: CacheSettings
) -> AsyncIterator[list[Path]]:
    """Run the processes of a system."""
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
        yield sockets
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
        self._last = 0

    async def step(self) -> None:
        row = int(ROWS ** self._rng.random()) if self._rng.random() < 0.7 else self._last
        row = max(1, min(ROWS, row))
        verb = "w" if self._rng.random() < self._writes else "r"
        self._last = row
        own = self._own.get(row, 0)
        reader, writer = self._rng.choice(self._connections)
        began = time.monotonic()
        writer.write(f"{verb} {row}\n".encode())
        version, outcome = (await reader.readline()).split()
        number = int(version)
        if number < 0:
            self._history.failed += 1
        elif verb == "w":
            self._history.writes += 1
            self._history.acknowledged[row, number] = time.monotonic()
            self._own[row] = number
        else:
            self._history.judge(row, number, outcome.decode(), began, own)
            self._history.outcomes[outcome.decode()] = self._history.outcomes.get(outcome.decode(), 0) + 1


async def play(
    shelf: Shelf,
    folder: Path,
    *,
    reads: int,
    count: int = 3,
    clients: int = 24,
    writes: float = 0.02,
    seed: int = 1,
    faults: Callable[[], Awaitable[None]] | None = None,
) -> History:
    """Play until there are enough reads; returns the history."""
    history = History()
    shelf.psql("delete from items")
    shelf.psql(
        "insert into items (clinic_id, id, name) select %s::uuid, g, 'n' from generate_series(1, %s::int) g",
        shelf.clinic,
        ROWS,
    )
    # Without faults, a busy machine must not make one: the deadline is for servers that stall.
    settings = CacheSettings(deadline_ms=5_000 if faults is None else 50)
    async with processes(shelf, folder, count, settings) as sockets:
        stop = asyncio.Event()

        async def client(number: int) -> None:
            connections = [await asyncio.open_unix_connection(str(socket)) for socket in sockets]
            session = Client(history, connections, random.Random(seed * 1000 + number), writes)
            while history.reads < reads:
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
                        if int((await reader.readline()).split()[0]) >= found[0]:
                            history.raw_visible_seconds.append(time.monotonic() - written)
                            break
                        await asyncio.sleep(0.001)
                    await asyncio.sleep(0.02)
            writer.close()

        background = [asyncio.create_task(raw())]
        if faults is not None:
            background.append(asyncio.create_task(_again(faults, stop)))
        await asyncio.gather(*(client(number) for number in range(clients)))
        stop.set()
        await asyncio.gather(*background)
    return history


async def _again(faults: Callable[[], Awaitable[None]], stop: asyncio.Event) -> None:
    while not stop.is_set():
        await faults()
