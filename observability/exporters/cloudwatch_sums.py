"""What CloudWatch's alarms look at, added up before it leaves: an alarm cannot add up dimensions itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from cito.observability import catalog as c
from cito.observability.catalog import Instrument
from cito.observability.metrics import Labels, Slice
from cito.observability.performance import HITS, READS
from cito.observability.rules import ANSWERED_FROM_CACHE

ERRORS = "http.server.request.errors"
REQUEST_READS = "http.server.request.reads"
REQUEST_MISSES = "http.server.request.misses"
CACHE_READS = "cito.cache.reads"
CACHE_MISSES = "cito.cache.misses"
JOB_ERRORS = "cito.job.errors"
_FAILED = 500


@dataclass(frozen=True, slots=True)
class _Sum:
    """The count of a histogram's series that `counts` says yes to, by their first label.

    Attributes:
        zeros: 0 is sent, too.
    """

    instrument: Instrument
    of: str
    counts: Callable[[Labels], bool]
    zeros: bool = False


def _instrument(name: str, unit: str, label: str, says: str) -> Instrument:
    return Instrument(name, "counter", unit, (label,), says)


_SUMS = (
    _Sum(
        _instrument(ERRORS, "{answer}", "cito.operation", "Answers with a status of 5xx."),
        c.REQUESTS,
        lambda labels: int(labels[3]) >= _FAILED,
        zeros=True,
    ),
    _Sum(
        _instrument(REQUEST_READS, "{answer}", "cito.operation", "Answers that the cache was asked for."),
        c.REQUESTS,
        lambda labels: bool(labels[4]),
    ),
    _Sum(
        _instrument(REQUEST_MISSES, "{answer}", "cito.operation", "Of these, those that it did not have."),
        c.REQUESTS,
        lambda labels: bool(labels[4]) and labels[4] not in ANSWERED_FROM_CACHE,
    ),
    _Sum(
        _instrument(CACHE_READS, "{read}", "cito.cache.family", "Reads of a cache family."),
        c.CACHE,
        lambda labels: labels[2] in READS,
    ),
    _Sum(
        _instrument(CACHE_MISSES, "{read}", "cito.cache.family", "Reads that the cache did not answer."),
        c.CACHE,
        lambda labels: labels[2] in READS - HITS,
    ),
    _Sum(
        _instrument(JOB_ERRORS, "{run}", "cito.job", "Runs of a job that failed."),
        c.JOBS,
        lambda labels: labels[1] != "ok",
    ),
)


def sums(counted: Slice) -> Iterator[tuple[Instrument, Labels, float]]:
    """Yield each sum of a slice, with its one label."""
    for one in _SUMS:
        totals: dict[str, int] = {}
        for labels, histogram in counted.labelled(one.of).items():
            first = str(labels[0])
            totals[first] = totals.get(first, 0) + (histogram.count if one.counts(labels) else 0)
        for first, total in totals.items():
            if total or one.zeros:
                yield one.instrument, (first,), total
