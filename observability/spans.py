"""Spans from a record: built when its trace is sampled, and afterwards when it was slow or failed; true times.

Steps that contain others (a cached read, a load, a tracked operation) become their parents. Attribute names
follow the semantic conventions; values are names, numbers and codes from the record.
"""

from __future__ import annotations

from random import getrandbits

import msgspec

from cito.core.telemetry import Event, Record, What
from cito.observability.metrics import bounded_method

SERVER, CLIENT, CONSUMER, INTERNAL = "server", "client", "consumer", "internal"
_CONTAINERS = frozenset({What.CACHE, What.LOAD, What.TRACK})
_FAILED = 500


class Span(msgspec.Struct, frozen=True):
    """One span, vendor-neutral: ids as lower-case hex, times in ns since the epoch; `error` is its type or empty."""

    trace_id: str
    span_id: str
    parent_id: str
    name: str
    kind: str
    start_ns: int
    end_ns: int
    attributes: dict[str, str | int]
    error: str = ""


def span_count(record: Record) -> int:
    """Return how many spans a record becomes."""
    return 1 + len(record.events)


def spans_of(record: Record) -> list[Span]:
    """Return the spans of a record: its own first, then its steps by start."""
    offset = record.started_at_ns - record.start_ns  # from the monotonic clock to the wall clock
    spans = [_root(record)]
    open_: list[tuple[int, str]] = []  # containers around the present step: (end, span id)
    for event in sorted(record.events, key=lambda event: (event.start_ns, -event.duration_ns)):
        end = event.start_ns + event.duration_ns
        while open_ and open_[-1][0] < end:
            open_.pop()
        parent = open_[-1][1] if open_ else record.span_id
        span_id = f"{getrandbits(64) or 1:016x}"
        name, kind, attributes = _described(event)
        failed = event.code if event.what is not What.CACHE else ""
        if failed:
            attributes["error.type"] = failed
        spans.append(
            Span(
                record.trace_id,
                span_id,
                parent,
                name,
                kind,
                offset + event.start_ns,
                offset + end,
                attributes,
                failed,
            )
        )
        if event.what in _CONTAINERS:
            open_.append((end, span_id))
    return spans


def _root(record: Record) -> Span:
    attributes: dict[str, str | int] = {"cito.operation": record.operation}
    if record.kind == "http":
        method = bounded_method(record.method)
        name = f"{method} {record.route}" if record.operation else method
        attributes["http.request.method"] = method
        attributes["http.response.status_code"] = record.status
        if record.operation:
            attributes["http.route"] = record.route
        if record.request_id:
            attributes["cito.request_id"] = record.request_id
        if record.cache:
            attributes["cito.cache.outcome"] = record.cache
    else:
        name = f"{record.kind} {record.operation}"
    error = record.error or (str(record.status) if record.status >= _FAILED else "")
    if error:
        attributes["error.type"] = error
    return Span(
        record.trace_id,
        record.span_id,
        record.parent_id,
        name,
        {"http": SERVER, "job": CONSUMER}.get(record.kind, INTERNAL),
        record.started_at_ns,
        record.started_at_ns + record.duration_ns,
        attributes,
        error,
    )


def _described(event: Event) -> tuple[str, str, dict[str, str | int]]:
    """Return a step's span name, kind and attributes."""
    name, amount = event.name, event.amount
    match event.what:
        case What.QUERY:
            return (
                name,
                CLIENT,
                {
                    "db.system.name": "postgresql",
                    "db.operation.name": name,
                    "db.query.summary": name,
                    "db.response.returned_rows": amount,
                },
            )
        case What.COMMIT:
            return "COMMIT", CLIENT, {"db.system.name": "postgresql", "db.operation.name": "COMMIT"}
        case What.POOL_WAIT:
            return "wait for a connection", INTERNAL, {}
        case What.CACHE:
            return f"cache {name}", INTERNAL, {"cito.cache.family": name, "cito.cache.outcome": event.code}
        case What.LOAD:
            return f"load {name}", INTERNAL, {"cito.cache.family": name}
        case What.SHARED_CACHE:
            return "shared cache", CLIENT, {"db.system.name": "redis", "db.operation.batch.size": amount}
        case What.LOCK:
            return f"lock {name}", INTERNAL, {}
        case What.BUMP:
            return "bump stamps", CLIENT, {"db.system.name": "redis", "db.operation.batch.size": amount}
        case _:
            return name, INTERNAL, {}
