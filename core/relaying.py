"""The relay as a process, and every API process as its stand-in: the two halves (database, shared tier) joined."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from cito.core.cache.engine import Cache
from cito.core.cache.keyring import KeyFile
from cito.core.cache.keys import Names
from cito.core.cache.relay import POLL_SECONDS, Relay
from cito.core.cache.report import EVERY_SECONDS, LIFE_MS, RelayReport, encode
from cito.core.cache.shared import SharedAway, SharedTier
from cito.core.database.outbox import MOST, Outbox, OutboxError
from cito.core.registry import Registry
from cito.core.settings import Settings
from cito.core.tasks import end, leave_if_told
from cito.core.telemetry import Record

log = logging.getLogger(__name__)
_CANDIDATE_SECONDS = 0.5
_AGAIN_SECONDS = 0.2
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
    subscribers = registry.job_subscribers

    def finished(record: Record) -> None:
        for subscriber in subscribers:
            subscriber(record)

    while True:
        leave_if_told()
        try:
            outbox = await Outbox.open(database_url)
            try:
                names = Names(ring.names, await outbox.deployment())
                await _lead(outbox, SharedTier(cache_url, names, _DEADLINE_SECONDS), names, finished)
            finally:
                await outbox.close()
        except (SharedAway, OutboxError) as error:
            log.warning("relay: %s; trying again", type(error).__name__)
        await asyncio.sleep(_AGAIN_SECONDS)


async def _lead(outbox: Outbox, shared: SharedTier, names: Names, finished: Callable[[Record], None]) -> None:
    """Wait until there is no other relay, then work until something fails."""
    try:
        while not await outbox.lead():  # noqa: ASYNC110 - the event is in another process
            await asyncio.sleep(_CANDIDATE_SECONDS)
        relay = Relay(outbox, shared, names, full=MOST, finished=finished, monotonic=time.monotonic)
        await relay.begin()
        told_at = 0.0
        while True:
            leave_if_told()
            if not await relay.step():
                await asyncio.sleep(POLL_SECONDS)
            if time.monotonic() - told_at > EVERY_SECONDS:
                told_at = time.monotonic()
                await shared.keep(names.relay_report, encode(await _report(relay, outbox)), LIFE_MS)
    finally:
        await shared.close()


async def _report(relay: Relay, outbox: Outbox) -> RelayReport:
    waiting, oldest = await outbox.backlog()
    done = relay.counts
    return RelayReport(
        pid=os.getpid(),
        steps=done.steps,
        tags=done.tags,
        beats=done.beats,
        epochs=done.epochs,
        waiting=waiting,
        oldest_seconds=oldest,
    )


@asynccontextmanager
async def standby_relay(
    settings: Settings, registry: Registry, database_url: str, cache_url: str, cache: Cache
) -> AsyncIterator[None]:
    """Stand in for the relay while the process serves: only when no heartbeat was seen for a while."""
    task = asyncio.create_task(_stand_in(settings, registry, database_url, cache_url, cache))
    try:
        yield
    finally:
        await end(task)


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
