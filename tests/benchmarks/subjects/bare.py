"""References: a bare ASGI application and a bare Litestar handler that return ready bytes, under the same server.

`python bare.py asgi|litestar BODY_FILE`, on the port that PORT names.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import uvloop
from granian.constants import Interfaces
from granian.server.embed import Server
from litestar import Litestar, Response, get

BODY = Path(sys.argv[2]).read_bytes()
HEADERS = [(b"content-type", b"application/json"), (b"content-length", str(len(BODY)).encode())]


async def bare(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        while (await receive())["type"] == "lifespan.startup":
            await send({"type": "lifespan.startup.complete"})
        await send({"type": "lifespan.shutdown.complete"})
        return
    await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
    await send({"type": "http.response.body", "body": BODY})


@get("/", sync_to_thread=False)
def handler() -> Response[bytes]:
    return Response(BODY, media_type="application/json")


app = bare if sys.argv[1] == "asgi" else Litestar([handler])
uvloop.run(Server(app, port=int(os.environ["PORT"]), interface=Interfaces.ASGI, log_enabled=False).serve())
