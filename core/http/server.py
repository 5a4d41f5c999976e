"""The server: Granian, with the fast path asked on the thread on which requests come in.

Granian hands each request to the event loop of another thread: a wake-up, a task, and the way back, which together
cost more than the whole of a hit. So a hit is answered at once, where it came in, and only what it leaves to be
counted goes to the loop, some milliseconds' worth at a time.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any

from granian._futures import _cbsched_aioschedule, _future_watcher_wrapper
from granian._granian import ASGIWorker, CallbackScheduler
from granian.asgi import LifespanProtocol, _callback_wrapper
from granian.constants import Interfaces
from granian.errors import FatalError
from granian.server import embed

from cito.core.http.asgi import ASKED, App
from cito.core.http.fastpath import FastPath, Hit

_COUNT_EACH_SECONDS = 0.005
MOST_UNCOUNTED = 10_000  # a loop that is so far behind is not outrun any further
_log = logging.getLogger("cito.http")


class Server(embed.Server):  # type: ignore[misc]  # untyped
    """An HTTP server within the running event loop.

    Args:
        app: the application; hits of a `FastPath` are answered at once.
        options: of Granian's embedded server.
    """

    def __init__(self, app: App, **options: Any) -> None:
        super().__init__(app, interface=Interfaces.ASGI, websockets=False, log_enabled=False, **options)

    async def serve(self, *_: object) -> None:
        """Serve until `stop`."""
        await super().serve(_serve)


class AtOnce:
    """Answers hits on the thread on which requests come in, and hands the others on.

    Args:
        loop: where hits are counted.
        fast_path: finds and counts them.
        hand_on: makes a request a task of the loop, as Granian does.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, fast_path: FastPath, hand_on: Callable[[Any], None]
    ) -> None:
        self._loop = loop
        self._find = fast_path.find
        self._finish = fast_path.finish
        self._hand_on = hand_on
        self._uncounted: deque[Hit] = deque()
        self._count_is_due = False

    def __call__(self, request: Any) -> None:
        """Answer a request, which Granian gives as its `scope` and its `proto`, or hand it on."""
        hit = None
        if len(self._uncounted) < MOST_UNCOUNTED:
            try:
                hit = self._find(request.scope)
            except Exception as error:  # noqa: BLE001 - whatever it is, the long way still answers
                _log.error("the fast path failed: %s", type(error).__name__)
        if hit is None:
            request.scope[ASKED] = True
            self._hand_on(request)
            return
        send = request.proto.send
        try:
            send(hit.start)
            send(hit.body)
        finally:
            request.done()
            self._uncounted.append(hit)
            if not self._count_is_due:
                self._count_is_due = True
                self._loop.call_soon_threadsafe(self._loop.call_later, _COUNT_EACH_SECONDS, self.count)

    def count(self) -> None:
        """Count what was answered, on the loop."""
        self._count_is_due = False  # first: a hit that comes meanwhile is counted now, or asks again
        for _ in range(len(self._uncounted)):
            self._finish(self._uncounted.popleft())


async def _serve(number: int, stop: Any, app: App, socket: Any, *options: Any) -> None:
    """Do what Granian's own worker does for ASGI with lifespan, but for the scheduler."""
    *threads, _tasks, mode, http1, http2, websockets, files, _log_format, tls, scope_options = options
    loop = asyncio.get_running_loop()
    life = LifespanProtocol(app)
    await life.startup()
    if life.interrupt:
        raise FatalError("ASGI lifespan startup")
    stopped = loop.create_future()
    stop.add_cb(partial(loop.call_soon_threadsafe, stopped.set_result, None))
    worker = ASGIWorker(
        number, socket, None, *threads, mode, http1, http2, websockets, files, *tls, (None, None)
    )
    long_way = _future_watcher_wrapper(_callback_wrapper(app, scope_options, life.state))
    scheduler = CallbackScheduler(loop, long_way, None, _nothing, _nothing)
    as_task = _cbsched_aioschedule(loop, scheduler._ctx, long_way)  # noqa: SLF001 - as Granian's own does
    at_once = AtOnce(loop, app, as_task) if isinstance(app, FastPath) else None
    scheduler._schedule_fn = at_once or as_task  # noqa: SLF001
    worker.serve_async(scheduler, loop, stop)
    await stopped
    if at_once is not None:
        at_once.count()
    await life.shutdown()


def _nothing() -> None:
    """Enter and leave no task by hand: asyncio's own tasks do it."""
