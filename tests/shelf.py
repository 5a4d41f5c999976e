"""A shelf of items: a small domain on a real PostgreSQL and Valkey, and several processes' worth of caches on it."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from importlib.resources import files
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import psycopg
import uvloop

from cito.core.cache import resolve, shared
from cito.core.cache.engine import Cache
from cito.core.cache.keyring import KeyFile
from cito.core.clock import Clock
from cito.core.database.invalidation import install
from cito.core.database.migrations import migrate
from cito.core.database.pool import Database
from cito.core.database.query import Query, Statement
from cito.core.database.sql import read_queries
from cito.core.declarations import CacheFamily, Executor, Invalidation
from cito.core.embedded import Urls
from cito.core.registry import Owned, Registry
from cito.core.relaying import run_relay
from cito.core.settings import CacheSettings, DatabaseSettings, Settings
from cito.core.tasks import end

SHELF = Path(__file__).parent / "core" / "cache" / "shelf"


class ItemKey(msgspec.Struct, frozen=True):
    id: int


class AllKey(msgspec.Struct, frozen=True):
    pass


class Item(msgspec.Struct, frozen=True):
    id: int
    name: str
    version: int


class Items(msgspec.Struct, frozen=True):
    items: list[Item]


class FindItem(msgspec.Struct, frozen=True):
    clinic_id: UUID
    id: int


class FindItems(msgspec.Struct, frozen=True):
    clinic_id: UUID
    ids: list[int]


class ListItems(msgspec.Struct, frozen=True):
    clinic_id: UUID


class Named(msgspec.Struct, frozen=True):
    clinic_id: UUID
    id: int
    name: str


find_item = Query("find_item", FindItem, Item)
find_items = Query("find_items", FindItems, Item)
list_items = Query("list_items", ListItems, Item)
renamed_item = Query("renamed_item", FindItem, Item)
rename_item = Statement("rename_item", Named)
add_item = Statement("add_item", Named)

INVALIDATIONS = (
    Invalidation(
        table="items",
        columns=("name", "version"),
        tags=("item:{clinic_id}:{id}", "items:{clinic_id}"),
        because="both families show names and versions; `note` is shown by none",
    ),
)


@dataclass
class Loader:
    """The families' loaders, with what they did and gates to hold them at."""

    loads: int = 0
    batches: list[int] = field(default_factory=list)
    before: Callable[[], Any] | None = None
    after: Callable[[], Any] | None = None

    async def one(self, on: Executor, key: ItemKey) -> Item | None:
        self.loads += 1
        if self.before:
            await self.before()
        assert on.clinic_id is not None
        found = await find_item.one(on, FindItem(on.clinic_id, key.id))
        if self.after:
            await self.after()
        return found

    async def many(self, on: Executor, keys: Sequence[ItemKey]) -> Mapping[ItemKey, Item]:
        self.loads += 1
        self.batches.append(len(keys))
        assert on.clinic_id is not None
        rows = await find_items.all(on, FindItems(on.clinic_id, [key.id for key in keys]))
        if self.after:
            await self.after()
        return {ItemKey(row.id): row for row in rows}

    async def all(self, on: Executor, _key: AllKey) -> Items:
        self.loads += 1
        assert on.clinic_id is not None
        return Items(await list_items.all(on, ListItems(on.clinic_id)))


def item_family(loader: Loader, **changes: Any) -> CacheFamily[ItemKey, Item]:
    family = CacheFamily(
        name="item",
        version=1,
        key=ItemKey,
        value=Item,
        load=loader.one,
        load_many=loader.many,
        tags=("item:{clinic_id}:{id}",),
        ttl_seconds=300,  # longer than any test waits: what ends by its life proves nothing
        hard_limit_seconds=600,
        max_staleness_seconds=1.0,
        absent_ttl_seconds=5,
    )
    return replace(family, **changes)


def items_family(loader: Loader, **changes: Any) -> CacheFamily[AllKey, Items]:
    family = CacheFamily(
        name="items",
        version=1,
        key=AllKey,
        value=Items,
        load=loader.all,
        tags=("items:{clinic_id}",),
        ttl_seconds=300,  # longer than any test waits: what ends by its life proves nothing
        hard_limit_seconds=600,
    )
    return replace(family, **changes)


class Gate:
    """Holds a loader: `reached` is set when it arrives, `go` lets it through."""

    def __init__(self) -> None:
        self.reached = asyncio.Event()
        self.go = asyncio.Event()

    async def __call__(self) -> None:
        self.reached.set()
        await self.go.wait()


async def until(check: Callable[[], Awaitable[bool]], seconds: float = 60.0) -> None:
    """Ask again and again until it is so."""
    async with asyncio.timeout(seconds):
        while not await check():  # noqa: ASYNC110 - what is awaited happens in another process
            await asyncio.sleep(0.002)


def tag(shelf: Shelf, id_: int) -> str:
    """The tag of one item."""
    return f"item:{shelf.clinic}:{id_}"


@dataclass
class Process:
    """What one process has: its own cache, pool, loader and families."""

    cache: Cache
    database: Database
    loader: Loader
    item: CacheFamily[ItemKey, Item]
    items: CacheFamily[AllKey, Items]
    clinic: UUID

    async def get(self, id_: int = 1) -> Any:
        return await self.cache.get(self.item, ItemKey(id_), self.clinic)

    async def name(self, id_: int = 1) -> str:
        return (await self.get(id_)).value.name

    async def rename(self, name: str, id_: int = 1) -> None:
        async with self.database.transaction(self.clinic) as tx:
            await rename_item.run(tx, Named(self.clinic, id_, name))

    async def warm(self, id_: int = 1) -> None:
        """Have the item in the local tier: the first use of a tag makes its stamp, which is pushed."""

        async def local() -> bool:
            return bool((await self.get(id_)).outcome == "local")

        await until(local)

    def lose_bumps(self) -> None:
        """Let the shared tier be away for each bump of this process, and for nothing else."""

        async def away(*_: object) -> None:
            raise shared.SharedAway

        tier = self.cache._resolver.shared
        assert tier is not None
        tier.bump = away  # type: ignore[method-assign]

    async def ready(self) -> Process:
        """Wait until the local tier is vouched for."""
        return await self.ready_at(Clock())

    async def ready_at(self, clock: Clock) -> Process:
        """Wait until the local tier is vouched for, by a clock that a test has moved."""
        async with asyncio.timeout(60):
            while self.cache.as_of < clock.monotonic() - 0.8:  # noqa: ASYNC110 - the relay beats elsewhere
                await asyncio.sleep(0.01)
        return self


@dataclass
class Shelf:
    """A migrated database of its own with its triggers.

    Attributes:
        urls, home: where its servers and keys are.
        clinic: whose items they are.
        deadline_ms: of the shared tier; long, so that a busy machine makes no fault where a test wants none.
    """

    urls: Urls
    home: Path
    clinic: UUID
    deadline_ms: float = 5_000

    @property
    def settings(self) -> Settings:
        return Settings(home=self.home)

    def elsewhere(self, home: Path) -> Shelf:
        """The same shelf as processes of another node have it: a home of their own, with the same keys."""
        KeyFile(self.home / "keys" / "cache.json").open(create=True)
        shutil.copytree(self.home / "keys", home / "keys")
        return replace(self, home=home)

    @asynccontextmanager
    async def process(
        self,
        *,
        wait: bool = True,
        sampled: bool = False,
        clock: Clock | None = None,
        cache: CacheSettings | None = None,
        item: Mapping[str, Any] | None = None,
        items: Mapping[str, Any] | None = None,
    ) -> AsyncIterator[Process]:
        loader = Loader()
        families = item_family(loader, **(item or {})), items_family(loader, **(items or {}))
        registry = Registry(plugins=(), cache_families=tuple(Owned("shelf", family) for family in families))
        queries = read_queries(SHELF / "queries.sql")
        database = await Database.open(DatabaseSettings(pool_max=4), self.urls.app, queries)
        settings = msgspec.structs.replace(
            self.settings, cache=cache or CacheSettings(deadline_ms=self.deadline_ms)
        )
        opened = await Cache.open(settings, self.urls.cache, database, registry, clock)
        for plan in opened.plans.values():
            plan.sample_at = 0.0 if sampled else float("inf")  # the sampler's loads would count as others
        try:
            made = Process(opened, database, loader, *families, self.clinic)
            yield await made.ready_at(clock or Clock()) if wait else made
        finally:
            await opened.close()
            await database.close()

    @asynccontextmanager
    async def relay(self) -> AsyncIterator[asyncio.Task[None]]:
        registry = Registry(plugins=())
        task = asyncio.create_task(run_relay(self.settings, registry, self.urls.app, self.urls.cache))
        try:
            yield task
        finally:
            await end(task)

    def psql(self, statement: str, *params: object) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.urls.owner, autocommit=True) as connection:
            cursor = connection.execute(statement.encode(), params)
            return cursor.fetchall() if cursor.description else []

    def outbox(self) -> list[str]:
        return sorted(tag for (tag,) in self.psql("delete from cito.outbox returning tag"))


SOURCES = [("core", files("cito.sql") / "core"), ("shelf", SHELF)]


def make_template(urls: Urls) -> str:
    """Make the database that every shelf is a copy of; returns its name."""
    name = "template_shelf"
    with psycopg.connect(urls.on("postgres").admin, autocommit=True) as admin:
        admin.execute(f"create database {name} owner cito_owner template cito strategy file_copy".encode())

    async def prepare() -> None:
        await migrate(urls.on(name).owner, SOURCES)
        await install(urls.on(name).owner, INVALIDATIONS)

    asyncio.run(prepare())
    return name


def crowd(shelf: Shelf, barrier: Any, loads: Any) -> None:
    """One process of a crowd: 334 reads of the same key at the same moment."""

    # On a busy machine even this small load may outlast the usual patience.
    resolve._LEASE_WAIT_MS, shared.LEASE_MS = 10_000, 10_000

    async def main() -> None:
        async with shelf.process(cache=CacheSettings(deadline_ms=5_000)) as one:
            await asyncio.to_thread(barrier.wait)
            names = await asyncio.gather(
                *(one.cache.get(one.items, AllKey(), shelf.clinic) for _ in range(334))
            )
            assert len({entry.body for entry in names}) == 1
            loads.put(one.loader.loads)

    asyncio.run(main())


def far_process(shelf: Shelf, ready: Any) -> None:
    """A process of another node, until it is ended."""

    async def main() -> None:
        async with shelf.process() as far:
            await far.warm()
            ready.set()
            await asyncio.Event().wait()

    uvloop.run(main())  # as processes of an API do
