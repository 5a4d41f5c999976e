"""Races and losses that other caches have or admit, each by the name under which it is known.

FusionCache: https://github.com/ZiggyCreatures/FusionCache, issues 535, 625, 628. IdentityCache: the section
"Caveats" of its README names each way in which it can lose an invalidation.
"""

from __future__ import annotations

import asyncio

from redis.asyncio import Redis
from shelf import Gate, ItemKey, Shelf, until

from cito.core.clock import Clock
from cito.core.declarations import Strategy
from cito.core.tasks import end


async def test_fusioncache_535_invalidation_during_entry_loading(shelf: Shelf) -> None:
    async with shelf.process() as one:
        gate = one.loader.after = Gate()
        slow = asyncio.create_task(one.name())
        await gate.reached.wait()
        shelf.psql("update items set name = 'new' where id = 1")
        await one.cache.invalidate(f"item:{shelf.clinic}:1")
        one.loader.after = None
        gate.go.set()
        assert await slow == "one"
        assert await one.name() == "new"


async def test_fusioncache_625_remove_during_load_concurrent_reader_gets_the_fresh_value(
    shelf: Shelf,
) -> None:
    async with shelf.process() as one:
        gate = one.loader.after = Gate()
        first = asyncio.create_task(one.name())
        await gate.reached.wait()
        shelf.psql("update items set name = 'new' where id = 1")
        await one.cache.invalidate(f"item:{shelf.clinic}:1")
        one.loader.after = None
        loads = one.loader.loads
        assert await asyncio.wait_for(one.name(), 5) == "new"  # while the first load still hangs
        assert one.loader.loads == loads + 1
        gate.go.set()
        await first
        assert await one.name() == "new"


async def test_fusioncache_628_invalidation_races_an_eager_refresh(bare_shelf: Shelf) -> None:
    """No relay helps: the invalidation comes once, while the refresh is under way."""
    changes = {"strategy": Strategy.REFRESH_AHEAD, "ttl_seconds": 0.4}
    async with bare_shelf.relay() as relay, bare_shelf.process(item=changes) as one:
        await one.warm()
        gate = one.loader.after = Gate()

        async def refreshing() -> bool:
            assert await one.name() == "one"
            return gate.reached.is_set()

        await until(refreshing)
        await end(relay)
        bare_shelf.psql("update items set name = 'new' where id = 1")
        await one.cache.invalidate(f"item:{bare_shelf.clinic}:1")
        one.loader.after = None
        gate.go.set()

        async def refreshed() -> bool:
            await asyncio.sleep(0)
            return not one.cache._resolver._loads._tasks

        await until(refreshed)
        assert await one.name() == "new"


async def test_identitycache_a_write_that_skips_the_callbacks(shelf: Shelf) -> None:
    """update_all, raw SQL, COPY, a cascade: no callback runs. Here the database itself tells."""
    async with shelf.process() as one:
        await one.warm()
        shelf.psql("update items set name = 'all' where true")

        async def fresh() -> bool:
            return await one.name() == "all"

        await until(fresh)


async def test_identitycache_a_process_dies_between_commit_and_invalidation(shelf: Shelf) -> None:
    async with shelf.process() as one, shelf.process() as two:
        await one.warm()
        two.database.committed = None  # it never came to that
        await two.rename("committed")

        async def fresh() -> bool:
            return await one.name() == "committed"

        await until(fresh)


async def test_identitycache_the_invalidation_does_not_reach_the_cache(bare_shelf: Shelf) -> None:
    """The network between writer and cache is cut: nobody is served the old value for longer than allowed."""
    async with bare_shelf.process(wait=False) as one:
        async with bare_shelf.relay():
            await one.ready()
            await one.warm()
        bare_shelf.psql("update items set name = 'unheard' where id = 1")  # no relay, no bump

        clock = Clock()
        bound = clock.monotonic() + one.item.max_staleness_seconds

        async def bypassed() -> bool:
            late = clock.monotonic() > bound
            found = await one.get()
            assert found.value.name == "unheard" or not late
            return bool(found.outcome == "bypass")

        await until(bypassed)
        assert await one.name() == "unheard"
        async with bare_shelf.relay():
            await one.ready()
            await one.warm()
            assert await one.name() == "unheard"


async def test_identitycache_the_cache_is_flushed_between_read_and_store(shelf: Shelf) -> None:
    async with shelf.process() as one, Redis.from_url(shelf.urls.cache) as server:
        gate = one.loader.after = Gate()
        reading = asyncio.create_task(one.name())
        await gate.reached.wait()
        shelf.psql("update items set name = 'new' where id = 1")
        await server.flushdb()
        one.loader.after = None
        gate.go.set()
        assert await reading == "one"
        await one.ready()

        async def fresh() -> bool:
            return await one.name() == "new"

        await until(fresh)
        await one.warm()
        assert await one.name() == "new"


async def test_identitycache_old_and_new_code_side_by_side(shelf: Shelf) -> None:
    """A rollout: a new version of the family has keys of its own, and both versions hear of every write."""
    async with shelf.process() as old, shelf.process(item={"version": 2}) as new:
        await old.warm()
        await new.warm()
        key = (ItemKey(1), shelf.clinic)
        assert old.cache.plans["item"].value_key(*key) != new.cache.plans["item"].value_key(*key)
        await old.rename("by the old")
        assert await old.name() == "by the old"

        async def heard() -> bool:
            return await new.name() == "by the old"

        await until(heard)
        await new.rename("by the new")

        async def heard_back() -> bool:
            return await old.name() == "by the new"

        await until(heard_back)
