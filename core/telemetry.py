"""The record of one request, job run or relay step: cheap to fill, free of patient data by construction.

Holds names from declarations, numbers and codes, nothing else. Metrics, spans and alerts are made from it
afterwards (plugin `observability`); OpenTelemetry is not imported here. Times are monotonic nanoseconds
(`time.perf_counter_ns`); `started_at_ns` is the wall clock at the start, for spans.
"""

from __future__ import annotations

import sys
from contextvars import ContextVar
from enum import IntEnum
from time import perf_counter_ns, time_ns
from typing import NamedTuple


class What(IntEnum):
    """The kind of an event within a record."""

    QUERY = 1  # name: the named query; amount: rows
    POOL_WAIT = 2  # time spent waiting for a connection
    CACHE = 3  # name: the family; code: tier and outcome
    LOAD = 4  # name: the family; a loader ran
    TRACK = 5  # name: given by a plugin to track()
    SHARED_CACHE = 6  # one round trip to Redis or Valkey; amount: commands
    COMMIT = 7
    LOCK = 8
    BUMP = 9  # after a commit: new stamps for what it made stale, until every node knows; code: unconfirmed, failed
    LAG = 10  # name: the stage; code is empty; how old a piece of news was


class Event(NamedTuple):
    """One timed step: `(what, name, start_ns, duration_ns, code, amount)`."""

    what: What
    name: str
    start_ns: int
    duration_ns: int
    code: str
    amount: int


REPEATED = 5  # runs of one query within one record from which on the place of the call is kept
slow_query_ns = 100_000_000  # set from `database.slow_query_ms` at assembly; the place of slower ones is kept
_new_tuple = tuple.__new__


class Record:
    """What one request, job run or relay step did.

    Attributes:
        kind: `http`, `job` or `relay`.
        operation: the route's operation id, the job's name or the relay step.
        route: the path template, such as `/api/patients/{patient_id:uuid}`; empty for jobs.
        status: the answered HTTP status; for jobs 200 or 500.
        cache: `local`, `shared`, `miss`, `bypass`, `stale` or empty: the worst outcome of its cached reads.
        error: class name of the exception that ended it, or empty.
        events: timed steps, in the order in which they ended.
        trace_id, span_id, parent_id: lower-case hex, W3C trace context; parent_id may be empty.
        sampled: the trace's spans are built whatever happens.
        runs: how often each query ran.
        sites: where slow or repeated queries were called: `file:line function` by the query's name.
    """

    __slots__ = (
        "cache",
        "duration_ns",
        "error",
        "events",
        "kind",
        "method",
        "operation",
        "parent_id",
        "request_id",
        "role",
        "route",
        "runs",
        "sampled",
        "sites",
        "span_id",
        "start_ns",
        "started_at_ns",
        "status",
        "trace_id",
    )

    def __init__(self, kind: str, operation: str = "") -> None:
        self.kind = kind
        self.operation = operation
        self.route = ""
        self.method = ""
        self.status = 0
        self.role = ""
        self.cache = ""
        self.error = ""
        self.request_id = ""
        self.trace_id = ""
        self.span_id = ""
        self.parent_id = ""
        self.sampled = False
        self.events: list[Event] = []
        self.runs: dict[str, int] = {}
        self.sites: dict[str, str] = {}
        self.started_at_ns = time_ns()
        self.start_ns = perf_counter_ns()
        self.duration_ns = 0

    def add(self, what: What, name: str, start_ns: int, *, code: str = "", amount: int = 0) -> None:
        """Append a step that began at `start_ns` (perf_counter_ns) and ends now."""
        # tuple.__new__ is half the cost of Event(...), whose __new__ is Python.
        self.events.append(
            _new_tuple(Event, (what, name, start_ns, perf_counter_ns() - start_ns, code, amount))
        )

    def timed(self, what: What, name: str, start_ns: int, duration_ns: int, *, amount: int = 0) -> None:
        """Append a step whose length was measured elsewhere."""
        self.events.append(Event(what, name, start_ns, duration_ns, "", amount))

    def query(
        self, name: str, start_ns: int, *, code: str = "", amount: int = 0, spent_ns: int | None = None
    ) -> None:
        """Append a query that began at `start_ns` and ends now; call it where the caller's frames are on the stack.

        `spent_ns`: the server's part of it, where a reader took its time in between.
        """
        spent = perf_counter_ns() - start_ns if spent_ns is None else spent_ns
        self.events.append(_new_tuple(Event, (What.QUERY, name, start_ns, spent, code, amount)))
        self._ran(name, spent)

    def take(self, event: Event) -> None:
        """Append a query that someone else ran for this record, as one of its own."""
        self.events.append(event)
        self._ran(event.name, event.duration_ns)

    def _ran(self, name: str, spent: int) -> None:
        runs = self.runs.get(name, 0) + 1
        self.runs[name] = runs
        if (spent >= slow_query_ns or runs == REPEATED) and name not in self.sites:
            self.sites[name] = call_site()

    def finish(self, status: int) -> None:
        """Set the status and the total duration."""
        self.status = status
        self.duration_ns = perf_counter_ns() - self.start_ns


def call_site() -> str:
    """Return `file:line function` of the nearest caller outside the core; empty where there is none."""
    frame = sys._getframe(1)  # noqa: SLF001 - what traceback.walk_stack does, without building a list
    while frame is not None:
        module = frame.f_globals.get("__name__", "")
        if not module.startswith(("cito.core.", "asyncio.", "contextlib")):
            path = "/".join(frame.f_code.co_filename.split("/")[-3:])
            return f"{path}:{frame.f_lineno} {frame.f_code.co_name}"
        if frame.f_back is None:
            break
        frame = frame.f_back
    return ""


current_record: ContextVar[Record | None] = ContextVar("cito_record", default=None)


class track:  # noqa: N801 - reads like a verb where it is used: `with track("growth.percentiles"):`
    """Time an operation of a plugin's own within the current record.

    Args:
        name: a constant from code, never from data: it becomes a metric label.
    """

    __slots__ = ("_name", "_start_ns")

    def __init__(self, name: str) -> None:
        self._name = name
        self._start_ns = 0

    def __enter__(self) -> None:
        self._start_ns = perf_counter_ns()

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        record = current_record.get()
        if record is not None:
            record.add(What.TRACK, self._name, self._start_ns, code=kind.__name__ if kind else "")
