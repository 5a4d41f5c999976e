"""How much one caller, one process and one request may take; over it, 429 or 503 with `Retry-After`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from cito.core.caller import Caller
from cito.core.errors import Problem, TooManyRequests, Unavailable
from cito.core.http.asgi import CALLER, App, Message, Receive, Scope, Send
from cito.core.http.problems import send_problem
from cito.core.http.rates import WINDOW_SECONDS, Count, Rate
from cito.core.settings import HttpSettings


class Limits:
    """The limits of one process.

    Args:
        settings: rates, requests in flight, seconds for one request.
        now: wall time in seconds.
    """

    def __init__(self, settings: HttpSettings, now: Callable[[], float] = time.time) -> None:
        self.max_in_flight = settings.max_in_flight
        self.seconds = settings.request_timeout_seconds
        self._subjects = Rate("subject", settings.rate_per_subject_per_second, now)
        self._clinics = Rate("clinic", settings.rate_per_clinic_per_second, now)
        self.in_flight = 0

    def share(self, count: Count) -> None:
        """Lease from a counter that all processes share; until then this one holds the rates by itself."""
        self._subjects.count = self._clinics.count = count

    def take(self, caller: Caller) -> bool:
        """Take one request without waiting. False: ask `wait`, which says yes or no."""
        if self._subjects.take(caller.subject) is not None:
            return False
        return caller.clinic_id is None or self._clinics.take(caller.clinic_id) is None

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
        limits.in_flight += 1
        try:
            if not limits.take(caller):
                await limits.wait(caller)
            await self._in_time(scope, receive, send)
        except TooManyRequests as problem:
            await send_problem(send, problem)
        finally:
            limits.in_flight -= 1

    async def _in_time(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Give up a request that takes too long, its body's arrival included."""
        begun = False

        async def send_noticed(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        late: Problem | None = None
        try:
            async with asyncio.timeout(self._limits.seconds) as timeout:
                await self._app(scope, receive, send_noticed)
        except TimeoutError:
            if not timeout.expired() or begun:
                raise
            late = Unavailable("the request took too long", retry_after_seconds=1)
        if late is not None:
            await send_problem(send, late)
