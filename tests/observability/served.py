"""A site that answers on a real port, for those who speak HTTP from outside: browsers, Prometheus."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from support import Site

from cito.core.app import create_app
from cito.core.http.server import Server


@asynccontextmanager
async def serving(site: Site) -> AsyncIterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    app = create_app(site.assembly, site.urls)
    server = Server(app, address="127.0.0.1", port=port)
    task = asyncio.create_task(server.serve())
    async with asyncio.timeout(10):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.05)
            else:
                writer.close()
                break
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.stop()
        await task
