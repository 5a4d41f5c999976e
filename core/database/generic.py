"""A statement's generic plan: what PostgreSQL does with it when it knows no values, and so shows none."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

import psycopg

from cito.core.database.sql import read_queries

_QUERIES = {
    name: query.text.encode()
    for name, query in read_queries(files("cito.sql") / "core" / "plans.sql").items()
}


async def explain_generic(
    connection: psycopg.AsyncConnection[tuple[Any, ...]], statement: str, *options: str
) -> list[Any]:
    """Return what `explain` says of a statement with `$1` parameters, line by line; nothing is run.

    `explain (generic_plan)` is PostgreSQL 16's; a prepared statement that may only be planned so is any version's.

    Args:
        connection: autocommit, or in a transaction, which goes on unharmed. Its cursors take `$1`.
        statement: one statement.
        options: of `explain`, as `format json`.

    Raises:
        psycopg.Error: the server is away, or refuses the statement.
    """
    async with connection.transaction():
        await connection.execute(f"prepare cito_generic as {statement}".encode())
    try:
        async with connection.transaction(force_rollback=True):
            await connection.execute(_QUERIES["generic_plans_only"])
            row = await (
                await connection.execute(_QUERIES["parameters_prepared"], ("cito_generic",))
            ).fetchone()
            values = f"({', '.join(['null'] * row[0])})" if row and row[0] else ""
            said = await connection.execute(
                f"explain ({', '.join(options)}) execute cito_generic {values}".encode()
            )
            return [line for (line,) in await said.fetchall()]
    finally:
        await connection.execute(b"deallocate cito_generic")
