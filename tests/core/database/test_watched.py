"""What goes to PostgreSQL past the named queries is in the record all the same: names, times, rows, never a value."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import psycopg
import pytest

from cito.core.database.watched import WatchedConnection, statement_name
from cito.core.embedded import Urls
from cito.core.telemetry import Event, Record, What, current_record

MS = 1_000_000


@pytest.fixture
async def connection(empty_database: Urls) -> AsyncIterator[WatchedConnection[tuple[object, ...]]]:
    async with await WatchedConnection.connect(empty_database.owner, autocommit=True) as opened:
        await opened.execute("create table ward (id int primary key, name text)")
        yield opened


@pytest.fixture
def record() -> Record:
    made = Record("http", "export")
    current_record.set(made)
    return made


def only(record: Record) -> Event:
    (event,) = record.events
    assert event.what is What.QUERY
    return event


async def test_statements(connection: WatchedConnection, record: Record) -> None:
    async with connection.cursor() as cursor:
        await cursor.execute("insert into ward select n, 'w' from generate_series(1, 7) as n")
    event = only(record)
    assert (event.name.partition("_")[0], event.amount, event.code) == ("insert", 7, "")
    assert record.runs == {event.name: 1}


async def test_many_at_once(connection: WatchedConnection, record: Record) -> None:
    async with connection.cursor() as cursor:
        await cursor.executemany("insert into ward values (%s, %s)", [(1, "a"), (2, "b")])
    assert only(record).amount == 2


async def test_a_stream_is_one_event_without_its_readers_time(
    connection: WatchedConnection, record: Record
) -> None:
    async with connection.cursor() as cursor:
        async for _ in cursor.stream("select n from generate_series(1, 3) as n"):
            await asyncio.sleep(0.05)
    assert only(record).amount == 3
    assert only(record).duration_ns < 100 * MS


async def test_copies_in_and_out(connection: WatchedConnection, record: Record) -> None:
    async with connection.cursor() as cursor, cursor.copy("copy ward from stdin") as copy:
        for number in range(5):
            await copy.write_row((number, "w"))
    assert (only(record).name.partition("_")[0], only(record).amount) == ("copy", 5)
    async with connection.cursor() as cursor, cursor.copy("copy ward to stdout") as copy:
        assert len([row async for row in copy.rows()]) == 5
    assert len(record.events) == 2


async def test_a_server_side_cursor_is_one_event(connection: WatchedConnection, record: Record) -> None:
    async with connection.transaction(), connection.cursor("own") as cursor:
        await cursor.execute("select n, pg_sleep(0.002) from generate_series(1, 30) as n")
        while await cursor.fetchmany(10):  # noqa: ASYNC110 - the reader is slow
            await asyncio.sleep(0.02)
        await cursor.execute("select n from generate_series(1, 12) as n")
        assert [n async for (n,) in cursor][-1] == 12
    async with connection.transaction(), connection.cursor("own") as cursor:
        await cursor.execute("select n from generate_series(1, 4) as n")
        assert await cursor.fetchone() == (1,)
        assert len(await cursor.fetchall()) == 3
    events = [event for event in record.events if event.name.startswith("select")]
    assert [event.amount for event in events] == [30, 12, 4]
    assert events[0].duration_ns > 60 * MS


async def test_a_pipeline_is_timed_as_a_whole(connection: WatchedConnection, record: Record) -> None:
    async with connection.pipeline(), connection.cursor() as cursor:
        await cursor.execute("select pg_sleep(0.05)")
        await cursor.execute("select 1")
    whole = next(event for event in record.events if event.name == "pipeline")
    assert whole.duration_ns >= 50 * MS


async def test_of_an_error_only_its_kind_is_kept(connection: WatchedConnection, record: Record) -> None:
    with pytest.raises(psycopg.errors.UniqueViolation):
        async with connection.cursor() as cursor:
            await cursor.execute("insert into ward values (1, 'Zq1'), (1, 'Zq2')")
    assert only(record).code == "UniqueViolation"
    assert "Zq" not in repr(record.events)


def test_names_hold_no_literal_and_do_not_depend_on_one() -> None:
    one = statement_name("select * from ward where name = 'Zq''1' and id = 17 -- Zq")
    other = statement_name("SELECT *\n from ward where name = 'other' and id = -4.5")
    assert one == other
    assert one.startswith("select_")
    assert statement_name("select * from ward where name = $x$Zq$x$") == statement_name(
        "select * from ward where name = $$other$$"
    )
    assert statement_name("select * from bed where name = 'a' and id = 1") != one
