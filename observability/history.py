"""The longer past: one row a minute and series in `performance_metrics`, for windows that memory does not hold.

Written by the process that leads, all series of a minute in one statement; while the database is away minutes
wait, an hour of them at most. A job lets go what is older than `observability.history_days`.
"""

from __future__ import annotations

import socket
from collections import deque
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import msgspec

from cito.core.context import Context
from cito.core.database.pool import Database
from cito.core.database.query import Query, Statement
from cito.core.declarations import Job
from cito.core.errors import Problem
from cito.observability.catalog import CATALOG
from cito.observability.histogram import Histogram
from cito.observability.metrics import Labels, Slice

MOST_WAITING = 60
LATE_SECONDS = 5.0  # other processes publish the last slice of a minute a little after its end
_MINUTE = 60


class Minutes(msgspec.Struct, frozen=True):
    """Series of one or more minutes, column by column; labels and buckets as JSON."""

    node: str
    ats: list[datetime]
    seconds: list[int]
    metrics: list[str]
    labels: list[str]
    counts: list[int]
    totals: list[int]
    leasts: list[int]
    mosts: list[int]
    buckets: list[str]


class Span(msgspec.Struct, frozen=True):
    """From when until when."""

    since: datetime
    until: datetime


class Series(msgspec.Struct, frozen=True):
    """One series of a span; labels and buckets (upper bound in ns -> count) as JSON."""

    metric: str
    labels: str
    count: int
    total_ns: int
    least_ns: int
    most_ns: int
    buckets: str


class Before(msgspec.Struct, frozen=True):
    """Everything older."""

    before: datetime


add_performance_metrics = Statement("add_performance_metrics", Minutes)
performance_history = Query("performance_history", Span, Series)
purge_performance_metrics = Statement("purge_performance_metrics", Before)


class History:
    """Writes and reads the history of a node.

    Attributes:
        dropped: minutes that were let go because the database was away for too long.
    """

    def __init__(self, database: Database, bounds: tuple[int, ...]) -> None:
        self.dropped = 0
        self._database = database
        self._bounds = bounds
        self._written = 0  # number of the last minute taken
        self._waiting: deque[tuple[int, Slice]] = deque()

    def due(self, now: float) -> bool:
        """Return whether a minute is over that was not taken yet, or one waits to be written."""
        return bool(self._waiting) or int((now - LATE_SECONDS) // _MINUTE) - 1 > self._written

    def take(self, minutes: Iterable[Slice], now: float) -> None:
        """Take the minutes that are over and were not taken yet."""
        if not self._written:  # of what ran before this process leads, its predecessor wrote all but the last
            self._written = int((now - LATE_SECONDS) // _MINUTE) - 2
        for minute in minutes:
            number = int(minute.start // _MINUTE)
            if self._written < number and (number + 1) * _MINUTE + LATE_SECONDS <= now:
                self._waiting.append((number, minute))
        self._written = max(self._written, int((now - LATE_SECONDS) // _MINUTE) - 1)
        while len(self._waiting) > MOST_WAITING:
            self._waiting.popleft()
            self.dropped += 1

    async def write(self) -> None:
        """Write what waits; it goes on waiting while the database is away."""
        while self._waiting:
            number, minute = self._waiting[0]
            try:
                async with self._database.transaction(None) as transaction:
                    await add_performance_metrics.run(transaction, self._columns(number, minute))
            except (Problem, OSError):
                return
            self._waiting.popleft()

    async def read(self, since: datetime, until: datetime) -> Slice:
        """Return the counts of a span of time, of all nodes."""
        rows = await performance_history.all(self._database.reader(None), Span(since, until))
        found = Slice(start=since.timestamp(), seconds=(until - since).total_seconds())
        for row in rows:
            if row.metric in CATALOG:
                labels: Labels = tuple(msgspec.json.decode(row.labels, type=list[str | int]))
                found.histograms.setdefault(row.metric, {})[labels] = self._histogram(row)
        return found

    def _histogram(self, row: Series) -> Histogram:
        """Put stored counts into the buckets of today; bounds may have changed since."""
        buckets: dict[int, int] = {}
        positions = {bound: position for position, bound in enumerate(self._bounds)}
        for bound, count in msgspec.json.decode(row.buckets, type=dict[str, int]).items():
            position = positions.get(int(bound))
            if position is None:
                position = next((i for i, b in enumerate(self._bounds) if b >= int(bound)), len(self._bounds))
            buckets[position] = buckets.get(position, 0) + count
        return Histogram(row.count, row.total_ns, row.least_ns, row.most_ns, buckets)

    def _columns(self, number: int, minute: Slice) -> Minutes:
        at = datetime.fromtimestamp(number * _MINUTE, UTC)
        rows = [
            (metric, labels, histogram)
            for metric, series in minute.histograms.items()
            for labels, histogram in series.items()
        ]
        endless = 1 << 62  # the upper bound of the last bucket
        return Minutes(
            node=socket.gethostname(),
            ats=[at] * len(rows),
            seconds=[_MINUTE] * len(rows),
            metrics=[metric for metric, _, _ in rows],
            labels=[msgspec.json.encode(labels).decode() for _, labels, _ in rows],
            counts=[h.count for _, _, h in rows],
            totals=[h.total for _, _, h in rows],
            leasts=[h.least for _, _, h in rows],
            mosts=[h.most for _, _, h in rows],
            buckets=[
                msgspec.json.encode(
                    {
                        str(self._bounds[p] if p < len(self._bounds) else endless): n
                        for p, n in h.buckets.items()
                    }
                ).decode()
                for _, _, h in rows
            ],
        )


async def purge(context: Context) -> None:
    """Let go what is older than the settings keep."""
    kept = timedelta(days=context.settings.observability.history_days)
    async with context.database.transaction(None) as transaction:
        await purge_performance_metrics.run(transaction, Before(datetime.now(UTC) - kept))


PURGE = Job(name="purge_performance_metrics", run=purge, every_seconds=86_400)
QUERIES = (add_performance_metrics, performance_history, purge_performance_metrics)
