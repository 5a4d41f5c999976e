"""What becomes of reads that the local tier could not answer: shared hit, load under stamps, or bypass."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Coroutine, Sequence
from typing import Any

from cito.core.cache.codec import VECTOR_AT
from cito.core.cache.entry import Entry
from cito.core.cache.fill import Filler
from cito.core.cache.flights import Batches, Flight
from cito.core.cache.loads import Load, Loads, Readers
from cito.core.cache.local import LocalTier
from cito.core.cache.pulse import Pulse
from cito.core.cache.shared import Found, Reading, SharedAway, Stored
from cito.core.cache.stale import is_away, last_known
from cito.core.cache.tier import Shared

log = logging.getLogger(__name__)
_LEASE_POLLS_MS = (2.0, 3.0, 5.0, 10.0)
_LEASE_WAIT_MS = 200.0
"""Longest wait for another process's load; whoever waited that long loads by itself."""
_ABSENT_MOST = 1000
"""Negative answers of one family that this process keeps at a time: guessing ids may not push out real ones."""


class Resolver:
    """Resolves flights.

    Args:
        shared: the shared tier; None: caching is off.
        local: keeps what may be kept.
        filler: makes entries.
        readers: the database.
        monotonic: the clock.
    """

    def __init__(
        self, shared: Shared | None, local: LocalTier, filler: Filler, readers: Readers, monotonic: Any
    ) -> None:
        self.shared = shared
        self._local = local
        self._filler = filler
        self._monotonic = monotonic
        self._batches = Batches(self._read)
        self._loads = Loads(readers, self._loaded, self._failed)
        self.pulse = Pulse()
        self._stores: list[Stored] = []
        self._unstamped: list[Flight] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._doubted: dict[bytes, float] = {}
        self._unconfirmed: dict[bytes, tuple[float, int]] = {}
        self._bumps = self._witnessed = 0

    def add(self, flight: Flight) -> None:
        """Resolve a flight; its waiters get the answer."""
        self._local.watch(flight.slot)
        if self.shared is not None and self.shared.available:
            self._batches.add(flight)
            return
        self._unstamped.append(flight)
        if len(self._unstamped) == 1:
            asyncio.get_running_loop().call_soon(self._start_unstamped)

    async def bump(self, tags: Sequence[bytes]) -> None:
        """Give tags new stamps, for a commit of this process.

        Until the relay vouches for it, the bump is unconfirmed: a shared tier that fails over may lose it, and the
        process's own next read would be stale. So the bump leaves a witness, which every read asks for; when it is
        gone, or when the bump fails in the first place, the tags are in doubt, and reads of them go to the database.
        Returns when the pushes of the bump are in the sockets of all processes: the caller's next read may go to
        any of them.
        """
        since = self._monotonic()
        if self.shared is None:
            return
        self._bumps += 1
        number = self._bumps
        try:
            await self.shared.bump(tags, number)
            await self.shared.settled()
        except SharedAway:
            self._doubted.update(dict.fromkeys(tags, since))
        else:
            self._unconfirmed.update(dict.fromkeys(tags, (since, number)))
            self._witnessed = max(self._witnessed, number)

    async def close(self) -> None:
        """End everything under way."""
        await self._batches.close()
        await self._loads.close()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _read(self, flights: Sequence[Flight]) -> None:
        assert self.shared is not None
        asked = self._monotonic()
        witnessed = self._witnessed
        try:
            reading = await self.shared.read(flights)
        except SharedAway:
            self._bypass(flights)
            return
        except Exception as error:  # noqa: BLE001 - handed to every caller
            for flight in flights:
                self._done(flight)
                flight.fail(error)
            return
        now = self._monotonic()
        self.pulse.seen(reading.heartbeat, asked, now)
        as_of = self.pulse.as_of
        if self._unconfirmed:
            self._confirm(as_of, reading.witness, witnessed)
        if reading.heartbeat is None:
            self._bypass(flights)
            return
        bypassed: list[Flight] = []
        loads: list[Load] = []
        for flight, found in zip(flights, reading.found, strict=True):
            flight.trips += 1
            if as_of + flight.plan.family.max_staleness_seconds <= now or self._in_doubt(flight, as_of):
                bypassed.append(flight)
            else:
                self._settle(flight, found, reading, asked, loads)
        if loads:
            self._loads.start(loads)
        if bypassed:
            self._bypass(bypassed)

    def _settle(
        self, flight: Flight, found: Found, reading: Reading, asked: float, loads: list[Load]
    ) -> None:
        """Answer from the shared tier, join or begin a load, or wait for another process's."""
        vector = found.vector
        if found.stored is not None:
            if not flight.force and self._filler.found(flight, found.stored, reading.clock_ms, asked):
                self._keep(flight)
                self._answer(flight, flight.slot, "shared")
                return
            size = int.from_bytes(found.stored[2:VECTOR_AT], "little")
            vector = found.stored[VECTOR_AT : VECTOR_AT + size]
        elif self._filler.unchanged(flight, vector):
            self._answer(flight, flight.slot, "shared")
            return
        elif not found.leased and flight.waited_ms < _LEASE_WAIT_MS:
            if not self._loads.joins(flight, vector):
                self._wait(flight)
            return
        if not self._loads.joins(flight, vector):
            load = Load(flight, vector, reading.clock_ms, asked)
            self._loads.expect(load)
            loads.append(load)

    def _wait(self, flight: Flight) -> None:
        """Ask again shortly: another process is loading the same key under the same stamps."""
        index = min(int(flight.waited_ms // 5), len(_LEASE_POLLS_MS) - 1)
        delay = _LEASE_POLLS_MS[index]
        flight.waited_ms += delay
        asyncio.get_running_loop().call_later(delay / 1000, self._batches.add, flight)

    def _confirm(self, as_of: float, witness: tuple[int, int], witnessed: int) -> None:
        """Forget bumps that the relay has vouched for; doubt those that the shared tier has lost.

        Args:
            as_of: what was committed before has been vouched for.
            witness: the range of bumps that the shared tier had.
            witnessed: the last bump that it must have had, as it was done before it was asked.
        """
        first, last = witness
        kept: dict[bytes, tuple[float, int]] = {}
        for tag, (since, number) in self._unconfirmed.items():
            if number <= witnessed and not first <= number <= last:
                self._doubted[tag] = max(since, self._doubted.get(tag, since))
            elif since >= as_of:
                kept[tag] = since, number
        self._unconfirmed = kept

    def _in_doubt(self, flight: Flight, as_of: float) -> bool:
        """Whether a bump of one of its tags was lost and the relay has not made up for it yet."""
        doubted = self._doubted
        if not doubted:
            return False
        for tag in flight.tag_keys:
            since = doubted.get(tag)
            if since is not None:
                if as_of <= since:
                    return True
                del doubted[tag]
        return False

    def _start_unstamped(self) -> None:
        """Bypass with the others of this tick."""
        flights, self._unstamped = self._unstamped, []
        self._bypass(flights)

    def _bypass(self, flights: Sequence[Flight]) -> None:
        """Load without stamps. Who comes later may not join these flights: only the load after the present one."""
        for flight in flights:
            flight.sent = True
            self._leave(flight)
        self._loads.start_unstamped(flights, self._monotonic())

    def _loaded(self, load: Load, value: Any) -> None:
        flight = load.flight
        try:
            entry, stored = self._filler.loaded(load, value)
        except Exception as error:  # noqa: BLE001 - a value that cannot be encoded, handed to every caller
            self._failed(load, error)
            return
        if not load.vector:
            outcome = "bypass"
        else:
            outcome = "miss"
            if stored is not None and self._may_keep(entry):
                self._keep(flight)
                self._store(stored)
            else:
                self._store(Stored(flight.value_key, b"", 0))
        for waiting in load.flights:
            self._answer(waiting, entry, outcome)

    def _failed(self, load: Load, error: Exception) -> None:
        plan = load.flight.plan
        if load.vector:
            self._store(Stored(load.flight.value_key, b"", 0))
        if plan.family.serve_stale_seconds and is_away(error):
            self._spawn(self._serve_stale(load, error))
            return
        for flight in load.flights:
            self._done(flight)
            flight.fail(error)

    async def _serve_stale(self, load: Load, error: Exception) -> None:
        entry = await last_known(load.flight, self.shared, self._filler, self._monotonic())
        for flight in load.flights:
            if entry is None:
                self._done(flight)
                flight.fail(error)
            else:
                self._answer(flight, entry, "stale")

    def _may_keep(self, entry: Entry[Any]) -> bool:
        if not entry.absent:
            return True
        plan = entry.plan
        if plan.absent_kept(self._monotonic()) >= _ABSENT_MOST:
            return False
        plan.absent_until.append(entry.expires_at)
        return True

    def _keep(self, flight: Flight) -> None:
        """Keep the slot in the local tier, unless its tags were invalidated on the way."""
        if flight.alive:
            self._local.keep(flight.slot)

    def _answer(self, flight: Flight, entry: Entry[Any], outcome: str) -> None:
        counts = flight.plan.counts
        setattr(counts, outcome, getattr(counts, outcome) + len(flight.waiters))
        if entry.absent:
            counts.absent += len(flight.waiters)
        self._done(flight)
        flight.land(entry.answered(outcome))

    def _done(self, flight: Flight) -> None:
        """Forget a flight; a slot that was not kept is no longer watched."""
        self._leave(flight)
        if flight.slot.queue is None:
            self._local.unwatch(flight.slot)

    @staticmethod
    def _leave(flight: Flight) -> None:
        """Let nobody join a flight any more."""
        plan, slot = flight.plan, flight.slot
        place = (plan.place(slot.key, slot.clinic_id), flight.known)
        if plan.flights.get(place) is flight:
            del plan.flights[place]

    def _store(self, stored: Stored) -> None:
        """Store with the others of this tick."""
        self._stores.append(stored)
        if len(self._stores) == 1:
            asyncio.get_running_loop().call_soon(self._send_stores)

    def _send_stores(self) -> None:
        stores, self._stores = self._stores, []
        if self.shared is not None and self.shared.available:
            self._spawn(self._store_all(self.shared, stores))

    async def _store_all(self, shared: Shared, stores: Sequence[Stored]) -> None:
        with contextlib.suppress(SharedAway):  # a miss later; leases end by themselves
            await shared.store(stores)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
