"""`If-Match`: a change names the version that it was made from, so that nobody overwrites what they never saw."""

from __future__ import annotations

import re
from typing import Any

from litestar import Request

from cito.core.errors import PreconditionFailed, PreconditionRequired

_STRONG_TAG = re.compile(r'"(?P<version>\d{1,9})(?:\.[^"]*)?"')
_TAG = re.compile(r'(?:W/)?"[^"]*"')


def expected_versions(request: Request[Any, Any, Any]) -> frozenset[int] | None:
    """Return the row versions that `If-Match` allows; None: any (`*`).

    An `ETag` of ours begins with the row's version; what follows is about caching and not compared here. Weak
    and foreign tags match nothing (RFC 9110, 13.1.1).

    Raises:
        PreconditionRequired: the header is missing.
    """
    header = request.headers.get("if-match", "").strip()
    if not header:
        raise PreconditionRequired("send If-Match with the ETag that you have read")
    if header == "*":
        return None
    matched = (_STRONG_TAG.fullmatch(tag) for tag in _TAG.findall(header))
    return frozenset(int(found["version"]) for found in matched if found)


def check_version(version: int, expected: frozenset[int] | None) -> None:
    """Compare a stored row's version with what `If-Match` allows.

    Raises:
        PreconditionFailed: the row was changed since the caller read it.
    """
    if expected is not None and version not in expected:
        raise PreconditionFailed("changed since you read it; read it again and repeat the change")
