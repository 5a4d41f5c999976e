"""May this caller use this route: scope, clinic, parameters and media type, checked between routing and handler.

A Litestar middleware, not a guard: middleware is additive over all layers just as guards are, and Litestar
copies the whole handler for each guard of each request.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from cito.core.caller import Caller
from cito.core.declarations import RULES_KEY, RouteRules
from cito.core.errors import FieldError, Forbidden, Invalid, Unauthenticated, UnsupportedMedia
from cito.core.http.asgi import ACCESS, CALLER, HEADERS, App, Receive, Scope, Send
from cito.core.http.audit import Access
from cito.core.http.parameters import refuse_unknown_parameters

if TYPE_CHECKING:
    from litestar.handlers.base import BaseRouteHandler

# A clinic comes from the token only: whoever sends one otherwise is told so, not ignored.
CLINIC_HEADERS = frozenset(
    f"{prefix}{name}{suffix}".encode()
    for prefix in ("", "x-")
    for name in ("clinic", "tenant", "organization", "organisation", "org")
    for suffix in ("", "-id")
)
# Everybody else works for a clinic, and a token of theirs that names none is not theirs.
ROLES_WITHOUT_CLINIC = frozenset({"admin", "auditor"})
_NOTHING: frozenset[str] = frozenset()


class RouteGuard:
    """The innermost layer of ours: `Litestar(middleware=[lambda app: RouteGuard(app, registry.scopes)])`.

    Args:
        app: the route.
        scopes: role -> scopes that it holds.
    """

    __slots__ = ("_app", "_scopes")

    def __init__(self, app: App, scopes: Mapping[str, frozenset[str]]) -> None:
        self._app = app
        self._scopes = scopes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        handler = scope["route_handler"]
        rules = handler.opt.get(RULES_KEY)
        if rules is not None:
            scope[ACCESS] = Access(rules, scope)
            authorize(rules, scope.get(CALLER), self._scopes)
            refuse_clinic_headers(scope)
            refuse_unknown_parameters(scope, handler)
            check_body_type(scope, handler)
        elif scope["path"].startswith("/api"):
            raise Forbidden  # a route without rules is a mistake of its plugin, which the registry reports
        await self._app(scope, receive, send)


def authorize(rules: RouteRules, caller: object, scopes: Mapping[str, frozenset[str]]) -> None:
    """Check a caller against a route's rules.

    Raises:
        Unauthenticated: nobody.
        Forbidden: the role lacks the scope, or the token names no clinic and the route or the role needs one.
    """
    if not isinstance(caller, Caller):
        raise Unauthenticated
    if rules.scope not in scopes.get(caller.role, _NOTHING):
        raise Forbidden(f"the role lacks the scope {rules.scope}")
    if caller.clinic_id is None and (rules.clinic or caller.role not in ROLES_WITHOUT_CLINIC):
        raise Forbidden("the token names no clinic")


def refuse_clinic_headers(scope: Scope) -> None:
    """Refuse a request that tries to say for which clinic it is.

    Raises:
        Invalid: names the header.
    """
    headers: dict[bytes, bytes] = scope[HEADERS]
    if not CLINIC_HEADERS.isdisjoint(headers):
        name = min(CLINIC_HEADERS.intersection(headers)).decode()
        rule = FieldError(name, "unknown", "the clinic comes from the token only")
        raise Invalid(f"{name}: {rule.message}", errors=(rule,))


def check_body_type(scope: Scope, handler: BaseRouteHandler) -> None:
    """Refuse a body that is not plain JSON where the route takes one.

    Raises:
        UnsupportedMedia: another media type, charset or content coding.
    """
    if scope["method"] in ("GET", "HEAD", "OPTIONS") or "data" not in handler.parsed_fn_signature.parameters:
        return
    headers: dict[bytes, bytes] = scope[HEADERS]
    media, _, parameters = headers.get(b"content-type", b"").lower().partition(b";")
    charset = parameters.strip().removeprefix(b"charset=").strip(b'"')
    if media.strip() != b"application/json" or charset not in (b"", b"utf-8"):
        raise UnsupportedMedia("the body must be application/json in UTF-8")
    if headers.get(b"content-encoding", b"identity") != b"identity":
        raise UnsupportedMedia("the body must not be compressed")
