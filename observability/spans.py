"""Spans from a record: built when its trace is sampled, and afterwards when it was slow or failed; true times.

Steps that contain others (a cached read, a load, a tracked operation) become their parents. Attribute names
follow the semantic conventions; values are names, numbers and codes from the record.

A span is its ids, its times, and a template: what it has in common with all spans of its kind, made once and kept.
"""

from __future__ import annotations

from functools import lru_cache
from random import getrandbits
from typing import NamedTuple

import msgspec

from cito.core.telemetry import Event, Record, What
from cito.observability.metrics import bounded_method

SERVER, CLIENT, CONSUMER, INTERNAL = "server", "client", "consumer", "internal"
_CONTAINERS = frozenset({What.CACHE, What.LOAD, What.TRACK})
_FAILED = 500
_TEMPLATES = 4_096  # far more than declarations make; numbers of rows are the only part without a bound
_new_tuple = tuple.__new__


class Template(msgspec.Struct, frozen=True, eq=False):
    """What all spans of a kind have in common, vendor-neutral; `error` is its type or empty."""

    name: str
    kind: str
    attributes: dict[str, str | int]
    error: str = ""


class Span(NamedTuple):
    """One span of a record's trace: ids of 8 bytes (no parent: none), times in ns since the epoch."""

    span_id: bytes
    parent_id: bytes
    start_ns: int
    end_ns: int
    template: Template


def span_count(record: Record) -> int:
    """Return how many spans a record becomes."""
    return 1 + sum(event.what is not What.LAG for event in record.events)


def spans_of(record: Record) -> list[Span]:
    """Return the spans of a record: its own first, then its steps by start."""
    began = record.started_at_ns
    root_id = bytes.fromhex(record.span_id)
    parent_id = bytes.fromhex(record.parent_id)
    spans = [Span(root_id, parent_id, began, began + record.duration_ns, _root(record))]
    offset = began - record.start_ns  # from the monotonic clock to the wall clock
    open_: list[tuple[int, bytes]] = []  # containers around the present step: (end, span id)
    for what, name, start, spent, code, amount in sorted(record.events, key=_by_start):
        if what is What.LAG:  # an age, no step: it began before the record did
            continue
        end = start + spent
        while open_ and open_[-1][0] < end:
            open_.pop()
        parent = open_[-1][1] if open_ else root_id
        span_id = (getrandbits(64) or 1).to_bytes(8)
        # tuple.__new__ is half the cost of Span(...), whose __new__ is Python.
        spans.append(
            _new_tuple(Span, (span_id, parent, offset + start, offset + end, _step(what, name, code, amount)))
        )
        if what in _CONTAINERS:
            open_.append((end, span_id))
    return spans


def _by_start(event: Event) -> tuple[int, int]:
    return event[2], -event[3]


def _root(record: Record) -> Template:
    if record.kind != "http":
        return _background(record.kind, record.operation, record.error, record.status)
    named = (bounded_method(record.method), record.route if record.operation else "", record.operation)
    return _request(named, record.status, record.cache, record.error)


@lru_cache(_TEMPLATES)
def _request(named: tuple[str, str, str], status: int, cache: str, error: str) -> Template:
    method, route, operation = named
    attributes: dict[str, str | int] = {
        "cito.operation": operation,
        "http.request.method": method,
        "http.response.status_code": status,
    }
    if operation:
        attributes["http.route"] = route
    if cache:
        attributes["cito.cache.outcome"] = cache
    return _told(f"{method} {route}" if operation else method, SERVER, attributes, _failure(error, status))


@lru_cache(_TEMPLATES)
def _background(kind: str, operation: str, error: str, status: int) -> Template:
    attributes: dict[str, str | int] = {"cito.operation": operation}
    span_kind = CONSUMER if kind == "job" else INTERNAL
    return _told(f"{kind} {operation}", span_kind, attributes, _failure(error, status))


@lru_cache(_TEMPLATES)
def _step(what: What, name: str, code: str, amount: int) -> Template:
    error = code if what is not What.CACHE else ""
    return _told(*_described(what, name, code, amount), error)


def _told(name: str, kind: str, attributes: dict[str, str | int], error: str) -> Template:
    return Template(name, kind, {**attributes, "error.type": error} if error else attributes, error)


def _failure(error: str, status: int) -> str:
    return error or (str(status) if status >= _FAILED else "")


def _described(what: What, name: str, code: str, amount: int) -> tuple[str, str, dict[str, str | int]]:
    """Return a step's span name, kind and attributes."""
    match what:
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
            return f"cache {name}", INTERNAL, {"cito.cache.family": name, "cito.cache.outcome": code}
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
