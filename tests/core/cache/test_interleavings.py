"""Interleavings that lose invalidations elsewhere, each forced on the real servers."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import textwrap
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Connection, Redis
from shelf import Gate, Process, Shelf, tag, until

from cito.core.cache import resolve
from cito.core.cache import shared as shared_tier
from cito.core.cache.shared import Stored
from cito.core.clock import Clock
from cito.core.tasks import end


async def pushed(to: Process, bump: Coroutine[Any, Any, None]) -> None:
    """Make a bump and wait until its push has reached a process."""
    feed = to.cache.feed
    assert feed is not None
    pushes = feed.pushes
    await bump

    async def arrived() -> bool:
        await asyncio.sleep(0)
        return feed.pushes > pushes

    await until(arrived)


async def test_an_old_row_that_is_stored_after_the_write_is_never_served(bare_shelf: Shelf) -> None:
    """Loader reads the old row, writer commits and bumps, loader stores: the next read is fresh. No relay helps."""
    async with bare_shelf.relay() as relay, bare_shelf.process() as one, bare_shelf.process() as two:
        await one.warm()
        await end(relay)
        for plan in one.cache.plans.values():
            plan.look = lambda: None  # as on another node: only the push tells
        await pushed(one, two.cache.invalidate(tag(bare_shelf, 1)))
        gate = one.loader.after = Gate()
        reading = asyncio.create_task(one.name())
        await gate.reached.wait()
        await pushed(one, two.rename("new"))
        one.loader.after = None
        gate.go.set()
        assert await reading == "one"  # it began before the write
        assert await one.name() == "new"
        assert await two.name() == "new"


async def test_a_read_that_begins_after_the_write_does_not_join_the_load_from_before(shelf: Shelf) -> None:
    async with shelf.process() as one:
        gate = one.loader.after = Gate()
        before = asyncio.create_task(one.name())
        await gate.reached.wait()
        await one.rename("new")
        one.loader.after = None
        assert await one.name() == "new"
        gate.go.set()
        assert await before == "one"
        assert await one.name() == "new"


async def test_two_writers_crossing(shelf: Shelf) -> None:
    """W1 commits, W2 commits, W2 bumps, a reader loads, W1 bumps late: fresh at every step."""
    async with shelf.process() as one, shelf.process() as two:
        bump_one, bump_two = one.database.committed, two.database.committed
        assert bump_one is not None
        assert bump_two is not None
        one.database.committed = two.database.committed = None
        await one.rename("w1")
        await two.rename("w2")
        tags = [tag(shelf, 1), f"items:{shelf.clinic}"]
        await bump_two(tags)
        assert await two.name() == "w2"
        await bump_one(tags)
        assert await one.name() == await two.name() == "w2"


async def test_a_store_that_is_delayed_past_the_invalidation_is_a_miss(shelf: Shelf) -> None:
    async with shelf.process() as one, shelf.process() as two:
        shared = one.cache._resolver.shared
        assert shared is not None
        store, held, written = shared.store, asyncio.Event(), asyncio.Event()

        async def late(values: list[Stored]) -> None:
            await held.wait()
            await store(values)
            written.set()

        shared.store = late  # type: ignore[method-assign, assignment]
        assert await one.name() == "one"
        await two.rename("new")
        held.set()
        await written.wait()
        for process in (one, two):
            found = await process.get()
            assert (found.value.name, found.outcome) == ("new", "miss" if process is one else found.outcome)


async def test_a_stamp_that_was_evicted_is_a_miss_and_revives_nothing(shelf: Shelf) -> None:
    async with shelf.process() as one, shelf.process() as two, Redis.from_url(shelf.urls.cache) as server:
        await one.warm()
        name = one.cache.names.tag(tag(shelf, 1))
        old = await server.get(name)
        shelf.psql("update items set name = 'new' where id = 1")
        await server.delete(name)

        async def fresh() -> bool:
            return await two.name() == await one.name() == "new"

        await until(fresh)
        assert await server.get(name) != old


async def test_kill_9_between_commit_and_bump(shelf: Shelf) -> None:
    """A process that dies right after its commit, before it bumps: fresh once the relay has vouched for that time."""
    program = """
        import asyncio, os, signal, sys
        sys.path.insert(0, sys.argv[1])
        from uuid import UUID
        from cito.core.database.pool import Database
        from cito.core.database.sql import read_queries
        from cito.core.settings import DatabaseSettings
        from shelf import SHELF, Named, rename_item

        async def main():
            database = await Database.open(DatabaseSettings(), sys.argv[2], read_queries(SHELF / "queries.sql"))
            async def committed(_tags):
                os.kill(os.getpid(), signal.SIGKILL)
            database.committed = committed
            clinic = UUID(sys.argv[3])
            async with database.transaction(clinic) as tx:
                await rename_item.run(tx, Named(clinic, 1, "from the dead"))

        asyncio.run(main())
    """
    async with shelf.process() as one:
        await one.warm()
        tests = str(Path(__file__).parents[2])
        arguments = [sys.executable, "-c", textwrap.dedent(program), tests, shelf.urls.app, str(shelf.clinic)]
        died = await asyncio.to_thread(subprocess.run, arguments, check=False)
        assert died.returncode == -signal.SIGKILL
        dead_at = Clock().monotonic()

        async def vouched_for() -> bool:
            return one.cache.as_of > dead_at

        await until(vouched_for)  # the first moment at which an answer may not be older than the commit
        assert await one.name() == "from the dead"


async def test_a_bump_that_fails_still_gives_the_writer_its_own_write(bare_shelf: Shelf) -> None:
    """The shared tier refuses the writer's bump, and the relay is slow: the writer reads from the database."""
    async with bare_shelf.relay() as relay, bare_shelf.process() as one:
        await one.warm()
        await end(relay)
        one.lose_bumps()
        await one.rename("mine")
        for _ in range(3):
            found = await one.get()
            assert (found.value.name, found.outcome) == ("mine", "bypass")


async def test_what_is_filled_while_the_feed_is_cut_is_not_believed_when_it_is_back(shelf: Shelf) -> None:
    async with shelf.process() as one, Redis.from_url(shelf.urls.cache) as server:
        await one.warm()
        feed, back = one.cache.feed, asyncio.Event()
        assert feed is not None
        live, cuts = feed._live, feed.cuts

        async def later(connection: Connection) -> None:
            await back.wait()
            await live(connection)

        feed._live = later  # type: ignore[method-assign]
        await server.execute_command("CLIENT", "KILL", "SKIPME", "yes")

        async def cut() -> bool:
            await asyncio.sleep(0)
            return feed.cuts > cuts

        await until(cut)
        assert one.cache.as_of == float("-inf")
        assert not one.cache.local.by_tag

        async def filled() -> bool:
            return (await one.get()).outcome == "shared"

        await until(filled)
        assert one.cache.local.by_tag
        shelf.psql("update items set name = 'meanwhile' where id = 1")

        async def relayed() -> bool:
            return not shelf.psql("select 1 from cito.outbox")

        await until(relayed)  # the push of it reached nobody here
        back.set()
        await one.ready()
        assert await one.name() == "meanwhile"


@pytest.mark.parametrize(
    ("lease_ms", "wait_ms"),
    [pytest.param(50, 1e9, id="the lease ends"), pytest.param(3_600_000, 20, id="the wait ends")],
)
async def test_a_process_that_never_ends_its_load_holds_up_no_other(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch, lease_ms: int, wait_ms: float
) -> None:
    """One has the lease and hangs. Another waits for it until its lease ends, or until it has waited long enough."""
    monkeypatch.setattr(shared_tier, "LEASE_MS", lease_ms)
    monkeypatch.setattr(resolve, "_LEASE_WAIT_MS", wait_ms)
    async with shelf.process() as one, shelf.process() as two:
        gate = one.loader.after = Gate()
        hanging = asyncio.create_task(one.name())
        await gate.reached.wait()
        assert await asyncio.wait_for(two.name(), 20) == "one"
        assert two.loader.loads == 1
        gate.go.set()
        assert await hanging == "one"
