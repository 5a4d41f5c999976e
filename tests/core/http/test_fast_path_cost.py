"""What one hit of the fast path may cost, counted, not timed: calls, instructions of the interpreter, memory.

The counts hold for the whole hit with audit and default telemetry: found, written down, its record folded. A change
that exceeds one either is worth it, and raises the bound with its reason, or is none.
"""

from __future__ import annotations

import gc
import sys
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from counting import calls_of, instructions_of

from cito.core.settings import Settings
from cito.observability.histogram import bounds_with
from cito.observability.metrics import Metrics
from cito.observability.recorder import Recorder

from .hot import hot_app, hot_scope, local_entry

MOST_PYTHON_CALLS = 16  # one of them looks at the board of commits on the node
MOST_C_CALLS = 38
MOST_INSTRUCTIONS = 925
MOST_PEAK_BYTES = 1_600


@pytest.fixture
async def hit(tmp_path: Path) -> Callable[[], None]:
    """One hit from end to end, as the server drives it."""
    settings = Settings(home=tmp_path)
    entry = local_entry()
    recorder = Recorder(
        Metrics(bounds_with([5])), slow_ns={}, default_slow_ns=1 << 60, slow_query_ns=1 << 60, budgets={}
    )
    app = hot_app(settings, entry, (recorder.take,))
    for rate in (app._limits, app._limits._subjects, app._limits._clinics):
        rate._now = lambda: 1.0  # one second without end: no window begins amid a count
    scope = hot_scope(settings)
    for _ in range(2):
        await app(dict(scope), _receive, _send)

    def once() -> None:
        found = app.find(scope)
        assert found is not None
        app.finish(found)

    for _ in range(100):
        once()
    return once


async def _receive() -> dict[str, Any]:
    return {"type": "http.request", "body": b"", "more_body": False}


async def _send(_: Any) -> None: ...


def test_a_hit_makes_few_calls(hit: Callable[[], None]) -> None:
    of_python, of_c = calls_of(hit)
    assert of_python <= MOST_PYTHON_CALLS
    assert of_c <= MOST_C_CALLS


def test_a_hit_runs_few_instructions(hit: Callable[[], None]) -> None:
    assert instructions_of(hit) <= MOST_INSTRUCTIONS


def test_a_hit_needs_little_memory_and_keeps_none(hit: Callable[[], None]) -> None:
    with _traced():
        for _ in range(1_000):  # fills the interpreter's own lists of spare objects
            hit()
        before, _ = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        hit()
        _, peak = tracemalloc.get_traced_memory()
        for _ in range(1_000):
            hit()
        after, _ = tracemalloc.get_traced_memory()
    assert peak - before <= MOST_PEAK_BYTES, peak - before
    assert after - before < 1_000, after - before


@contextmanager
def _traced() -> Iterator[None]:
    """Count memory of the hit's own: without the collector's and a coverage tracer's."""
    gc.collect()
    gc.disable()
    tracer = sys.gettrace()
    sys.settrace(None)
    tracemalloc.start()
    try:
        yield
    finally:
        tracemalloc.stop()
        sys.settrace(tracer)
        gc.enable()
