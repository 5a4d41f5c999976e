"""Entries from what a loader returned or the shared tier had: body, validator, times."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from cito.core.cache.codec import Codec, Value
from cito.core.cache.entry import DEAD, Entry
from cito.core.cache.flights import Flight
from cito.core.cache.loads import Load
from cito.core.cache.shared import Stored
from cito.core.cache.validators import body_etag, stamp_digest, stamp_etag
from cito.core.clock import Clock
from cito.core.declarations import Strategy

_REFRESH_AT = 0.75
"""Share of a refreshed family's life after which a hit makes it load again."""


class Filler:
    """Fills entries.

    Args:
        codec: reads and writes the shared tier's form.
        clock: the wall clock that `valid_until` is about, and monotonic time for everything else.
    """

    def __init__(self, codec: Codec, clock: Clock) -> None:
        self._codec = codec
        self._clock = clock

    def loaded(self, load: Load, value: Any) -> tuple[Entry[Any], Stored | None]:
        """Fill the slot of a load's first flight; returns it and what to store, if it may be stored."""
        flight = load.flight
        plan, slot = flight.plan, flight.slot
        family = plan.family
        patients: tuple[Any, ...] = ()
        valid_until_ms = 0
        version = None
        body = b""
        if value is not None:
            body = plan.encode_body(value)
            found = getattr(value, "version", None)
            version = found if isinstance(found, int) else None
            if family.patients is not None:
                patients = tuple(family.patients(slot.key, value))
            if family.valid_until is not None:
                valid_until_ms = _milliseconds(family.valid_until(slot.key, value))
        stored = Value(
            load.vector,
            load.clock_ms + int(1000 * self._life(slot, absent=value is None, valid_until_ms=valid_until_ms)),
            load.clock_ms,
            valid_until_ms,
            -1 if version is None else version,
            patients,
            value is None,
            body,
        )
        self._fill(flight, stored, load.asked_at)
        life_ms = self._stored_life_ms(flight, stored)
        if not load.vector or life_ms <= 0:
            return slot, None
        if len(body) > family.max_bytes:
            plan.counts.oversized += 1
            return slot, None
        encoded = self._codec.encode(flight.value_key, stored, phi=family.phi)
        return slot, Stored(flight.value_key, encoded, life_ms)

    def found(self, flight: Flight, stored: bytes, clock_ms: int, now: float) -> bool:
        """Fill a flight's slot from the shared tier; False when it is unreadable or time has ended it."""
        value = self._codec.decode(flight.value_key, stored, phi=flight.plan.family.phi)
        if value is None:
            flight.plan.counts.unreadable += 1
            return False
        if value.valid_until_ms and value.valid_until_ms <= self._wall_ms():
            return False
        self._fill(flight, value, now - max(0, clock_ms - value.loaded_at_ms) / 1000)
        return flight.slot.expires_at > now

    def unchanged(self, flight: Flight, vector: bytes) -> bool:
        """Whether a copy of the caller has these stamps and its time is not over; the slot then says so."""
        for copy in flight.copies:
            until_ms = copy.valid_until_ms
            if until_ms and until_ms <= self._wall_ms():
                continue
            if copy.digest == stamp_digest(flight.value_key, vector, until_ms):
                slot = flight.slot
                slot.etag, slot.version, slot.not_modified = copy.etag, copy.version, True
                slot.loaded_at = self._clock.monotonic()
                return True
        return False

    def last_known(self, flight: Flight, stored: bytes, clock_ms: int, now: float) -> Entry[Any] | None:
        """Return a stored value whatever its stamps, where its family may serve it stale and it is young enough."""
        value = self._codec.decode(flight.value_key, stored, phi=flight.plan.family.phi)
        if value is None or value.absent:
            return None
        if value.valid_until_ms and value.valid_until_ms <= self._wall_ms():
            return None
        age = max(0, clock_ms - value.loaded_at_ms) / 1000
        family = flight.plan.family
        if age > min(family.serve_stale_seconds, family.hard_limit_seconds):
            return None
        self._fill(flight, value, now - age)
        return flight.slot

    def _fill(self, flight: Flight, value: Value, loaded_at: float) -> None:
        slot, family = flight.slot, flight.plan.family
        slot.body = value.body
        slot.absent = value.absent
        slot.patients = value.patients
        slot.version = None if value.version < 0 else value.version
        slot.valid_until_ms = value.valid_until_ms
        slot.vector = value.vector
        slot.loaded_at = loaded_at
        if value.vector:
            slot.etag = stamp_etag(flight.value_key, value.vector, slot.version, value.valid_until_ms)
        else:
            slot.etag = body_etag(value.body, slot.version)
        life = self._life(slot, absent=value.absent, valid_until_ms=value.valid_until_ms)
        slot.expires_at = loaded_at + life
        if value.valid_until_ms:
            until = self._clock.monotonic() + (value.valid_until_ms - self._wall_ms()) / 1000
            slot.expires_at = min(loaded_at + self._ttl(slot, absent=value.absent), until)
        if slot.check_at != DEAD:
            slot.check_at = slot.expires_at
            if family.strategy is Strategy.REFRESH_AHEAD and not value.absent:
                slot.check_at = min(slot.expires_at, loaded_at + _REFRESH_AT * family.ttl_seconds)

    def _ttl(self, slot: Entry[Any], *, absent: bool) -> float:
        family = slot.plan.family
        return family.absent_ttl_seconds if absent else family.ttl_seconds

    def _life(self, slot: Entry[Any], *, absent: bool, valid_until_ms: int) -> float:
        """Return for how many seconds from now a value made now is fresh."""
        life = self._ttl(slot, absent=absent)
        return min(life, (valid_until_ms - self._wall_ms()) / 1000) if valid_until_ms else life

    def _stored_life_ms(self, flight: Flight, value: Value) -> int:
        """Return how long the shared tier keeps a value: its fresh life, or longer where it may be served stale."""
        family = flight.plan.family
        seconds = self._life(flight.slot, absent=value.absent, valid_until_ms=value.valid_until_ms)
        if not value.absent and not value.valid_until_ms:
            seconds = min(max(seconds, family.serve_stale_seconds), family.hard_limit_seconds)
        return int(seconds * 1000)

    def _wall_ms(self) -> int:
        return int(self._clock.now().timestamp() * 1000)


def _milliseconds(moment: datetime | None) -> int:
    return 0 if moment is None else int(moment.timestamp() * 1000)
