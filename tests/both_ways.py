"""Two applications over one database and one shared cache, with and without the fast path, compared answer by answer.

`pytest --both-ways` puts `BothWays` between every test and its site: what a test reads by GET is asked of both.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import httpx
import msgspec
from support import alive

from cito.core.app import create_app
from cito.core.assembly import Assembly
from cito.core.audit.entry import Entry, decode_entry
from cito.core.audit.journal import Journal
from cito.core.clock import Clock
from cito.core.embedded import Urls
from cito.core.http.fastpath import FastPath, Hit
from cito.core.telemetry import Record

TIMES = {"server-timing", "x-request-id", "traceparent", "age"}
_UNCACHED = frozenset(("", "bypass", "stale"))


@dataclass
class Same:
    """Reads that were the same both ways, in this process so far, and how many of them the fast path answered."""

    compared: int = 0
    fast: int = 0


same = Same()


@dataclass
class Way:
    """One application and all that it told of its requests.

    Attributes:
        fast: how many answers the fast path gave.
    """

    app: Any
    client: httpx.AsyncClient
    records: list[Record] = field(default_factory=list)
    events: list[Entry] = field(default_factory=list)
    fast: int = 0

    async def get(self, path: str, **headers: str) -> httpx.Response:
        return await self.client.get(path, headers=headers)

    def forget(self) -> None:
        """Start a new comparison."""
        self.records.clear()
        self.events.clear()


def make_way(assembly: Assembly, urls: Urls, clock: Clock | None = None, *, fast: bool) -> Way:
    """Return another application of an assembly; its lifespan is the caller's."""
    settings = msgspec.structs.replace(
        assembly.settings,
        http=msgspec.structs.replace(assembly.settings.http, fast_path=fast),
        # By chance, one of two requests might be sampled and the other not; a parent's flag still decides.
        observability=msgspec.structs.replace(assembly.settings.observability, sample_ratio=0.0),
    )
    records: list[Record] = []
    subscribers = (*assembly.registry.request_subscribers, records.append)
    registry = dataclasses.replace(assembly.registry, request_subscribers=subscribers)
    app = create_app(dataclasses.replace(assembly, settings=settings, registry=registry), urls, clock)
    client = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://cito.test")
    way = Way(app, client, records)
    _listen(way)
    return way


def _listen(way: Way) -> None:
    """Note each event that reaches the journal, and each answer of the fast path."""
    for journal in journals(way.app):
        append = journal.append

        def noted(payload: bytes, at_ns: int, append: Callable[[bytes, int], None] = append) -> None:
            append(payload, at_ns)
            way.events.append(decode_entry(payload))

        journal.append = noted  # type: ignore[method-assign]
    if isinstance(way.app, FastPath):
        find = way.app.find

        def counted(scope: Any) -> Hit | None:
            hit = find(scope)
            way.fast += hit is not None
            return hit

        way.app.find = counted  # type: ignore[method-assign]


def journals(app: Any) -> set[Journal]:
    """Find the journal in the layers of an application."""
    found: set[Journal] = set()
    while app is not None:
        journal = getattr(app, "_journal", None)
        if isinstance(journal, Journal):
            found.add(journal)
        app = getattr(app, "_app", None)
    return found


def told(response: httpx.Response) -> tuple[Any, ...]:
    """What an answer says, but for the times."""
    headers = sorted((name, value) for name, value in response.headers.multi_items() if name not in TIMES)
    return (response.status_code, headers, response.content)


def noted(record: Record) -> tuple[Any, ...]:
    """What a record says, but for ids and times."""
    return (
        record.kind,
        record.operation,
        record.route,
        record.method,
        record.status,
        record.role,
        record.cache,
        record.error,
        record.sampled,
        [(event.what, event.name, event.code, event.amount) for event in record.events],
    )


def written(event: Entry) -> tuple[Any, ...]:
    """What an audit event says, but for ids and times."""
    return msgspec.structs.astuple(msgspec.structs.replace(event, occurred_ns=0, request_id="", trace_id=""))


@asynccontextmanager
async def both_ways(
    site: httpx.AsyncBaseTransport, assembly: Assembly, urls: Urls, clock: Clock | None
) -> AsyncIterator[BothWays]:
    """Open two further applications of a site, and yield the transport that compares them."""
    fast, long = (make_way(assembly, urls, clock, fast=fast) for fast in (True, False))
    async with alive(fast.app), alive(long.app):
        yield BothWays(site, fast, long)


class BothWays(httpx.AsyncBaseTransport):
    """Answers from a site, and compares each cached read of it between two applications of the same site.

    Args:
        site: answers the test.
        fast, long: the two ways.
        attempts: how often they are asked before they count as different.
    """

    def __init__(self, site: httpx.AsyncBaseTransport, fast: Way, long: Way, attempts: int = 50) -> None:
        self._site = site
        self._attempts = attempts
        self._fast, self._long = fast, long
        self._turn = asyncio.Lock()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        answer = await self._site.handle_async_request(request)
        if request.method == "GET" and answer.status_code in (200, 304):
            async with self._turn:
                await self._compare(request)
        return answer

    async def _compare(self, request: httpx.Request) -> None:
        """Ask until both ways are local: on a busy machine the relay may pause, and a write be on its way."""
        for _ in range(self._attempts):
            both, fast = [], 0
            for way in (self._fast, self._long):
                for _ in range(2):  # a load fills the local cache, a local hit the memo
                    await self._ask(way, request)
                way.forget()
                before = way.fast
                answer = await self._ask(way, request)
                if not way.records or way.records[0].cache in _UNCACHED:
                    return
                both.append((told(answer), [*map(noted, way.records)], [*map(written, way.events)]))
                fast += way.fast - before
            if both[0] == both[1]:
                same.compared += 1
                same.fast += fast
                return
            await asyncio.sleep(0.02)
        one, other = both
        assert one[0] == other[0], f"{request.url.path}: the answers differ"
        assert one[1] == other[1], f"{request.url.path}: the records differ: {one[1]} and {other[1]}"
        assert one[2] == other[2], f"{request.url.path}: the audit events differ"

    async def _ask(self, way: Way, request: httpx.Request) -> httpx.Response:
        headers = [(name, value) for name, value in request.headers.raw if name.lower() != b"x-request-id"]
        return await way.client.request(
            "GET", request.url, headers=[*headers, (b"x-request-id", uuid4().hex.encode())]
        )
