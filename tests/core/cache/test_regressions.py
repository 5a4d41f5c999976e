"""Races and losses that other caches have or admit, each by the name under which it is known.

FusionCache: https://github.com/ZiggyCreatures/FusionCache, issues 535, 625, 628. IdentityCache: its README
(https://github.com/Shopify/identity_cache) names ways in which it can lose an invalidation or serve the old value; its
server that is ejected and comes back is in `tests/faults/test_shared_tier.py`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import msgspec
import pytest
from redis.asyncio import Redis
from shelf import FindItem, Gate, Item, ItemKey, Process, Shelf, find_item, until

from cito.core.cache.codec import VECTOR_AT
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

        await until(partial(told, one, "all"))


async def test_identitycache_a_process_dies_between_commit_and_invalidation(shelf: Shelf) -> None:
    async with shelf.process() as one, shelf.process() as two:
        await one.warm()
        two.database.committed = None  # it never came to that
        await two.rename("committed")

        await until(partial(told, one, "committed"))


@pytest.mark.parametrize(
    "error", [RuntimeError("another's"), ConnectionError("gone")], ids=["hook", "network"]
)
async def test_identitycache_a_hook_after_the_commit_fails_before_the_invalidation(
    shelf: Shelf, error: Exception
) -> None:
    """Rails may rescue it silently and leave stale data. Here the write stands, and the outbox tells of it."""
    async with shelf.process() as one, shelf.process() as two:
        await one.warm()

        async def fails(_tags: object) -> None:
            raise error

        two.database.committed = fails
        await two.rename("committed")

        await until(partial(told, one, "committed"))


async def test_identitycache_the_request_ends_between_commit_and_invalidation(shelf: Shelf) -> None:
    """Its client went away, say: nothing more of it runs. What it has committed is told all the same."""
    async with shelf.process() as one, shelf.process() as two:
        await one.warm()
        reached = asyncio.Event()

        async def hangs(_tags: object) -> None:
            reached.set()
            await asyncio.Event().wait()

        two.database.committed = hangs
        request = asyncio.create_task(two.rename("committed"))
        await reached.wait()
        await end(request)

        await until(partial(told, one, "committed"))


async def test_identitycache_a_network_blip_swallows_the_invalidation(shelf: Shelf, tmp_path: Path) -> None:
    """The connection ends with the bump on it: nobody knows whether it arrived, and it has not."""
    async with blips(urlsplit(shelf.urls.cache).path, tmp_path / "proxy") as swallow:
        there = shelf.elsewhere(tmp_path / "there")
        far = replace(there, urls=replace(shelf.urls, cache=f"unix://{tmp_path / 'proxy'}"))
        async with shelf.process() as one, far.process() as two:
            await one.warm()
            await two.warm()
            swallow.set()
            await two.rename("committed")
            assert swallow.is_set() is False
            assert await two.name() == "committed"
            await until(partial(told, one, "committed"))


async def told(process: Process, name: str) -> bool:
    """Whether a read is fresh, and not because the cache was not asked: on a busy machine it may be, for a moment."""
    found = await process.get()
    return found.value.name == name and found.outcome != "bypass"


@asynccontextmanager
async def blips(server: str, front: Path) -> AsyncIterator[asyncio.Event]:
    """Be between clients and a server. Once the event is set, the next bump is swallowed with its connection."""
    swallow = asyncio.Event()
    tasks: set[asyncio.Task[None]] = set()

    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, judge: bool) -> None:
        while data := await reader.read(65_536):
            if judge and swallow.is_set() and b"EVALSHA" in data:
                swallow.clear()
                break
            writer.write(data)
        writer.close()

    async def between(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        answers, questions = await asyncio.open_unix_connection(server)
        for work in (pass_on(reader, questions, judge=True), pass_on(answers, writer, judge=False)):
            tasks.add(asyncio.create_task(work))

    listening = await asyncio.start_unix_server(between, front)
    try:
        yield swallow
    finally:
        listening.close()
        for task in tasks:
            await end(task)


@pytest.mark.parametrize("broken", ["form", "payload"])
async def test_identitycache_a_stored_value_that_cannot_be_read_is_a_miss(shelf: Shelf, broken: str) -> None:
    """Other versions of language or framework wrote it. Its stamps are current, and it is loaded and stored anew."""
    async with shelf.process() as one, shelf.process() as two, Redis.from_url(shelf.urls.cache) as server:
        await one.warm()
        key = one.cache.plans["item"].value_key(ItemKey(1), shelf.clinic)

        async def stored() -> bool:
            return bool(await server.exists(key))

        await until(stored)
        good = await server.get(key)
        rest_at = VECTOR_AT + int.from_bytes(good[2:VECTOR_AT], "little") + 8
        await server.set(key, b"\xff" + good[1:] if broken == "form" else good[:rest_at] + b"not this")
        found = await two.get()
        assert (found.value.name, found.outcome) == ("one", "miss")
        assert two.cache.plans["item"].counts.unreadable == 1

        async def readable() -> bool:
            return (await server.get(key))[:1] == good[:1]

        await until(readable)


async def test_identitycache_a_value_of_code_with_other_fields_is_a_miss(shelf: Shelf) -> None:
    """A deploy changes what is cached and nobody raises the version: neither side is given the other's value."""

    class Shelved(Item, frozen=True):
        """The item of the next version."""

        room: str = "cellar"

    async with shelf.process() as old:

        async def load(on: object, key: ItemKey) -> Shelved:
            return Shelved(**msgspec.structs.asdict(await old.loader.one(on, key)), room="attic")  # type: ignore[arg-type]

        async with shelf.process(item={"value": Shelved, "load": load, "load_many": None}) as new:
            await old.warm()
            found = await new.get()
            assert (found.outcome, found.value.room) == ("miss", "attic")
            await new.warm()
            assert await old.name() == await new.name() == "one"


async def test_identitycache_what_must_be_right_is_read_past_the_cache(bare_shelf: Shelf) -> None:
    """Not for money, says the README. Here: decisions read the primary, whatever the cache believes."""
    async with bare_shelf.relay() as relay, bare_shelf.process() as one:
        await one.warm()
        await end(relay)
        bare_shelf.psql("update items set name = 'unheard' where id = 1")
        believed = await one.get()
        assert (believed.value.name, believed.outcome) == ("one", "local")  # nobody could tell it yet
        primary = one.database.reader(bare_shelf.clinic, primary=True)
        assert (await find_item.one(primary, FindItem(bare_shelf.clinic, 1))).name == "unheard"  # type: ignore[union-attr]


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
