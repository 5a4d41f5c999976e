"""The relay dead or stopped, the database away: closed, not stale; stale only where declared, and marked."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from shelf import ItemKey, Process, Shelf, until

from cito.core.cache import shared
from cito.core.clock import Clock
from cito.core.errors import Unavailable
from cito.core.registry import Registry
from cito.core.relaying import standby_relay

NEW_YEAR = datetime(2027, 1, 1, tzinfo=UTC)


async def test_two_relays_one_leads_the_other_follows(shelf: Shelf) -> None:
    async with shelf.process() as one, shelf.relay():
        await one.warm()
        shelf.psql("update items set name = 'led'")

        async def fresh() -> bool:
            return await one.name() == "led"

        await until(fresh)
    locks = shelf.psql(
        "select count(*) from pg_locks where locktype = 'advisory' and granted and objid = 7240572"
    )
    assert locks == [(1,)]


async def test_the_leader_ends_and_the_relay_in_waiting_leads(unrelayed: Shelf) -> None:
    async with unrelayed.process(wait=False) as one, unrelayed.relay() as leading:
        await one.ready()
        await one.warm()
        async with unrelayed.relay():
            leading.cancel()
            unrelayed.psql("update items set name = 'the second leads'")
            await until(lambda: _is(one, "the second leads"))
            await one.ready()


async def test_an_api_process_stands_in_where_there_is_no_relay(unrelayed: Shelf) -> None:
    urls = unrelayed.urls
    async with unrelayed.process(wait=False) as one:
        standing_in = standby_relay(unrelayed.settings, Registry(plugins=()), urls.app, urls.cache, one.cache)
        assert (await one.get()).outcome == "bypass"
        async with standing_in:
            await one.warm()
            unrelayed.psql("update items set name = 'heard by an API process'")
            await until(lambda: _is(one, "heard by an API process"))
        assert unrelayed.psql("select 1 from cito.outbox") == []


async def test_the_relay_dies_and_another_takes_over(shelf: Shelf) -> None:
    async with shelf.process() as one:
        await one.warm()
        async with shelf.relay():
            with psycopg.connect(shelf.urls.app, autocommit=True) as connection:
                connection.execute(
                    "select pg_terminate_backend(pid) from pg_stat_activity "
                    "where application_name = 'cito_relay' and datname = current_database()"
                )
            shelf.psql("update items set name = 'taken over'")

            async def fresh() -> bool:
                return await one.name() == "taken over"

            await until(fresh)

            async def local() -> bool:
                return bool((await one.get()).outcome == "local")

            await until(local)


async def test_with_the_database_away_only_families_that_allow_it_answer(shelf: Shelf) -> None:
    async with shelf.process(item={"serve_stale_seconds": 300}) as one:
        await one.warm()
        await one.warm(3)  # it is not there
        for number in (1, 3):
            await one.cache.invalidate(f"item:{shelf.clinic}:{number}")
        one.loader.before = _broken
        with pytest.raises(ZeroDivisionError):
            await one.get()  # that is no sign of a database that is away
        one.loader.before = _away
        found = await one.get()
        assert (found.outcome, found.value.name) == ("stale", "one")
        for number in (2, 3):
            with pytest.raises(Unavailable):
                await one.get(number)  # nothing is known of it, or that it was not there
        one.loader.before = None
        assert (await one.get()).outcome in ("miss", "shared", "local")


async def test_stale_is_served_from_the_shared_tier_too_and_never_by_a_safety_family(shelf: Shelf) -> None:
    async with shelf.process(item={"serve_stale_seconds": 300}) as one:
        await one.warm()
        async with shelf.process(item={"serve_stale_seconds": 300}) as two, shelf.process() as safe:
            for process in (two, safe):
                process.loader.before = _away
                await process.cache.invalidate(f"item:{shelf.clinic}:1")
            assert (await two.get()).outcome == "stale"
            with pytest.raises(Unavailable):
                await safe.get()


@pytest.mark.parametrize("limits", [{"serve_stale_seconds": 0.3}, {"hard_limit_seconds": 0.3}])
async def test_a_stale_answer_is_not_older_than_its_family_allows(
    shelf: Shelf, limits: dict[str, float]
) -> None:
    async with shelf.process(item={"serve_stale_seconds": 300, "ttl_seconds": 0.2} | limits) as one:
        await one.warm()
        one.loader.before = _away
        await asyncio.sleep(0.35)
        with pytest.raises(Unavailable):
            await one.get()


@pytest.mark.parametrize(
    "reader",
    [
        {"serve_stale_seconds": 0.01},
        {"hard_limit_seconds": 0.01, "ttl_seconds": 0.01},
        {"valid_until": lambda *_: NEW_YEAR},
    ],
)
async def test_a_stale_answer_of_another_process_is_as_old_as_its_reader_allows(
    shelf: Shelf, reader: dict[str, Any]
) -> None:
    """A release with other limits reads what the one before has stored; one whose year has begun, what ended with it."""
    allowed = {"serve_stale_seconds": 300, "valid_until": reader.get("valid_until")}
    before, after = Clock(NEW_YEAR - timedelta(hours=1)), Clock(NEW_YEAR + timedelta(seconds=1))
    async with shelf.process(item=allowed, clock=before) as one:
        assert (await one.get()).outcome == "miss"
        async with shelf.process(item=allowed | reader, clock=after) as two:
            await until(lambda: _stored(two))
            await two.cache.invalidate(f"item:{shelf.clinic}:1")
            await asyncio.sleep(0.02)
            two.loader.before = _away
            with pytest.raises(Unavailable):
                await two.get()


async def test_a_loader_that_fails_fails_its_callers_and_the_next_one_loads_again(shelf: Shelf) -> None:
    async with shelf.process() as one:
        one.loader.before = _broken
        results = await asyncio.gather(*(one.get() for _ in range(5)), return_exceptions=True)
        assert all(isinstance(result, ZeroDivisionError) for result in results)
        assert one.cache.plans["item"].counts.load_errors == 1
        one.loader.before = None
        assert await one.name() == "one"


async def test_a_load_that_failed_holds_no_other_process_up(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its lease ends with it, not a second later."""
    monkeypatch.setattr(shared, "LEASE_MS", 60_000)
    async with shelf.process() as one:
        one.loader.before = _broken
        with pytest.raises(ZeroDivisionError):
            await one.get()
        tier = one.cache._resolver.shared
        assert isinstance(tier, shared.SharedTier)

        async def free() -> bool:
            return not await tier.kept(one.cache.names.lease_prefix)

        await until(free, 10)


async def _stored(process: Process) -> bool:
    tier = process.cache._resolver.shared
    assert tier is not None
    plan = process.cache.plans["item"]
    return (await tier.peek(plan.value_key(ItemKey(1), process.clinic)))[0] is not None


async def _is(process: Process, name: str) -> bool:
    return await process.name() == name


async def _away() -> None:
    raise Unavailable("the database is away")


async def _broken() -> None:
    raise ZeroDivisionError
