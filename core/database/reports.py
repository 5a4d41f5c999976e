"""Reports on indexes and statements, from PostgreSQL's own statistics."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from importlib.resources import files
from typing import Any

import msgspec
import psycopg

from cito.core.database.errors import DatabaseProblem
from cito.core.database.owner import owner_connection
from cito.core.database.plans import PLANS, AppConnection, explain, rehearsal
from cito.core.database.sql import NamedQuery, read_queries
from cito.core.declarations import Index

_PAGE_SHARE = 0.9  # a B-tree leaf is filled to 90 % when it is built
_ENTRY_OVERHEAD = 12  # bytes: line pointer and tuple header
_P95_DEVIATIONS = 1.645  # of a normal distribution
_ENOUGH_CALLS = 20
_INDEX_USAGE = read_queries(files("cito.sql") / "core" / "indexes_admin.sql")["index_usage"].text


class IndexFigures(msgspec.Struct, frozen=True, kw_only=True):
    """One index as it is used.

    Attributes:
        name, table: where.
        declared: by an enabled plugin.
        scans: since `counted_since`.
        last_scan: None: not since then.
        bytes: on disk.
        bloat_bytes: estimated above what its entries need; None: not a B-tree.
        duplicate_of: another index with the same columns, operators, expressions and predicate.
        counted_since: when the counters began.
    """

    name: str
    table: str
    declared: bool
    scans: int
    last_scan: datetime | None
    bytes: int
    bloat_bytes: int | None
    duplicate_of: str | None
    counted_since: datetime | None


class QueryFigures(msgspec.Struct, frozen=True, kw_only=True):
    """One named query as it ran.

    Attributes:
        name: the named query; calls: how often, by any role.
        mean_ms: mean execution time.
        p95_ms: estimated from mean and deviation, as of a normal distribution, at most the slowest seen:
            PostgreSQL keeps no percentiles; None: too few calls.
        target_ms: the promise; None: none.
        met: the estimate is within it; None: not known.
        rows: mean rows of a call.
        pages: mean buffers of a call; read_share: how many of them were not in memory.
        time_share: of all statements' time in this database.
    """

    name: str
    calls: int
    mean_ms: float
    p95_ms: float | None
    target_ms: float | None
    met: bool | None
    rows: float
    pages: float
    read_share: float
    time_share: float


class StatisticsUnavailableError(Exception):
    """pg_stat_statements is not loaded; the message says what to set."""


async def index_report(owner_url: str, declared: Iterable[Index]) -> list[IndexFigures]:
    """Return every index, the largest first."""
    names = {index.name for index in declared}
    async with owner_connection(owner_url) as owner:
        cursor = await owner.execute(_INDEX_USAGE.encode())
        rows = [
            dict(zip((c.name for c in cursor.description or ()), row, strict=True))
            for row in await cursor.fetchall()
        ]
    first: dict[tuple[str, str, str], str] = {}
    report = []
    for row in rows:
        shape = (row["table_name"], row["method"], row["shape"])
        original = first.setdefault(shape, row["name"])
        report.append(
            IndexFigures(
                name=row["name"],
                table=row["table_name"],
                declared=row["name"] in names,
                scans=row["scans"],
                last_scan=row["last_scan"],
                bytes=row["bytes"],
                bloat_bytes=_bloat(row),
                duplicate_of=None if original == row["name"] else original,
                counted_since=row["counted_since"],
            )
        )
    return report


async def query_report(owner_url: str, app_url: str, queries: Mapping[str, NamedQuery]) -> list[QueryFigures]:
    """Return the named queries that ran, those that took most time first.

    Args:
        owner_url: reads the statistics of all roles.
        app_url: plans each query, which gives its identifier: texts differ, constants being replaced.
        queries: all named queries.

    Raises:
        StatisticsUnavailableError: the server does not load pg_stat_statements.
    """
    async with rehearsal(app_url) as app:
        names = {await _identifier(app, query): name for name, query in queries.items()}
    try:
        async with owner_connection(owner_url) as owner:
            cursor = await owner.execute(PLANS["statement_statistics"].encode())
            columns = [c.name for c in cursor.description or ()]
            rows = [dict(zip(columns, row, strict=True)) for row in await cursor.fetchall()]
    except (psycopg.errors.ObjectNotInPrerequisiteState, psycopg.errors.UndefinedTable):
        raise StatisticsUnavailableError(
            "set shared_preload_libraries = 'pg_stat_statements', restart PostgreSQL, create the extension"
        ) from None
    found = [_query_figures(names[row["queryid"]], queries, row) for row in rows if row["queryid"] in names]
    return sorted(found, key=lambda figures: -figures.time_share)


async def _identifier(app: AppConnection, query: NamedQuery) -> int | None:
    """Return the identifier that PostgreSQL gives a statement; None: it cannot be planned without values."""
    try:
        return (await explain(app, query, None)).identifier
    except (DatabaseProblem, LookupError):
        return None


def _query_figures(name: str, queries: Mapping[str, NamedQuery], row: Mapping[str, Any]) -> QueryFigures:
    calls = int(row["calls"])
    mean = row["total_ms"] / calls
    p95 = (
        min(row["slowest_ms"], mean + _P95_DEVIATIONS * row["deviation_ms"])
        if calls >= _ENOUGH_CALLS
        else None
    )
    target = queries[name].target_ms
    pages = row["blocks_hit"] + row["blocks_read"]
    return QueryFigures(
        name=name,
        calls=calls,
        mean_ms=round(mean, 3),
        p95_ms=None if p95 is None else round(p95, 3),
        target_ms=target,
        met=None if p95 is None or target is None else p95 <= target,
        rows=round(row["rows_returned"] / calls, 1),
        pages=round(float(pages / calls), 1),
        read_share=round(float(row["blocks_read"] / pages), 3) if pages else 0.0,
        time_share=round(row["total_ms"] / row["all_ms"], 4),
    )


def _bloat(row: Mapping[str, Any]) -> int | None:
    if row["method"] != "btree" or not row["entry_bytes"]:
        return None
    needed = row["entries"] * (row["entry_bytes"] + _ENTRY_OVERHEAD) / _PAGE_SHARE
    return int(max(0, row["bytes"] - needed))
