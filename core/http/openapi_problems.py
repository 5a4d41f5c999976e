"""Completes the OpenAPI document: each operation's scope, examples, headers, links, and the problems it may answer."""

from __future__ import annotations

from typing import Any

import msgspec
from litestar import Request
from litestar.openapi.plugins import JsonRenderPlugin

from cito.core import errors
from cito.core.declarations import RULES_KEY, RouteRules
from cito.core.errors import Problem
from cito.core.http.openapi_examples import add_example, add_headers
from cito.core.http.openapi_links import add_links
from cito.core.http.problems import MEDIA_TYPE, ProblemDocument

_ALWAYS: tuple[type[Problem], ...] = (
    errors.Unauthenticated,
    errors.Forbidden,
    errors.NotFound,
    errors.MethodNotAllowed,
    errors.Invalid,
    errors.TooManyRequests,
    errors.Unavailable,
)
_WITH_BODY: tuple[type[Problem], ...] = (
    errors.Malformed,
    errors.Conflict,
    errors.TooLarge,
    errors.UnsupportedMedia,
)
_CHANGES: tuple[type[Problem], ...] = (
    errors.Conflict,
    errors.PreconditionFailed,
    errors.PreconditionRequired,
)
_METHODS = frozenset({"get", "post", "put", "patch", "delete"})
_MOVED = {"description": "The record was merged; `Location` says into which one."}
_UNCHANGED = {"description": "The copy that `If-None-Match` names is still good."}


class Document(JsonRenderPlugin):
    """Serves `/docs/openapi.json`, completed once."""

    def __init__(self) -> None:
        super().__init__()
        self._completed: bytes | None = None

    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:
        """Return the document as JSON."""
        if self._completed is None:
            document = msgspec.json.decode(self.render_json(request, openapi_schema))
            self._completed = msgspec.json.encode(completed(document, rules_by_operation(request.app)))
        return self._completed


def rules_by_operation(app: Any) -> dict[str, RouteRules]:
    """Return the rules of every route that has some, by operation id."""
    found: dict[str, RouteRules] = {}
    for route in app.routes:
        for handler, _ in getattr(route, "route_handler_map", {}).values():
            if RULES_KEY in handler.opt:
                found[handler.operation_id] = handler.opt[RULES_KEY]
    return found


def completed(document: dict[str, Any], rules: dict[str, RouteRules]) -> dict[str, Any]:
    """Return an OpenAPI document with scopes and problems added to each operation that has rules."""
    (schema,), components = msgspec.json.schema_components(
        [ProblemDocument], ref_template="#/components/schemas/{name}"
    )
    document.setdefault("components", {}).setdefault("schemas", {}).update(components)
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            if method in _METHODS and operation.get("operationId") in rules:
                _complete(method, path, operation, rules[operation["operationId"]], schema)
                add_headers(method, path, operation)
                add_example(operation, document["components"]["schemas"])
    add_links(document, document["components"]["schemas"])
    return document


def _complete(
    method: str, path: str, operation: dict[str, Any], rules: RouteRules, schema: dict[str, Any]
) -> None:
    operation["security"] = [{"bearer": [rules.scope]}]
    operation["x-scope"] = rules.scope
    responses = operation["responses"]
    responses.pop("400", None)  # Litestar's own idea of a validation error
    kinds = [*_ALWAYS]
    if "requestBody" in operation:
        kinds += _WITH_BODY
    if method == "get":
        responses["304"] = _UNCHANGED
        responses["308"] = _MOVED
    elif method != "post" and path.endswith("}"):
        kinds += _CHANGES
    for kind in kinds:
        responses[str(kind.status)] = {
            "description": kind.title,
            "content": {MEDIA_TYPE: {"schema": schema}},
        }
