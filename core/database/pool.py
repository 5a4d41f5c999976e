"""The way to PostgreSQL of one process: readers, transactions, deadlines, shedding."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from importlib.resources import files
from typing import Protocol
from uuid import UUID

import msgspec

from cito.core.database.connection import Command
from cito.core.database.connections import Pool, PoolFigures
from cito.core.database.errors import DatabaseProblem, QueryFailed
from cito.core.database.parameters import Binder, Wire
from cito.core.database.reader import Reader
from cito.core.database.replicas import Replicas
from cito.core.database.rows import MakeRow
from cito.core.database.sql import NamedQuery, read_queries
from cito.core.database.transaction import Transaction

_log = logging.getLogger(__name__)
Committed = Callable[[Sequence[str]], Awaitable[None]]

_LEAST_TIMEOUT_MS = 500.0
_TIMEOUT_PER_TARGET = 50
_ANSWER_GRACE_SECONDS = 1.0  # the server's own limit comes first, and its refusal has time to arrive


class PoolSettings(Protocol):
    """What of the settings this layer reads; `cito.core.settings.DatabaseSettings` has it."""

    @property
    def pool_max(self) -> int:
        """Connections for all processes of a node together."""
        ...

    @property
    def acquire_timeout_seconds(self) -> float:
        """A caller waits no longer for a connection."""
        ...

    @property
    def idle_seconds(self) -> float:
        """An unused connection is closed after it."""
        ...

    @property
    def statement_timeout_seconds(self) -> float:
        """No statement runs longer."""
        ...

    @property
    def replicas(self) -> tuple[str, ...]:
        """URLs of streaming replicas, as the application role."""
        ...


class Database:
    """The pool of one process and the named queries it may run. Made by `Database.open`.

    Attributes:
        committed: called after each commit that made something stale, before `transaction` returns, with the
            tags that the transaction's own triggers wrote to the outbox; the cache bumps them, so that a
            writer's next read is fresh. What it raises is logged: the write has happened, and the relay
            bumps the same tags from the outbox.
    """

    def __init__(
        self,
        pool: Pool,
        queries: Mapping[str, NamedQuery],
        statement_timeout_seconds: float,
        replicas: Sequence[Pool] = (),
    ) -> None:
        self.committed: Committed | None = None
        self.pool = pool
        self.replicas = Replicas(replicas, lambda clinic_id: self.reader(clinic_id, primary=True))
        self._queries = {**_SESSION, **queries}
        self._timeout_ms = statement_timeout_seconds * 1000
        self._binders: dict[tuple[str, type[msgspec.Struct]], Binder] = {}

    @classmethod
    async def open(
        cls, settings: PoolSettings, url: str, queries: Mapping[str, NamedQuery], *, size: int | None = None
    ) -> Database:
        """Connect as the application role.

        Args:
            settings: limits.
            url: a libpq URL.
            queries: all plugins' named queries.
            size: most connections of this process; None: all of `settings.pool_max`.

        Raises:
            DatabaseProblem: the server is not there or refuses.
        """
        pool, *replicas = (
            Pool(
                each,
                size=size or settings.pool_max,
                acquire_timeout_seconds=settings.acquire_timeout_seconds,
                idle_seconds=settings.idle_seconds,
                answer_seconds=settings.statement_timeout_seconds + _ANSWER_GRACE_SECONDS,
            )
            for each in (url, *settings.replicas)
        )
        await pool.start()
        return cls(pool, queries, settings.statement_timeout_seconds, replicas)

    @property
    def queries(self) -> Mapping[str, NamedQuery]:
        """Return all named queries, and what the core says around them."""
        return self._queries

    async def close(self) -> None:
        """End all connections."""
        await self.replicas.close()
        await self.pool.close()

    def reader(self, clinic_id: UUID | None, *, primary: bool = False) -> Reader:
        """Return where reads of one clinic run (None: tables that belong to no clinic).

        Each call is one round trip, read-only, under row-level security, and never older than its beginning.
        `primary`: never a replica (decisions).
        """
        return Reader(self, clinic_id, primary=primary)

    @asynccontextmanager
    async def transaction(self, clinic_id: UUID | None) -> AsyncIterator[Transaction]:
        """Open a transaction on the primary; commits on leaving, rolls back on an exception.

        Nothing is sent before the first statement, and `begin`, scope and statement go out together.

        Raises:
            DatabaseProblem: what the server refused; ConnectionLost at the end: whether it is committed is
                not known.
        """
        opened = Transaction(self, clinic_id)
        try:
            yield opened
        except BaseException:
            await opened.rollback()
            raise
        tags = await opened.commit()
        if tags and self.committed is not None:
            try:
                await self.committed(tags)
            except Exception:  # noqa: BLE001 - whatever it is, the write has happened
                _log.exception("the cache was not told of a commit; the relay will tell it")

    def figures(self) -> PoolFigures:
        """Return what the pool does now and has done."""
        return self.pool.figures()

    def query(self, name: str) -> NamedQuery:
        """Return the named query.

        Raises:
            QueryFailed: no SQL file has it.
        """
        found = self._queries.get(name)
        if found is None:
            raise QueryFailed(f"no SQL file has a query named {name}")
        return found

    def command(self, name: str, params: msgspec.Struct, make_row: MakeRow | None) -> Command:
        """Return the named query with its parameters, checked, ready to be sent.

        Raises:
            ParameterError: a parameter of the wrong type or length.
        """
        query = self.query(name)
        key = (name, type(params))
        binder = self._binders.get(key)
        if binder is None:
            binder = self._binders[key] = Binder(name, query.parameters, type(params))
        return Command(name, query.text, binder.bind(params), make_row)

    def core_command(
        self, name: str, values: Sequence[Wire] = (), make_row: MakeRow | None = None
    ) -> Command:
        """Return one of the core's own statements."""
        return Command(name, self._queries[name].text, values, make_row)

    def timeout_ms(self, name: str) -> int:
        """Return a read's time limit: generous beside its target, never above the configured one."""
        target_ms = self._queries[name].target_ms
        if target_ms is None:
            return int(self._timeout_ms)
        return int(min(self._timeout_ms, max(_LEAST_TIMEOUT_MS, target_ms * _TIMEOUT_PER_TARGET)))

    @property
    def statement_timeout_ms(self) -> int:
        """The limit of each statement of a transaction."""
        return int(self._timeout_ms)


_SESSION = read_queries(files("cito.sql") / "core" / "session.sql")

__all__ = ["Committed", "Database", "DatabaseProblem"]
