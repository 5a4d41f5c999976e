"""N+1: twenty ways to ask one query again and again are counted with their place; twenty look-alikes are not."""

from __future__ import annotations

import asyncio
from functools import reduce
from uuid import UUID, uuid4

import msgspec
import pytest

from cito.core.database.batch import Coalescer
from cito.core.database.query import Query
from cito.core.telemetry import REPEATED, Record, current_record

COUNT = 8


class Keys(msgspec.Struct, frozen=True):
    clinic_id: UUID
    ids: list[UUID]


class Asker:
    """What the patterns are made of: one ward by its key, all of them, many at once."""

    def __init__(self, wards, database, clinic, ids) -> None:
        self.wards, self.database, self.clinic, self.ids = wards, database, clinic, ids
        self.many = Query("find_wards", Keys, wards.Ward)
        self.coalescer = Coalescer(self._load, database.reader)

    async def _load(self, on, keys):
        return {ward.id: ward for ward in await self.many.all(on, Keys(self.clinic, list(keys)))}

    async def one(self, id_, on=None):
        return await self.wards.find.one(
            on or self.database.reader(self.clinic), self.wards.WardKey(self.clinic, id_)
        )

    async def all(self):
        return await self.wards.unfiltered.all(self.database.reader(self.clinic), self.wards.Nothing())

    async def some(self, ids):
        return await self.many.all(self.database.reader(self.clinic), Keys(self.clinic, list(ids)))

    async def gently(self, id_):
        return await self.coalescer.get(self.clinic, id_)


async def loop(a):
    for id_ in a.ids:
        await a.one(id_)


async def after_a_list(a):
    await a.all()
    for id_ in a.ids:
        await a.one(id_)


async def comprehension(a):
    return [await a.one(id_) for id_ in a.ids]


async def dictionary(a):
    return {id_: await a.one(id_) for id_ in a.ids}


async def generator(a):
    async def each():
        for id_ in a.ids:
            yield await a.one(id_)

    return [ward async for ward in each()]


async def while_loop(a):
    left = list(a.ids)
    while left:
        await a.one(left.pop())


async def recursion(a, at=0):
    if at < len(a.ids):
        await a.one(a.ids[at])
        await recursion(a, at + 1)


async def helper(a):
    async def name_of(id_):
        return (await a.one(id_)).name

    return sorted([await name_of(id_) for id_ in a.ids])


async def method(a):
    class Ward:
        def __init__(self, id_):
            self.id = id_

        async def load(self):
            return await a.one(self.id)

    for id_ in a.ids:
        await Ward(id_).load()


async def within_a_transaction(a):
    async with a.database.transaction(a.clinic) as tx:
        for id_ in a.ids:
            await a.one(id_, tx)


async def a_transaction_each(a):
    for id_ in a.ids:
        async with a.database.transaction(a.clinic) as tx:
            await a.one(id_, tx)


async def one_reader(a):
    reader = a.database.reader(a.clinic)
    for id_ in a.ids:
        await a.one(id_, reader)


async def at_once(a):
    await asyncio.gather(*(a.one(id_) for id_ in a.ids))


async def tasks(a):
    async with asyncio.TaskGroup() as group:
        for id_ in a.ids:
            group.create_task(a.one(id_))


async def nested(a):
    for pair in zip(a.ids[::2], a.ids[1::2], strict=True):
        for id_ in pair:
            await a.one(id_)


async def same_key(a):
    for _ in range(COUNT):
        await a.one(a.ids[0])


async def missing_keys(a):
    for _ in range(COUNT):
        await a.one(uuid4())


async def pages_of_one(a):
    for id_ in a.ids:
        await a.some([id_])


async def despite_coalescing(a):
    for id_ in a.ids:
        await a.gently(id_)


async def between_other_queries(a):
    for id_ in a.ids:
        await a.one(id_)
        await a.all()


async def writes(a):
    async with a.database.transaction(a.clinic) as tx:
        for n, id_ in enumerate(a.ids):
            await a.wards.rename.one(tx, a.wards.Rename(a.clinic, id_, f"again {n}"))


SEEDED = [
    loop, after_a_list, comprehension, dictionary, generator, while_loop, recursion, helper, method,
    within_a_transaction, a_transaction_each, one_reader, at_once, tasks, nested, same_key, missing_keys,
    pages_of_one, despite_coalescing, between_other_queries, writes,
]  # fmt: skip


async def nothing(a):
    pass


async def once(a):
    await a.one(a.ids[0])


async def twice(a):
    for id_ in a.ids[:2]:
        await a.one(id_)


async def as_often_as_is_still_silent(a):
    for id_ in a.ids[: REPEATED - 1]:
        await a.one(id_)


async def a_list(a):
    await a.all()


async def many_at_once(a):
    await a.some(a.ids)


async def in_two_batches(a):
    await a.some(a.ids[:4])
    await a.some(a.ids[4:])


async def list_then_many(a):
    await a.all()
    await a.some(a.ids)


async def gathered_by_the_coalescer(a):
    await asyncio.gather(*(a.gently(id_) for id_ in a.ids))


async def one_key_wanted_by_many(a):
    await asyncio.gather(*(a.gently(a.ids[0]) for _ in range(COUNT)))


async def gathered_twice(a):
    await asyncio.gather(*(a.gently(id_) for id_ in a.ids[:4]))
    await asyncio.gather(*(a.gently(id_) for id_ in a.ids[4:]))


async def loop_over_rows_without_queries(a):
    return sum(len(ward.name) for ward in await a.some(a.ids))


async def loop_over_a_dictionary(a):
    found = {ward.id: ward for ward in await a.some(a.ids)}
    return [found[id_] for id_ in a.ids]


async def reduce_over_rows(a):
    return reduce(lambda so_far, ward: so_far + ward.name, await a.all(), "")


async def different_queries(a):
    await a.one(a.ids[0])
    await a.all()
    await a.some(a.ids)
    await a.wards.sleep.one(a.database.reader(a.clinic), a.wards.Seconds(0))


async def read_then_write(a):
    async with a.database.transaction(a.clinic) as tx:
        await a.one(a.ids[0], tx)
        await a.wards.rename.one(tx, a.wards.Rename(a.clinic, a.ids[0], "new"))
        await a.one(a.ids[0], tx)


async def many_transactions_nothing_in_them(a):
    for _ in range(COUNT):
        async with a.database.transaction(a.clinic):
            pass


async def retried_until_it_was_there(a):
    for _ in range(REPEATED - 1):
        if await a.one(uuid4()):
            break


async def tasks_with_one_query_each(a):
    await asyncio.gather(a.one(a.ids[0]), a.all(), a.some(a.ids))


async def other_requests(a):
    """What other requests run beside this one is theirs."""

    async def request(id_):
        current_record.set(Record("http"))
        await a.one(id_)

    await asyncio.gather(*(asyncio.create_task(request(id_)) for id_ in a.ids))


SILENT = [
    nothing, once, twice, as_often_as_is_still_silent, a_list, many_at_once, in_two_batches, list_then_many,
    gathered_by_the_coalescer, one_key_wanted_by_many, gathered_twice, loop_over_rows_without_queries,
    loop_over_a_dictionary, reduce_over_rows, different_queries, read_then_write,
    many_transactions_nothing_in_them, retried_until_it_was_there, tasks_with_one_query_each, other_requests,
]  # fmt: skip


async def watched(wards, pattern) -> dict[str, str]:
    """Run a pattern as a request; return the repeated queries with the place of their call."""
    text = "select id, name, floor, facts from wards where clinic_id = $1 and id = any($2)"
    base = wards.queries["find_ward"]
    wards.queries["find_wards"] = msgspec.structs.replace(
        base, name="find_wards", text=text, parameters=("clinic_id", "ids")
    )
    async with wards.open() as database:
        clinic = uuid4()
        ids = [await wards.new(database, clinic, f"Ward {n}") for n in range(COUNT)]
        record = Record("http")
        token = current_record.set(record)
        try:
            await pattern(Asker(wards, database, clinic, ids))
        finally:
            current_record.reset(token)
    return {name: record.sites.get(name, "") for name, runs in record.runs.items() if runs >= REPEATED}


@pytest.mark.parametrize("pattern", SEEDED, ids=lambda p: p.__name__)
async def test_a_repeated_query_is_counted_and_its_place_kept(shared_wards, pattern):
    found = await watched(shared_wards, pattern)
    assert found
    assert all("test_repeats.py:" in place for place in found.values())


@pytest.mark.parametrize("pattern", SILENT, ids=lambda p: p.__name__)
async def test_a_look_alike_is_silent(shared_wards, pattern):
    assert await watched(shared_wards, pattern) == {}
