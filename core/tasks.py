"""Ending background tasks for certain."""

from __future__ import annotations

import asyncio
from typing import Any

_AGAIN_SECONDS = 0.05


async def end(task: asyncio.Task[Any]) -> None:
    """Cancel a task until it has ended, and leave its result alone.

    Once is not enough: up to Python 3.11 `asyncio.wait_for` swallows a cancellation that meets the arrival of
    its result (CPython issue 86296), and clients use it inside.
    """
    while not task.done():
        task.cancel()
        await asyncio.wait((task,), timeout=_AGAIN_SECONDS)
    if not task.cancelled():
        task.exception()  # taken note of: a task that is being ended has nothing more to say
