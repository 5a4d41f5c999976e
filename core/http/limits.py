"""How much one caller, one process and one request may take; over it, 429 or 503 with `Retry-After`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from cito.core.caller import Caller
from cito.core.errors import Problem, TooManyRequests, Unavailable
from cito.core.http.asgi import CALLER, OVERDUE, RECORD, App, Receive, Scope, Send
from cito.core.http.problems import send_problem
from cito.core.http.rates import WINDOW_SECONDS, Bucket, Count, Rate
from cito.core.settings import HttpSettings


class Limits:
    """The limits of one process.

    Args:
        settings: rates, requests in flight, seconds for one request.
        now: wall time in seconds.
    """

    def __init__(self, settings: HttpSettings, now: Callable[[], float] = time.time) -> None:
        self.max_in_flight = settings.max_in_flight
        self.overdue = Overdue(settings.request_timeout_seconds)
        self._now = now
        self._subjects = Rate("subject", settings.rate_per_subject_per_second, now)
        self._clinics = Rate("clinic", settings.rate_per_clinic_per_second, now)
        self.in_flight = 0

    def share(self, count: Count) -> None:
        """Lease from a counter that all processes share; until then this one holds the rates by itself."""
        self._subjects.count = self._clinics.count = count

    async def close(self) -> None:
        """End what asks the shared counter, before it is closed."""
        await self._subjects.close()
        await self._clinics.close()

    def take(self, caller: Caller) -> bool:
        """Take one request without waiting. False: ask `wait`, which says yes or no."""
        if self._subjects.take(caller.subject) is not None:
            return False
        return caller.clinic_id is None or self._clinics.take(caller.clinic_id) is None

    def buckets_of(self, caller: Caller) -> tuple[Bucket, ...]:
        """Return what `take_at_once` takes from: the caller's own bucket and the clinic's."""
        own = self._subjects.bucket(caller.subject)
        return (own,) if caller.clinic_id is None else (own, self._clinics.bucket(caller.clinic_id))

    def take_at_once(self, buckets: tuple[Bucket, ...]) -> bool:
        """Take one request where that is all there is to do. False: go the long way."""
        if self.in_flight >= self.max_in_flight:
            return False
        window = int(self._now())
        for bucket in buckets:
            if bucket.window != window or bucket.left <= bucket.reserve:
                return False
        for bucket in buckets:
            bucket.left -= 1
        return True

    async def wait(self, caller: Caller) -> None:
        """Take one request, waiting for a lease where that may help.

        Raises:
            TooManyRequests: the caller, or the clinic, has had all of this second's.
        """
        for rate, who in ((self._subjects, caller.subject), (self._clinics, caller.clinic_id)):
            if who is None:
                continue
            bucket = rate.take(who)
            if bucket is not None and not await rate.refill(who, bucket):
                raise TooManyRequests("too many requests in this second", retry_after_seconds=WINDOW_SECONDS)


class Overdue:
    """Gives up requests that take too long: one look at all of them now and then, no timer for each.

    Args:
        seconds: what one request may take, its body's arrival included.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._pause = min(0.25, seconds / 4)
        self._deadlines: dict[asyncio.Task[object], float] = {}
        self._given_up: set[asyncio.Task[object]] = set()
        self._looking = False

    def begin(self, task: asyncio.Task[object]) -> None:
        """Watch a request from now on."""
        loop = asyncio.get_running_loop()
        self._deadlines[task] = loop.time() + self._seconds
        if not self._looking:
            self._looking = True
            loop.call_later(self._pause, self._look, loop)

    def end(self, task: asyncio.Task[object]) -> bool:
        """Watch it no longer. True: it was cancelled here, because it took too long."""
        self._deadlines.pop(task, None)
        if task in self._given_up:
            self._given_up.discard(task)
            return True
        return False

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        now = loop.time()
        for task in [task for task, deadline in self._deadlines.items() if deadline <= now]:
            del self._deadlines[task]
            self._given_up.add(task)
            task.cancel()
        self._looking = bool(self._deadlines)
        if self._looking:
            loop.call_later(self._pause, self._look, loop)


def unhurried(scope: Scope) -> None:
    """Let a request take as long as its caller listens; called by the handler of a stream that has no end."""
    task = asyncio.current_task()
    assert task is not None
    scope[OVERDUE].end(task)


class Limited:
    """ASGI layer that holds the limits; what is not under `/api` (such as `/health`) it never stops."""

    __slots__ = ("_app", "_limits")

    def __init__(self, app: App, limits: Limits) -> None:
        self._app = app
        self._limits = limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        caller = scope.get(CALLER)
        if caller is None:
            await self._app(scope, receive, send)
            return
        limits = self._limits
        if limits.in_flight >= limits.max_in_flight:
            await send_problem(send, Unavailable("too many requests at once", retry_after_seconds=1))
            return
        task = asyncio.current_task()
        assert task is not None
        limits.in_flight += 1
        limits.overdue.begin(task)
        scope[OVERDUE] = limits.overdue
        problem: Problem | None = None
        try:
            if not limits.take(caller):
                await limits.wait(caller)
            await self._app(scope, receive, send)
        except TooManyRequests as found:
            problem = found
        except asyncio.CancelledError:
            if not limits.overdue.end(task) or scope[RECORD].status:
                raise
            task.uncancel()
            problem = Unavailable("the request took too long", retry_after_seconds=1)
        finally:
            limits.in_flight -= 1
            limits.overdue.end(task)
        if problem is not None:
            await send_problem(send, problem)
