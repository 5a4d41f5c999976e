"""Records as the request path makes them, with chosen times."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

import pytest

from cito.core.telemetry import Event, Record, What

MS = 1_000_000
Made = Callable[..., Record]


class Waits(threading.Event):
    """An event whose every wait is over in a millisecond, and kept: `asked`, in seconds."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[float] = []

    def wait(self, timeout: float | None = None) -> bool:
        if timeout is None:
            return super().wait()
        self.asked.append(timeout)
        return super().wait(0.001)


@pytest.fixture
def made() -> Made:
    """Make a finished record: `made("get_medication", ms=3, events=[(What.QUERY, "find", 1, 2)])`.

    An event is (what, name, start in ms, length in ms) and, if it has one, a code.
    """
    return make


def make(
    operation: str,
    *,
    ms: float = 1.0,
    status: int = 200,
    kind: str = "http",
    events: Sequence[tuple[What, str, float, float] | tuple[What, str, float, float, str]] = (),
    sampled: bool = False,
) -> Record:
    record = Record(kind, operation)
    record.method = "GET" if kind == "http" else ""
    record.route = f"/api/{operation}" if operation and kind == "http" else ""
    record.status = status
    record.sampled = sampled
    record.trace_id, record.span_id = f"{id(record):032x}", f"{id(record):016x}"
    record.duration_ns = round(ms * MS)
    for what, name, start, length, *code in events:
        began = record.start_ns + round(start * MS)
        record.events.append(Event(what, name, began, round(length * MS), code[0] if code else "", 1))
    return record
