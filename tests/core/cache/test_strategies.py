"""Strategies: refresh-ahead and write-through; and keys that are rotated while everybody reads and writes."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from shelf import Gate, Process, Shelf, until

from cito.core.cache import again
from cito.core.cache.keyring import KeyFile
from cito.core.declarations import Strategy


async def test_write_through_bumps_loads_again_and_stores(shelf: Shelf) -> None:
    """Nobody reads after the write, and the next reader finds the new value in the shared tier."""
    async with shelf.process(item={"strategy": Strategy.WRITE_THROUGH}) as one, shelf.process() as two:
        await one.warm()
        loads = one.loader.loads
        await one.rename("written through")

        async def stored() -> bool:
            return one.loader.loads > loads and (await two.get()).outcome != "miss"

        async def loaded() -> bool:
            return one.loader.loads > loads

        await until(loaded)
        await until(stored)
        assert (await two.name(), two.loader.loads) == ("written through", 0)
        assert (await one.get()).value.name == "written through"
        assert one.loader.loads == loads + 1


async def test_a_write_through_that_another_write_overtakes_is_not_believed(shelf: Shelf) -> None:
    async with shelf.process(item={"strategy": Strategy.WRITE_THROUGH}) as one, shelf.process() as two:
        await one.warm()
        gate = one.loader.after = Gate()
        await one.rename("first")
        await gate.reached.wait()  # it has read "first"
        await two.rename("second")
        one.loader.after = None
        gate.go.set()
        for process in (one, two):
            assert await process.name() == "second"


async def test_a_cache_that_is_closed_writes_nothing_through_any_more(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(again, "_AGAIN_SECONDS", 60.0)
    async with shelf.process(item={"strategy": Strategy.WRITE_THROUGH}) as one:
        await one.warm()
        await one.rename("written")
        (timer,) = one.cache._again._timers.values()
    assert timer.cancelled()


async def test_refresh_ahead_serves_while_it_loads_once(shelf: Shelf) -> None:
    changes = {"strategy": Strategy.REFRESH_AHEAD, "ttl_seconds": 2.0}
    async with shelf.process(item=changes) as one:
        await one.warm()
        gate = one.loader.before = Gate()
        loads = one.loader.loads
        entry: Any = await one.get()
        kept = one.cache.plans["item"].entries[one.cache.plans["item"].place(entry.key, entry.clinic_id)]
        kept.check_at = one.cache._monotonic()  # three quarters of its life are over
        served = await asyncio.gather(*(one.get() for _ in range(20)))
        assert {each.outcome for each in served} == {"local"}
        await gate.reached.wait()
        gate.go.set()

        async def refreshed() -> bool:
            return (await one.get()).loaded_at > entry.loaded_at

        await until(refreshed)
        assert (one.loader.loads, one.cache.plans["item"].counts.refreshed) == (loads + 1, 1)


async def test_keys_are_rotated_under_load_and_nobody_notices(shelf: Shelf) -> None:
    """Two processes take the new key up at different moments: what one cannot read yet is a miss, never an error."""
    phi = {"phi": True, "patients": lambda _key, _value: ()}
    async with shelf.process(item=phi) as one, shelf.process(item=phi) as two:
        file = shelf.home / "keys" / "cache.json"
        stop, first = asyncio.Event(), one.cache.ring.current

        async def load(process: Process) -> int:
            done = 0
            while not stop.is_set():
                if done % 10 == 0:
                    await process.rename(f"{done}")
                assert (await process.get()).value.id == 1
                done += 1
                await asyncio.sleep(0)
            return done

        loads = [asyncio.create_task(load(process)) for process in (one, two)]
        for process in (one, two, two, one):  # twice: first one is ahead, then the other
            if process.cache.ring.current == KeyFile(file).open(create=False).current:
                KeyFile(file).rotate()
            before = process.cache.plans["item"].counts.local
            assert KeyFile(file).refresh(process.cache.ring)

            async def busy(process: Process = process, before: int = before) -> bool:
                return process.cache.plans["item"].counts.local > before + 20

            await until(busy)
        stop.set()
        assert min(await asyncio.gather(*loads)) > 40
        assert one.cache.ring.current == two.cache.ring.current == first + 2
        assert one.cache.plans["item"].counts.unreadable + two.cache.plans["item"].counts.unreadable > 0
        await one.rename("after")
        assert await one.name() == await two.name() == "after"
