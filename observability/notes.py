"""What deserves to be read by itself, not only counted: slow or failed requests, slow queries, repeated queries."""

from __future__ import annotations

import msgspec


class Step(msgspec.Struct, array_like=True, frozen=True):
    """One bar of a waterfall: times in ms, `at` from the start of the request."""

    kind: str
    name: str
    at: float
    ms: float
    code: str


class Note(msgspec.Struct, array_like=True, frozen=True):
    """One observation; names, numbers and codes only.

    Attributes:
        kind: `slow_request`, `failed_request`, `trace`, `slow_query` or `n_plus_one`.
        at: seconds since the epoch.
        operation: the route's operation or the job.
        name: the query; empty for requests.
        ms: how long it took.
        wait_ms: of that, in the pool.
        lock_ms: of that, waiting for locks, where it is known.
        times: how often the query ran within the request.
        site: `file:line function` of the call, where it is known.
        trace_id: the trace that shows it.
        status: the answered status.
        error: class name, or the SQLSTATE.
        steps: the request's waterfall.
    """

    kind: str
    at: float
    operation: str
    route: str = ""
    name: str = ""
    ms: float = 0.0
    wait_ms: float = 0.0
    lock_ms: float = 0.0
    times: int = 1
    site: str = ""
    trace_id: str = ""
    status: int = 0
    error: str = ""
    steps: tuple[Step, ...] = ()
