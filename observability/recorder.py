"""What happens to each finished record, on the request path: counted, and kept whole when it deserves it."""

from __future__ import annotations

from collections.abc import Mapping
from random import getrandbits

from cito.core.telemetry import REPEATED, Record, What
from cito.observability import catalog as c
from cito.observability.exporters.spool import Spool
from cito.observability.metrics import STREAM, Metrics
from cito.observability.notes import Note, Step

_FAILED = 500
_MOST_STEPS = 60  # of a waterfall that is kept for the live page
_BUDGET_UNKNOWN = 20  # of queries in a job or in a route that declares none
_SHOWN_EACH = 10  # notes of one kind in a slice


class Recorder:
    """Takes finished records.

    Args:
        metrics: where they are counted.
        slow_ns: by operation, above which a request is kept whole.
        default_slow_ns: the same for operations without a target.
        slow_query_ns: above which a query is reported.
        budgets: most queries of a request, by operation.
        query_targets_ns: promised p95 by query: what promises more than `slow_query_ns` is slow above its promise.
    """

    def __init__(
        self,
        metrics: Metrics,
        *,
        slow_ns: Mapping[str, int],
        default_slow_ns: int,
        slow_query_ns: int,
        budgets: Mapping[str, int],
        query_targets_ns: Mapping[str, int] | None = None,
    ) -> None:
        self.spans: Spool | None = None
        self._metrics = metrics
        self._slow_ns = slow_ns
        self._default_slow_ns = default_slow_ns
        self._slow_query_ns = slow_query_ns
        self._budgets = budgets
        self._slow_queries_ns = {
            name: ns for name, ns in (query_targets_ns or {}).items() if ns > slow_query_ns
        }
        self._fold = metrics.fold
        self._never_slow_ns = min((default_slow_ns, *slow_ns.values()))

    def take(self, record: Record) -> None:
        """Count a record; keep it when it is sampled, slow or failed; look at its queries when it has any."""
        self._fold(record)
        spent = record.duration_ns
        if spent > self._never_slow_ns or record.sampled or record.status >= _FAILED or record.error:
            slow = spent > self._slow_ns.get(record.operation, self._default_slow_ns)
            if slow or record.sampled or record.status >= _FAILED or record.error:
                self._keep(record, slow=slow)
        if record.runs:
            self._look_at_queries(record)

    def _keep(self, record: Record, *, slow: bool) -> None:
        if record.operation == STREAM:
            return
        if not record.trace_id:  # work that no request began
            record.trace_id, record.span_id = f"{getrandbits(128):032x}", f"{getrandbits(64):016x}"
        if self.spans is not None:
            self.spans.offer(record)
        failed = record.status >= _FAILED or bool(record.error)
        kind = "failed_request" if failed else "slow_request" if slow else "trace"
        if not self._metrics.has_room(kind, _SHOWN_EACH):
            return
        self._metrics.note(
            Note(
                kind=kind,
                at=_end(record),
                operation=record.operation,
                route=record.route if record.operation else "",
                ms=round(record.duration_ns / 1e6, 3),
                trace_id=record.trace_id,
                status=record.status,
                error=record.error,
                steps=_steps(record),
            ),
            at_most=_SHOWN_EACH,
        )

    def _look_at_queries(self, record: Record) -> None:
        for event in record.events:
            if event.what is not What.QUERY or event.duration_ns < self._slow_query_ns:
                continue
            if event.duration_ns >= self._slow_queries_ns.get(event.name, 0):
                self._metrics.count(c.SLOW_QUERIES, (event.name,))
                self._report(record, "slow_query", event.name, event.duration_ns, error=event.code)
        budget = self._budgets.get(record.operation, _BUDGET_UNKNOWN)
        if sum(record.runs.values()) <= budget:
            return
        self._metrics.count(c.OVER_BUDGET, (record.operation,))
        for name, runs in record.runs.items():
            if runs >= REPEATED and runs > budget:
                self._metrics.count(c.REPEATS, (record.operation, name))
                spent = sum(e.duration_ns for e in record.events if e.what is What.QUERY and e.name == name)
                self._report(record, "n_plus_one", name, spent, times=runs)

    def _report(
        self, record: Record, kind: str, name: str, spent_ns: int, *, times: int = 1, error: str = ""
    ) -> None:
        waited = sum(event.duration_ns for event in record.events if event.what is What.POOL_WAIT)
        self._metrics.note(
            Note(
                kind=kind,
                at=_end(record),
                operation=record.operation,
                route=record.route if record.operation else "",
                name=name,
                ms=round(spent_ns / 1e6, 3),
                wait_ms=round(waited / 1e6, 3),
                times=times,
                site=record.sites.get(name, ""),
                trace_id=record.trace_id,
                status=record.status,
                error=error,
            ),
            at_most=_SHOWN_EACH,
        )


def _end(record: Record) -> float:
    return (record.started_at_ns + record.duration_ns) / 1e9


def _steps(record: Record) -> tuple[Step, ...]:
    """Return the waterfall's bars by start."""
    events = sorted(record.events, key=lambda event: event.start_ns)[:_MOST_STEPS]
    return tuple(
        Step(
            event.what.name.lower(),
            event.name,
            round((event.start_ns - record.start_ns) / 1e6, 3),
            round(event.duration_ns / 1e6, 3),
            event.code,
        )
        for event in events
    )
