"""Exports: a server-side cursor in one snapshot, read batch by batch as fast as its reader takes them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, TypeVar
from uuid import UUID

import msgspec

from cito.core.database.connection import Command, Connection, StalePlan
from cito.core.database.errors import refusal
from cito.core.database.rows import row_maker
from cito.core.database.timing import Noted

if TYPE_CHECKING:
    from cito.core.database.pool import Database

R = TypeVar("R", bound=msgspec.Struct)
_STALLED_MS = 60_000


@asynccontextmanager
async def stream(
    database: Database, clinic_id: UUID | None, name: str, params: msgspec.Struct, row: type[R]
) -> AsyncIterator[AsyncIterator[list[R]]]:
    """Open an export of one clinic's rows, as of one moment.

    `async with stream(...) as batches: async for rows in batches: ...` It holds one connection until the block is left; nothing is read ahead of the reader, and a reader that
    stalls for a minute loses it.

    Args:
        database: the pool.
        clinic_id: whose rows; None: of tables that belong to no clinic.
        name: the named query.
        params: its parameters.
        row: struct of a row.

    Raises:
        ParameterError: a parameter of the wrong type or length; nothing was sent.
        DatabaseProblem: refused, or the connection was lost; on opening or between batches.
    """
    asked = database.command(name, params, None)
    declared = Command(
        f"stream_{name}", f"declare cito_stream no scroll cursor for {asked.text}", asked.values, None
    )
    clinic = b"" if clinic_id is None else str(clinic_id).encode()
    opening = (
        database.core_command("begin_snapshot"),
        database.core_command("scope_read", (clinic, b"%d" % database.statement_timeout_ms)),
        database.core_command("limit_idle", (b"%d" % _STALLED_MS,)),
        declared,
    )
    # A name of its own for each query: the columns of what is fetched are remembered by name.
    fetch = database.core_command("fetch_stream", (), row_maker(row))._replace(name=f"fetch_{name}")
    connection = await database.pool.acquire(name)
    noted = Noted(name)
    error: BaseException | None = None
    try:
        with noted:
            await connection.run(opening)
        yield _batches(connection, fetch, noted)
    except StalePlan as stale:
        error = stale
        raise refusal("40001", name) from None
    except BaseException as other:
        error = other
        raise
    finally:
        database.pool.take_back(connection)  # rolls back: there is nothing to keep
        noted.end(error)


async def _batches(connection: Connection, fetch: Command, noted: Noted) -> AsyncIterator[list[R]]:
    while True:
        with noted:
            (rows,) = await connection.run((fetch,))
        if not rows:
            return
        noted.rows += len(rows)
        yield rows
