"""The coalescer: one query for those who come together, each gets his own answer, leaving harms nobody."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from uuid import UUID, uuid4

import pytest

from cito.core.database.batch import Coalescer
from cito.core.errors import Conflict, Unavailable
from cito.core.telemetry import Record, What, current_record

A, B = uuid4(), uuid4()


class Store:
    """A loader that answers when it is let go, and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[UUID | None, list[int]]] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.error: Exception | None = None
        self.bad: set[int] = set()

    async def load_many(self, on: UUID | None, keys: Sequence[int]) -> Mapping[int, str]:
        self.asked.append((on, list(keys)))
        record = current_record.get()
        assert record is not None
        record.add(What.QUERY, "find_many", 0, amount=len(keys))
        await self.gate.wait()
        if self.error or self.bad & set(keys):
            raise self.error or Conflict
        return {key: f"{on}:{key}" for key in keys if key >= 0}


@pytest.fixture
def store():
    return Store()


@pytest.fixture
def coalescer(store):
    return Coalescer(store.load_many, lambda clinic_id: clinic_id, max_batch=10)


async def ticks(count: int = 3) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def test_reads_of_one_tick_are_one_query_and_each_gets_its_own(store, coalescer):
    got = await asyncio.gather(*(coalescer.get(A, n) for n in (3, 1, 3, -1)))
    assert got == [f"{A}:3", f"{A}:1", f"{A}:3", None]
    assert store.asked == [(A, [3, 1, -1])]


async def test_clinics_are_never_mixed(store, coalescer):
    got = await asyncio.gather(coalescer.get(A, 1), coalescer.get(B, 1), coalescer.get(None, 1))
    assert got == [f"{A}:1", f"{B}:1", "None:1"]
    assert store.asked == [(A, [1]), (B, [1]), (None, [1])]


async def test_a_batch_is_bounded_and_first_come_first_served(store, coalescer):
    await asyncio.gather(*(coalescer.get(A, n) for n in range(25)))
    assert [keys for _, keys in store.asked] == [list(range(10)), list(range(10, 20)), list(range(20, 25))]


async def test_a_read_never_joins_a_batch_that_has_left(store, coalescer):
    store.gate.clear()
    first = asyncio.create_task(coalescer.get(A, 1))
    await ticks()
    second = asyncio.create_task(coalescer.get(A, 1))
    await ticks()
    assert store.asked == [(A, [1]), (A, [1])]
    store.gate.set()
    await asyncio.gather(first, second)


async def test_under_load_reads_gather_while_two_batches_travel(store, coalescer):
    store.gate.clear()
    tasks = []
    for n in range(8):
        tasks.append(asyncio.create_task(coalescer.get(A, n)))
        await ticks()
    assert [keys for _, keys in store.asked] == [[0], [1]]
    store.gate.set()
    await asyncio.gather(*tasks)
    assert [keys for _, keys in store.asked] == [[0], [1], [2, 3, 4, 5, 6, 7]]


@pytest.mark.parametrize("when", ["before it leaves", "while it travels"])
async def test_a_caller_who_leaves_harms_nobody(store, coalescer, when):
    store.gate.clear()
    tasks = [asyncio.create_task(coalescer.get(A, n)) for n in range(3)]
    await ticks(1 if when == "before it leaves" else 4)
    tasks[1].cancel()
    store.gate.set()
    got = await asyncio.gather(*tasks, return_exceptions=True)
    assert (got[0], got[2]) == (f"{A}:0", f"{A}:2")
    assert isinstance(got[1], asyncio.CancelledError)


async def test_a_batch_that_everybody_left_is_not_sent(store, coalescer):
    task = asyncio.create_task(coalescer.get(A, 1))
    await ticks(1)
    task.cancel()
    await ticks()
    assert store.asked == []
    assert await coalescer.get(A, 2) == f"{A}:2"


async def test_an_error_reaches_only_its_own_keys(store, coalescer):
    store.bad = {4}
    got = await asyncio.gather(*(coalescer.get(A, n) for n in range(8)), return_exceptions=True)
    assert [n for n, g in enumerate(got) if isinstance(g, Conflict)] == [4]
    assert [g for g in got if isinstance(g, str)] == [f"{A}:{n}" for n in range(8) if n != 4]


async def test_an_unavailable_database_is_not_asked_again_for_each_key(store, coalescer):
    store.error = Unavailable()
    got = await asyncio.gather(*(coalescer.get(A, n) for n in range(8)), return_exceptions=True)
    assert all(isinstance(g, Unavailable) for g in got)
    assert len(store.asked) == 1


async def test_groups_do_not_outlive_their_reads(store, coalescer):
    await asyncio.gather(*(coalescer.get(uuid4(), 1) for _ in range(50)))
    await ticks()
    assert coalescer._groups == {}


async def test_each_request_notes_the_query_and_one_of_them_owns_it(store, coalescer):
    async def request(key: int) -> Record:
        record = Record("http")
        current_record.set(record)
        await coalescer.get(A, key)
        return record

    records = await asyncio.gather(*(asyncio.create_task(request(n)) for n in range(3)))
    assert [[(e.name, e.code, e.amount) for e in r.events] for r in records] == [
        [("find_many", "", 3)],
        [("find_many", "coalesced", 3)],
        [("find_many", "coalesced", 3)],
    ]


async def test_when_the_process_stops_nobody_waits_for_ever(store, coalescer):
    store.gate.clear()
    task = asyncio.create_task(coalescer.get(A, 1))
    await ticks()
    for travelling in coalescer._tasks:
        travelling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
