"""Answers from cache entries: validators, 304, bodies in the content coding that the client takes.

`ETag` is `"<row version>.<digest of the stamps>"`, the same in every process, so a 304 is decided without a look at
the body. `If-Match` compares the version alone (`cito.core.http.preconditions`): stamps may change without the row.
"""

from __future__ import annotations

import gzip
import re
from collections.abc import Mapping
from typing import Any, TypeVar

import zstandard
from litestar import Request, Response
from litestar.types import Receive, Scope, Send

from cito.core.cache.entry import Entry
from cito.core.cache.read import Read
from cito.core.errors import NotFound
from cito.core.http.asgi import ENTRY
from cito.core.http.audit import concerns

V = TypeVar("V")
RawHeaders = tuple[tuple[bytes, bytes], ...]

HTTP_OK, NOT_MODIFIED = 200, 304
CODE_FROM = 1024
"""Bytes: smaller bodies are sent as they are."""
_CODINGS = (b"zstd", b"gzip")
_SUFFIX = {b"": b"", b"zstd": b"-z", b"gzip": b"-g"}
_REFUSED = re.compile(rb";\s*q=0(\.0*)?\s*$")
_zstd = zstandard.ZstdCompressor(level=3)


async def answer(
    request: Request[Any, Any, Any],
    found: Entry[V] | Read[V],
    *,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
) -> Response[V]:
    """Return what the cache has as the answer to a request: its body, or 304 where the client has it already.

    Hand it the read itself, `await answer(request, context.cache.get(family, key, clinic_id))`: then the client's
    validator goes along to the cache, and a 304 needs neither value nor query.

    Args:
        request: its `If-None-Match` is compared, its `Accept-Encoding` chooses the coding.
        found: a read of the cache, or what it found.
        status: of an answer with a body.
        headers: more headers.

    Without more headers and another status, the same path, query and caller get the same entry again before
    routing (`cito.core.http.fastpath`), if the route read nothing else: the key of the entry may depend on nothing
    but them.

    Raises:
        NotFound: the thing does not exist.
        KeyRefused, Problem: what the read raised.
    """
    given = dict(request.scope["headers"])
    asked = given.get(b"if-none-match") if request.method in ("GET", "HEAD") else None
    entry = await found.unless(asked.decode("latin-1") if asked else "") if isinstance(found, Read) else found
    # A hit and a 304 show as much as a load: the audit names the same patients.
    concerns(request, entry.patients)
    if entry.absent:
        raise NotFound
    code, raw, body = raw_answer(entry, asked, given.get(b"accept-encoding", b""))
    if status == HTTP_OK and not headers:
        request.scope[ENTRY] = entry  # type: ignore[literal-required] # ours, for the fast path
    if headers:
        raw = (*raw, *((name.lower().encode(), value.encode()) for name, value in headers.items()))
    return _Answer(code if code == NOT_MODIFIED else status, raw, body)


def raw_answer(
    entry: Entry[Any], if_none_match: bytes | None, accept_encoding: bytes
) -> tuple[int, RawHeaders, bytes]:
    """Return status, headers and body of an entry that is not absent; what is constant is made once per entry.

    Args:
        entry: the answer.
        if_none_match: the request's header.
        accept_encoding: the request's header, possibly empty.
    """
    age = (b"age", b"%d" % entry.age_seconds)
    if entry.not_modified or (if_none_match is not None and matches(if_none_match, entry.etag)):
        return NOT_MODIFIED, (*unchanged(entry), age), b""
    headers, body = coded(entry, choose_coding(entry, accept_encoding))
    return HTTP_OK, (*headers, age), body


def unchanged(entry: Entry[Any]) -> RawHeaders:
    """Return the constant headers of a 304, made once per entry."""
    made = entry.coded.get(b"304")
    if made is None:
        made = entry.coded[b"304"] = (_validators(entry, b""), b"")
    headers: RawHeaders = made[0]
    return headers


def coded(entry: Entry[Any], coding: bytes) -> tuple[RawHeaders, bytes]:
    """Return constant headers and body of a 200 in a content coding, made once per entry."""
    return entry.coded.get(coding) or _code(entry, coding)


def choose_coding(entry: Entry[Any], accept_encoding: bytes) -> bytes:
    """Return the content coding of an answer: none for a short body, else the best that the client takes."""
    return _coding(accept_encoding) if len(entry.body) >= CODE_FROM else b""


def matches(if_none_match: bytes, etag: str) -> bool:
    """Compare an entity tag weakly (RFC 9110 13.1.2), whatever the coding of the copy that the client has."""
    own = etag.encode()
    for given in if_none_match.split(b","):
        tag = given.strip().removeprefix(b"W/")
        if tag in (own, b"*") or (tag[-3:-1] in (b"-z", b"-g") and tag[:-3] + b'"' == own):
            return True
    return False


def _coding(accept_encoding: bytes) -> bytes:
    """Return the best content coding that the client takes."""
    if not accept_encoding:
        return b""
    offered = [part.strip().lower() for part in accept_encoding.split(b",")]
    for coding in _CODINGS:
        for part in offered:
            if part.partition(b";")[0].strip() == coding and not _REFUSED.search(part):
                return coding
    return b""


def _code(entry: Entry[Any], coding: bytes) -> tuple[RawHeaders, bytes]:
    """Make headers and body in one content coding, and keep them with the entry."""
    body = entry.body
    if coding == b"zstd":
        body = _zstd.compress(body)
    elif coding == b"gzip":
        body = gzip.compress(body, 6, mtime=0)
    headers: RawHeaders = (
        (b"content-type", b"application/json"),
        (b"content-length", b"%d" % len(body)),
        *_validators(entry, coding),
        *(((b"content-encoding", coding),) if coding else ()),
    )
    made = entry.coded[coding] = (headers, body)
    if coding:
        entry.plan.local.grew(entry, len(body))
    return made


def _validators(entry: Entry[Any], coding: bytes) -> RawHeaders:
    etag = entry.etag.encode()
    return (
        (b"etag", etag[:-1] + _SUFFIX[coding] + b'"' if coding else etag),
        (b"cache-control", entry.plan.cache_control),
        (b"vary", b"Accept-Encoding, Authorization"),
    )


class _Answer(Response[V]):
    """A Litestar response whose bytes are ready: nothing is encoded or merged again."""

    def __init__(self, status: int, headers: RawHeaders, body: bytes) -> None:
        super().__init__(content=body, status_code=status)  # type: ignore[arg-type] # the body is encoded
        self.ready = (status, headers, body)

    def to_asgi_response(self, *_: Any, **__: Any) -> Any:
        return _Ready(self.ready)


class _Ready:
    """The ASGI application that sends ready bytes."""

    __slots__ = ("_ready",)

    def __init__(self, ready: tuple[int, RawHeaders, bytes]) -> None:
        self._ready = ready

    async def __call__(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        status, headers, body = self._ready
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body, "more_body": False})
