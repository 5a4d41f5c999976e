"""From a window of the node's telemetry to the answer of `GET /api/admin/performance`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from cito.core.cache.sampler import HORIZONS_SECONDS
from cito.core.declarations import Job
from cito.core.jobs.worker import JobState
from cito.observability import catalog as c
from cito.observability.alert import Alert
from cito.observability.answer import (
    Agreement,
    BackgroundJob,
    Cache,
    Database,
    Family,
    Memory,
    Operation,
    Performance,
    PoolState,
    Spread,
)
from cito.observability.histogram import Histogram
from cito.observability.metrics import Slice

_MS = 1_000_000
_ERROR = 500
DEFAULT_SLOW_MS = 500.0  # for operations without a declared target
HITS = frozenset({"hit", "stale-hit", "negative"})
READS = HITS | {"miss", "bypass", "error"}


def totals_by(slice_: Slice, metric: str, *, position: int = 0) -> dict[str, Histogram]:
    """Return the histograms of a metric merged over all labels but the one at `position`."""
    merged: dict[str, Histogram] = {}
    for labels, histogram in slice_.labelled(metric).items():
        merged.setdefault(str(labels[position]), Histogram()).merge(histogram)
    return merged


def hit_rate(outcomes: Mapping[str, int]) -> float:
    """Return hits by all reads, 0.0 without reads."""
    reads = sum(count for outcome, count in outcomes.items() if outcome in READS)
    return sum(outcomes.get(outcome, 0) for outcome in HITS) / reads if reads else 0.0


def outcomes_by_family(slice_: Slice) -> dict[str, dict[str, int]]:
    """Return reads of each cache family by outcome."""
    families: dict[str, dict[str, int]] = {}
    for labels, histogram in slice_.labelled(c.CACHE).items():
        outcomes = families.setdefault(str(labels[0]), {})
        outcome = str(labels[2])
        outcomes[outcome] = outcomes.get(outcome, 0) + histogram.count
    return families


class Report:
    """Turns windows into answers, knowing what was declared."""

    def __init__(self, bounds: tuple[int, ...], targets_ms: Mapping[str, float], jobs: Sequence[Job]) -> None:
        self._bounds = bounds
        self._targets = targets_ms
        self._jobs = jobs

    def answer(
        self,
        window: Slice,
        jobs: Sequence[JobState] = (),
        alerts: Sequence[Alert] = (),
        processes: Iterable[int] = (),
    ) -> Performance:
        """Return the numbers of a window."""
        whole = Histogram()
        for histogram in window.labelled(c.REQUESTS).values():
            whole.merge(histogram)
        return Performance(
            time_window=window_text(window.seconds),
            total_requests=whole.count,
            avg_response_time=_ms(whole.total / whole.count) if whole.count else 0.0,
            p50=_ms(whole.quantile(0.50, self._bounds)),
            p95=_ms(whole.quantile(0.95, self._bounds)),
            p99=_ms(whole.quantile(0.99, self._bounds)),
            slow_requests=self._slow(window),
            error_rate=round(self._errors(window) / whole.count, 6) if whole.count else 0.0,
            request_rate=round(whole.count / window.seconds, 3),
            cache=self._cache(window),
            database=Database(
                pool_stats=pool_states(window),
                pool_wait=self._spread(window.labelled(c.POOL_WAIT).get((), Histogram())),
                queries=self._operations(window, c.QUERIES),
            ),
            memory=Memory(rss=int(window.gauges.get(c.MEMORY, {}).get((), 0))),
            background_jobs=self._background(window, {state.name: state for state in jobs}),
            operations=self._operations(window, c.REQUESTS),
            alerts=list(alerts),
            processes=sorted(processes),
        )

    def target_ms(self, operation: str) -> float:
        """Return the declared p95 of an operation, or the default above which a request counts as slow."""
        return self._targets.get(operation, DEFAULT_SLOW_MS)

    def _operations(self, window: Slice, metric: str) -> list[Operation]:
        rows = []
        failed: dict[str, int] = {}
        for labels, histogram in window.labelled(metric).items():
            bad = int(labels[3]) >= _ERROR if metric == c.REQUESTS else bool(labels[-1])
            failed[str(labels[0])] = failed.get(str(labels[0]), 0) + bad * histogram.count
        for name, histogram in totals_by(window, metric).items():
            target = self._targets.get(name)
            p95 = _ms(histogram.quantile(0.95, self._bounds))
            rows.append(
                Operation(
                    operation=name,
                    count=histogram.count,
                    avg=_ms(histogram.total / histogram.count),
                    min=_ms(histogram.least),
                    max=_ms(histogram.most),
                    p50=_ms(histogram.quantile(0.50, self._bounds)),
                    p95=p95,
                    p99=_ms(histogram.quantile(0.99, self._bounds)),
                    error_rate=round(failed[name] / histogram.count, 6),
                    target=target,
                    verdict="no target" if target is None else "met" if p95 <= target else "missed",
                )
            )
        return sorted(rows, key=lambda row: -row.p95)

    def _slow(self, window: Slice) -> int:
        return sum(
            histogram.above(round(self.target_ms(str(labels[0])) * _MS), self._bounds)
            for labels, histogram in window.labelled(c.REQUESTS).items()
        )

    @staticmethod
    def _errors(window: Slice) -> int:
        return sum(
            histogram.count
            for labels, histogram in window.labelled(c.REQUESTS).items()
            if int(labels[3]) >= _ERROR
        )

    def _cache(self, window: Slice) -> Cache:
        outcomes = outcomes_by_family(window)
        together: dict[str, int] = {}
        for counts in outcomes.values():
            for outcome, count in counts.items():
                together[outcome] = together.get(outcome, 0) + count
        figures = {
            str(labels[1]): v
            for labels, v in window.gauges.get(c.FIGURES, {}).items()
            if labels[0] == "cache"
        }
        used = figures.get("used_memory_bytes", 0.0)
        return Cache(
            connected=bool(figures.get("connected", 0)),
            db_size=int(figures.get("keys", 0)),
            used_memory=f"{used / 1_048_576:.1f}M" if used else "0M",
            hit_rate=round(hit_rate(together), 4),
            families=[self._family(window, name, counts) for name, counts in sorted(outcomes.items())],
            invalidation_lag={
                str(stage): self._spread(histogram)
                for (stage,), histogram in sorted(window.labelled(c.INVALIDATION_LAG).items())
            },
        )

    def _family(self, window: Slice, family: str, counts: dict[str, int]) -> Family:
        loaded = totals_by(window, c.CACHE_LOAD).get(family, Histogram())
        events = window.counters.get(c.CACHE_EVENTS, {})
        loads, joined = int(events.get((family, "loads"), 0)), int(events.get((family, "joined"), 0))
        return Family(
            family=family,
            reads=sum(counts.values()),
            outcomes=counts,
            hit_rate=round(hit_rate(counts), 4),
            load_p95=_ms(loaded.quantile(0.95, self._bounds)),
            loads=loads,
            coalescing=round((loads + joined) / loads, 2) if loads else 1.0,
            agreement=_agreement(window, family),
        )

    def _background(self, window: Slice, states: Mapping[str, JobState]) -> list[BackgroundJob]:
        rows = []
        runs = totals_by(window, c.JOBS)
        for job in self._jobs:
            state = states.get(job.name) or JobState(job.name, None, None, None, 0, "")
            found = runs.get(job.name, Histogram())
            rows.append(
                BackgroundJob(
                    name=job.name,
                    every_seconds=job.every_seconds,
                    last_run=state.last_run,
                    next_run=state.next_run,
                    duration_ms=state.duration_ms,
                    failures=state.failures,
                    last_error=state.last_error,
                    runs=found.count,
                    avg=_ms(found.total / found.count) if found.count else 0.0,
                    max=_ms(found.most),
                )
            )
        return rows

    def _spread(self, histogram: Histogram) -> Spread:
        return Spread(
            count=histogram.count,
            p50=_ms(histogram.quantile(0.50, self._bounds)),
            p95=_ms(histogram.quantile(0.95, self._bounds)),
            max=_ms(histogram.most),
        )


def pool_states(window: Slice) -> list[PoolState]:
    """Return connections by state; idle and active are always there."""
    counts = {"idle": 0, "active": 0}
    for labels, value in window.gauges.get(c.POOL_COUNT, {}).items():
        counts[str(labels[0])] = int(value)
    return [PoolState(state, count) for state, count in counts.items()]


def _agreement(window: Slice, family: str) -> Agreement:
    counts = window.counters.get(c.CACHE_SAMPLES, {})
    samples = int(counts.get((family, "read_again"), 0))
    shares = [
        1 - counts.get((family, f"differed_{horizon}s"), 0) / samples if samples else 1.0
        for horizon in HORIZONS_SECONDS
    ]
    return Agreement(samples, *shares)


def window_text(seconds: float) -> str:
    """Return a length of time in words: `5 minutes`."""
    for name, size in (("hour", 3600), ("minute", 60)):
        if seconds >= size and seconds % size == 0:
            count = int(seconds // size)
            return f"{count} {name}" + ("s" if count != 1 else "")
    return f"{seconds:g} seconds"


def _ms(ns: float) -> float:
    return round(max(ns, 0) / _MS, 3)
