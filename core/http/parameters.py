"""Refuses query parameters that a route does not know, and repeated ones, which proxies read differently."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_to_bytes

from cito.core.errors import FieldError
from cito.core.http.asgi import Scope
from cito.core.http.validation import invalid_request

if TYPE_CHECKING:
    from litestar.handlers.base import BaseRouteHandler

_SHOWN_BYTES = 64  # a longer name is the client's text, not a name
# name -> may be repeated, by handler; filled at a handler's first request with a query. The handler is kept beside:
# its number would else be another's one day.
_known: dict[int, tuple[BaseRouteHandler, dict[bytes, bool]]] = {}


def public_name(scope: Scope, python_name: str) -> str:
    """Return what the client calls a parameter that the code calls `python_name`."""
    for model in _models_of(scope["litestar_app"], scope["route_handler"]):
        for parameter in (*model.expected_query_params, *model.expected_header_params):
            if parameter.field_name == python_name:
                return str(parameter.field_alias)
    return python_name


def refuse_unknown_parameters(scope: Scope, handler: BaseRouteHandler) -> None:
    """Check the names in a query string.

    Raises:
        Invalid: names each parameter that is unknown or repeated.
    """
    query: bytes = scope["query_string"]
    if not query:
        return
    found = _known.get(id(handler))
    if found is None:
        found = _known[id(handler)] = (handler, _parameters_of(scope["litestar_app"], handler))
    known = found[1]
    seen: set[bytes] = set()
    broken: list[FieldError] = []
    for pair in query.split(b"&"):
        name = pair.partition(b"=")[0]
        if b"%" in name or b"+" in name:
            name = unquote_to_bytes(name.replace(b"+", b" "))
        if name not in known:
            shown = name.decode() if len(name) <= _SHOWN_BYTES and name.isalnum() else "?"
            broken.append(FieldError(shown, "unknown", "no such parameter"))
        elif name in seen and not known[name]:
            broken.append(FieldError(name.decode(), "repeated", "given more than once"))
        seen.add(name)
    if broken:
        raise invalid_request(tuple(broken[:20]))


def _parameters_of(litestar_app: Any, handler: BaseRouteHandler) -> dict[bytes, bool]:
    """Return the query parameters that a handler and its dependencies take."""
    return {
        parameter.field_alias.encode(): parameter.is_sequence
        for model in _models_of(litestar_app, handler)
        for parameter in model.expected_query_params
    }


def _models_of(litestar_app: Any, handler: BaseRouteHandler) -> Iterator[Any]:
    """Yield Litestar's own description of what a handler takes, for each of its paths."""
    for route in litestar_app.routes:
        for found, model in getattr(route, "route_handler_map", {}).values():
            if found is handler:
                yield model
