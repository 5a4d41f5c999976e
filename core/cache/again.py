"""Loads that nobody waits for: before an entry's life ends (refresh-ahead), or after a write ended it (write-through)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from cito.core.cache.entry import DEAD, Entry
from cito.core.cache.flights import Flight
from cito.core.declarations import Strategy

_AGAIN_SECONDS = 0.05
"""A commit is bumped twice, by its process and by the relay some milliseconds later; both are over by then."""


class Again:
    """Loads entries again.

    Args:
        add: resolves a flight.
    """

    def __init__(self, add: Callable[[Flight], None]) -> None:
        self._add = add
        self._timers: dict[tuple[str, Any], asyncio.TimerHandle] = {}

    def close(self) -> None:
        """Begin no more of them."""
        for timer in self._timers.values():
            timer.cancel()

    def refreshes(self, entry: Entry[Any], now: float) -> bool:
        """Whether an entry near the end of its life may be served once more; then it is loaded again, once."""
        if entry.check_at == DEAD or now >= entry.expires_at or now >= entry.plan.vouched_until:
            return False
        entry.check_at = entry.expires_at
        entry.plan.counts.refreshed += 1
        self._load(entry)
        return True

    def ended(self, entry: Entry[Any]) -> None:
        """Load an entry of a write-through family again, after the relay's own bump."""
        place = entry.plan.name, entry.plan.place(entry.key, entry.clinic_id)
        if entry.plan.family.strategy is Strategy.WRITE_THROUGH and place not in self._timers:
            loop = asyncio.get_running_loop()
            self._timers[place] = loop.call_later(_AGAIN_SECONDS, self._write_through, place, entry)

    def _write_through(self, place: tuple[str, Any], entry: Entry[Any]) -> None:
        del self._timers[place]
        self._load(entry)

    def _load(self, entry: Entry[Any]) -> None:
        flight = Flight(entry.plan, entry.key, entry.clinic_id, force=True)
        flight.join().add_done_callback(_retrieve)
        self._add(flight)


def _retrieve(future: asyncio.Future[Any]) -> None:
    """Take a background load's error, which nobody waits for: the next read meets it itself."""
    if not future.cancelled():
        future.exception()
