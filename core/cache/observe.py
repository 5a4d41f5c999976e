"""What the cache tells the record of the current request: names of families, tiers and numbers, nothing else."""

from __future__ import annotations

from time import perf_counter_ns
from typing import Any

from cito.core.cache.entry import Entry
from cito.core.cache.flights import Flight
from cito.core.telemetry import Event, Record, What, current_record

_RANK = {"": 0, "local": 1, "shared": 2, "miss": 3, "bypass": 4, "stale": 5}
_NEGATIVE = "negative"
MOST_FREQUENT = 3
"""The local tier asks no more of an entry's frequency than this (S3-FIFO)."""


def note(entry: Entry[Any], start_ns: int, amount: int = 1) -> None:
    """Note one answer of the cache."""
    record = current_record.get()
    if record is not None:
        outcome = entry.outcome
        if _RANK[outcome] > _RANK[record.cache]:
            record.cache = outcome
        code = _NEGATIVE if entry.absent and outcome in ("local", "shared") else outcome
        record.add(What.CACHE, entry.plan.name, start_ns, code=code, amount=amount)


def note_hit(entry: Entry[Any], now: float, record: Record | None) -> None:
    """Count a local hit, as cheaply as it goes: it has no duration that is worth a second look at the clock.

    Args:
        entry: what was found, valid at `now`.
        now: monotonic seconds.
        record: of the request; None: nobody watches.
    """
    if entry.frequency < MOST_FREQUENT:
        entry.frequency += 1
    plan = entry.plan
    plan.counts.local += 1
    if now >= plan.sample_at:
        plan.offer(entry, now)
    if record is None:
        return
    if not record.cache:
        record.cache = "local"
    code = _NEGATIVE if entry.absent else "local"
    record.events.append(tuple.__new__(Event, (What.CACHE, plan.name, int(now * 1e9), 0, code, 1)))


def note_trips(flight: Flight, start_ns: int) -> None:
    """Note the round trips of a flight in the record of its first caller."""
    record = current_record.get()
    if record is not None and flight.trips:
        spent = perf_counter_ns() - start_ns
        record.events.append(Event(What.SHARED_CACHE, "read", start_ns, spent, "", flight.trips))
