"""Reads of one tick are one query: bounded, its errors divided, and only where that is wished."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

import msgspec
import pytest
from shelf import Item, ItemKey, Loader, Shelf

from cito.core.declarations import Executor
from cito.core.errors import Conflict
from cito.core.settings import DatabaseSettings


async def test_an_error_of_one_key_reaches_its_own_reader_alone(shelf: Shelf) -> None:
    loader = Loader()

    async def many(on: Executor, keys: Sequence[ItemKey]) -> Mapping[ItemKey, Item]:
        if ItemKey(9) in keys:
            raise Conflict
        return await loader.many(on, keys)

    async with shelf.process(item={"load_many": many}) as one:
        found = await asyncio.gather(*(one.get(n) for n in range(1, 17)), return_exceptions=True)
    assert [n for n, each in enumerate(found, 1) if isinstance(each, Exception)] == [9]
    assert isinstance(found[8], Conflict)
    assert sum(loader.batches) == 15


async def test_a_long_list_is_read_a_hundred_at_a_time(shelf: Shelf) -> None:
    async with shelf.process() as one:
        keys = [ItemKey(n) for n in range(1, 251)]
        await one.cache.get_many(one.item, keys, shelf.clinic)
        assert (sum(one.loader.batches), max(one.loader.batches)) == (250, 100)


async def test_without_coalescing_each_read_is_its_own_query(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = msgspec.structs.replace(shelf.settings, database=DatabaseSettings(coalescing=False))
    monkeypatch.setattr(Shelf, "settings", alone)
    async with shelf.process() as one:
        await asyncio.gather(*(one.get(n) for n in range(1, 6)))
        assert (one.loader.batches, one.loader.loads) == ([], 5)
