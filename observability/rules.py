"""What is worth an alert, derived from the declared targets: shares that burn a budget, and states that must not be.

A share (slow answers, errors, misses) burns its budget when both a long and a short window spend it faster than
allowed: the long one says that it matters, the short one that it still goes on. The same rules become
Prometheus rules and CloudWatch alarms (`generate/`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from cito.core.declarations import Job, Target
from cito.core.registry import Registry
from cito.observability import catalog as c
from cito.observability.alert import Severity
from cito.observability.histogram import Histogram
from cito.observability.metrics import Labels, Slice
from cito.observability.performance import HITS, READS

Part = tuple[float, float]  # (bad, all)
DEFAULT_HIT_RATE = 0.85
SLOW_BUDGET = 0.05  # a p95 promises that 95 of 100 are in time
_FAILED = 500
ANSWERED_FROM_CACHE = frozenset({"local", "shared", "stale"})


class View:
    """A window as rules look at it: its series found by their first label, grouped once for all rules."""

    def __init__(self, window: Slice) -> None:
        self.window = window
        self._grouped: dict[str, dict[str, list[tuple[Labels, Histogram]]]] = {}

    def of(self, metric: str, name: str) -> list[tuple[Labels, Histogram]]:
        """Return the series of a metric whose first label is `name`."""
        groups = self._grouped.get(metric)
        if groups is None:
            groups = self._grouped[metric] = {}
            for labels, histogram in self.window.labelled(metric).items():
                groups.setdefault(str(labels[0]), []).append((labels, histogram))
        return groups.get(name, [])


@dataclass(frozen=True, slots=True)
class Pace:
    """A pair of windows and how many times the budget may be spent within both.

    Attributes:
        least: answers in the long window, below which a share says nothing.
        most: whatever the budget: a larger share of bad answers is always too much.
        settled_seconds: not judged before the node was watched for so long.
    """

    long_seconds: float
    short_seconds: float
    times: float
    severity: Severity
    least: int
    settled_seconds: float = 0.0
    most: float = 0.9


PACES = (
    Pace(5.0, 1.0, 10.0, "page", 5),
    Pace(300.0, 60.0, 4.0, "page", 20),
    Pace(3_600.0, 300.0, 2.0, "ticket", 100),
)
SLOW_PACES = (Pace(5.0, 1.0, 4.0, "page", 10), *PACES[1:])
# A cold or new cache misses for a while: quickly only a collapse under load is told, over minutes the plain target.
HIT_PACES = (
    Pace(1.5, 1.0, 2.0, "ticket", 60, settled_seconds=60.0, most=0.75),
    Pace(300.0, 60.0, 1.0, "ticket", 200),
)


@dataclass(frozen=True, slots=True)
class Share:
    """A budget: `share(view)` gives (bad, all) for the subject; spending `budget` is acceptable.

    Attributes:
        name: slow_operation, error_rate or hit_rate.
        subject: the operation or family.
        summary: one sentence for the person who is woken.
        budget: acceptable share of bad, 0 to 1.
        limit: what was declared, in words.
        paces: windows; any pair that burns fires.
    """

    name: str
    subject: str
    summary: str
    budget: float
    limit: str
    share: Callable[[View], Part]
    paces: tuple[Pace, ...] = PACES


@dataclass(frozen=True, slots=True)
class State:
    """A state that must not be: `value(view)` over `limit` fires.

    Attributes:
        calm_seconds: it ends after so long without; seconds for what lasts, minutes for what happens.
        settled_seconds: not judged before the node was watched for so long.
    """

    name: str
    subject: str
    summary: str
    limit: float
    unit: str
    value: Callable[[View], float]
    severity: Severity = "page"
    calm_seconds: float = 5.0
    settled_seconds: float = 0.0


Rule = Share | State


def rules_of(registry: Registry, bounds: tuple[int, ...]) -> tuple[Rule, ...]:
    """Return the rules that the enabled plugins' declarations make."""
    operations = {owned.value.operation: owned.value for owned in registry.targets}
    found: list[Rule] = []
    for target in operations.values():
        found += _operation_rules(target, bounds)
    found.extend(_family_rule(owned.value.name) for owned in registry.cache_families)
    found.extend(_job_rule(owned.value) for owned in registry.jobs)
    return (*found, *_states())


def _operation_rules(target: Target, bounds: tuple[int, ...]) -> Iterable[Rule]:
    limit_ns = round(target.p95_ms * 1_000_000)

    def slow(view: View) -> Part:
        found = view.of(c.REQUESTS, target.operation) or view.of(c.QUERIES, target.operation)
        return sum(h.above(limit_ns, bounds) for _, h in found), sum(h.count for _, h in found)

    def failed(view: View) -> Part:
        found = view.of(c.REQUESTS, target.operation)
        return sum(h.count for k, h in found if int(k[3]) >= _FAILED), sum(h.count for _, h in found)

    def missed(view: View) -> Part:
        found = [(k, h) for k, h in view.of(c.REQUESTS, target.operation) if k[4]]
        return sum(h.count for k, h in found if k[4] not in ANSWERED_FROM_CACHE), sum(
            h.count for _, h in found
        )

    yield Share(
        "slow_operation",
        target.operation,
        f"{target.operation} is slower than its target",
        SLOW_BUDGET,
        f"p95 {target.p95_ms:g} ms",
        slow,
        SLOW_PACES,
    )
    yield Share(
        "error_rate",
        target.operation,
        f"{target.operation} fails more often than its target allows",
        target.error_rate,
        f"error rate {target.error_rate:g}",
        failed,
    )
    if target.hit_rate is not None:
        yield Share(
            "hit_rate",
            target.operation,
            f"{target.operation} is answered from the cache less often than its target says",
            1 - target.hit_rate,
            f"hit rate {target.hit_rate:g}",
            missed,
            HIT_PACES,
        )


def _family_rule(family: str) -> Rule:
    def missed(view: View) -> Part:
        found = [(k, h) for k, h in view.of(c.CACHE, family) if k[2] in READS]
        return sum(h.count for k, h in found if k[2] not in HITS), sum(h.count for _, h in found)

    return Share(
        "hit_rate",
        family,
        f"cache family {family} misses more than {1 - DEFAULT_HIT_RATE:.0%} of its reads",
        1 - DEFAULT_HIT_RATE,
        f"hit rate {DEFAULT_HIT_RATE:g}",
        missed,
        HIT_PACES,
    )


def _job_rule(job: Job) -> Rule:
    def failed(view: View) -> float:
        return sum(histogram.count for labels, histogram in view.of(c.JOBS, job.name) if labels[1] != "ok")

    seconds = max(60.0, 2 * job.every_seconds)
    return State(
        "job_failing", job.name, f"job {job.name} failed", 0, "{run}", failed, "ticket", min(seconds, 3_600.0)
    )


def figure(part: str, name: str) -> Callable[[View], float]:
    """Return a reader of a figure that a part states; 0.0 while it is not stated."""
    return lambda view: view.window.gauges.get(c.FIGURES, {}).get((part, name), 0.0)


def _counted(metric: str, *labels: str) -> Callable[[View], float]:
    def total(view: View) -> float:
        return sum(
            count
            for found, count in view.window.counters.get(metric, {}).items()
            if all(label in found for label in labels)
        )

    return total


def _unreachable(view: View) -> float:
    stated = view.window.gauges.get(c.FIGURES, {}).get(("cache", "connected"))
    return float(stated == 0)


def _waiting(view: View) -> float:
    return view.window.gauges.get(c.POOL_COUNT, {}).get(("waiting",), 0.0)


def _states() -> tuple[State, ...]:
    cpu, memory = figure("cache", "cpu_share"), figure("cache", "memory_share")
    return (
        State("cache_cpu", "cache", "the cache server's CPU is nearly used up", 0.80, "1", cpu, "ticket"),
        State(
            "cache_memory", "cache", "the cache server's memory is nearly full", 0.85, "1", memory, "ticket"
        ),
        State(
            "cache_evictions",
            "cache",
            "the cache server evicts entries for lack of memory",
            0,
            "{key}",
            _counted(c.EVICTIONS),
            "ticket",
            60.0,
        ),
        State(
            "cache_unreachable",
            "cache",
            "the cache server does not answer",
            0,
            "{unanswered question}",
            _unreachable,
        ),
        State(
            "pool_waiting", "database", "requests wait for a database connection", 0, "{request}", _waiting
        ),
        State(
            "relay_backlog",
            "relay",
            "invalidations wait longer than a second for the relay",
            1.0,
            "s",
            figure("relay", "oldest_seconds"),
            settled_seconds=5.0,  # what waited while nothing ran is on its way
        ),
        State(
            "telemetry_dropped",
            "telemetry",
            "telemetry was dropped because an exporter is away",
            0,
            "{item}",
            _counted(c.TELEMETRY, "dropped"),
            "ticket",
            60.0,
        ),
    )
