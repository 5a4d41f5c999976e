"""ASGI's types, and the keys that our layers put into a request's scope beside the server's."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, TypeAlias

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
# Litestar's own types are narrower than what servers send; `Any` lets its applications be our layers' next one.
Receive: TypeAlias = Callable[[], Awaitable[Any]]
Send: TypeAlias = Callable[[Any], Awaitable[None]]
App: TypeAlias = Callable[[Any, Any, Any], Awaitable[None]]

RECORD = "cito.record"  # telemetry.Record
HEADERS = "cito.headers"  # dict[bytes, bytes]
CALLER = "cito.caller"  # Caller, once the token held
ACCESS = "cito.access"  # http.audit.Access, once the route is known
ENTRY = "cito.entry"  # cache.Entry, where it alone, with path, query and caller, makes the answer
OVERDUE = "cito.overdue"  # http.limits.Overdue, which watches how long the request takes

ASKED = "cito.asked"  # present: the server has asked the fast path, which has no answer


def is_api_path(path: str) -> bool:
    """Tell whether a path is under `/api`, however it is written (Litestar folds `//`)."""
    return path.startswith("/api") or ("//" in path and path.lstrip("/").startswith("api"))
