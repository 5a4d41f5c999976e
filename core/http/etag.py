"""From a cached entry to an answer: validator, age, 304."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, cast

from litestar import Request, Response
from litestar.enums import MediaType

from cito.core.cache.engine import Entry
from cito.core.errors import NotFound

V = TypeVar("V")
NOT_MODIFIED = 304


async def answer(
    request: Request[Any, Any, Any],
    entry: Entry[V],
    *,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
) -> Response[V]:
    """Return an entry as the answer to a request, or 304 where the caller's own copy is still good.

    Args:
        request: its `If-None-Match` is compared.
        entry: what the cache found.
        status: of an answer with a body.
        headers: more headers.

    Raises:
        NotFound: the entry says that the thing does not exist.
    """
    if entry.absent:
        raise NotFound
    said = {
        "etag": entry.etag,
        "cache-control": "private, no-cache",
        "age": str(int(entry.age_seconds)),
        "vary": "Authorization, Accept-Encoding",
        **(headers or {}),
    }
    known = request.headers.get("if-none-match", "")
    if request.method in ("GET", "HEAD") and _matches(known, entry.etag):
        return cast("Response[V]", Response(b"", status_code=NOT_MODIFIED, headers=said))
    # The body is the encoded value: the type says what it means, and OpenAPI reads it from there.
    return Response(cast("V", entry.body), status_code=status, headers=said, media_type=MediaType.JSON)


def _matches(known: str, etag: str) -> bool:
    """Weak comparison (RFC 9110, 13.1.2)."""
    tags = (tag.strip().removeprefix("W/") for tag in known.split(","))
    return known.strip() == "*" or etag in tags
