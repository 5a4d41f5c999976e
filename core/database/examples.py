"""Parameters to plan a named query with: from its own `-- example:` lines, or sampled from the data by name."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec
import psycopg
from psycopg import sql

from cito.core.database.owner import OwnerConnection
from cito.core.database.plans import PLANS
from cito.core.database.sql import NamedQuery

_LIST = 20  # how many values a list parameter gets


class Table(msgspec.Struct, frozen=True):
    """A table of the domains: its estimated rows and its columns."""

    name: str
    rows: int
    columns: tuple[str, ...]


class Example(msgspec.Struct, frozen=True):
    """Values of a query's parameters in their order, and the clinic whose rows are meant (None: no clinic's)."""

    values: tuple[Any, ...]
    clinic_id: str | None


class ExampleError(LookupError):
    """An `-- example:` that PostgreSQL refuses; the message names the query."""


async def tables(owner: OwnerConnection) -> dict[str, Table]:
    """Return the domains' tables by name."""
    rows = await (await owner.execute(PLANS["table_shapes"].encode())).fetchall()
    return {name: Table(name, count, tuple(columns)) for name, count, columns in rows}


async def examples(owner: OwnerConnection, query: NamedQuery, known: Mapping[str, Table]) -> list[Example]:
    """Return values to try a query with; none: it has parameters that neither its examples nor the data give.

    A parameter with the name of a column of a table in the query's text takes that column's value in one
    row; one with a column's plural takes twenty. Whatever cannot be guessed so is said in an example line:
    `-- example: select clinic_id, 'smith' as name from patients limit 1`; what it leaves out is null.

    Raises:
        ExampleError: an example line is wrong.
    """
    found: list[Example] = []
    for statement in [line.encode() for line in query.examples] or _guesses(query, known):
        try:
            row = await _sample(owner, statement)
        except psycopg.Error as error:
            raise _wrong(query, str(error.diag.message_primary)) from None
        if row is None:
            continue
        if strange := row.keys() - {*query.parameters, "clinic_id"}:
            raise _wrong(query, f"names {', '.join(sorted(strange))}, which it does not take")
        clinic_id = row.get("clinic_id")
        values = tuple(row.get(name) for name in query.parameters)
        found.append(Example(values, None if clinic_id is None else str(clinic_id)))
        if not query.examples:
            return found  # one good guess is enough
    return found or ([] if query.parameters else [Example((), None)])


def _wrong(query: NamedQuery, said: str) -> ExampleError:
    return ExampleError(f"{query.source}: {query.name}: its example: {said}")


def _guesses(query: NamedQuery, known: Mapping[str, Table]) -> list[sql.Composed]:
    """Return selects that may give the parameters: one for each table in the query's text that has them all."""
    words = set(re.findall(r"\w+", query.text))
    guesses: list[sql.Composed] = []
    for table in sorted((t for t in known.values() if t.name in words), key=lambda t: -t.rows):
        wanted = [*query.parameters]
        if "clinic_id" in table.columns and "clinic_id" not in wanted:
            wanted.append("clinic_id")
        picked = [_pick(parameter, table) for parameter in wanted]
        found = [column for column in picked if column is not None]
        if len(found) == len(wanted):
            columns = sql.SQL(", ").join(found)
            guesses.append(
                sql.SQL("select {} from {} as one limit 1").format(columns, sql.Identifier(table.name))
            )
    return guesses


def _pick(parameter: str, table: Table) -> sql.Composable | None:
    """Return the column of a parameter's name, or an array of the column whose plural it is."""
    if parameter in table.columns:
        return sql.Identifier(parameter)
    if not (parameter.endswith("s") and parameter[:-1] in table.columns):
        return None
    same_clinic = "where other.clinic_id = one.clinic_id" if "clinic_id" in table.columns else ""
    return sql.SQL(
        "(select array_agg({column}) from (select {column} from {table} as other {where} limit {most}) as sampled)"
        " as {parameter}"
    ).format(
        column=sql.Identifier(parameter[:-1]),
        table=sql.Identifier(table.name),
        where=sql.SQL(same_clinic),
        most=sql.Literal(_LIST),
        parameter=sql.Identifier(parameter),
    )


async def _sample(owner: OwnerConnection, statement: bytes | sql.Composed) -> dict[str, Any] | None:
    """Return the row of a statement: as whoever sees all clinics' rows, or as the owner of the core's tables."""
    try:
        return await _asked(owner, statement, PLANS["see_as_search"])
    except psycopg.errors.InsufficientPrivilege:
        return await _asked(owner, statement, PLANS["see_as_owner"])


async def _asked(owner: OwnerConnection, statement: bytes | sql.Composed, role: str) -> dict[str, Any] | None:
    async with owner.transaction(force_rollback=True):
        await owner.execute(role.encode())
        cursor = await owner.execute(statement)
        row = await cursor.fetchone()
        names = [column.name for column in cursor.description or ()]
    return None if row is None else dict(zip(names, row, strict=True))
