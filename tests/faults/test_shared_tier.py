"""The shared tier stalled, killed, flushed, full, failed over: what a client gets, and how it heals."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

from redis.asyncio import Redis
from shelf import Gate, Process, Shelf, until
from valkey import Valkey

from cito.core.cache.shared import SharedTier
from cito.core.settings import CacheSettings
from cito.core.tasks import end


def shared(process: Process) -> SharedTier:
    tier = process.cache._resolver.shared
    assert isinstance(tier, SharedTier)
    return tier


async def healed(process: Process) -> None:
    """Back to local hits, and still coherent."""

    async def local() -> bool:
        return bool((await process.get()).outcome == "local")

    await until(local)


@contextmanager
def fronted(shelf: Shelf, valkey: Valkey) -> Iterator[tuple[Shelf, Valkey, Callable[[Valkey], None]]]:
    """Give a shelf whose address of the shared tier is a link, as a proxy or a name would be, another server, and what
    leads the link to a server.
    """
    with tempfile.TemporaryDirectory(prefix="cito-valkey-") as folder, ExitStack() as stack:
        other = Valkey(Path(folder))
        stack.callback(other.stop)
        address = Path(folder) / "front"

        def lead_to(server: Valkey) -> None:
            address.unlink(missing_ok=True)
            address.symlink_to(server.path)

        lead_to(valkey)
        yield replace(shelf, urls=replace(shelf.urls, cache=f"unix://{address}")), other, lead_to


async def test_stalled_one_deadline_once_then_nobody_waits(shelf: Shelf, valkey: Valkey) -> None:
    async with shelf.process() as one:
        await one.warm()
        trips = shared(one).counts.trips
        with valkey.stalled():
            found = await asyncio.gather(*(one.get(id_) for id_ in range(100, 150)))
            assert {entry.outcome for entry in found} == {"bypass"}
            assert shared(one).counts.trips == trips + 1  # all of them shared one wait
            assert not shared(one).available
            assert (await one.get(7)).outcome == "bypass"
            assert await one.cache._stamps((b"any",)) == []  # the sampler tells what it found without them
            assert shared(one).counts.trips == trips + 1  # the breaker is open: no wait at all
            shelf.psql("update items set name = 'meanwhile'")
            await asyncio.sleep(one.item.max_staleness_seconds)
            assert await one.name() == "meanwhile"  # the local tier is not believed any more
        await healed(one)
        assert await one.name() == "meanwhile"


async def test_a_write_succeeds_while_it_is_stalled_and_its_writer_sees_it(
    shelf: Shelf, valkey: Valkey
) -> None:
    async with shelf.process() as one:
        await one.warm()
        with valkey.stalled():
            await one.rename("written")
            assert await one.name() == "written"
        for _ in range(20):
            assert await one.name() == "written"
            await asyncio.sleep(0.02)
        await healed(one)


async def test_killed_and_started_again(shelf: Shelf, valkey: Valkey) -> None:
    async with shelf.process() as one, shelf.process() as two:
        await one.warm()
        valkey.kill()
        await one.rename("while dead")
        assert await one.name() == await two.name() == "while dead"
        assert (await two.get()).outcome == "bypass"
        valkey.start()
        await healed(one)
        await healed(two)
        assert await one.name() == await two.name() == "while dead"


async def test_refused_from_the_start(shelf: Shelf, valkey: Valkey) -> None:
    valkey.kill()
    async with shelf.process(wait=False) as one:
        assert (await one.get()).outcome == "bypass"
        assert await one.name() == "one"
        valkey.start()
        await healed(one)


async def test_flushed_nothing_old_is_revived(shelf: Shelf, valkey: Valkey) -> None:
    async with shelf.process() as one, Redis.from_url(valkey.url) as server:
        await one.warm()
        kept = await valkey.snapshot()
        old = {key: kept[key][0] for key in kept if b":v:" in key}
        assert old
        shelf.psql("update items set name = 'new'")
        await server.flushall()
        for key, value in old.items():  # a delayed store from before
            await server.restore(key, 60_000, value, replace=True)
        await healed(one)
        assert await one.name() == "new"


async def test_failed_over_to_a_replica_that_lost_the_last_stamps(shelf: Shelf, valkey: Valkey) -> None:
    async with shelf.process() as one, shelf.process() as two:
        await one.warm()
        await two.warm()
        before = await valkey.snapshot()
        epoch = one.cache._resolver.pulse.epoch
        await one.rename("after the snapshot")

        async def relayed() -> bool:
            return not shelf.psql("select 1 from cito.outbox")

        await until(relayed)
        await valkey.fail_over(before)
        for _ in range(50):
            assert await one.name() == "after the snapshot"
            await asyncio.sleep(0.005)
        await healed(two)
        assert await two.name() == "after the snapshot"
        assert two.cache._resolver.pulse.epoch != epoch


async def test_failed_over_before_the_relay_could_vouch_own_writes_are_read_through_every_node(
    unrelayed: Shelf, valkey: Valkey, tmp_path: Path
) -> None:
    """The heartbeat is the same as before, and the old value is there under its old stamps: only witnesses tell."""
    shelf = replace(unrelayed, deadline_ms=5_000)
    async with (
        shelf.relay() as relay,
        shelf.process() as one,
        shelf.process() as two,
        shelf.elsewhere(tmp_path / "there").process() as far,
    ):
        for process in (one, two, far):
            await process.warm()
        await end(relay)
        before = await valkey.snapshot()
        await one.rename("acknowledged and lost")
        await valkey.fail_over(before)
        for process in (far, two, one):
            assert await process.name() == "acknowledged and lost"


async def test_a_real_replica_without_the_last_stamps_is_promoted(unrelayed: Shelf, valkey: Valkey) -> None:
    with fronted(unrelayed, valkey) as (shelf, replica, lead_to):
        async with shelf.relay(), shelf.process() as one, shelf.process() as two:
            await one.warm()
            await two.warm()
            await replica.follow(valkey)
            await replica.promote()  # cut off here: what follows, it has never heard of
            for number in range(3):
                await one.rename(f"lost {number}")
            lead_to(replica)
            valkey.kill()
            for _ in range(50):
                assert await one.name() == await two.name() == "lost 2"
                await asyncio.sleep(0.005)
            await healed(one)
            await healed(two)
            assert await one.name() == await two.name() == "lost 2"


async def test_identitycache_a_server_is_ejected_and_comes_back_with_what_it_had(
    unrelayed: Shelf, valkey: Valkey
) -> None:
    """Why its README turns failover off: memcached's clients go to another server, and back to the old entries."""
    with fronted(unrelayed, valkey) as (shelf, other, lead_to):

        async def move(to: Valkey, away: Valkey) -> None:
            lead_to(to)
            async with Redis.from_url(away.url) as left:
                await left.execute_command("CLIENT", "KILL", "SKIPME", "yes")

        async with shelf.relay(), shelf.process() as one, shelf.process() as two:
            await one.warm()
            await two.warm()
            await move(other, away=valkey)
            await healed(one)
            await one.rename("while it was away")
            assert await one.name() == "while it was away"
            await healed(two)
            await move(valkey, away=other)
            for _ in range(50):
                assert await one.name() == await two.name() == "while it was away"
                await asyncio.sleep(0.005)
            await healed(one)
            await healed(two)
            assert await one.name() == await two.name() == "while it was away"


async def test_full_of_other_things_it_evicts_and_stays_right(shelf: Shelf, valkey: Valkey) -> None:
    async with shelf.process(item={"max_bytes": 10_000_000}) as one, Redis.from_url(valkey.url) as server:
        await one.warm()
        for number in range(130):
            await server.set(f"other:{number}", b"x" * 1_000_000, px=60_000)
        assert int((await server.info("stats"))["evicted_keys"]) > 0
        shelf.psql("update items set name = 'evicted'")

        async def fresh() -> bool:
            return await one.name() == "evicted"

        await until(fresh)
        await healed(one)


async def test_a_server_that_refuses_writes_is_bypassed(shelf: Shelf, valkey: Valkey) -> None:
    async with shelf.process() as one, Redis.from_url(valkey.url) as server:
        await one.warm()
        await server.config_set("min-replicas-to-write", 1)  # as on a master that lost its replicas
        await one.rename("not to be cached")
        assert await one.name() == "not to be cached"
        await server.config_set("min-replicas-to-write", 0)
        await healed(one)
        assert await one.name() == "not to be cached"


async def test_caching_switched_off_is_coalesced_reads(shelf: Shelf) -> None:
    async with shelf.process(wait=False, cache=CacheSettings(enabled=False)) as one:
        found = await asyncio.gather(*(one.get() for _ in range(50)))
        assert {entry.outcome for entry in found} == {"bypass"}
        assert one.loader.loads == 1
        await one.rename("off")
        assert await one.name() == "off"


async def test_a_read_of_a_bypassed_cache_never_gets_a_load_begun_before_it(shelf: Shelf) -> None:
    """Also when the write came through another process, of which this one hears nothing."""
    async with shelf.process(wait=False, cache=CacheSettings(enabled=False)) as one:
        gate = one.loader.after = Gate()
        before = asyncio.create_task(one.name())
        await gate.reached.wait()
        shelf.psql("update items set name = 'unheard of'")
        after = asyncio.create_task(one.name())
        await asyncio.sleep(0.02)
        assert one.loader.loads == 1  # it waits for the present load, and then for its own
        gate.go.set()
        assert await before == "one"
        assert await after == "unheard of"
        assert one.loader.loads == 2
