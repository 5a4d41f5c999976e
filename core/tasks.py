"""Ending background tasks for certain, and without tearing up what they do on their way out."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")
_AGAIN_SECONDS = 2.0


async def end(task: asyncio.Task[Any]) -> None:
    """Cancel a task until it has ended, and leave its result alone.

    Once is not always enough: up to Python 3.11 `asyncio.wait_for` swallows a cancellation that meets the arrival of
    its result (CPython issue 86296), and clients use it inside. Soon again would be too soon: a second cancellation
    interrupts the closing of connections, which are then nobody's.
    """
    while not task.done():
        task.cancel()
        await asyncio.wait((task,), timeout=_AGAIN_SECONDS)
    if not task.cancelled():
        task.exception()  # taken note of: a task that is being ended has nothing more to say


def leave_if_told() -> None:
    """Raise the cancellation of the running task that a client has swallowed, if there is one.

    Raises:
        asyncio.CancelledError: the task was told to end.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


async def whole(work: Coroutine[Any, Any, T], undo: Callable[[T], object]) -> T:
    """Return the result of `work`, which is done to its end even where nobody waits for it any more.

    Args:
        work: what may not be left half done, as a log-in: its socket would be the garbage collector's.
        undo: gets a result that nobody waits for.
    """
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        task.add_done_callback(lambda done: done.cancelled() or done.exception() or undo(done.result()))
        raise
