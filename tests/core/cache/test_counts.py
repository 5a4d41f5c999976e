"""Round trips and loads, counted: what each kind of read and write costs, and what a crowd costs."""

from __future__ import annotations

import asyncio
import multiprocessing
from typing import Any

import pytest
from shelf import Gate, ItemKey, Named, Process, Shelf, add_item, crowd

from cito.core.cache.shared import SharedTier
from cito.core.settings import CacheSettings
from cito.core.telemetry import Record, What, current_record


def trips(process: Process) -> int:
    tier = process.cache._resolver.shared
    assert isinstance(tier, SharedTier)
    return tier.counts.trips


async def settled() -> None:
    """Let a store that is on its way be counted."""
    await asyncio.sleep(0.03)


async def begun() -> None:
    """Let what was asked reach its loader: some turns of the loop, however long they take."""
    for _ in range(20):
        await asyncio.sleep(0)


async def test_round_trips_to_the_shared_tier(shelf: Shelf) -> None:
    shelf.psql(
        "insert into items (clinic_id, id, name) select %s::uuid, g, 'n' from generate_series(2, 400) g",
        shelf.clinic,
    )
    async with shelf.process() as one, shelf.process() as two:
        await one.warm()
        await settled()
        for process in (one, two):
            assert process.cache._housekeeping is not None
            process.cache._housekeeping.cancel()  # its reports are round trips too
        cases: list[tuple[str, int]] = []

        async def cost(name: str, process: Process, work: Any) -> None:
            before = trips(process)
            await work
            await settled()
            cases.append((name, trips(process) - before))

        await cost("local hit", one, one.get())
        await cost("shared hit", two, two.get())
        await cost("miss, tag never used before", one, one.get(2))
        await one.cache.invalidate(f"item:{shelf.clinic}:1")
        await cost("miss", one, one.get())
        keys = [ItemKey(number) for number in range(100, 200)]
        await cost("get_many of 100, all missing", one, one.cache.get_many(one.item, keys, shelf.clinic))
        await cost("get_many of 100, all shared", two, two.cache.get_many(two.item, keys, shelf.clinic))
        await cost("100 reads of one tick", one, asyncio.gather(*(one.get(n) for n in range(200, 300))))
        await cost("write", one, one.rename("counted"))
        assert cases == [
            ("local hit", 0),
            ("shared hit", 1),
            ("miss, tag never used before", 2),
            ("miss", 2),
            ("get_many of 100, all missing", 2),
            ("get_many of 100, all shared", 1),
            ("100 reads of one tick", 2),
            ("write", 1),
        ]
        assert one.loader.batches == [100, 100]


async def test_loads_of_a_crowd_in_one_process(shelf: Shelf) -> None:
    async with shelf.process() as one:
        found = await asyncio.gather(*(one.get() for _ in range(1000)))
        assert one.loader.loads == 1
        assert {entry.value.name for entry in found} == {"one"}
        assert one.cache.plans["item"].counts.joined == 999


async def test_bypassed_a_batch_is_one_query_also_while_its_keys_are_being_read(shelf: Shelf) -> None:
    """Three times 100 keys, half of them being read by two queries: what is free, and twice what had to wait."""
    async with shelf.process(wait=False, cache=CacheSettings(enabled=False)) as one:
        gate = one.loader.after = Gate()
        keys = [ItemKey(number) for number in range(100)]

        def ask(some: list[ItemKey]) -> asyncio.Task[Any]:
            return asyncio.create_task(one.cache.get_many(one.item, some, shelf.clinic))

        reading = [ask([ItemKey(0)])]
        await gate.reached.wait()
        reading.append(ask(keys[1:50]))
        await begun()
        assert one.loader.batches == [49]  # whose keys nobody reads
        for _ in range(3):
            reading.append(ask(keys))
            await begun()
        gate.go.set()
        await asyncio.gather(*reading)
        assert one.loader.batches == [49, 50, 50, 50]
        assert one.loader.loads == 1 + 4


async def test_a_crowd_over_several_processes_makes_one_query(shelf: Shelf) -> None:
    """1,000 concurrent misses over three processes."""
    context = multiprocessing.get_context("spawn")
    barrier, loads = context.Barrier(3), context.Queue()
    children = [context.Process(target=crowd, args=(shelf, barrier, loads)) for _ in range(3)]
    for child in children:
        child.start()
    counts = [await asyncio.to_thread(loads.get, timeout=200) for _ in children]
    for child in children:
        child.join()
    assert sorted(counts) == [0, 0, 1]


async def test_a_caller_who_leaves_does_not_disturb_the_others(shelf: Shelf) -> None:
    async with shelf.process() as one:
        callers = [asyncio.create_task(one.get()) for _ in range(10)]
        await asyncio.sleep(0)
        callers[0].cancel()
        callers[5].cancel()
        found = await asyncio.gather(*callers, return_exceptions=True)
        assert [isinstance(each, asyncio.CancelledError) for each in found] == [
            n in (0, 5) for n in range(10)
        ]
        assert one.loader.loads == 1


async def test_a_holder_of_a_lease_that_dies_holds_nobody_up(shelf: Shelf) -> None:
    async with shelf.process() as one, shelf.process() as two:
        hanging = asyncio.Event()

        async def hang() -> None:
            await hanging.wait()

        one.loader.before = hang
        first = asyncio.create_task(one.get())
        await asyncio.sleep(0.05)
        assert await two.name() == "one"  # after the longest wait for a lease
        hanging.set()
        await first


async def test_negative_answers_are_remembered_shortly_counted_and_capped(shelf: Shelf) -> None:
    async with shelf.process(item={"absent_ttl_seconds": 0.5}) as one:
        assert (await one.get(99)).absent
        again = await one.get(99)
        assert (again.absent, again.outcome) == (True, "shared")
        assert (await one.get(99)).outcome == "local"
        with pytest.raises(LookupError):
            _ = again.value
        async with one.database.transaction(shelf.clinic) as tx:
            await add(tx, shelf, 99)
        assert (await one.get(99)).value.name == "now"
        await asyncio.gather(*(one.get(1000 + number) for number in range(1500)))
        assert one.cache.plans["item"].absent_kept(one.cache._monotonic()) <= 1000
        await asyncio.sleep(0.6)
        assert one.cache.plans["item"].absent_kept(one.cache._monotonic()) == 0


async def add(tx: Any, shelf: Shelf, id_: int) -> None:
    await add_item.run(tx, Named(shelf.clinic, id_, "now"))


async def test_an_oversized_value_is_answered_and_not_kept(shelf: Shelf) -> None:
    shelf.psql("update items set name = %s", "x" * 3000)
    async with shelf.process(item={"max_bytes": 2000}) as one:
        for _ in range(3):
            assert len(await one.name()) == 3000
        assert one.cache.plans["item"].counts.oversized == 3


async def test_the_record_tells_what_the_cache_did(shelf: Shelf) -> None:
    async with shelf.process() as one:
        record = Record("http")
        token = current_record.set(record)
        try:
            await one.get()
            await one.get()
            await one.get()
        finally:
            current_record.reset(token)
        told = [(event.what, event.name, event.code) for event in record.events]
        assert [code for what, _, code in told if what is What.CACHE] == ["miss", "shared", "local"]
        assert [name for what, name, _ in told if what is What.LOAD] == ["item"]
        assert sum(1 for what, _, _ in told if what is What.QUERY) == 1
        assert sum(1 for what, _, _ in told if what is What.SHARED_CACHE) == 2
        assert record.cache == "miss"
