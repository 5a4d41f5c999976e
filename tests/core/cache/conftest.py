"""Shelves for the tests of the cache."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from shelf import Shelf
from support import cloned

from cito.core.embedded import Urls


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
