"""A small domain of two clinics on a real PostgreSQL, for every test of the database layer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID, uuid4

import msgspec
import psycopg
import pytest
from support import cloned

from cito.core.database.migrations import migrate
from cito.core.database.pool import Database
from cito.core.database.query import Query, Statement
from cito.core.database.sql import NamedQuery, read_queries
from cito.core.embedded import Urls
from cito.core.settings import DatabaseSettings

WARDS = Path(__file__).parent / "wards"  # the domain's sql folder


class Facts(msgspec.Struct, frozen=True):
    beds: int = 0
    closed: bool = False


class WardKey(msgspec.Struct, frozen=True):
    clinic_id: UUID
    id: UUID


class Ward(msgspec.Struct, frozen=True):
    id: UUID
    name: str
    floor: int | None
    facts: Facts


class NewWard(msgspec.Struct, frozen=True):
    clinic_id: UUID
    id: UUID
    name: Annotated[str, msgspec.Meta(max_length=60)]
    floor: int | None = None
    facts: Facts = Facts()


class Rename(msgspec.Struct, frozen=True):
    clinic_id: UUID
    id: UUID
    name: str


class NewBed(msgspec.Struct, frozen=True):
    clinic_id: UUID
    id: UUID
    ward_id: UUID
    label: str


class Nothing(msgspec.Struct, frozen=True):
    pass


class Owned(msgspec.Struct, frozen=True):
    clinic_id: UUID
    name: str


class Seconds(msgspec.Struct, frozen=True):
    seconds: float


class One(msgspec.Struct, frozen=True):
    one: int


@dataclass
class Wards:
    """A migrated database of its own, with the queries of the small domain."""

    urls: Urls
    queries: dict[str, NamedQuery]

    find = Query("find_ward", WardKey, Ward)
    unfiltered = Query("list_wards_unfiltered", Nothing, Owned)
    rename = Query("rename_ward", Rename, Ward)
    add = Statement("add_ward", NewWard)
    add_bed = Statement("add_bed", NewBed)
    sleep = Query("sleep", Seconds, One)
    WardKey, Ward, NewWard, Rename, NewBed, Nothing, Owned, Seconds, Facts = (
        WardKey,
        Ward,
        NewWard,
        Rename,
        NewBed,
        Nothing,
        Owned,
        Seconds,
        Facts,
    )

    async def new(self, database: Database, clinic_id: UUID, name: str, **fields: Any) -> UUID:
        """Add a ward in a transaction of its own."""
        id_ = uuid4()
        async with database.transaction(clinic_id) as tx:
            await self.add.run(tx, NewWard(clinic_id, id_, name, **fields))
        return id_

    @asynccontextmanager
    async def open(
        self, url: str | None = None, size: int | None = None, **settings: Any
    ) -> AsyncIterator[Database]:
        database = await Database.open(
            DatabaseSettings(**settings), url or self.urls.app, self.queries, size=size
        )
        try:
            yield database
        finally:
            await database.close()

    def admin(self, statement: str, *params: object) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.urls.admin, autocommit=True) as connection:
            cursor = connection.execute(statement.encode(), params)
            return cursor.fetchall() if cursor.description else []


WardsFor = Callable[..., AbstractContextManager[Wards]]
SOURCES = [("core", files("cito.sql") / "core"), ("wards", WARDS)]


@pytest.fixture(scope="session")
def migrated(urls: Urls) -> Iterator[Urls]:
    """A migrated database that is only copied."""
    with cloned(urls, "cito") as clone:
        asyncio.run(migrate(clone.owner, SOURCES))
        yield clone


@pytest.fixture(scope="session")
def wards_for(urls: Urls, migrated: Urls) -> WardsFor:
    """Open a copy of the migrated database, or of another: `with wards_for() as wards`."""

    @contextmanager
    def copied(original: Wards | None = None) -> Iterator[Wards]:
        source = original.urls if original else migrated
        with cloned(urls, psycopg.conninfo.conninfo_to_dict(source.app)["dbname"]) as clone:
            yield Wards(clone, read_queries(WARDS / "queries.sql"))

    return copied


@pytest.fixture
def wards(wards_for: WardsFor) -> Iterator[Wards]:
    """A database of the test's own, whose schema it may change."""
    with wards_for() as opened:
        yield opened


@pytest.fixture(scope="session")
def shared_wards(wards_for: WardsFor) -> Iterator[Wards]:
    """A database for tests that keep to rows of clinics of their own."""
    with wards_for() as opened:
        yield opened


@pytest.fixture
async def database(wards: Wards) -> AsyncIterator[Database]:
    async with wards.open() as opened:
        yield opened


@pytest.fixture
async def shared_database(shared_wards: Wards) -> AsyncIterator[Database]:
    async with shared_wards.open() as opened:
        yield opened
