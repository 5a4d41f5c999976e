"""Histograms of durations: exact counts and sums, sparse buckets, one exemplar a bucket, cheap to fill and merge.

Bounds are ten to a decade from 10 us to 10 s, so an interpolated percentile is at most 10 % off; the declared
targets are bounds too, so the share of requests above a target is exact.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable

import msgspec

_STEPS = (10, 12, 15, 20, 25, 30, 40, 50, 60, 80)
_LONG_SECONDS = (10, 15, 20, 30, 60, 120, 300)
BASE_BOUNDS_NS: tuple[int, ...] = (
    *(step * 1_000 * 10**decade for decade in range(6) for step in _STEPS),
    *(seconds * 1_000_000_000 for seconds in _LONG_SECONDS),
)


def bounds_with(targets_ms: Iterable[float]) -> tuple[int, ...]:
    """Return the upper bounds in ns, ascending: the base bounds and each target."""
    return tuple(sorted({*BASE_BOUNDS_NS, *(round(ms * 1_000_000) for ms in targets_ms)}))


class Exemplar(msgspec.Struct, array_like=True, frozen=True):
    """One measured value with the trace that shows it. `at` is seconds since the epoch."""

    trace_id: str
    value_ns: int
    at: float


class Histogram(msgspec.Struct, array_like=True):
    """Durations in ns.

    Attributes:
        count, total: how many, and their sum.
        least, most: the smallest and the largest; `least` is -1 while empty.
        buckets: position of the upper bound (one past the last: above all) -> count; zeros are left out.
        exemplars: position -> the latest sampled value there.
    """

    count: int = 0
    total: int = 0
    least: int = -1
    most: int = 0
    buckets: dict[int, int] = {}
    exemplars: dict[int, Exemplar] = {}

    def add(self, ns: int, bounds: tuple[int, ...]) -> int:
        """Count one duration and return the position of its bucket. Runs several times for each request."""
        self.count += 1
        self.total += ns
        if ns > self.most:  # noqa: PLR1730 - max() is a call, three times as slow
            self.most = ns
        if ns < self.least or self.least < 0:
            self.least = ns
        position = bisect_left(bounds, ns)
        buckets = self.buckets
        buckets[position] = buckets.get(position, 0) + 1
        return position

    def add_zeros(self, count: int) -> None:
        """Count events whose length nobody measured."""
        self.count += count
        self.least = 0
        self.buckets[0] = self.buckets.get(0, 0) + count

    def merge(self, other: Histogram) -> None:
        """Add the counts of another histogram of the same bounds."""
        self.count += other.count
        self.total += other.total
        self.most = max(self.most, other.most)
        if other.least >= 0:
            self.least = other.least if self.least < 0 else min(self.least, other.least)
        buckets = self.buckets
        for position, count in other.buckets.items():
            buckets[position] = buckets.get(position, 0) + count
        if other.exemplars:
            self.exemplars.update(other.exemplars)

    def quantile(self, share: float, bounds: tuple[int, ...]) -> float:
        """Return the duration in ns that `share` of the values do not exceed, interpolated; 0.0 when empty."""
        if not self.count:
            return 0.0
        wanted = share * self.count
        seen = 0
        for position, count in sorted(self.buckets.items()):
            if seen + count >= wanted:
                low = max(bounds[position - 1] if position else 0, self.least)
                high = min(bounds[position] if position < len(bounds) else self.most, self.most)
                return low + (high - low) * max(wanted - seen, 0.0) / count
            seen += count
        return float(self.most)

    def above(self, limit_ns: int, bounds: tuple[int, ...]) -> int:
        """Return how many values lie above `limit_ns`; exact where the limit is a bound."""
        first = bisect_left(bounds, limit_ns)
        return sum(count for position, count in self.buckets.items() if position > first)
