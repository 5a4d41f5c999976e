"""FastAPI with cashews and its client-side cache: the answer in this process, invalidated by Redis."""

from __future__ import annotations

import os
from typing import Any

from cashews import cache
from fastapi import FastAPI
from serving import BODY, serve

cache.setup(os.environ["CACHE_URL"], client_side=True)
app = FastAPI()


@app.get("/")
@cache(ttl="10m", key="patient")
async def patient() -> Any:
    return BODY


serve(app)
