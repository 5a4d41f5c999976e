"""Completes the OpenAPI document: an example body for each operation, and the headers that a client may send.

Examples are put together from those of the fields (`msgspec.Meta(examples=[...])`) and from defaults; a required
field that has neither leaves its operation without an example, rather than with one that does not work.
"""

from __future__ import annotations

from typing import Any

_MISSING = object()
_IF_MATCH = {
    "name": "If-Match",
    "in": "header",
    "description": "The `ETag` of the version that the change is made from; `*` for any.",
    "schema": {"type": "string"},
    "example": '"1"',
}
_IF_NONE_MATCH = {
    "name": "If-None-Match",
    "in": "header",
    "required": False,
    "description": "The `ETag` of a copy that the client has; 304 when it is still good.",
    "schema": {"type": "string"},
}


def add_headers(method: str, path: str, operation: dict[str, Any]) -> None:
    """Add the conditional headers of a read, or of a change to one thing, to an operation's parameters."""
    if method == "get":
        operation.setdefault("parameters", []).append(_IF_NONE_MATCH)
    elif not path.endswith("}"):
        return
    elif method in ("put", "patch"):
        operation.setdefault("parameters", []).append({**_IF_MATCH, "required": True})
    elif method == "delete":
        operation.setdefault("parameters", []).append({**_IF_MATCH, "required": False})


def add_example(operation: dict[str, Any], schemas: dict[str, Any]) -> None:
    """Add an example to an operation's JSON body, where its fields give one."""
    content = operation.get("requestBody", {}).get("content", {}).get("application/json")
    if content is None:
        return
    found = example_of(content["schema"], schemas)
    if found is not _MISSING:
        content["example"] = found


def example_of(schema: dict[str, Any], schemas: dict[str, Any]) -> Any:
    """Return an example value of a schema, or a mark that there is none."""
    if "$ref" in schema:
        return example_of(schemas.get(schema["$ref"].rpartition("/")[2], {}), schemas)
    if (said := _said(schema)) is not _MISSING:
        return said
    options = [option for name in ("allOf", "oneOf", "anyOf") for option in schema.get(name, ())]
    for option in options:
        if (found := example_of(option, schemas)) is not _MISSING:
            return found
    if schema.get("type") == "array":
        one = example_of(schema.get("items", {}), schemas)
        return _MISSING if one is _MISSING else [one]
    return _object(schema, schemas) if "properties" in schema else _MISSING


def _said(schema: dict[str, Any]) -> Any:
    """Return what a schema itself gives as a value."""
    for name in ("examples", "enum"):
        if schema.get(name):
            return schema[name][0]
    return next((schema[name] for name in ("example", "const", "default") if name in schema), _MISSING)


def _object(schema: dict[str, Any], schemas: dict[str, Any]) -> Any:
    found = {name: example_of(one, schemas) for name, one in schema["properties"].items()}
    if any(found.get(name, _MISSING) is _MISSING for name in schema.get("required", ())):
        return _MISSING
    given = {
        name: value for name, value in found.items() if value is not _MISSING and value not in (None, [])
    }
    return given or _MISSING
