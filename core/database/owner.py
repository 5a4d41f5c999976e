"""The owner's connection, for the command line: migrations, index builds, reports. Never for requests."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.resources import files
from typing import Any

import psycopg

from cito.core.database.sql import read_queries

OwnerConnection = psycopg.AsyncConnection[tuple[Any, ...]]
_LOCK_POLL_SECONDS = 0.1


class OwnerUnreachableError(Exception):
    """The owner's URL leads nowhere; the message says so without quoting it."""


@asynccontextmanager
async def owner_connection(owner_url: str) -> AsyncIterator[OwnerConnection]:
    """Connect with `$1` parameters, every statement its own transaction, no time limit.

    Raises:
        OwnerUnreachableError: the server is not there, or refuses the owner.
    """
    try:
        connection = await psycopg.AsyncConnection.connect(
            owner_url,
            autocommit=True,
            cursor_factory=psycopg.AsyncRawCursor,
            options="-c search_path=public,cito -c statement_timeout=0",
        )
    except psycopg.OperationalError:
        raise OwnerUnreachableError("cannot connect as the owner of the schema") from None
    async with connection:
        yield connection


async def hold_lock(connection: OwnerConnection, statement: str) -> None:
    """Try an advisory lock until it is ours; it goes with the connection.

    A session that waits inside `pg_advisory_lock` holds a snapshot, and a concurrent index build waits for
    snapshots: so the lock is tried, not awaited.
    """
    while True:
        row = await (await connection.execute(statement.encode())).fetchone()
        if row and row[0]:
            return
        await asyncio.sleep(_LOCK_POLL_SECONDS)


async def holds_pages(connection: OwnerConnection, table: str) -> bool:
    """Tell whether a table may hold rows, by its size: under forced row-level security its owner sees none.

    A table that is not there holds nothing; one whose rows were all deleted holds pages until it is vacuumed.
    """
    row = await (await connection.execute(_TABLE_BYTES.encode(), (table,))).fetchone()
    return bool(row and row[0])


_TABLE_BYTES = read_queries(files("cito.sql") / "core" / "migrations.sql")["table_bytes"].text
