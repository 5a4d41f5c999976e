"""A full pool is an answer: 503 at once, with the time after which to try again, and nobody else is worse off."""

from __future__ import annotations

import asyncio

import psycopg
import pytest
from support import OpenSite

from cito.core.database import connections
from cito.core.settings import DatabaseSettings


async def test_who_finds_no_connection_is_told_while_others_wait(
    open_site: OpenSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every connection waits for a lock and nobody may queue: the next is refused before the lock is let go."""
    monkeypatch.setattr(connections, "_WAITING_PER_CONNECTION", 0)
    async with open_site(plugins=("medications",), database=DatabaseSettings(pool_max=6)) as site:

        async def search(word: str) -> tuple[int, str, str]:
            answer = await site.client.get(
                "/api/medications", params={"search": word}, headers=site.headers()
            )
            return answer.status_code, answer.headers.get("retry-after", ""), answer.json().get("detail", "")

        with psycopg.connect(site.urls.owner) as holder:
            holder.execute("lock table medications")
            asked = [asyncio.create_task(search(f"zinc {n}")) for n in range(30)]
            refused, waiting = await asyncio.wait(asked, return_when=asyncio.FIRST_COMPLETED)
            assert waiting
            assert {task.result() for task in refused} == {(503, "1", "the database is busy")}
        await asyncio.wait(waiting)
        assert {task.result()[0] for task in waiting} <= {200, 503}
        monkeypatch.undo()
        assert (await search("zinc"))[0] == 200
