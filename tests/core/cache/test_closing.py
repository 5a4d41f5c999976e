"""Whatever the moment at which it is told to close: no connection stays open that nobody has."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from cito.core.cache.feed import Feed
from cito.core.cache.keys import Names
from cito.core.cache.shared import SharedAway, SharedTier
from cito.core.database.outbox import Outbox
from cito.core.embedded import Urls
from cito.core.tasks import end

OPEN = Path("/proc/self/fd")
TURNS = 40  # of the loop, from the first to the connection in use
pytestmark = pytest.mark.skipif(not OPEN.exists(), reason="open files are counted in /proc")
NAMES = Names(b"k" * 32, "closing")


async def feed(urls: Urls) -> None:
    opened = Feed(
        urls.cache,
        NAMES,
        changed=lambda _: None,
        flushed=lambda: None,
        beaten=lambda *_: None,
        vouched=lambda _: None,
        monotonic=time.monotonic,
        period_seconds=0.01,
        channels={NAMES.node_prefix + b"node": lambda _: None},
    )
    opened.start()
    try:
        await asyncio.sleep(3600)
    finally:
        await opened.close()


async def tier(urls: Urls) -> None:
    opened = SharedTier(urls.cache, NAMES, 5.0)
    try:
        while True:
            try:
                await opened.heartbeat()
            except SharedAway:
                return
    finally:
        await opened.close()


async def outbox(urls: Urls) -> None:
    opened = await Outbox.open(urls.app)
    try:
        await asyncio.sleep(3600)
    finally:
        await opened.close()


def open_files() -> set[str]:
    return {f"{file.name} {file.readlink()}" for file in OPEN.iterdir() if file.is_symlink()}


@pytest.mark.parametrize("work", [feed, tier, outbox])
async def test_cancelled_in_any_turn_nothing_stays_open(
    urls: Urls, work: Callable[[Urls], Awaitable[None]]
) -> None:
    before = open_files()
    for turns in range(TURNS):
        task = asyncio.ensure_future(work(urls))
        for _ in range(turns):
            await asyncio.sleep(0)
        await end(task)
    for _ in range(100):  # a transport closes a few turns later
        if open_files() <= before:
            break
        await asyncio.sleep(0.01)
    assert open_files() <= before
