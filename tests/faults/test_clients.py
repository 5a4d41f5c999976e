"""The client library fails in ways of its own: that is a server that is away, and it heals like one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from shelf import Process, Shelf, until

from cito.core.cache.shared import SharedTier

# Of redis-py where a connection ends while it writes; of uvloop where a closed one is written to.
ERRORS = [
    AttributeError("'NoneType' object has no attribute 'writelines'"),
    RuntimeError("handler is closed"),
]


async def healed(process: Process) -> None:
    """Back to local hits."""

    async def local() -> bool:
        return bool((await process.get()).outcome == "local")

    await until(local)


async def until_true(check: Callable[[], bool]) -> None:
    """Let others work until it is so."""

    async def checked() -> bool:
        await asyncio.sleep(0)
        return check()

    await until(checked)


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
async def test_the_feed_connects_again_whatever_the_client_raises(shelf: Shelf, error: Exception) -> None:
    async with shelf.process() as one:
        await one.warm()
        feed = one.cache.feed
        assert feed is not None
        real, cuts = feed._ask, feed.cuts

        async def ask(*_: Any) -> Any:
            feed._ask = real  # type: ignore[method-assign]
            raise error

        feed._ask = ask  # type: ignore[method-assign]

        await until_true(lambda: feed.cuts > cuts)
        await healed(one)


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
async def test_whatever_the_client_raises_is_a_bypass_and_the_probe_goes_on(
    shelf: Shelf, error: Exception
) -> None:
    async with shelf.process() as one:
        await one.warm()
        tier = one.cache._resolver.shared
        assert isinstance(tier, SharedTier)
        real, failures = tier._client.execute_command, 0

        async def execute(*command: Any) -> Any:
            nonlocal failures
            if failures == 3:  # one command and two probes
                return await real(*command)
            failures += 1
            raise error

        tier._client.execute_command = execute  # type: ignore[method-assign]
        assert (await one.get(7)).outcome == "bypass"
        await one.rename("away")
        assert await one.name() == "away"
        await until_true(lambda: tier.available)
        assert failures == 3
        await healed(one)
        assert await one.name() == "away"
