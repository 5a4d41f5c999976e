"""The audit while PostgreSQL is stopped and started again, and while the shipper itself is killed."""

from __future__ import annotations

import asyncio
import os
import signal
import tempfile
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

import psycopg
import pytest

from cito.core.audit.entry import Entry
from cito.core.audit.journal import Journal
from cito.core.audit.ship import Shipper
from cito.core.audit.store import store
from cito.core.audit.sync import wait_until_shipped
from cito.core.audit.verify import verify
from cito.core.database.migrations import migrate
from cito.core.embedded import Embedded

KEY = b"k" * 32


@pytest.fixture
def servers() -> Iterator[Embedded]:
    """A PostgreSQL of its own, crash-safe."""
    with tempfile.TemporaryDirectory(prefix="cito-test-") as folder:
        Path(folder).chmod(0o755)
        embedded = Embedded(Path(folder))
        embedded.start(["postgres"])
        yield embedded
        embedded.stop()


def entry(number: int) -> Entry:
    return Entry(
        *(
            1_795_000_000_000_000_000 + number,
            "staff-1",
            "nurse",
            None,
            "read",
            "success",
            "patients",
            str(number),
        ),
        *((), f"request-{number}", "", None),
    )


async def test_a_database_that_is_restarted_loses_nothing(servers: Embedded, tmp_path: Path) -> None:
    urls = servers.urls()
    await migrate(urls.owner, [("core", files("cito.sql") / "core")])
    folder = tmp_path / "audit"
    journal = Journal(folder, segment_bytes=32_768)
    shipping = asyncio.create_task(Shipper(folder, urls.app, KEY).run(0.005))
    number = 0
    for _ in range(2):
        for _ in range(150):
            journal.write(entry(number))
            number += 1
        pid = int((servers.run / "postgres.pid").read_text().split()[0])
        os.kill(pid, signal.SIGQUIT)  # stops at once, as a crash does
        for _ in range(150):
            journal.write(entry(number))
            number += 1
            await asyncio.sleep(0.001)
        await asyncio.to_thread(_start_again, servers)
    journal.close()
    assert await wait_until_shipped(folder, 60)
    shipping.cancel()
    await asyncio.gather(shipping, return_exceptions=True)
    with psycopg.connect(urls.app) as connection:
        found = connection.execute(
            "select count(*) from cito.audit_event where resource = 'patients'"
        ).fetchone()
    assert found == (number,)
    async with store(urls.app) as database:
        assert (await verify(database, KEY)).faults == []


def _start_again(servers: Embedded) -> None:
    servers._started.pop("postgres").wait()
    servers.start(["postgres"])
