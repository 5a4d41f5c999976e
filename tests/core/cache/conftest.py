"""Shelves for the tests of the cache."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from shelf import INVALIDATIONS, SOURCES, Shelf
from support import cloned

from cito.core.database.invalidation import install
from cito.core.database.migrations import migrate
from cito.core.embedded import Urls


@pytest.fixture(scope="session")
def shelf_template(urls: Urls) -> str:
    name = "template_shelf"
    with psycopg.connect(urls.on("postgres").admin, autocommit=True) as admin:
        admin.execute(f"create database {name} owner cito_owner template cito strategy file_copy".encode())

    async def prepare() -> None:
        await migrate(urls.on(name).owner, SOURCES)
        await install(urls.on(name).owner, INVALIDATIONS)

    asyncio.run(prepare())
    return name


@pytest.fixture
def bare_shelf(urls: Urls, shelf_template: str, home: Path) -> Iterator[Shelf]:
    """A shelf with one item and an empty outbox; nothing runs."""
    with cloned(urls, shelf_template) as own:
        made = Shelf(own, home, uuid4())
        made.psql("insert into items (clinic_id, id, name) values (%s, 1, 'one')", made.clinic)
        made.outbox()
        yield made


@pytest.fixture
async def shelf(bare_shelf: Shelf) -> AsyncIterator[Shelf]:
    """A shelf whose relay runs."""
    async with bare_shelf.relay():
        yield bare_shelf
