"""psycopg for plugins that need more than named queries: what it does is noted in the record like any query.

`await WatchedConnection.connect(url)` is psycopg's own connection. Its statements, streams, copies, server-side cursors
and pipelines become events of the current record: spans where the request is sampled, slow or failed, metrics and
slow-query reports always. Their names are a verb and a hash of the text without its literals; an error is its class.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import perf_counter_ns
from typing import Any

import psycopg
from psycopg import sql
from psycopg.rows import Row

from cito.core.database.timing import Noted
from cito.core.telemetry import What, current_record

_LITERAL = re.compile(
    r"e?'(?:[^']|'')*'|\$(\w*)\$.*?\$\1\$|(?<![\w$%])-?\d+(?:\.\d+)?", re.DOTALL | re.IGNORECASE
)
_COMMENT = re.compile(r"--[^\n]*|/\*.*?\*/", re.DOTALL)
_VERB = re.compile(r"[a-z]{1,12}", re.IGNORECASE)


def statement_name(text: str) -> str:
    """Return a statement's name for records: `select_1f0c77a2`; the same whatever its literals."""
    plain = " ".join(_LITERAL.sub("?", _COMMENT.sub(" ", text)).lower().split())
    verb = _VERB.match(plain)
    return f"{verb.group() if verb else 'sql'}_{hashlib.blake2b(plain.encode(), digest_size=4).hexdigest()}"


@asynccontextmanager
async def _noted(query: Any, context: psycopg.AsyncConnection[Any]) -> AsyncIterator[Noted]:
    noted = Noted(statement_name(_text(query, context)))
    try:
        with noted:
            yield noted
    except BaseException as error:
        noted.end(error)
        raise
    noted.end()


def _text(query: Any, context: psycopg.AsyncConnection[Any]) -> str:
    if isinstance(query, sql.Composable):
        return query.as_string(context)
    return query.decode() if isinstance(query, bytes) else str(query)


class WatchedCursor(psycopg.AsyncCursor[Row]):
    """psycopg's cursor, noting statements, streams and copies."""

    async def execute(self, query: Any, *arguments: Any, **options: Any) -> Any:
        """As psycopg's."""
        async with _noted(query, self.connection) as noted:
            await super().execute(query, *arguments, **options)
            noted.rows = self.rowcount
        return self

    async def executemany(self, query: Any, *arguments: Any, **options: Any) -> None:
        """As psycopg's; one event."""
        async with _noted(query, self.connection) as noted:
            await super().executemany(query, *arguments, **options)
            noted.rows = self.rowcount

    async def stream(self, query: Any, *arguments: Any, **options: Any) -> AsyncIterator[Row]:
        """As psycopg's; one event, without the reader's own time."""
        noted = Noted(statement_name(_text(query, self.connection)))
        rows = super().stream(query, *arguments, **options)
        try:
            while True:
                with noted:
                    try:
                        row = await anext(rows)
                    except StopAsyncIteration:
                        break
                noted.rows += 1
                yield row
        except BaseException as error:
            noted.end(error)
            raise
        noted.end()

    @asynccontextmanager
    async def copy(self, statement: Any, *arguments: Any, **options: Any) -> AsyncIterator[psycopg.AsyncCopy]:
        """As psycopg's; one event for the whole copy, the caller's own time between rows included."""
        async with _noted(statement, self.connection) as noted:
            async with super().copy(statement, *arguments, **options) as copy:
                yield copy
            noted.rows = self.rowcount


class WatchedServerCursor(psycopg.AsyncServerCursor[Row]):
    """psycopg's server-side cursor; one event for opening it and all its fetches, at its end."""

    _opened: Noted | None = None

    async def execute(self, query: Any, *arguments: Any, **options: Any) -> Any:
        """As psycopg's."""
        self._end()
        self._opened = Noted(statement_name(_text(query, self.connection)))
        with self._opened:
            await super().execute(query, *arguments, **options)
        return self

    async def fetchone(self) -> Row | None:
        """As psycopg's."""
        with self._waiting() as noted:
            row = await super().fetchone()
            noted.rows += row is not None
        return row

    async def fetchmany(self, size: int = 0) -> list[Row]:
        """As psycopg's."""
        with self._waiting() as noted:
            rows = await super().fetchmany(size)
            noted.rows += len(rows)
        return rows

    async def fetchall(self) -> list[Row]:
        """As psycopg's."""
        with self._waiting() as noted:
            rows = await super().fetchall()
            noted.rows += len(rows)
        return rows

    async def __anext__(self) -> Row:
        """As psycopg's; it fetches `itersize` rows at a time."""
        with self._waiting() as noted:
            row = await super().__anext__()
            noted.rows += 1
        return row

    def _waiting(self) -> Noted:
        return self._opened or Noted("fetch")  # psycopg says what is wrong with a cursor that was not opened

    async def close(self) -> None:
        """As psycopg's."""
        self._end()
        await super().close()

    def _end(self) -> None:
        opened, self._opened = self._opened, None
        if opened is not None:
            opened.end()


class WatchedConnection(psycopg.AsyncConnection[Row]):
    """psycopg's connection, with watched cursors; a pipeline is one event as well."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.cursor_factory = WatchedCursor
        self.server_cursor_factory = WatchedServerCursor

    @asynccontextmanager
    async def pipeline(self) -> AsyncIterator[psycopg.AsyncPipeline]:
        """As psycopg's."""
        start_ns = perf_counter_ns()
        try:
            async with super().pipeline() as pipeline:
                yield pipeline
        finally:
            record = current_record.get()
            if record is not None:
                record.add(What.QUERY, "pipeline", start_ns)
