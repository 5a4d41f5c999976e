"""Exports: one moment, flat memory, at the reader's pace, closed when the reader leaves."""

from __future__ import annotations

import asyncio
from uuid import uuid4

import msgspec
import psutil
import pytest

from cito.core.database import errors
from cito.core.database.sql import NamedQuery
from cito.core.database.stream import stream
from cito.core.telemetry import Record, What, current_record


class Count(msgspec.Struct):
    count: int


class Row(msgspec.Struct):
    n: int
    text: str


MANY = NamedQuery(
    name="many_rows", doc="", parameters=("count",), target_ms=None, returns="many", source="",
    text="select n, repeat('x', 200) as text from generate_series(1, $1::int) as n",
)  # fmt: skip


@pytest.fixture
async def database(shared_wards):
    shared_wards.queries["many_rows"] = MANY
    async with shared_wards.open(pool_max=2, acquire_timeout_seconds=5) as opened:
        yield opened


@pytest.mark.parametrize("count", [50_000, pytest.param(1_000_000, marks=pytest.mark.full)])
async def test_memory_stays_flat_whatever_the_length(database, count):
    process = psutil.Process()
    total, most, before = 0, 0, 0
    async with stream(database, None, "many_rows", Count(count), Row) as batches:
        async for rows in batches:
            total += len(rows)
            most = max(most, len(rows))
            if total == 5_000:
                before = process.memory_info().rss
    assert (total, most) == (count, 500)
    assert process.memory_info().rss - before < 8 * 1024 * 1024  # the rows themselves: 13 MB and more


async def test_an_export_is_noted_as_one_query_without_its_readers_time(database):
    record = Record("http", "export")
    current_record.set(record)
    async with stream(database, None, "many_rows", Count(2_000), Row) as batches:
        async for _ in batches:
            await asyncio.sleep(0.1)
    (event,) = [event for event in record.events if event.what is What.QUERY]
    assert (event.name, event.amount, event.code) == ("many_rows", 2_000, "")
    assert event.duration_ns < 400_000_000  # four batches, whose reader took as long
    assert record.runs == {"many_rows": 1}


async def test_an_export_shows_one_moment_of_one_clinic(shared_wards, database):
    clinic, other = uuid4(), uuid4()
    for name in ("East", "West"):
        await shared_wards.new(database, clinic, name)
    await shared_wards.new(database, other, "Elsewhere")
    nothing = shared_wards.Nothing()
    async with stream(database, clinic, "list_wards_unfiltered", nothing, shared_wards.Owned) as batches:
        await shared_wards.new(database, clinic, "Written meanwhile")
        seen = [ward.name async for rows in batches for ward in rows]
    assert seen == ["East", "West"]


async def test_nothing_is_read_ahead_of_the_reader(shared_wards, database):
    async with stream(database, None, "many_rows", Count(2_000), Row) as batches:
        assert len(await anext(batches)) == 500
        ((asked,),) = shared_wards.admin(
            "select query from pg_stat_activity where state = 'idle in transaction'"
        )
        assert asked == "fetch forward 500 from cito_stream"


async def test_a_reader_who_leaves_gives_the_connection_back(shared_wards, database):
    async def reader() -> None:
        async with stream(database, None, "many_rows", Count(1_000_000), Row) as batches:
            async for _ in batches:
                await asyncio.sleep(0)

    for _ in range(6):
        task = asyncio.create_task(reader())
        await asyncio.sleep(0.005)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert await shared_wards.unfiltered.all(database.reader(None), shared_wards.Nothing()) == []
    assert database.figures().lost == 0


async def test_several_exports_of_other_shapes_may_follow_on_one_connection(shared_wards, database):
    clinic = uuid4()
    await shared_wards.new(database, clinic, "East")
    for _ in range(2):
        async with stream(database, None, "many_rows", Count(3), Row) as batches:
            assert [row.n async for rows in batches for row in rows] == [1, 2, 3]
        nothing = shared_wards.Nothing()
        async with stream(database, clinic, "list_wards_unfiltered", nothing, shared_wards.Owned) as batches:
            assert [ward.name async for rows in batches for ward in rows] == ["East"]


async def test_a_refused_export_says_so_when_it_is_opened(shared_wards, database):
    shared_wards.queries["broken"] = msgspec.structs.replace(
        MANY, name="broken", text="select 1/0 where $1::int > 0"
    )
    async with shared_wards.open() as fresh:
        with pytest.raises(errors.ValueRefused):
            async with stream(fresh, None, "broken", Count(1), Row) as batches:
                await anext(batches)
        assert fresh.figures().lost == 0
