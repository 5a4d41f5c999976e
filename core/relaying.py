"""The relay as a process, and every API process as its stand-in: the two halves (database, shared tier) joined."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from cito.core.cache.engine import Cache
from cito.core.cache.keyring import KeyFile
from cito.core.cache.keys import Names
from cito.core.cache.relay import Notes, Relay, lead
from cito.core.cache.shared import SharedTier
from cito.core.database.outbox import MOST, Outbox, OutboxError
from cito.core.registry import Registry
from cito.core.settings import Settings
from cito.core.telemetry import Record

_DEADLINE_SECONDS = 0.5
"""The relay waits longer than a request would: nobody waits for it."""
_SILENT_SECONDS = 1.0
"""A heartbeat that was not seen for so long makes an API process a candidate."""


async def run_relay(settings: Settings, registry: Registry, database_url: str, cache_url: str) -> None:
    """Be the relay, or the next one, until cancelled.

    Args:
        settings: `home`, where the cache's keys are.
        registry: `job_finished` subscribers get the record of each step.
        database_url: as the application role.
        cache_url: of the shared tier.

    Raises:
        KeyRingError: no keys, outside development.
    """
    ring = KeyFile(settings.home / "keys" / "cache.json").open(create=settings.environment == "development")
    names = Names(ring.names)
    shared = SharedTier(cache_url, names, _DEADLINE_SECONDS)
    subscribers = registry.job_subscribers

    def finished(record: Record) -> None:
        for subscriber in subscribers:
            subscriber(record)

    try:
        await lead(lambda: Outbox.open(database_url), _maker(shared, names, finished), OutboxError)
    finally:
        await shared.close()


@asynccontextmanager
async def standby_relay(
    settings: Settings, registry: Registry, database_url: str, cache_url: str, cache: Cache
) -> AsyncIterator[None]:
    """Stand in for the relay while the process serves: only when no heartbeat was seen for a while."""
    task = asyncio.create_task(_stand_in(settings, registry, database_url, cache_url, cache))
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def _stand_in(
    settings: Settings, registry: Registry, database_url: str, cache_url: str, cache: Cache
) -> None:
    silent_since = time.monotonic()
    while True:
        await asyncio.sleep(_SILENT_SECONDS / 2)
        silent_since = max(silent_since, cache.as_of)
        if (
            cache.feed is not None
            and cache.feed.connected
            and time.monotonic() - silent_since > _SILENT_SECONDS
        ):
            await run_relay(settings, registry, database_url, cache_url)


def _maker(shared: SharedTier, names: Names, finished: Callable[[Record], None]) -> Callable[[Notes], Relay]:
    return lambda notes: Relay(notes, shared, names, full=MOST, finished=finished, monotonic=time.monotonic)
