"""What becomes of reads that the local tier could not answer: shared hit, load under stamps, or bypass."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Coroutine, Sequence
from typing import Any, NamedTuple

from cito.core.cache.board import Note
from cito.core.cache.bumps import Bump, Bumps
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
from cito.core.cache.words import Words

log = logging.getLogger(__name__)
_LEASE_POLLS_MS = (2.0, 3.0, 5.0, 10.0)
_LEASE_WAIT_MS = 200.0
"""Longest wait for another process's load; whoever waited that long loads by itself."""
_ABSENT_MOST = 1000
"""Negative answers of one family that this process keeps at a time: guessing ids may not push out real ones."""


class Bumped(NamedTuple):
    """A bump: its number (0: it failed), the nodes that were told, and what the node of this process has to know."""

    number: int
    nodes: Sequence[bytes]
    notes: Sequence[Note]


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
        self.bumps = Bumps()
        self.words: Words | None = None
        self._bumps_made = 0

    def add(self, flight: Flight) -> None:
        """Resolve a flight; its waiters get the answer."""
        self._local.watch(flight.slot)
        if self.shared is not None and self.shared.available:
            self._batches.add(flight)
            return
        self._unstamped.append(flight)
        if len(self._unstamped) == 1:
            asyncio.get_running_loop().call_soon(self._start_unstamped)

    async def bump(self, tags: Sequence[bytes]) -> Bumped:
        """Give tags new stamps, for a commit of this process, and tell other nodes of it."""
        if self.shared is None:
            return Bumped(0, (), ())
        since = self._monotonic()
        self._bumps_made += 1
        made = number = self._bumps_made
        witness = self.shared.witness
        word = None if self.words is None else self.words.word(number, tags)
        nodes: Sequence[bytes] = ()
        try:
            nodes = await self.shared.bump(tags, number, word)
        except SharedAway:
            self.bumps.failed(tags, since)
            number = 0
        else:
            self.bumps.made(tags, Bump(since, witness, number))
        finally:
            if self.words is not None and not nodes:
                self.words.unsaid(made)
        return Bumped(number, nodes, [Note(number, tag, witness) for tag in tags])

    async def known(self, bumped: Bumped) -> str:
        """Wait until the other nodes know of a bump; returns "", or "failed", or "unconfirmed": they may not."""
        if not bumped.number:
            return "failed"
        if not bumped.nodes or self.words is None:
            return ""
        return "" if await self.words.confirmed(bumped.number, bumped.nodes) else "unconfirmed"

    def told(self, notes: Sequence[Note]) -> None:
        """Take in what another process has committed."""
        now = self._monotonic()
        for number, tag, witness in notes:
            if number:
                self.bumps.made((tag,), Bump(now, witness, number))
            else:
                self.bumps.failed((tag,), now)

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
        recent = self.bumps.recent()
        witnesses = list({bump.witness for bump in recent.values()})
        try:
            reading = await self.shared.read(flights, witnesses)
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
        if recent:
            ranges = dict(zip(witnesses, reading.witnesses, strict=True))
            self.bumps.confirm(recent, ranges, as_of)
        if reading.heartbeat is None:
            self._bypass(flights)
            return
        bypassed: list[Flight] = []
        loads: list[Load] = []
        for flight, found in zip(flights, reading.found, strict=True):
            flight.trips += 1
            if as_of + flight.plan.family.max_staleness_seconds <= now or self.bumps.in_doubt(
                flight.tag_keys, as_of
            ):
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
