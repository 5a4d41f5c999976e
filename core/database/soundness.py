"""Every named query against the database without running it: prepared, its columns compared with its row's fields."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
import psycopg
from psycopg.abc import PQGen
from psycopg.generators import execute
from psycopg.pq import ExecStatus
from psycopg.pq.abc import PGconn, PGresult

from cito.core.database.sql import NamedQuery


async def unsound_queries(
    app: psycopg.AsyncConnection[Any],
    queries: Mapping[str, NamedQuery],
    rows: Mapping[str, type[msgspec.Struct]],
) -> list[str]:
    """Return what is wrong, one line a query; empty: nothing is.

    Args:
        app: as the application role.
        queries: by name.
        rows: the struct that each query's rows become, by its name; statements without rows have none.
    """
    found = []
    for name, query in queries.items():
        described = await app.wait(_described(app.pgconn, query.text.encode()))
        if described.status != ExecStatus.COMMAND_OK:
            found.append(f"{name}: refused by PostgreSQL")
        elif name in rows and (fault := _differ(_columns(described), rows[name])):
            found.append(f"{name}: {fault}")
    return found


def _described(connection: PGconn, text: bytes) -> PQGen[PGresult]:
    """Have PostgreSQL parse and type one statement, and say what it returns."""
    connection.send_prepare(b"", text)
    prepared: list[PGresult] = yield from execute(connection)
    if prepared[0].status != ExecStatus.COMMAND_OK:
        return prepared[0]
    connection.send_describe_prepared(b"")
    described: list[PGresult] = yield from execute(connection)
    return described[0]


def _columns(described: PGresult) -> list[str]:
    return [(described.fname(i) or b"").decode() for i in range(described.nfields)]


def _differ(columns: list[str], row: type[msgspec.Struct]) -> str:
    """Return how columns and fields disagree. A column without a name of its own may be any field."""
    fields = list(row.__struct_fields__)
    if len(columns) != len(fields):
        return f"returns {len(columns)} columns, {row.__name__} has {len(fields)} fields"
    for column, field in zip(columns, fields, strict=True):
        if column != field and column in fields:
            return f"returns {column} where {row.__name__} has {field}"
    return ""
