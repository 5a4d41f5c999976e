"""The audit's way to PostgreSQL: the blocks of `sql/core/audit.sql` on a connection of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime, timedelta
from importlib.resources import files
from typing import Any
from uuid import UUID

import msgspec
import psycopg

from cito.core.audit.entry import CLOSED, OPENED, Entry, Row, row_number, rows_of, seal
from cito.core.audit.journal import marker
from cito.core.database.sql import read_queries
from cito.core.ids import new_id

_SQL = {name: block.text for name, block in read_queries(files("cito.sql") / "core" / "audit.sql").items()}
_FETCH = 2_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DAY_US = 86_400_000_000
_encode = msgspec.json.Encoder().encode


class Store:
    """What shipping, verification and retention ask of the database.

    Args:
        connection: autocommit, with raw cursors (`$1`).
    """

    def __init__(self, connection: psycopg.AsyncConnection[tuple[Any, ...]]) -> None:
        self._connection = connection
        self._days: set[int] = set()  # since the epoch; the partitions of their months are there

    async def insert(self, sealed: Sequence[tuple[Row, bytes]]) -> None:
        """Add rows; all of them or none."""
        for day in {row.occurred_us // _DAY_US for row, _ in sealed} - self._days:
            await self._run("audit_ensure_month", _EPOCH + timedelta(days=day))
            self._days.add(day)
        await self._run("audit_insert", _encode([_stored(row, mark) for row, mark in sealed]).decode())

    async def chain_end(self, chain: UUID) -> tuple[int, bytes] | None:
        """Return sequence and seal of a chain's last row that has arrived."""
        found = await (await self._run("audit_chain_end", chain)).fetchone()
        return None if found is None else (found[0], bytes(found[1]))

    async def chains(self, first: datetime, last: datetime) -> list[UUID]:
        """Return the chains with rows between two moments."""
        return [row[0] for row in await (await self._run("audit_chains", first, last)).fetchall()]

    async def rows(self, chain: UUID) -> AsyncIterator[tuple[Row, bytes, UUID]]:
        """Yield a chain's rows as they were sealed, with seal and id."""
        cursor = await self._run("audit_chain_rows", chain)
        while batch := await cursor.fetchmany(_FETCH):
            for found in batch:
                yield Row(*found[:15]), bytes(found[15]), found[16]

    async def removed_months(self) -> set[date]:
        """Return the months that retention has removed."""
        return {row[0] for row in await (await self._run("audit_removed_months")).fetchall()}

    async def months(self) -> list[tuple[str, date, int]]:
        """Return each partition's name, month and estimated rows."""
        return [(row[0], row[1], row[2]) for row in await (await self._run("audit_months")).fetchall()]

    async def remove_month(self, partition: str, month: date, rows: int) -> None:
        """Drop a partition and remember it, in one transaction. Needs the owner."""
        async with self._connection.transaction():
            await self._run("audit_note_removed", month, rows)
            name = psycopg.sql.Identifier("cito", partition)
            await self._connection.execute(psycopg.sql.SQL("drop table {}").format(name))

    async def _run(self, name: str, *values: object) -> psycopg.AsyncCursor[tuple[Any, ...]]:
        return await self._connection.execute(_SQL[name].encode(), values)


@asynccontextmanager
async def store(url: str) -> AsyncIterator[Store]:
    """Connect for the length of a block.

    Raises:
        psycopg.OperationalError: the server is not there.
    """
    connection = await psycopg.AsyncConnection.connect(
        url,
        autocommit=True,
        cursor_factory=psycopg.AsyncRawCursor,
        connect_timeout=5,
        application_name="cito audit",
    )
    async with connection:
        yield Store(connection)


def seal_rows(key: bytes, previous: bytes, rows: Sequence[Row]) -> list[tuple[Row, bytes]]:
    """Return rows of one chain with their seals, continuing from the previous seal."""
    sealed = []
    for row in rows:
        previous = seal(key, previous, row)
        sealed.append((row, previous))
    return sealed


async def store_directly(url: str, key: bytes, entry: Entry) -> None:
    """Store one access without a journal, as a chain of its own: while the journal's disk is full.

    Raises:
        psycopg.Error: PostgreSQL is not there.
    """
    chain = new_id()
    whole = (marker(OPENED, entry.occurred_ns, None), entry, marker(CLOSED, entry.occurred_ns, None))
    rows = [row for sequence, one in enumerate(whole) for row in rows_of(chain, sequence, one)]
    async with store(url) as database:
        await database.insert(seal_rows(key, b"", rows))


def month_of(moment: datetime) -> date:
    """Return the first day of a moment's month, in UTC."""
    return moment.astimezone(UTC).date().replace(day=1)


class _Stored(msgspec.Struct, frozen=True, gc=False):
    """A row as PostgreSQL reads it from JSON: every column of `cito.audit_event` by its name."""

    occurred_at: datetime
    id: str
    actor: str
    role: str
    clinic_id: UUID | None
    action: str
    outcome: str
    resource: str
    resource_id: str | None
    patient_id: UUID | None
    request_id: str
    trace_id: str
    purpose: str | None
    chain: UUID
    sequence: int
    ordinal: int
    seal: str


def _stored(row: Row, mark: bytes) -> _Stored:
    return _Stored(
        _EPOCH + timedelta(microseconds=row.occurred_us),
        f"{row_number(row, mark):032x}",
        row.actor,
        row.role,
        row.clinic_id,
        row.action,
        row.outcome,
        row.resource,
        row.resource_id,
        row.patient_id,
        row.request_id,
        row.trace_id,
        row.purpose,
        row.chain,
        row.sequence,
        row.ordinal,
        f"\\x{mark.hex()}",
    )
