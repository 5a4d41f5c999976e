"""Coalescing: single-key reads of one loader that arrive together become one `= any($1)`.

A group is one clinic: row-level security sees one clinic at a time. The first read of a tick leaves at the
tick's end; while two batches of a group are on their way, further reads gather for the next, so that batches
grow with the load and an idle system waits for nobody. A read never joins a batch that has left already, so
it sees everything that was committed before it was asked for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from itertools import chain
from typing import Generic, TypeVar
from uuid import UUID

from cito.core.declarations import Executor
from cito.core.many import MOST_KEYS, read_many
from cito.core.telemetry import Event, Record, What, current_record

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

_ON_THEIR_WAY = 2
COALESCED = "coalesced"


class Coalescer(Generic[K, V]):
    """Gathers single-key reads of one loader.

    Args:
        load_many: one query for many keys; a key that it leaves out does not exist.
        reader: opens the executor of a clinic, once for each batch.
        max_batch: most keys of one query.
    """

    def __init__(
        self,
        load_many: Callable[[Executor, Sequence[K]], Awaitable[Mapping[K, V]]],
        reader: Callable[[UUID | None], Executor],
        *,
        max_batch: int = MOST_KEYS,
    ) -> None:
        self._load_many = load_many
        self._reader = reader
        self._max_batch = max_batch
        self._groups: dict[UUID | None, _Group[K, V]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def get(self, clinic_id: UUID | None, key: K) -> V | None:
        """Return the value of one key, None where there is none.

        A caller who is cancelled leaves the others and the batch alone.

        Raises:
            DatabaseProblem: of this key alone where the batch could be divided.
        """
        group = self._groups.get(clinic_id)
        if group is None:
            group = self._groups[clinic_id] = _Group()
        loop = asyncio.get_running_loop()
        waiter: Waiter[V] = loop.create_future()
        group.waiting.setdefault(key, []).append(waiter)
        if not group.called and group.on_their_way < _ON_THEIR_WAY:
            group.called = True
            loop.call_soon(self._leave, clinic_id, group)
        outcome = await waiter
        record = current_record.get()
        if record is not None:
            _note(record, outcome.events)
        if isinstance(outcome.found, Exception):
            raise outcome.found
        return outcome.found

    def _leave(self, clinic_id: UUID | None, group: _Group[K, V]) -> None:
        """Send off what has gathered, oldest first."""
        group.called = False
        if group.on_their_way >= _ON_THEIR_WAY:
            return
        batch: dict[K, list[Waiter[V]]] = {}
        while group.waiting and len(batch) < self._max_batch:
            key = next(iter(group.waiting))
            still_there = [w for w in group.waiting.pop(key) if not w.done()]
            if still_there:
                batch[key] = still_there
        if batch:
            group.on_their_way += 1
            task = asyncio.get_running_loop().create_task(self._travel(clinic_id, group, batch))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        elif not group.on_their_way:
            self._groups.pop(clinic_id, None)

    async def _travel(
        self, clinic_id: UUID | None, group: _Group[K, V], batch: dict[K, list[Waiter[V]]]
    ) -> None:
        record = Record("batch")
        current_record.set(record)  # the task's own context: nobody's request pays for the others' events
        try:
            found = await read_many(self._load_many, self._reader(clinic_id), list(batch))
            _answer(batch, found, record)
        finally:
            for waiter in chain.from_iterable(batch.values()):
                waiter.cancel()  # only when this task itself was cancelled is anyone still waiting
            group.on_their_way -= 1
            self._leave(clinic_id, group)


class _Outcome(Generic[V]):
    __slots__ = ("events", "found")

    def __init__(self, found: V | Exception | None, events: Sequence[Event]) -> None:
        self.found = found
        self.events = events


Waiter = asyncio.Future[_Outcome[V]]


class _Group(Generic[K, V]):
    """The reads of one clinic: those who gather, and how many batches are on their way."""

    __slots__ = ("called", "on_their_way", "waiting")

    def __init__(self) -> None:
        self.waiting: dict[K, list[Waiter[V]]] = {}
        self.called = False
        self.on_their_way = 0


def _note(record: Record, events: Sequence[Event]) -> None:
    """A batch counts as one run of its query for the request that owns it, and as none for the others."""
    for event in events:
        if event.what is What.QUERY and event.code != COALESCED:
            record.take(event)
        else:
            record.events.append(event)


def _answer(batch: Mapping[K, Sequence[Waiter[V]]], found: Mapping[K, V | Exception], record: Record) -> None:
    """Wake everybody. Each gets the batch's events; all but one say `coalesced`, so that sums stay true."""
    own = tuple(record.events)
    shared = tuple(event._replace(code=COALESCED) for event in own)
    for key, waiters in batch.items():
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(_Outcome(found.get(key), own))
                own = shared
