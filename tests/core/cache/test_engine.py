"""The cache on real servers: tiers, outcomes, freshness after every kind of write."""

from __future__ import annotations

from shelf import Shelf, until

from cito.core.tasks import end


async def test_miss_then_local_then_shared(shelf: Shelf) -> None:
    async with shelf.process() as one, shelf.process() as two:
        first = await one.get()
        assert (first.outcome, first.value.name, first.version) == ("miss", "one", 1)
        assert (await one.get()).outcome == "shared"  # the stamps were new, and their making was pushed
        assert (await one.get()).outcome == "local"
        second = await two.get()
        assert second.outcome == "shared"
        assert (second.body, second.etag) == (first.body, first.etag)
        assert one.loader.loads + two.loader.loads == 1


async def test_a_writer_reads_its_own_write_and_others_soon(bare_shelf: Shelf) -> None:
    """The relay has ended: nothing but the writer's own bump tells of the write."""
    async with bare_shelf.relay() as relay, bare_shelf.process() as one, bare_shelf.process() as two:
        await one.warm()
        await two.warm()
        await end(relay)
        await one.rename("uno")
        assert await one.name() == "uno"

        async def seen() -> bool:
            return await two.name() == "uno"

        await until(seen)


async def test_a_write_by_psql_is_seen(shelf: Shelf) -> None:
    async with shelf.process() as one:
        assert await one.name() == "one"
        shelf.psql("update items set name = 'raw' where id = 1")

        async def seen() -> bool:
            return await one.name() == "raw"

        await until(seen)
