"""Adds links to the OpenAPI document: from an answer with an id to every operation that takes that id.

Nobody declares them: an answer at a collection, or at one of its things, whose schema has an `id`, leads to what can
be done at `<collection>/{id}` and below. Clients find their way by them, and generated tests follow them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

_IF_MATCH = "If-Match"
Operations = dict[str, dict[str, Any]]


def add_links(document: dict[str, Any], schemas: dict[str, Any]) -> None:
    """Add `links` to the successful answers of a completed document.

    Args:
        document: with its operations' parameters complete.
        schemas: of its components, by name.
    """
    paths: dict[str, Operations] = document["paths"]
    for path, operations in paths.items():
        for operation in operations.values():
            for status, response in operation["responses"].items():
                if status not in ("200", "201"):
                    continue
                place = _place_of_id(response, schemas)
                if place is not None and (links := _links(paths, path, place)):
                    response["links"] = links


def _links(paths: dict[str, Operations], path: str, place: str) -> dict[str, Any]:
    """Return the links of one answer by the name of the operation that each leads to."""
    links: dict[str, Any] = {}
    for parameter, operation in _operations_on(paths, path):
        parameters = {f"path.{parameter}": f"$response.body#/{place}"}
        if place == "id" and any(one["name"] == _IF_MATCH for one in operation.get("parameters", ())):
            parameters[f"header.{_IF_MATCH}"] = "$response.header.ETag"
        links[operation["operationId"]] = {
            "operationId": operation["operationId"],
            "parameters": parameters,
        }
    return links


def _operations_on(paths: dict[str, Operations], path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the operations on the things of a collection, with the name of their id in the path."""
    collection = path[: path.index("{")].rstrip("/") if path.endswith("}") else path
    for other, operations in paths.items():
        head, brace, rest = other.removeprefix(f"{collection}/").partition("{")
        if other.startswith(f"{collection}/") and brace and not head:
            for operation in operations.values():
                yield rest.partition("}")[0], operation


def _place_of_id(response: dict[str, Any], schemas: dict[str, Any]) -> str | None:
    """Return where a JSON answer has an id, as a JSON pointer without its first `/`; None: it has none."""
    content = response.get("content", {}).get("application/json")
    if content is None:
        return None
    properties = _properties(content["schema"], schemas)
    if "id" in properties:
        return "id"
    for name, schema in properties.items():
        if schema.get("type") == "array" and "id" in _properties(schema.get("items", {}), schemas):
            return f"{name}/0/id"
    return None


def _properties(schema: dict[str, Any], schemas: dict[str, Any]) -> dict[str, Any]:
    if "$ref" in schema:
        return _properties(schemas.get(schema["$ref"].rpartition("/")[2], {}), schemas)
    found: dict[str, Any] = schema.get("properties", {})
    return found
