"""Serves one Cito in one process, watched as its settings say.

BENCH_LOCAL=0 takes the local tier away, so that each cached read is a round trip to the shared one.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import uvloop

from cito.core.app import create_app
from cito.core.assembly import assemble_cito, resolved
from cito.core.cache.engine import Cache
from cito.core.http.server import Server
from cito.core.logs import set_up_logs


def without_local_tier() -> None:
    """Let no entry be kept in the process."""
    opened = Cache.open

    async def open_without(*arguments: Any, **named: Any) -> Cache:
        cache = await opened(*arguments, **named)
        cache.local.capacity = 0
        return cache

    Cache.open = open_without


async def serve(wrap: Callable[[Any], Any] = lambda app: app) -> None:
    """Serve on $PORT until stopped."""
    set_up_logs("error")
    if os.environ.get("BENCH_LOCAL") == "0":
        without_local_tier()
    assembly = assemble_cito(None)
    app = wrap(create_app(assembly, resolved(assembly.settings)))
    port = int(os.environ["PORT"])
    await Server(app, address="127.0.0.1", port=port).serve()


if __name__ == "__main__":
    uvloop.run(serve())
