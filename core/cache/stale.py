"""The last known value of a family that allows it, while the database is away. Decisions never use it."""

from __future__ import annotations

from typing import Any

from cito.core.cache.entry import Entry
from cito.core.cache.fill import Filler
from cito.core.cache.flights import Flight
from cito.core.cache.shared import SharedAway
from cito.core.cache.tier import Shared
from cito.core.errors import Unavailable


def is_away(error: Exception) -> bool:
    """Whether an error says that the database cannot be reached, rather than that it refused."""
    return isinstance(error, Unavailable | OSError)


async def last_known(flight: Flight, shared: Shared | None, filler: Filler, now: float) -> Entry[Any] | None:
    """Return the last known value within the family's limit, from this process or from the shared tier."""
    plan, slot = flight.plan, flight.slot
    family = plan.family
    youngest = now - min(family.serve_stale_seconds, family.hard_limit_seconds)
    kept = plan.entries.get(plan.place(slot.key, slot.clinic_id))
    if kept is not None and not kept.absent and not kept.valid_until_ms and kept.loaded_at >= youngest:
        return kept
    if shared is None:
        return None
    try:
        stored, clock_ms = await shared.peek(flight.value_key)
    except SharedAway:
        return None
    return None if stored is None else filler.last_known(flight, stored, clock_ms, now)
