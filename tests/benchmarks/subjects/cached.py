"""One Litestar route over one row, answered in one of several ways: `cached.py MODE`. For `bench_cache.py`."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

sys.path.insert(0, str(Path(__file__).parents[2]))

import msgspec
import psycopg_pool
import uvloop
from granian.constants import Interfaces
from granian.server.embed import Server
from litestar import Litestar, MediaType, Request, Response, get
from psycopg.rows import args_row
from redis.asyncio import Redis
from shelf import Item, ItemKey, Shelf

from cito.core.cache.local import LocalTier
from cito.core.embedded import Urls
from cito.core.http.etag import answer
from cito.core.settings import CacheSettings

SHELF = Shelf(
    Urls("", os.environ["OWNER_URL"], os.environ["APP_URL"], os.environ["CACHE_URL"]),
    Path(os.environ["SHELF_HOME"]),
    UUID(os.environ["CLINIC"]),
)
SELECT = "select id, name, version from items where clinic_id = %s and id = %s"
held: dict[str, Any] = {}


@get("/")
async def through_cito(request: Request[Any, Any, Any]) -> Response[Any]:
    """Answer through the cache engine: local hit, shared hit or coalesced load, by how it was opened."""
    process = held["process"]
    return await answer(request, await process.cache.get(process.item, ItemKey(1), SHELF.clinic))


@get("/", media_type=MediaType.JSON)
async def through_redis() -> bytes:
    """Answer with one GET of redis-py."""
    body: bytes = await held["redis"].get("bench:body")
    return body


@get("/", media_type=MediaType.JSON)
async def through_psycopg() -> bytes:
    """Answer with one SELECT on a pool of psycopg."""
    async with held["pool"].connection() as connection:
        cursor = connection.cursor(row_factory=args_row(Item))
        await cursor.execute(SELECT, (SHELF.clinic, 1))
        return msgspec.json.encode(await cursor.fetchone())


@asynccontextmanager
async def opened(mode: str) -> AsyncIterator[Any]:
    """Open what a mode needs; yields its handler."""
    if mode == "redis":
        held["redis"] = Redis.from_url(SHELF.urls.cache)
        await held["redis"].set("bench:body", b'{"id":1,"name":"one","version":1}')
        yield through_redis
    elif mode == "psycopg":
        async with psycopg_pool.AsyncConnectionPool(SHELF.urls.app, min_size=10, max_size=10) as held["pool"]:
            yield through_psycopg
    else:
        if mode == "shared":  # nothing stays in this process
            LocalTier.keep = lambda *_: None  # type: ignore[method-assign]
        settings = CacheSettings(enabled=mode != "coalesced")
        async with SHELF.process(cache=settings, wait=settings.enabled) as held["process"]:
            yield through_cito


async def main(mode: str) -> None:
    """Serve until told to stop."""
    async with opened(mode) as handler:
        server = Server(
            Litestar([handler], openapi_config=None, logging_config=None),
            port=int(os.environ["PORT"]),
            interface=Interfaces.ASGI,
            websockets=False,
            log_enabled=False,
        )
        await server.serve()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main(sys.argv[1]))
