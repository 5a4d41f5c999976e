"""The system of a history at the engine's level: processes with a cache and a pool each, asked over Unix sockets."""

from __future__ import annotations

import asyncio
import multiprocessing
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import psycopg
import uvloop
from history import Answer, System
from shelf import FindItem, Process, Shelf, renamed_item

from cito.core.registry import Registry
from cito.core.relaying import run_relay
from cito.core.settings import CacheSettings

ROWS = 200


@asynccontextmanager
async def engines(
    shelf: Shelf, folder: Path, *, count: int = 3, deadline_ms: float = 5_000
) -> AsyncIterator[System]:
    """Run processes of one node, and a relay.

    Args:
        shelf: their servers.
        folder: of the sockets.
        count: how many.
        deadline_ms: of the shared tier; without faults a long one, as a busy machine must not make one.
    """
    shelf.psql("delete from items")
    shelf.psql(
        "insert into items (clinic_id, id, name) select %s::uuid, g, 'n' from generate_series(0, %s::int) g",
        shelf.clinic,
        ROWS - 1,
    )
    context = multiprocessing.get_context("spawn")
    sockets = [folder / f"{number}.sock" for number in range(count)]
    settings = CacheSettings(deadline_ms=deadline_ms)
    children = [context.Process(target=_serve, args=(shelf, one, settings), daemon=True) for one in sockets]
    children.append(context.Process(target=relay, args=(shelf,), daemon=True))
    for child in children:
        child.start()
    try:
        async with asyncio.timeout(60):
            while not all(socket.exists() for socket in sockets):  # noqa: ASYNC110 - other processes make them
                await asyncio.sleep(0.05)
        relay_pid = children[-1].pid
        assert relay_pid is not None
        async with await psycopg.AsyncConnection.connect(shelf.urls.owner, autocommit=True) as connection:
            nodes = [[partial(Line.open, socket) for socket in sockets]]
            yield System(nodes, ROWS, partial(_write_past, connection), relay_pid)
    finally:
        for child in children:
            child.terminate()
            child.join(10)


async def _write_past(connection: psycopg.AsyncConnection, row: int) -> int:
    """Write as psql does."""
    statement = "update items set name = name, version = version + 1 where id = %s returning version"
    found = await (await connection.execute(statement, (row,))).fetchone()
    assert found is not None
    return int(found[0])


class Line:
    """A connection on which a line is asked and a line is answered."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def open(cls, socket: Path) -> Line:
        return cls(*await asyncio.open_unix_connection(str(socket)))

    async def read(self, rows: Sequence[int]) -> Sequence[Answer]:
        return await self._ask("r", rows)

    async def write(self, row: int) -> Answer:
        (answer,) = await self._ask("w", [row])
        return answer

    async def _ask(self, verb: str, rows: Sequence[int]) -> Sequence[Answer]:
        self._writer.write(f"{verb} {' '.join(map(str, rows))}\n".encode())
        said = (await self._reader.readuntil()).decode().split()
        return [Answer(int(version), outcome) for version, outcome in (one.split(":") for one in said)]

    def close(self) -> None:
        self._writer.close()


def _serve(shelf: Shelf, socket: Path, settings: CacheSettings) -> None:
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
    except Exception as error:  # noqa: BLE001 - told to the session
        return f"-1:{type(error).__name__}"
    return f"{found.version}:written"


def relay(shelf: Shelf) -> None:
    """The relay, as a process."""
    uvloop.run(run_relay(shelf.settings, Registry(plugins=()), shelf.urls.app, shelf.urls.cache))
