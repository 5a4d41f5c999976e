"""What the live page shows: the numbers of a window, curves over it, slow queries, and recent traces."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cito.core.jobs.worker import JobState
from cito.observability import catalog as c
from cito.observability.histogram import Histogram
from cito.observability.leader import Board
from cito.observability.metrics import Slice
from cito.observability.node import Node
from cito.observability.notes import Note
from cito.observability.performance import Report, hit_rate, outcomes_by_family

_FAILED = 500
_MOST_TRACES = 25
_MOST_POINTS = 180
_REQUESTS = frozenset({"slow_request", "failed_request", "trace"})


class LiveView:
    """Builds the page's data.

    Args:
        report: turns windows into numbers.
        bounds: of the histograms.
    """

    def __init__(self, report: Report, bounds: tuple[int, ...]) -> None:
        self._report = report
        self._bounds = bounds

    def of(
        self, node: Node, board: Board, jobs: Sequence[JobState], window: int, now: float
    ) -> dict[str, Any]:
        """Return one state of the page; `now` in seconds since the epoch."""
        notes = node.notes()
        return {
            "now": now,
            "performance": self._report.answer(node.window(window, now), jobs, processes=node.slots()),
            "curves": self._curves(node.series(window, now), window, now),
            "alerts": [*board.firing, *board.recent[:20]],
            "slowQueries": self._slow_queries(board),
            "traces": [_trace(note) for note in notes if note.kind in _REQUESTS][:_MOST_TRACES],
        }

    def _curves(self, buckets: Sequence[Slice], window: int, now: float) -> dict[str, list[float | None]]:
        """Return columns over time: rate, errors, percentiles, hit rate; None where nothing was counted."""
        step = max(1.0, -(-window // _MOST_POINTS), buckets[0].seconds if buckets else 1.0)
        first = int((now - window) // step)
        joined: dict[int, Slice] = {}
        for bucket in buckets:
            number = int(bucket.start // step)
            joined.setdefault(number, Slice()).merge(bucket)
        columns: dict[str, list[float | None]] = {
            name: [] for name in ("at", "rate", "errors", "p50", "p95", "p99", "hitRate")
        }
        # The step that is still being counted would show as a dip.
        for number in range(first + 1, int(now // step)):
            for name, value in zip(
                columns, self._point(joined.get(number), number * step, step), strict=True
            ):
                columns[name].append(value)
        return columns

    def _point(self, counted: Slice | None, at: float, step: float) -> tuple[float | None, ...]:
        if counted is None:
            return (at, 0.0, None, None, None, None, None)
        whole = Histogram()
        failed = 0
        for labels, histogram in counted.labelled(c.REQUESTS).items():
            whole.merge(histogram)
            failed += histogram.count if int(labels[3]) >= _FAILED else 0
        together: dict[str, int] = {}
        for outcomes in outcomes_by_family(counted).values():
            for outcome, count in outcomes.items():
                together[outcome] = together.get(outcome, 0) + count
        if not whole.count:
            return (at, 0.0, None, None, None, None, hit_rate(together) if together else None)
        percentiles = [round(whole.quantile(share, self._bounds) / 1e6, 3) for share in (0.5, 0.95, 0.99)]
        return (
            at,
            round(whole.count / step, 2),
            round(failed / whole.count, 5),
            *percentiles,
            round(hit_rate(together), 4) if together else None,
        )

    @staticmethod
    def _slow_queries(board: Board) -> list[dict[str, Any]]:
        """Return the reports that alerts carry, the newest first; then those that have ended."""
        found = [
            {**alert.details, "kind": alert.name, "status": alert.status, "at": alert.held_at}
            for alert in (*board.firing, *board.recent)
            if alert.name in {"slow_query", "n_plus_one"}
        ]
        return sorted(found, key=lambda report: -report["at"])[:20]


def _trace(note: Note) -> dict[str, Any]:
    """Return a kept request as the page's waterfall wants it; times in ms from its start."""
    return {
        "kind": note.kind,
        "at": note.at,
        "operation": note.operation,
        "route": note.route,
        "ms": note.ms,
        "traceId": note.trace_id,
        "status": note.status,
        "error": note.error,
        "steps": [
            {"kind": step.kind, "name": step.name, "at": step.at, "ms": step.ms, "code": step.code}
            for step in note.steps
            if step.kind != "lag"  # the age of a piece of news, not a part of this time
        ],
    }
