"""Ships journals to PostgreSQL, by a process of its own: sealing and sending cost the API processes nothing.

Also syncs them to the disk every few milliseconds. One shipper works for a node; others wait for its lock. A
journal whose writer is gone (killed) is closed for it, shipped and removed.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import itertools
import logging
import os
import time
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import psycopg

from cito.core.audit.entry import CLOSED, Row, decode_entry, encode_entry, rows_of
from cito.core.audit.journal import marker
from cito.core.audit.segment import FIRST, SUFFIX, Segment
from cito.core.audit.store import Store, seal_rows, store
from cito.core.audit.sync import syncing

BATCH_ROWS = 1_000
SHIP_SECONDS = 0.1
# Requests come first: a batch is followed by a rest that is so many times as long, less the more is waiting.
_REST = 9
_NO_REST_FROM_JOURNALS = 32  # of 4 MiB each
_LONGEST_REST_SECONDS = 0.5  # a batch that a stalled server held up is no reason for more
RETRY_SECONDS = 0.5
_log = logging.getLogger("cito.audit")


@dataclass(slots=True)
class _Shipped:
    """How far one journal has been shipped."""

    segment: Segment
    offset: int = FIRST
    sequence: int = 0
    seal: bytes = b""
    last_ns: int = 0
    closed: bool = False


class Shipper:
    """Carries the journals of one folder.

    Args:
        folder: `<home>/audit`.
        url: the application's database URL.
        key: seals rows; see `audit_key`.
    """

    def __init__(self, folder: Path, url: str, key: bytes) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._folder = folder
        self._url = url
        self._key = key
        self._journals: dict[UUID, _Shipped] = {}

    async def run(self, sync_seconds: float) -> None:
        """Sync and ship until cancelled; then ship what is there."""
        with contextlib.ExitStack() as stack:
            stack.callback(self._close)
            stack.enter_context(await _leadership(self._folder))
            stack.enter_context(syncing(self._folder, sync_seconds))
            await self._ship_forever()

    async def ship_all(self) -> int:
        """Ship everything that was written so far and return how many rows that was."""
        total = 0
        async with store(self._url) as database:
            while shipped := await self.ship_once(database):
                total += shipped
        return total

    async def ship_once(self, database: Store) -> int:
        """Ship one batch; returns how many rows."""
        await self._find(database)
        sealed: list[tuple[Row, bytes]] = []
        for journal in sorted(self._journals.values(), key=lambda one: one.segment.chain):
            if len(sealed) < BATCH_ROWS:
                sealed += self._next_rows(journal, BATCH_ROWS - len(sealed))
        if sealed:
            try:
                await database.insert(sealed)
            except BaseException:
                self._close()  # what was read but perhaps not stored is read again
                raise
        for chain, journal in list(self._journals.items()):
            journal.segment.note_shipped(journal.offset)
            if journal.closed:
                journal.segment.path.unlink(missing_ok=True)
                journal.segment.close()
                del self._journals[chain]
        return len(sealed)

    def pause_seconds(self, shipped: int, took_seconds: float) -> float:
        """Return how long to rest after a batch of `shipped` rows: short where there was nothing to do."""
        if not shipped:
            return SHIP_SECONDS
        patience = max(0.0, 1 - len(self._journals) / _NO_REST_FROM_JOURNALS)
        return min(_REST * patience * took_seconds, _LONGEST_REST_SECONDS)

    async def _ship_forever(self) -> None:
        while True:
            try:
                async with store(self._url) as database:
                    while True:
                        began = time.monotonic()
                        shipped = await self.ship_once(database)
                        await asyncio.sleep(self.pause_seconds(shipped, time.monotonic() - began))
            except asyncio.CancelledError:
                with contextlib.suppress(psycopg.Error):
                    await self.ship_all()
                raise
            except psycopg.Error as error:
                # Journals keep what is written meanwhile.
                _log.warning("audit events wait: %s; trying again", type(error).__name__)
                await asyncio.sleep(RETRY_SECONDS)

    async def _find(self, database: Store) -> None:
        """Open journals that are new here; the database knows best how far each has come."""
        for path in self._folder.glob(f"*{SUFFIX}"):
            if UUID(path.stem) in self._journals:
                continue
            try:
                segment = Segment.open(path)
            except (OSError, ValueError) as error:
                _log.error("journal %s cannot be read: %s", path.name, type(error).__name__)
                continue
            journal = _Shipped(segment)
            end = await database.chain_end(segment.chain)
            if end is not None:
                last, journal.seal = end
                for _, offset in itertools.islice(segment.read(FIRST), last + 1):
                    journal.offset, journal.sequence = offset, journal.sequence + 1
            self._journals[segment.chain] = journal

    def _next_rows(self, journal: _Shipped, limit: int) -> list[tuple[Row, bytes]]:
        """Take the next whole accesses of a journal, sealed."""
        # Asked before reading: what a writer wrote before it died is then surely seen.
        abandoned = journal.segment.take_over()
        rows: list[Row] = []
        for payload, offset in journal.segment.read(journal.offset):
            entry = decode_entry(payload)
            rows += rows_of(journal.segment.chain, journal.sequence, entry)
            journal.offset, journal.sequence, journal.last_ns = (
                offset,
                journal.sequence + 1,
                entry.occurred_ns,
            )
            journal.closed = entry.action == CLOSED
            if len(rows) >= limit or journal.closed:
                break
        else:
            if abandoned:
                self._finish(journal)
        sealed = seal_rows(self._key, journal.seal, rows)
        if sealed:
            journal.seal = sealed[-1][1]
        return sealed

    def _finish(self, journal: _Shipped) -> None:
        """Write the closing record that a killed writer could not write; the next round ships it.

        It takes the place of a record that a power cut tore.
        """
        segment = journal.segment
        segment.end = journal.offset
        closing = marker(CLOSED, journal.last_ns or time.time_ns(), None)  # stays within its chain's month
        segment.append(encode_entry(closing), keep=0)

    def _close(self) -> None:
        for journal in self._journals.values():
            journal.segment.close()
        self._journals.clear()


async def _leadership(folder: Path) -> contextlib.AbstractContextManager[object]:
    """Wait until this is the node's only shipper."""
    stack = contextlib.ExitStack()
    descriptor = os.open(folder / "shipper", os.O_RDWR | os.O_CREAT, 0o600)
    stack.callback(os.close, descriptor)
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            await asyncio.sleep(RETRY_SECONDS)
        else:
            return stack
