"""An event loop whose time passes only when everybody waits: no selector, no threads, no debug, and so quick.

Callbacks run in the order in which they are due, those of one moment in the order in which they were asked for. An
error that asyncio would log and forget ends the run instead.
"""

from __future__ import annotations

import asyncio
from asyncio import events
from collections import deque
from collections.abc import Callable, Coroutine
from contextvars import Context, copy_context
from datetime import UTC, datetime, timedelta
from heapq import heappop, heappush
from typing import Any

from cito.core.clock import Clock

_EPOCH = datetime(2026, 1, 1, tzinfo=UTC)


class Due:
    """A callback that is due, now or later; it may be cancelled."""

    __slots__ = ("args", "callback", "context", "when")

    def __init__(
        self, when: float, callback: Callable[..., object], args: tuple[Any, ...], context: Context | None
    ) -> None:
        self.when = when
        self.callback: Callable[..., object] | None = callback
        self.args = args
        self.context = copy_context() if context is None else context  # an empty one is false

    def cancel(self) -> None:
        self.callback = None

    def cancelled(self) -> bool:
        return self.callback is None


class VirtualLoop(asyncio.AbstractEventLoop):
    """The loop.

    Attributes:
        now: its time, in seconds.
    """

    def __init__(self) -> None:
        self.now = 1000.0
        self._ready: deque[Due] = deque()
        self._later: list[tuple[float, int, Due]] = []
        self._count = 0
        self._closed = False

    def time(self) -> float:
        return self.now

    def call_soon(self, callback: Any, *args: Any, context: Context | None = None) -> Any:
        due = Due(self.now, callback, args, context)
        self._ready.append(due)
        return due

    def call_later(self, delay: float, callback: Any, *args: Any, context: Context | None = None) -> Any:
        return self.call_at(self.now + delay, callback, *args, context=context)

    def call_at(self, when: float, callback: Any, *args: Any, context: Context | None = None) -> Any:
        due = Due(when, callback, args, context)
        self._count += 1
        heappush(self._later, (when, self._count, due))
        return due

    async def pause(self, seconds: float) -> None:
        """Sleep, cheaper than `asyncio.sleep`."""
        over = self.create_future()
        self.call_at(self.now + seconds, lambda: over.done() or over.set_result(None))
        await over

    def create_future(self) -> Any:
        return asyncio.Future(loop=self)

    def create_task(self, coro: Any, *, name: str | None = None, context: Context | None = None) -> Any:
        return asyncio.Task(coro, loop=self, name=name, context=context)

    def run_until_complete(self, future: Coroutine[Any, Any, Any]) -> Any:
        """Run a coroutine to its end."""
        task = self.create_task(future)
        ready, later = self._ready, self._later
        events._set_running_loop(self)
        try:
            while not task.done():
                while ready:
                    due = ready.popleft()
                    if due.callback is not None:
                        due.context.run(due.callback, *due.args)
                if later:
                    when, _, due = heappop(later)
                    if due.callback is not None:
                        self.now = max(self.now, when)
                        ready.append(due)
        finally:
            events._set_running_loop(None)
        return task.result()

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return not self._closed

    def is_closed(self) -> bool:
        return self._closed

    def close(self) -> None:
        self._closed = True

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """Errors that nobody fetched: those who should have are the caches, which tell what they do with them."""


class VirtualClock(Clock):
    """Wall and monotonic time of a virtual loop."""

    def __init__(self, loop: VirtualLoop) -> None:
        super().__init__()
        self.loop = loop

    def now(self) -> datetime:
        return _EPOCH + timedelta(seconds=self.loop.now)

    def monotonic(self) -> float:
        return self.loop.now
