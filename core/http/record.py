"""The outermost layer: one telemetry record for each request, its ids in and out, its times, its headers.

On the way of every request, hits of the fast path included: nothing here allocates more than it must.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Sequence
from random import getrandbits
from time import perf_counter_ns

from cito.core.http.asgi import HEADERS, RECORD, App, Message, Receive, Scope, Send
from cito.core.http.headers import common_headers
from cito.core.http.problems import as_problem, send_problem
from cito.core.telemetry import Record, What, current_record

_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,128}")
_TRACEPARENT = re.compile(rb"(?!ff)[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_NO_TRACE, _NO_SPAN = b"0" * 32, b"0" * 16
_LOW_64 = (1 << 64) - 1


class Recorded:
    """ASGI layer that makes the record of a request and hands it to the subscribers after the last byte.

    Args:
        app: the next layer.
        subscribers: the frozen tuple of `request_finished` hooks.
        sample_ratio: share of traces without a sampled parent that are sampled, 0 to 1.
    """

    __slots__ = ("_app", "_subscribers", "_threshold")

    def __init__(
        self, app: App, subscribers: Sequence[Callable[[Record], None]], sample_ratio: float
    ) -> None:
        self._app = app
        self._subscribers = tuple(subscribers)
        self._threshold = int(sample_ratio * (1 << 64))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        record = Record("http")
        # A dict: one pass, and every later layer looks its header up in it. Of a repeated header the last counts;
        # `auth` refuses a repeated Authorization.
        headers = dict(scope["headers"])
        record.method = scope["method"]
        begin_trace(record, headers, self._threshold)
        scope[RECORD] = record
        scope[HEADERS] = headers
        token = current_record.set(record)
        path = scope["path"]  # Litestar rewrites it

        def send_recorded(message: Message) -> Awaitable[None]:
            if message["type"] == "http.response.start":
                record.status = message["status"]
                given = message["headers"]
                message["headers"] = [*given, *common_headers(path, given), *record_headers(record)]
            return send(message)

        try:
            await self._app(scope, receive, send_recorded)
        except Exception as error:
            if record.status:
                record.error = type(error).__name__
                raise
            await send_problem(send_recorded, as_problem(error))
        finally:
            record.finish(record.status)
            handler = scope.get("route_handler")
            if handler is not None:
                record.route = scope["path_template"]
                record.operation = getattr(handler, "operation_id", None) or handler.handler_name
            for subscriber in self._subscribers:
                subscriber(record)
            current_record.reset(token)


def begin_trace(record: Record, headers: dict[bytes, bytes], threshold: int) -> None:
    """Set the record's request id and trace context: those that came in, where valid, else new ones.

    Args:
        record: the request's record.
        headers: the request's headers by lower-case name.
        threshold: the trace is sampled when 64 random bits are below it; a parent's decision is kept.
    """
    bits = getrandbits(192)
    ids = bits.to_bytes(24).hex()
    record.span_id = ids[32:]
    parent = headers.get(b"traceparent")
    if parent is not None and (match := _TRACEPARENT.fullmatch(parent)) is not None:
        trace, span, flags, rest = match.groups()
        if trace != _NO_TRACE and span != _NO_SPAN and not (rest and parent.startswith(b"00")):
            record.trace_id = trace.decode()
            record.parent_id = span.decode()
            record.sampled = bool(int(flags, 16) & 1)
    if not record.trace_id:
        record.trace_id = ids[:32]
        record.sampled = (bits >> 64) & _LOW_64 < threshold  # the same bits as OpenTelemetry's ratio sampler
    wished = headers.get(b"x-request-id")
    record.request_id = (
        wished.decode() if wished is not None and _REQUEST_ID.fullmatch(wished) is not None else ids[:32]
    )


def record_headers(record: Record) -> tuple[tuple[bytes, bytes], ...]:
    """Return the headers that tell of this request: its ids and what took how long so far."""
    total_ms = (perf_counter_ns() - record.start_ns) / 1e6
    if record.events:
        queries = [event for event in record.events if event.what is What.QUERY]
        spent_ms = sum(event.duration_ns for event in queries) / 1e6
        timing = b'db;desc="%d";dur=%.2f, total;dur=%.2f' % (len(queries), spent_ms, total_ms)
    else:
        timing = b'db;desc="0";dur=0, total;dur=%.2f' % total_ms
    if record.cache:
        timing = b'cache;desc="%b", %b' % (record.cache.encode(), timing)
    traceparent = f"00-{record.trace_id}-{record.span_id}-0{int(record.sampled)}".encode()
    return (
        (b"x-request-id", record.request_id.encode()),
        (b"traceparent", traceparent),
        # A script in a browser sees this one only.
        (b"server-timing", b'%b, traceparent;desc="%b"' % (timing, traceparent)),
    )
