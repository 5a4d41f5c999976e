"""What the peers answer with, and the server that serves them: the same as Cito's."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import uvloop
from granian.constants import Interfaces
from granian.server.embed import Server

BODY: Any = json.loads(Path(os.environ["BODY"]).read_bytes())


def serve(app: Any) -> None:
    """Serve an ASGI application on $PORT until stopped."""
    port = int(os.environ["PORT"])
    uvloop.run(Server(app, port=port, interface=Interfaces.ASGI, websockets=False, log_enabled=False).serve())
