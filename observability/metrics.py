"""Metrics folded from records, in process: a few hundred ns an event, no lock, no allocation once a series is known.

Everything counted since the last `cut` is one `Slice`; totals are the sum of all slices. A slice is what a
process publishes, a window is a merge of slices, and cumulative series are the totals.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from cito.core.telemetry import Record, What
from cito.observability import catalog as c
from cito.observability.histogram import Exemplar, Histogram
from cito.observability.notes import Note

Labels = tuple[str | int, ...]

MAX_SERIES = 1_000  # a metric: declarations need far fewer; what comes above is counted under `other`
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE"})
STREAM = "performance_live"  # the answer that the live page follows
OUTSIDE = "(unmatched)"  # requests that no route answers

# The outcome of a cached read as the cache says it -> (tier, outcome).
_OUTCOMES: dict[str, tuple[str, str]] = {
    "local": ("local", "hit"),
    "shared": ("shared", "hit"),
    "miss": ("none", "miss"),
    "bypass": ("none", "bypass"),
    "stale": ("local", "stale-hit"),
    "negative": ("local", "negative"),
    "error": ("shared", "error"),
}


class Slice(msgspec.Struct, array_like=True):
    """What was counted in one span of time; mergeable.

    Attributes:
        start: seconds since the epoch.
        seconds: its length.
        histograms, counters, gauges: metric -> label values -> value.
        notes: what deserves to be read one by one: slow queries, slow or failed requests.
    """

    start: float = 0.0
    seconds: float = 0.0
    histograms: dict[str, dict[Labels, Histogram]] = {}
    counters: dict[str, dict[Labels, float]] = {}
    gauges: dict[str, dict[Labels, float]] = {}
    notes: list[Note] = []

    def merge(self, other: Slice) -> None:
        """Add another slice: counts are added, gauges take the later value, notes are kept apart by the caller."""
        for metric, theirs in other.histograms.items():
            ours = self.histograms.setdefault(metric, {})
            for labels, histogram in theirs.items():
                known = ours.get(labels)
                if known is None:
                    known = ours[labels] = Histogram()
                known.merge(histogram)
        for metric, added in other.counters.items():
            counts = self.counters.setdefault(metric, {})
            for labels, count in added.items():
                counts[labels] = counts.get(labels, 0) + count
        for metric, values in other.gauges.items():
            self.gauges.setdefault(metric, {}).update(values)

    def labelled(self, metric: str) -> dict[Labels, Histogram]:
        """Return the histograms of one metric by label values."""
        return self.histograms.get(metric, {})


def bounded_method(method: str) -> str:
    """Return an HTTP method of the standard, `_OTHER` for what a client makes up (the conventions' word)."""
    return method if method in _METHODS else "_OTHER"


def _event_labels() -> dict[int, tuple[str, Callable[[str, str], Labels]]]:
    return {
        What.QUERY: (c.QUERIES, lambda name, code: (name, code)),
        What.POOL_WAIT: (c.POOL_WAIT, lambda _name, _code: ()),
        What.CACHE: (c.CACHE, lambda name, code: (name, *_OUTCOMES.get(code, ("none", code or "miss")))),
        What.LOAD: (c.CACHE_LOAD, lambda name, code: (name, code)),
        What.TRACK: (c.TRACKED, lambda name, code: (name, code)),
        What.SHARED_CACHE: (c.SHARED_CACHE, lambda _name, code: (code,)),
        What.COMMIT: (c.COMMIT, lambda _name, _code: ()),
        What.LOCK: (c.LOCK, lambda name, _code: (name,)),
        What.BUMP: (c.INVALIDATION_LAG, lambda _name, code: (f"own_bump_{code}" if code else "own_bump",)),
        What.LAG: (c.INVALIDATION_LAG, lambda name, _code: (name,)),
    }


class Metrics:
    """All metrics of one process.

    Args:
        bounds: of all histograms, ns.

    Attributes:
        current: counted since the last cut.
        total: everything counted until the last cut.
    """

    def __init__(self, bounds: tuple[int, ...]) -> None:
        self.bounds = bounds
        self.current = Slice()
        self.total = Slice()
        self._requests: dict[tuple[str, str, int, str], Histogram] = {}
        self._events: list[dict[tuple[str, str], Histogram]] = [{} for _ in range(max(What) + 1)]
        self._timeless: dict[tuple[int, str, str], int] = {}
        self._commands = 0
        self._labels = _event_labels()
        self._known: dict[str, set[Labels]] = {}
        self._noted: dict[str, int] = {}

    def fold(self, record: Record) -> None:
        """Count a finished record and its events."""
        bounds = self.bounds
        if record.kind == "http":
            key = (record.operation, record.method, record.status, record.cache)
            histogram = self._requests.get(key)
            if histogram is None:
                histogram = self._requests[key] = self._request_series(record)
        else:
            histogram = self._background_series(record)
        ns = record.duration_ns
        position = histogram.add(ns, bounds)
        if record.sampled:
            histogram.exemplars[position] = Exemplar(record.trace_id, ns, record.started_at_ns / 1e9)

        events = self._events
        for what, name, _start, ns, code, amount in record.events:
            if not ns:  # a local hit: it happened, and no clock was asked for its length
                known = (what, name, code)
                self._timeless[known] = self._timeless.get(known, 0) + 1
                continue
            histogram = events[what].get((name, code))
            if histogram is None:
                histogram = events[what][name, code] = self._event_series(what, name, code)
            histogram.add(ns, bounds)
            if what == 6:  # noqa: PLR2004 - What.SHARED_CACHE, spelt out: this line runs for each event
                self._commands += amount

    def count(self, metric: str, labels: Labels, amount: float = 1) -> None:
        """Add to a counter."""
        counts = self.current.counters.setdefault(metric, {})
        labels = self._bounded(metric, labels)
        counts[labels] = counts.get(labels, 0) + amount

    def time(self, metric: str, labels: Labels, ns: int) -> None:
        """Add a duration to a histogram, away from the request path."""
        self._series(metric, labels).add(ns, self.bounds)

    def set(self, metric: str, labels: Labels, value: float) -> None:
        """State the present value of a gauge."""
        self.current.gauges.setdefault(metric, {})[labels] = value

    def has_room(self, kind: str, at_most: int) -> bool:
        """Return whether a note of this kind would still be kept, before it is built."""
        return self._noted.get(kind, 0) < at_most

    def note(self, note: Note, *, at_most: int) -> None:
        """Keep something to be read by itself, `at_most` so many of its kind a slice."""
        kept = self._noted.get(note.kind, 0)
        if kept < at_most:
            self._noted[note.kind] = kept + 1
            self.current.notes.append(note)

    def cut(self, now: float) -> Slice:
        """End the current slice at `now` (seconds since the epoch), add it to the totals and return it."""
        for (what, name, code), count in self._timeless.items():
            self._event_series(what, name, code).add_zeros(count)
        self._timeless = {}
        if self._commands:
            self.count(c.SHARED_COMMANDS, (), self._commands)
            self._commands = 0
        done = self.current
        done.seconds = now - done.start if done.start else 0.0
        self.current = Slice(start=now)
        self._requests = {}
        self._noted = {}
        self._events = [{} for _ in self._events]
        self.total.merge(done)
        return done

    def _request_series(self, record: Record) -> Histogram:
        if record.operation == STREAM:
            return Histogram()  # in no slice: it lasts as long as somebody looks, no target could judge it
        operation = record.operation or OUTSIDE
        route = record.route if record.operation else ""
        return self._series(
            c.REQUESTS, (operation, route, bounded_method(record.method), record.status, record.cache)
        )

    def _background_series(self, record: Record) -> Histogram:
        metric = c.JOBS if record.kind == "job" else c.RELAY
        outcome = record.error or ("ok" if record.status < 500 else "failed")  # noqa: PLR2004 - 5xx
        return self._series(metric, (record.operation, outcome))

    def _event_series(self, what: int, name: str, code: str) -> Histogram:
        metric, labels = self._labels[what]
        return self._series(metric, labels(name, code))

    def _series(self, metric: str, labels: Labels) -> Histogram:
        current = self.current.histograms.setdefault(metric, {})
        return current.setdefault(self._bounded(metric, labels), Histogram())

    def _bounded(self, metric: str, labels: Labels) -> Labels:
        """Return the labels, or `other` for each once the metric has all the series it may have."""
        known = self._known.setdefault(metric, set())
        if labels not in known:
            if len(known) >= MAX_SERIES:
                return ("other",) * len(labels)
            known.add(labels)
        return labels
