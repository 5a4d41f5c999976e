"""Lets pages of configured origins call the API. Without any configured, this layer is not there at all."""

from __future__ import annotations

from collections.abc import Awaitable

from cito.core.http.asgi import HEADERS, App, Message, Receive, Scope, Send

_SENT = (
    b"Authorization, Content-Type, Idempotency-Key, If-Match, If-None-Match, traceparent, X-Purpose-Of-Use, "
    b"X-Request-Id"
)
_PREFLIGHT = (
    (b"access-control-allow-methods", b"GET, POST, PUT, PATCH, DELETE"),
    (b"access-control-allow-headers", _SENT),
    (b"access-control-max-age", b"600"),
)
_EXPOSED = (b"access-control-expose-headers", b"ETag, Location, Retry-After, Server-Timing, X-Request-Id")


class CrossOrigin:
    """ASGI layer that answers preflights and names the origin in answers, for the allowed origins only.

    Args:
        app: the next layer.
        origins: such as `https://clinic.example`; `*` is an origin like any other, and matches nothing.
    """

    __slots__ = ("_app", "_origins")

    def __init__(self, app: App, origins: tuple[str, ...]) -> None:
        self._app = app
        self._origins = frozenset(origin.encode() for origin in origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        origin = scope[HEADERS].get(b"origin") if scope["type"] == "http" else None
        if origin not in self._origins:
            await self._app(scope, receive, send)
            return
        named = [(b"access-control-allow-origin", origin), (b"vary", b"Origin")]
        if scope["method"] == "OPTIONS" and b"access-control-request-method" in scope[HEADERS]:
            await send({"type": "http.response.start", "status": 204, "headers": [*named, *_PREFLIGHT]})
            await send({"type": "http.response.body", "body": b"", "more_body": False})
            return

        def send_named(message: Message) -> Awaitable[None]:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *named, _EXPOSED]
            return send(message)

        await self._app(scope, receive, send_named)
