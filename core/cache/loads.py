"""Loads: one for each (key, stamps), several keys of a family in one query, and never one that began too early.

Without stamps (the cache is bypassed) nobody knows what a load under way has seen, so whoever comes while one runs
shares the next one: every answer was read after its question, and a key is read by one query at a time. Keys that
were asked for together wait together and are one query again, however many queries they waited for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from time import perf_counter_ns
from typing import Any, Protocol
from uuid import UUID

from cito.core.cache.families import Plan
from cito.core.cache.flights import Flight
from cito.core.declarations import Executor
from cito.core.many import MOST_KEYS, read_many
from cito.core.telemetry import What, current_record


class Readers(Protocol):
    """Where loaders read; `Database` is one."""

    def reader(self, clinic_id: UUID | None, *, primary: bool = False) -> Executor:
        """Return where reads of one clinic run."""
        ...


class Source(Readers, Protocol):
    """The database as the cache uses it: it reads, and it tells what a commit made stale."""

    committed: Callable[[Sequence[str]], Awaitable[None]] | None


class Load:
    """One load under way, and the flights that wait for it.

    Attributes:
        vector: the stamps that were current before; empty: the cache is bypassed.
        clock_ms: the shared tier's clock when they were read.
        asked_at: monotonic seconds when they were asked for.
    """

    __slots__ = ("asked_at", "clock_ms", "flights", "vector")

    def __init__(self, flight: Flight, vector: bytes, clock_ms: int, asked_at: float) -> None:
        self.flights = [flight]
        self.vector = vector
        self.clock_ms = clock_ms
        self.asked_at = asked_at

    @property
    def flight(self) -> Flight:
        """The flight that began it."""
        return self.flights[0]


class _Turn:
    """Loads without stamps that one query will do, once the queries that read their keys now are over.

    Attributes:
        loads: by key.
        awaited: of their keys, those that are being read now.
    """

    __slots__ = ("awaited", "loads")

    def __init__(self) -> None:
        self.loads: dict[bytes, Load] = {}
        self.awaited: set[bytes] = set()


Loaded = Callable[[Load, Any], None]
Failed = Callable[[Load, Exception], None]


class Loads:
    """Runs loads.

    Args:
        readers: the database.
        loaded: called with each load and its value (None: absent).
        failed: called with each load that raised.
    """

    def __init__(self, readers: Readers, loaded: Loaded, failed: Failed) -> None:
        self._readers = readers
        self._loaded = loaded
        self._failed = failed
        self._under_way: dict[tuple[bytes, bytes], Load] = {}
        self._reading: set[bytes] = set()
        self._turns: dict[bytes, _Turn] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def joins(self, flight: Flight, vector: bytes) -> bool:
        """Let a flight share a load of the same key under the same stamps, if one is under way."""
        load = self._under_way.get((flight.value_key, vector))
        if load is None:
            return False
        load.flights.append(flight)
        flight.plan.counts.joined += 1
        return True

    def expect(self, load: Load) -> None:
        """Let others join a load that is about to start."""
        self._under_way[load.flight.value_key, load.vector] = load

    def start(self, loads: Sequence[Load]) -> None:
        """Start expected loads under stamps, those of one family and clinic in one query."""
        groups: dict[tuple[str, UUID | None], list[Load]] = {}
        for load in loads:
            slot = load.flight.slot
            groups.setdefault((slot.plan.name, slot.clinic_id), []).append(load)
        for group in groups.values():
            self._spawn(group)

    def start_unstamped(self, flights: Sequence[Flight], asked_at: float) -> None:
        """Start loads of a bypassed cache: at once what nobody reads, in one later query what is being read."""
        now: dict[tuple[str, UUID | None], _Turn] = {}
        later: dict[tuple[str, UUID | None], _Turn] = {}
        for flight in flights:
            key, place = flight.value_key, (flight.plan.name, flight.slot.clinic_id)
            turn = self._turns.get(key)
            if turn is None:
                busy = key in self._reading
                turn = (later if busy else now).setdefault(place, _Turn())
                if busy:
                    turn.awaited.add(key)
                self._turns[key] = turn
            if key in turn.loads:
                turn.loads[key].flights.append(flight)
            else:
                turn.loads[key] = Load(flight, b"", 0, asked_at)
        for turn in now.values():
            self._begin(turn, asked_at)

    def _begin(self, turn: _Turn, asked_at: float) -> None:
        """Start the one query of a turn; nobody may join it any more."""
        for key, load in turn.loads.items():
            del self._turns[key]
            self._reading.add(key)
            load.asked_at = asked_at
        self._spawn(list(turn.loads.values()))

    def _read_out(self, keys: Sequence[bytes], now: float) -> None:
        """Begin the turns that waited for these keys and for nothing else."""
        self._reading.difference_update(keys)
        for key in keys:
            turn = self._turns.get(key)
            if turn is not None:
                turn.awaited.discard(key)
                if not turn.awaited:
                    self._begin(turn, now)

    def _spawn(self, group: list[Load]) -> None:
        """Read a group in one query where its family can, else each load by itself and for its own caller."""
        plan = group[0].flight.plan
        if len(group) > 1 and (plan.family.load_many is None or not plan.together):
            for load in group:
                self._spawn([load])
            return
        task = asyncio.get_running_loop().create_task(self._run(group), context=group[0].flight.context)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self, group: list[Load]) -> None:
        plan = group[0].flight.plan
        plan.counts.loads += len(group)
        start_ns = perf_counter_ns()
        results = await self._read(plan, group)
        failed = next((r for r in results if isinstance(r, Exception)), None)
        record = current_record.get()
        if record is not None:
            code = type(failed).__name__ if failed else ""
            record.add(What.LOAD, plan.name, start_ns, code=code, amount=len(group))
        for load, result in zip(group, results, strict=True):
            self._under_way.pop((load.flight.value_key, load.vector), None)
            if isinstance(result, Exception):
                plan.counts.load_errors += 1
                self._failed(load, result)
            else:
                self._loaded(load, result)
        self._read_out([load.flight.value_key for load in group if not load.vector], plan.monotonic())

    async def _read(self, plan: Plan, group: list[Load]) -> Sequence[Any]:
        """Return a value, None or an exception for each load."""
        family = plan.family
        executor = self._readers.reader(group[0].flight.slot.clinic_id, primary=True)
        keys = [load.flight.slot.key for load in group]
        if len(keys) > 1 and family.load_many is not None and plan.together:
            found: dict[Any, Any] = {}
            for at in range(0, len(keys), MOST_KEYS):
                found |= await read_many(family.load_many, executor, keys[at : at + MOST_KEYS])
            return [found.get(key) for key in keys]
        results: list[Any] = await asyncio.gather(
            *(family.load(executor, key) for key in keys), return_exceptions=True
        )
        return results

    async def close(self) -> None:
        """Cancel what is under way."""
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
