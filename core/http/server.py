"""The server: Granian, with the fast path asked before a request becomes a task.

Granian makes each request a task of the event loop, and wakes the loop for each: together that costs more than the
whole of a hit. So requests are put into a queue, the loop is woken once for all that are in it, answers hits at once,
and makes tasks of the others. The more requests come at a time, the less each of them costs.
"""

from __future__ import annotations

import asyncio
import gc
import logging
from collections import deque
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from contextvars import Context
from functools import partial
from typing import Any

from granian._futures import _cbsched_aioschedule, _future_watcher_wrapper
from granian._granian import ASGIWorker, CallbackScheduler
from granian.asgi import LifespanProtocol, _callback_wrapper
from granian.constants import Interfaces
from granian.errors import FatalError
from granian.server import embed

from cito.core.http.asgi import ASKED, App
from cito.core.http.fastpath import FastPath

_log = logging.getLogger("cito.http")
_NEW_OBJECTS = 10_000


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


class Intake:
    """Takes requests on the server's thread, and answers them on the loop: hits at once, the others as tasks.

    Args:
        loop: where they are answered.
        context: of the tasks.
        fast_path: finds and counts hits.
        long_way: answers a request of Granian's.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        context: Context,
        fast_path: FastPath,
        long_way: Callable[[Any], Coroutine[Any, Any, None]],
    ) -> None:
        self._loop = loop
        self._context = context
        self._find = fast_path.find
        self._finish = fast_path.finish
        self._long_way = long_way
        self._waiting: deque[Any] = deque()
        self._woken = False

    def __call__(self, request: Any) -> None:
        """Take a request, which Granian gives as its `scope` and its `proto`."""
        self._waiting.append(request)
        if not self._woken:
            self._woken = True
            self._loop.call_soon_threadsafe(self.answer, context=self._context)

    def answer(self) -> None:
        """Answer what waits."""
        self._woken = False  # first: a request that comes meanwhile is answered now, or wakes the loop again
        for _ in range(len(self._waiting)):
            request = self._waiting.popleft()
            try:
                hit = self._find(request.scope)
            except Exception as error:  # noqa: BLE001 - whatever it is, the long way still answers
                _log.error("the fast path failed: %s", type(error).__name__)
                hit = None
            if hit is None:
                request.scope[ASKED] = True
                request.taskref(self._loop.create_task(self._long_way(request)))
                continue
            send = request.proto.send
            try:
                send(hit.start)
                send(hit.body)
            except Exception as error:  # noqa: BLE001 - as Granian does with a task's: the others are answered
                request.err(error)
            else:
                request.done()
            self._finish(hit)


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
    context = scheduler._ctx  # noqa: SLF001 - as Granian's own does
    scheduler._schedule_fn = (  # noqa: SLF001
        Intake(loop, context, app, long_way)
        if isinstance(app, FastPath)
        else _cbsched_aioschedule(loop, context, long_way)
    )
    with settled():
        worker.serve_async(scheduler, loop, stop)
        await stopped
    await life.shutdown()


@contextmanager
def settled() -> Iterator[None]:
    """Let the garbage collector look at what requests leave behind, not at the application, which stays.

    Under load a collection of everything took 70 ms, three times a second. And what requests under way hold is no
    garbage: by default 700 new objects have all of it looked at, which is every ten requests.
    """
    before = gc.get_threshold()
    gc.collect()
    gc.freeze()
    gc.set_threshold(_NEW_OBJECTS, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()


def _nothing() -> None:
    """Enter and leave no task by hand: asyncio's own tasks do it."""
