"""FastAPI with fastapi-cache2: a handler under `@cache`, the answer in Redis."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import redis.asyncio as redis
from fastapi import FastAPI
from fastapi_cache import FastAPICache
from fastapi_cache.backends.redis import RedisBackend
from fastapi_cache.decorator import cache
from serving import BODY, serve


@asynccontextmanager
async def life(_: FastAPI) -> AsyncIterator[None]:
    FastAPICache.init(RedisBackend(redis.from_url(os.environ["CACHE_URL"])), prefix="bench")
    yield


app = FastAPI(lifespan=life)


@app.get("/")
@cache(expire=600)
async def patient() -> Any:
    return BODY


serve(app)
