"""Who is asking: the bearer token of every path under `/api`, known or not; elsewhere where a route demands it."""

from __future__ import annotations

from asyncio import sleep
from collections.abc import Callable
from time import monotonic
from typing import Any

from litestar import Request

from cito.core.caller import Caller
from cito.core.errors import Unauthenticated
from cito.core.http.asgi import CALLER, HEADERS, RECORD, App, Receive, Scope, Send, is_api_path
from cito.core.http.problems import send_problem
from cito.core.http.tokens import TokenVerifier

# A refusal leaves this long after its request came, so that its time tells nothing of its reason.
REFUSAL_SECONDS = 0.01


class Authenticated:
    """ASGI layer that puts a `Caller` into the scope, or answers 401.

    Args:
        app: the next layer.
        verifier: checks tokens.
        refused: called for each 401, for the audit.
    """

    __slots__ = ("_app", "_refused", "_verifier")

    def __init__(
        self, app: App, verifier: TokenVerifier, refused: Callable[[Scope], None] | None = None
    ) -> None:
        self._app = app
        self._verifier = verifier
        self._refused = refused

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and (is_api_path(scope["path"]) or b"authorization" in scope[HEADERS]):
            started = monotonic()
            try:
                caller = self._verifier.verify(bearer_token(scope))
            except Unauthenticated as problem:
                if is_api_path(scope["path"]):
                    await sleep(started + REFUSAL_SECONDS - monotonic())
                    if self._refused is not None:
                        self._refused(scope)
                    await send_problem(send, problem)
                    return
            else:
                scope[CALLER] = caller
                scope[RECORD].role = caller.role
        await self._app(scope, receive, send)


def bearer_token(scope: Scope) -> bytes:
    """Return the one bearer token of a request.

    Raises:
        Unauthenticated: none, several, or another scheme.
    """
    headers: dict[bytes, bytes] = scope[HEADERS]
    value = headers.get(b"authorization", b"")
    if value[:7].lower() != b"bearer ":
        raise Unauthenticated
    given = scope["headers"]
    if len(headers) != len(given) and sum(name == b"authorization" for name, _ in given) > 1:
        raise Unauthenticated
    return value[7:]


def provide_caller(request: Request[Any, Any, Any]) -> Caller:
    """Litestar dependency `caller`: whom the token speaks for.

    Raises:
        Unauthenticated: the route is outside `/api` and the request had no valid token.
    """
    caller = request.scope.get(CALLER)
    if not isinstance(caller, Caller):
        raise Unauthenticated
    return caller
