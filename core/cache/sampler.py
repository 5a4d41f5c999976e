"""The built-in proof of freshness: some hits are read again from the database, and what differs is followed up.

A hit that differs from the database is asked about again after 1, 10 and 60 seconds: does this process still hold
the same old value? Agreement at 1 s is the share of sampled hits that were right, or put right within a second.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextvars import Context
from typing import Any

import msgspec

from cito.core.cache.entry import Entry
from cito.core.cache.loads import Readers

log = logging.getLogger(__name__)
HORIZONS_SECONDS = (1, 10, 60)
EVERY_SECONDS = 0.25
"""At most four sampled hits of one family in a second: all hits of a quiet one, a share of a busy one's."""
_MOST_AT_ONCE = 32

Stamps = Callable[[tuple[bytes, ...]], Awaitable[list[str]]]


class Agreement(msgspec.Struct):
    """What sampling a family found.

    Attributes:
        samples: hits that were read again.
        differed: of them, those that differed at first (a write may just be on its way).
        after: of them, those that still differed after 1, 10 and 60 seconds.
    """

    samples: int = 0
    differed: int = 0
    after: dict[int, int] = msgspec.field(default_factory=lambda: dict.fromkeys(HORIZONS_SECONDS, 0))


class Sampler:
    """Samples the hits of one process.

    Args:
        readers: the database.
        stamps: returns the present stamps of tags, in hexadecimal, for the log.
        sleep: waits between questions.
    """

    def __init__(
        self, readers: Readers, stamps: Stamps, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    ) -> None:
        self._readers = readers
        self._stamps = stamps
        self._sleep = sleep
        self._tasks: set[asyncio.Task[None]] = set()
        self.found: dict[str, Agreement] = {}

    def offer(self, entry: Entry[Any], now: float) -> None:
        """Take a local hit as a sample, if there is room."""
        entry.plan.sample_at = now + EVERY_SECONDS
        if len(self._tasks) < _MOST_AT_ONCE:
            task = asyncio.get_running_loop().create_task(
                self._check(entry),
                context=Context(),  # its queries are not the request's
            )
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """End what is under way."""
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _check(self, entry: Entry[Any]) -> None:
        body = await self._read(entry)
        if body is None:
            return
        found = self.found.setdefault(entry.plan.name, Agreement())
        found.samples += 1
        if body == entry.body:
            return
        found.differed += 1
        passed = 0
        for horizon in HORIZONS_SECONDS:
            await self._sleep(horizon - passed)
            passed = horizon
            held = entry.plan.entries.get(entry.plan.place(entry.key, entry.clinic_id))
            if held is None or held.vector != entry.vector or not held.valid(entry.plan.monotonic()):
                return
            if await self._read(entry) in (None, held.body):
                return
            found.after[horizon] += 1
            await self._tell(held, horizon)

    async def _read(self, entry: Entry[Any]) -> bytes | None:
        """Return the body as the database has it now; None: it cannot be read."""
        plan = entry.plan
        executor = self._readers.reader(entry.clinic_id, primary=True)
        try:
            value = await plan.family.load(executor, entry.key)
        except Exception:  # noqa: BLE001 - a sample less
            return None
        return b"" if value is None else plan.encode_body(value)

    async def _tell(self, entry: Entry[Any], horizon: int) -> None:
        """Log the stamps under which a value was held, and those of now: hashed names, no data."""
        log.error(
            "cache family %s disagrees with the database after %s s: held under %s, stamps are %s, age %.1f s",
            entry.plan.name,
            horizon,
            entry.vector.hex(),
            " ".join(await self._stamps(entry.tags)),
            entry.age_seconds,
        )
