"""Reads on their way: those of one tick share one round trip, those of one key share one flight."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from contextvars import Context, copy_context
from typing import Any
from uuid import UUID

from cito.core.cache.entry import DEAD, Entry
from cito.core.cache.families import Plan
from cito.core.cache.validators import read_copies

MOST_IN_A_BATCH = 250
"""Values in one round trip; more would hold the server up."""
MOST_BATCHES = 4
"""Round trips of one process under way at once; what comes meanwhile shares the next."""


class Flight:
    """One read that the local tier could not answer.

    Attributes:
        slot: the entry to be filled; an invalidation on the way ends its validity.
        sent: its stamps have been asked for: who comes later may be later than they are.
        force: load even where the shared tier has a valid value (refresh-ahead).
        known: validators of the caller's own copies, as in `If-None-Match`; empty: it has none.
        copies: the same, read.
        waited_ms: how long it has waited for another process's load.
        trips: round trips to the shared tier.
    """

    __slots__ = (
        "context",
        "copies",
        "force",
        "known",
        "plan",
        "sent",
        "slot",
        "tag_keys",
        "trips",
        "value_key",
        "waited_ms",
        "waiters",
    )

    def __init__(
        self, plan: Plan, key: Any, clinic_id: UUID | None, *, force: bool = False, known: str = ""
    ) -> None:
        self.plan = plan
        self.value_key = plan.value_key(key, clinic_id)
        self.tag_keys = plan.tag_keys(key, clinic_id)
        self.slot: Entry[Any] = Entry(plan, key, clinic_id, self.tag_keys)
        self.waiters: list[asyncio.Future[Entry[Any]]] = []
        self.context: Context = Context() if force else copy_context()  # what nobody waits for is nobody's
        self.sent = False
        self.force = force
        self.known = known
        self.copies = read_copies(known) if known else ()
        self.waited_ms = 0.0
        self.trips = 0

    @property
    def validators(self) -> bytes:
        """The copies as the shared tier compares them."""
        return b"".join(copy.wire() for copy in self.copies)

    @property
    def alive(self) -> bool:
        """Whether nothing has invalidated its tags since it began."""
        return self.slot.check_at != DEAD

    def join(self) -> asyncio.Future[Entry[Any]]:
        """Return a future of one's own: one caller leaving does not disturb the others."""
        waiter: asyncio.Future[Entry[Any]] = asyncio.get_running_loop().create_future()
        self.waiters.append(waiter)
        return waiter

    def land(self, entry: Entry[Any]) -> None:
        """Answer everybody who waits."""
        for waiter in self.waiters:
            if not waiter.done():
                waiter.set_result(entry)

    def fail(self, error: BaseException) -> None:
        """Give the error to everybody who waits."""
        for waiter in self.waiters:
            if not waiter.done():
                waiter.set_exception(error)


class Batches:
    """Gathers flights of one tick and hands them on together, a few batches at a time.

    Args:
        run: reads one batch; it answers or fails each flight and never raises.
    """

    def __init__(self, run: Callable[[Sequence[Flight]], Coroutine[Any, Any, None]]) -> None:
        self._run = run
        self._waiting: list[Flight] = []
        self._scheduled = False
        self._tasks: set[asyncio.Task[None]] = set()

    def add(self, flight: Flight) -> None:
        """Send a flight off with the others of this tick."""
        self._waiting.append(flight)
        if not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._send)

    def _send(self) -> None:
        self._scheduled = False
        while self._waiting and len(self._tasks) < MOST_BATCHES:
            batch, self._waiting = self._waiting[:MOST_IN_A_BATCH], self._waiting[MOST_IN_A_BATCH:]
            for flight in batch:
                flight.sent = True
            task = asyncio.get_running_loop().create_task(self._run(batch), context=batch[0].context)
            self._tasks.add(task)
            task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if self._waiting:
            self._send()

    async def close(self) -> None:
        """End what is under way."""
        for flight in self._waiting:
            flight.fail(asyncio.CancelledError())
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
