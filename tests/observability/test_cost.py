"""What watching adds to a request, counted, not timed: instructions of the interpreter and calls, by default.

`cito bench observability` has the times. A change that exceeds a bound either is worth it, and raises it with its
reason, or is none.
"""

from __future__ import annotations

from typing import Any

import pytest
from counting import instructions_of

from cito.core.telemetry import Record, What
from cito.observability import plugin
from cito.observability.histogram import bounds_with
from cito.observability.metrics import Metrics
from cito.observability.recorder import Recorder

from .conftest import make


def recorder() -> Recorder:
    return Recorder(
        Metrics(bounds_with([5])),
        slow_ns={"get_medication": 5_000_000},
        default_slow_ns=500_000_000,
        slow_query_ns=100_000_000,
        budgets={"get_medication": 2},
    )


def local_hit() -> Record:
    record = make("get_medication", ms=0.03)
    record.cache = "local"
    record.events.append(_event("medication", 0, "local"))
    return record


def database_read() -> Record:
    events = [
        (What.POOL_WAIT, "find_medication", 0, 0.01),
        (What.QUERY, "find_medication", 0, 0.4),
        (What.LOAD, "medication", 0, 0.5),
        (What.CACHE, "medication", 0, 0.6, "bypass"),
    ]
    record = make("get_medication", ms=0.9, events=events)
    record.runs["find_medication"] = 1
    return record


def _event(name: str, ns: int, code: str) -> Any:
    return (What.CACHE, name, 0, ns, code, 1)


@pytest.mark.parametrize(("record", "most"), [(local_hit(), 175), (database_read(), 620)])
def test_a_finished_request_is_folded_in_few_instructions(record: Record, most: int) -> None:
    with plugin._recording(recorder()):
        plugin.request_finished(record)  # its series are known from here on
        assert instructions_of(lambda: plugin.request_finished(record)) <= most
