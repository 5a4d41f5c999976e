"""The pool: a full house said at once, queues in order, connections that die or come back."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import uuid4

import psycopg
import pytest

from cito.core.database import errors
from cito.core.database import pool as pool_module
from cito.core.database.connection import Command, Connection
from cito.core.database.connections import _WHO as WHO
from cito.core.telemetry import Record, What, current_record

A = uuid4()


async def until(true) -> None:
    """Let others run until it holds; the test's own time limit ends an endless wait."""
    while not true():  # noqa: ASYNC110 - what is awaited has no event
        await asyncio.sleep(0)  # looks with every turn of the loop: it may hold for no longer


async def test_a_process_opens_its_share_of_the_connections_and_no_more(wards):
    async with wards.open(pool_max=20, size=6) as database:
        await asyncio.gather(*(wards.sleep.one(database.reader(A), wards.Seconds(0.01)) for _ in range(20)))
        figures = database.figures()
        assert (figures.size, figures.idle, figures.active) == (6, 6, 0)
        name = psycopg.conninfo.conninfo_to_dict(wards.urls.app)["dbname"]
        count = "select count(*) from pg_stat_activity where usename = 'cito_app' and datname = %s"
        assert wards.admin(count, name) == [(6,)]


async def test_a_full_queue_is_refused_at_once_and_the_rest_is_served_in_order(wards):
    async with wards.open(pool_max=1) as database:
        served: list[int] = []

        async def caller(number: int) -> None:
            await wards.sleep.one(database.reader(A), wards.Seconds(0.002))
            served.append(number)

        tasks = [asyncio.create_task(caller(n)) for n in range(17)]
        await until(lambda: database.figures().waiting == 16)
        refused = asyncio.create_task(caller(99))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert refused.done()  # two turns of the loop, no waiting
        assert isinstance(refused.exception(), errors.PoolFull)
        assert (refused.exception().status, refused.exception().retry_after_seconds) == (503, 1)
        await asyncio.gather(*tasks)
        assert served == list(range(17))
        assert database.figures().shed == 1


async def test_a_caller_waits_no_longer_than_the_deadline(wards):
    async with wards.open(pool_max=1, acquire_timeout_seconds=1.0) as database:
        async with database.transaction(A) as tx:
            await wards.find.one(tx, wards.WardKey(A, A))
            acquired = database.figures().acquired
            with pytest.raises(errors.PoolFull):
                await wards.find.one(database.reader(A), wards.WardKey(A, A))
            figures = database.figures()
            assert (figures.acquired, figures.timed_out, figures.waiting) == (acquired, 1, 0)
        await wards.find.one(database.reader(A), wards.WardKey(A, A))


async def test_a_wait_is_noted_in_the_record_of_who_waited(wards):
    async with wards.open(pool_max=1) as database:
        record = Record("http")

        async def request() -> None:
            current_record.set(record)
            await wards.find.one(database.reader(A), wards.WardKey(A, A))

        async with database.transaction(A) as tx:
            await wards.find.one(tx, wards.WardKey(A, A))
            waiting = asyncio.create_task(request())
            await until(lambda: database.figures().waiting == 1)
        await waiting
        assert [(e.what, e.name) for e in record.events] == [
            (What.POOL_WAIT, "find_ward"),
            (What.QUERY, "find_ward"),
        ]


async def test_a_connection_handed_to_someone_who_just_left_is_passed_on(wards):
    async with wards.open(pool_max=1) as database:
        pool = database.pool
        held = await pool.acquire("a")
        leaver = asyncio.create_task(pool.acquire("b"))
        heir = asyncio.create_task(pool.acquire("c"))
        await until(lambda: database.figures().waiting == 2)
        pool.take_back(held)
        leaver.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leaver
        assert await heir is held
        pool.take_back(held)


async def test_a_cancelled_query_is_stopped_on_the_server_and_its_connection_used_again(wards):
    async with wards.open(pool_max=1, acquire_timeout_seconds=5) as database:
        await wards.find.one(database.reader(A), wards.WardKey(A, A))
        (first,) = database.pool._open
        sleeper = asyncio.create_task(wards.sleep.one(database.reader(A), wards.Seconds(60)))
        running = "select count(*) from pg_stat_activity where pid = %s and wait_event = 'PgSleep'"
        while wards.admin(running, first.backend_pid) == [(0,)]:  # noqa: ASYNC110 - the server has no event
            await asyncio.sleep(0.001)
        sleeper.cancel()
        await wards.find.one(database.reader(A), wards.WardKey(A, A))
        assert database.pool._open == {first}


async def test_a_transaction_whose_caller_leaves_is_rolled_back(wards):
    async with wards.open(pool_max=1) as database:
        ward = uuid4()
        added = asyncio.Event()

        async def caller() -> None:
            async with database.transaction(A) as tx:
                await wards.add.run(tx, wards.NewWard(A, ward, "East"))
                added.set()
                await wards.sleep.one(tx, wards.Seconds(60))

        task = asyncio.create_task(caller())
        await added.wait()
        task.cancel()
        await asyncio.wait((task,))
        assert await wards.find.one(database.reader(A), wards.WardKey(A, ward)) is None


async def test_a_slow_statement_ends_near_its_target(wards):
    """The query promises 1 ms; half a second is the least limit, the configured one the greatest."""
    async with wards.open(statement_timeout_seconds=0.02) as database:
        with pytest.raises(errors.TimedOut) as slow:
            await wards.sleep.one(database.reader(A), wards.Seconds(60))
        assert (slow.value.status, slow.value.query) == (503, "sleep")
        with pytest.raises(errors.TimedOut):
            async with database.transaction(A) as tx:
                await wards.sleep.one(tx, wards.Seconds(60))
        assert database.timeout_ms("sleep") == 20
    async with wards.open() as database:
        assert database.timeout_ms("sleep") == 500
        assert database.timeout_ms("add_ward") == 5000


async def test_unused_connections_are_closed(wards, monkeypatch):
    async with wards.open(idle_seconds=0.01) as database:
        await asyncio.gather(*(wards.sleep.one(database.reader(A), wards.Seconds(0.01)) for _ in range(3)))
        await asyncio.sleep(0.02)
        database.pool._sweep()
        assert database.figures().idle == 0
        await wards.find.one(database.reader(A), wards.WardKey(A, A))


async def test_terminated_connections_cost_idempotent_reads_nothing(wards, figure):
    """Again and again all backends are killed under load; reads are repeated, and none fails."""
    name = psycopg.conninfo.conninfo_to_dict(wards.urls.app)["dbname"]
    kill = "select count(pg_terminate_backend(pid)) from pg_stat_activity where usename = 'cito_app' and datname = %s"
    async with wards.open(pool_max=8) as database:
        ward = await wards.new(database, A, "East")
        key = wards.WardKey(A, ward)
        failed = done = 0
        over = False

        async def caller() -> None:
            nonlocal failed, done
            while not over:
                try:
                    assert await wards.find.one(database.reader(A), key)
                except errors.DatabaseProblem:
                    failed += 1
                done += 1

        callers = [asyncio.create_task(caller()) for _ in range(16)]
        killed = 0
        for _ in range(5):
            before = done
            await until(lambda before=before: done > before + 200 or any(c.done() for c in callers))
            killed += (await asyncio.to_thread(wards.admin, kill, name))[0][0]
        over = True
        await asyncio.gather(*callers)
        assert database.figures().lost >= 20
    figure(f"{killed} connections terminated under load: {failed} of {done} reads failed")
    assert killed >= 20
    assert failed <= done / 1000


@contextmanager
def silent(database) -> Iterator[None]:
    """Halt the server process of the only connection: it neither reads nor answers, and hangs up on nobody."""
    (connection,) = database.pool._open
    pid = connection.backend_pid
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


async def test_a_read_of_a_server_that_falls_silent_ends_in_time(wards, monkeypatch):
    """It is not tried again: its time is over. The next one is answered by a new connection."""
    monkeypatch.setattr(pool_module, "_ANSWER_GRACE_SECONDS", 0.2)
    async with wards.open(pool_max=1, statement_timeout_seconds=0.1) as database:
        key = wards.WardKey(A, A)
        await wards.find.one(database.reader(A), key)
        with silent(database):
            async with asyncio.timeout(5):
                with pytest.raises(errors.NoAnswer):
                    await wards.find.one(database.reader(A), key)
                assert await wards.find.one(database.reader(A), key) is None
        assert (database.figures().lost, database.figures().active) == (1, 0)


async def test_a_write_that_a_silent_server_does_not_even_read_ends_in_time(wards, monkeypatch):
    """The parameters fill the socket: what is waited for is room."""
    monkeypatch.setattr(pool_module, "_ANSWER_GRACE_SECONDS", 0.2)
    async with wards.open(pool_max=1, statement_timeout_seconds=0.1) as database:
        await wards.find.one(database.reader(A), wards.WardKey(A, A))
        with silent(database):
            async with asyncio.timeout(5):
                with pytest.raises(errors.NoAnswer):
                    async with database.transaction(A) as tx:
                        await wards.rename.one(tx, wards.Rename(A, A, "x" * 4_000_000))
        assert (database.figures().lost, database.figures().active) == (1, 0)


async def test_an_idle_connection_that_dies_is_noticed_before_it_is_used(wards):
    async with wards.open(pool_max=2) as database:
        await wards.find.one(database.reader(A), wards.WardKey(A, A))
        (connection,) = database.pool._open
        wards.admin("select pg_terminate_backend(%s)", connection.backend_pid)
        await until(lambda: database.figures().lost == 1)
        assert database.figures().idle == 0


async def test_a_write_whose_connection_dies_is_never_repeated(wards):
    """Its outcome is the caller's to find out: a 503, and each statement was sent once."""
    async with wards.open(pool_max=2) as database:
        with pytest.raises(errors.ConnectionLost) as lost:
            async with database.transaction(A) as tx:
                await wards.add.run(tx, wards.NewWard(A, uuid4(), "East"))
                wards.admin("select pg_terminate_backend(%s)", tx._connection.backend_pid)
                await until(lambda: database.figures().lost == 1)
                await wards.add.run(tx, wards.NewWard(A, uuid4(), "West"))
        assert lost.value.status == 503
        assert await wards.unfiltered.all(database.reader(A), wards.Nothing()) == []


async def test_a_commit_whose_answer_is_lost_says_so_and_is_never_repeated(wards):
    """A deferred trigger ends its own backend within the commit: the worst moment."""
    wards.admin("""
        create function die() returns trigger language plpgsql security definer set search_path = pg_catalog as
        'begin perform pg_terminate_backend(pg_backend_pid()); return null; end';
        create constraint trigger last after insert on wards deferrable initially deferred
        for each row execute function die();
        alter function die() owner to postgres;
    """)
    async with wards.open(pool_max=2) as database:
        with pytest.raises(errors.ConnectionLost):
            await wards.new(database, A, "East")
        assert database.figures().lost == 1
        assert await wards.unfiltered.all(database.reader(A), wards.Nothing()) == []


async def test_a_changed_table_does_not_trouble_prepared_reads(wards, database):
    ward = await wards.new(database, A, "East", floor=2)
    key = wards.WardKey(A, ward)
    assert (await wards.find.one(database.reader(A), key)).floor == 2
    wards.admin("alter table wards alter column floor type bigint")
    assert (await wards.find.one(database.reader(A), key)).floor == 2


async def test_a_changed_table_asks_a_running_transaction_to_try_again(wards):
    async with wards.open(pool_max=1) as database:
        ward = await wards.new(database, A, "East", floor=2)
        await wards.find.one(database.reader(A), wards.WardKey(A, ward))
        with pytest.raises(errors.Contention):
            async with database.transaction(A) as tx:
                await wards.sleep.one(tx, wards.Seconds(0))
                wards.admin("alter table wards alter column floor type bigint")
                await wards.find.one(tx, wards.WardKey(A, ward))
        async with database.transaction(A) as tx:
            assert await wards.find.one(tx, wards.WardKey(A, ward))


async def test_parameters_larger_than_the_socket_holds_are_sent_whole(wards, database):
    name = "x" * 4_000_000
    with pytest.raises(errors.ValueRefused):
        async with database.transaction(A) as tx:
            await wards.rename.one(tx, wards.Rename(A, await_id := uuid4(), name))
            await wards.add.run(tx, wards.NewWard(A, await_id, name[:41]))
    assert database.figures().lost == 0


async def test_a_read_that_was_repeated_ran_once(wards):
    async with wards.open(pool_max=1) as database:
        key = wards.WardKey(A, A)
        await wards.find.one(database.reader(A), key)
        record = Record("http")
        token = current_record.set(record)
        try:
            (connection,) = database.pool._open
            wards.admin("select pg_terminate_backend(%s, 5000)", connection.backend_pid)
            await wards.find.one(database.reader(A), key)
        finally:
            current_record.reset(token)
        assert record.runs == {"find_ward": 1}
        queries = [event.code for event in record.events if event.what is What.QUERY]
        assert queries == ["ConnectionLost", ""]


async def test_a_transaction_that_cannot_even_be_rolled_back_takes_its_connection_with_it(wards):
    """Somebody has thrown its prepared statements away: it may not go back with the transaction still open."""
    forget = Command("forget", "deallocate all", (), None)
    async with wards.open(pool_max=1) as database:
        for statement, idle in ((WHO, 1), (forget, 0)):
            with pytest.raises(ZeroDivisionError):
                async with database.transaction(A) as tx:
                    await wards.find.one(tx, wards.WardKey(A, A))
                    await tx._connection.run((statement,))
                    raise ZeroDivisionError
            await until(lambda: database.figures().active == 0)
            assert database.figures().idle == idle


async def test_room_that_is_given_to_a_caller_who_leaves_goes_to_the_next(wards):
    """The only connection has died with its transaction, and the first in the queue leaves in that very moment."""
    async with wards.open(pool_max=1, acquire_timeout_seconds=30) as database:
        key = wards.WardKey(A, A)
        with pytest.raises(ZeroDivisionError):
            async with database.transaction(A) as tx:
                await wards.find.one(tx, key)
                first, second = (asyncio.create_task(wards.find.one(database.reader(A), key)) for _ in "ab")
                await until(lambda: database.figures().waiting == 2)
                wards.admin("select pg_terminate_backend(%s)", tx._connection.backend_pid)
                await until(lambda: database.figures().lost == 1)
                raise ZeroDivisionError
        first.cancel()  # no turn of the loop has passed
        assert await asyncio.wait_for(second, 10) is None
        assert first.cancelled()


async def test_a_transaction_whose_plans_are_gone_is_not_committed_by_half(wards):
    """Whether it shows in a statement whose refusal was caught, or in the commit itself."""
    forget = Command("forget", "deallocate all", (), None)
    async with wards.open(pool_max=1) as database:
        ward = await wards.new(database, A, "East")
        for last in (None, wards.rename.one):
            with pytest.raises(errors.Contention):
                async with database.transaction(A) as tx:
                    await wards.add.run(tx, wards.NewWard(A, uuid4(), "West"))
                    await wards.rename.one(tx, wards.Rename(A, ward, "North"))
                    await tx._connection.run((forget,))
                    if last is not None:
                        with pytest.raises(errors.Contention):
                            await last(tx, wards.Rename(A, ward, "South"))
            left = await wards.unfiltered.all(database.reader(A), wards.Nothing())
            assert [each.name for each in left] == ["East"]


async def test_an_opening_that_failed_leaves_room_for_the_next(wards, monkeypatch):
    async def refused(*_: object) -> None:
        raise errors.connection_lost("connect")

    async with wards.open(pool_max=1) as database:
        key = wards.WardKey(A, A)
        wards.admin("select pg_terminate_backend(%s)", next(iter(database.pool._open)).backend_pid)
        await until(lambda: database.figures().lost == 1)
        with monkeypatch.context() as patch:
            patch.setattr(Connection, "open", refused)
            with pytest.raises(errors.ConnectionLost):
                await wards.find.one(database.reader(A), key)
        assert await wards.find.one(database.reader(A), key) is None
