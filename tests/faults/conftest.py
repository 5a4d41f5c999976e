"""A shelf whose Valkey is its own, to be stopped, killed, flushed and rolled back."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from shelf import INVALIDATIONS, SOURCES, Shelf
from support import cloned
from valkey import Valkey

from cito.core.database.invalidation import install
from cito.core.database.migrations import migrate
from cito.core.embedded import Urls


@pytest.fixture
def valkey() -> Iterator[Valkey]:
    with tempfile.TemporaryDirectory(prefix="cito-valkey-") as folder, ExitStack() as stack:
        server = Valkey(Path(folder))
        stack.callback(server.stop)
        yield server


@pytest.fixture(scope="session")
def faulty_template(urls: Urls) -> str:
    name = "template_faulty"
    with psycopg.connect(urls.on("postgres").admin, autocommit=True) as admin:
        admin.execute(f"create database {name} owner cito_owner template cito strategy file_copy".encode())

    async def prepare() -> None:
        await migrate(urls.on(name).owner, SOURCES)
        await install(urls.on(name).owner, INVALIDATIONS)

    asyncio.run(prepare())
    return name


@pytest.fixture
def unrelayed(urls: Urls, faulty_template: str, home: Path, valkey: Valkey) -> Iterator[Shelf]:
    with cloned(urls, faulty_template) as own:
        made = Shelf(replace(own, cache=valkey.url), home, uuid4(), deadline_ms=50)
        made.psql("insert into items (clinic_id, id, name) values (%s, 1, 'one')", made.clinic)
        yield made


@pytest.fixture
async def shelf(unrelayed: Shelf) -> AsyncIterator[Shelf]:
    async with unrelayed.relay():
        yield unrelayed
