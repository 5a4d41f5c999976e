"""A shelf whose Valkey is its own, to be stopped, killed, flushed and rolled back."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import pytest
from shelf import Shelf
from support import cloned
from valkey import Valkey

from cito.core.embedded import Urls


@pytest.fixture
def valkey() -> Iterator[Valkey]:
    with tempfile.TemporaryDirectory(prefix="cito-valkey-") as folder, ExitStack() as stack:
        server = Valkey(Path(folder))
        stack.callback(server.stop)
        yield server


@pytest.fixture
def unrelayed(urls: Urls, shelf_template: str, home: Path, valkey: Valkey) -> Iterator[Shelf]:
    with cloned(urls, shelf_template) as own:
        made = Shelf(replace(own, cache=valkey.url), home, uuid4(), deadline_ms=50)
        made.psql("insert into items (clinic_id, id, name) values (%s, 1, 'one')", made.clinic)
        yield made


@pytest.fixture
async def shelf(unrelayed: Shelf) -> AsyncIterator[Shelf]:
    async with unrelayed.relay():
        yield unrelayed
