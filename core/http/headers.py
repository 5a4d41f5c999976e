"""The headers of every answer, decided once."""

from __future__ import annotations

from collections.abc import Iterable

Headers = tuple[tuple[bytes, bytes], ...]

_COMMON: Headers = (
    (b"server", b""),  # else the server adds its name
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"strict-transport-security", b"max-age=31536000; includeSubDomains"),
)
_POLICY = b"content-security-policy"
# No answer of the API is a page: nothing of it may be framed or run.
_API: Headers = (*_COMMON, (_POLICY, b"default-src 'none'; frame-ancestors 'none'"))
_API_UNSTORED: Headers = (*_API, (b"cache-control", b"no-store"))
# Our own pages load their own files only and talk to their own origin only.
_PAGE_POLICY = (
    b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
    b"connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_PAGE: Headers = (*_COMMON, (_POLICY, _PAGE_POLICY))
# The documentation's script styles its page from within itself.
_DOCUMENTATION: Headers = (
    *_COMMON,
    (_POLICY, _PAGE_POLICY.replace(b"style-src 'self'", b"style-src 'self' 'unsafe-inline'")),
)


def common_headers(path: str, given: Iterable[tuple[bytes, bytes]]) -> Headers:
    """Return what every answer carries besides its own headers.

    An answer of the API that says nothing about caching may not be stored; a page may bring its own content policy.

    Args:
        path: the request's path.
        given: the answer's own headers.
    """
    if path.startswith("/api"):
        for name, _ in given:
            if name == b"cache-control":
                return _API
        return _API_UNSTORED
    return _COMMON if any(name == _POLICY for name, _ in given) else _PAGE
