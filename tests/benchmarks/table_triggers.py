"""What invalidation triggers cost on the tables of the plugins themselves: PostgreSQL's own times, from EXPLAIN ANALYZE.

For each watched table one row is updated, then all rows in one statement; each is rolled back. A column that the
rules watch is changed, where its constraints let any be.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Iterator
from typing import Any

import psycopg
from psycopg import sql

from cito.core.declarations import Invalidation

REPEATS = 100
CHANGED = {
    "text": "{} || 'x'",
    "varchar": "{} || 'x'",
    "bool": "not {}",
    "int4": "{} + 1",
    "numeric": "{} + 1",
    "date": "{} + 1",
    "timestamptz": "{} + interval '1 second'",
}
COLUMNS = """
    select attname, typname
    from pg_attribute inner join pg_type on pg_type.oid = atttypid
    where attrelid = %s::regclass and attnum > 0 and not attisdropped and attgenerated = ''
    order by attnum
"""


def table_costs(connection: psycopg.Connection, rules: Iterable[Invalidation]) -> list[dict[str, object]]:
    """Return by table: the trigger's microseconds for an update of one row, of a statement's own, and per row of many.

    Args:
        connection: of a superuser, so that no policy hides a row; every change is undone.
        rules: of all plugins.
    """
    watched: dict[str, set[str]] = {}
    for rule in rules:
        watched.setdefault(rule.table, set()).update(rule.columns or ())
    return [
        found for table, columns in sorted(watched.items()) if (found := _cost(connection, table, columns))
    ]


def _cost(connection: psycopg.Connection, table: str, watched: set[str]) -> dict[str, object] | None:
    name = sql.Identifier(*table.split("."))
    row = connection.execute(
        sql.SQL("select ctid::text, count(*) over () from {} limit 1").format(name)
    ).fetchone()
    if row is None:
        return None
    one = sql.SQL("update {} set {} where ctid = {}")
    for column, change in _changes(connection, table, watched):
        try:
            singles = [_explained(connection, one.format(name, change, row[0])) for _ in range(REPEATS)]
            all_of_it = _explained(connection, sql.SQL("update {} set {}").format(name, change))
        except psycopg.Error:
            continue  # a constraint forbids this change
        return {
            "table": table,
            "column": column,
            "trigger_us": round(statistics.median(spent for spent, _ in singles), 1),
            "statement_us": round(statistics.median(total - spent for spent, total in singles), 1),
            "rows": row[1],
            "trigger_us_per_row_of_all": round(all_of_it[0] / row[1], 2),
        }
    return None


def _changes(
    connection: psycopg.Connection, table: str, watched: set[str]
) -> Iterator[tuple[str, sql.Composable]]:
    for column, kind in connection.execute(COLUMNS, [table]).fetchall():
        if kind in CHANGED and (column in watched or not watched):
            known = sql.Identifier(column)
            yield column, sql.SQL("{} = " + CHANGED[kind]).format(known, known)


def _explained(connection: psycopg.Connection, statement: sql.Composed) -> tuple[float, float]:
    """Run a statement, undo it, and return what its invalidation triggers took, and all of it: microseconds."""
    with connection.transaction(force_rollback=True):
        row = connection.execute(sql.SQL("explain (analyze, format json) ") + statement).fetchone()
    assert row is not None
    plan: dict[str, Any] = row[0][0]
    spent = sum(t["Time"] for t in plan["Triggers"] if t["Trigger Name"].startswith("cito_stale"))
    return spent * 1e3, plan["Execution Time"] * 1e3
