"""What happened lately: slices in three resolutions, so that any window up to six hours is a short merge."""

from __future__ import annotations

from collections import deque

from cito.observability.metrics import Labels, Slice
from cito.observability.notes import Note

# (seconds a bucket, seconds kept)
TIERS: tuple[tuple[float, float], ...] = ((0.5, 60.0), (5.0, 900.0), (60.0, 21_600.0))
MOST_NOTES = 300


class Timeline:
    """Slices of one process by time."""

    def __init__(self) -> None:
        self._tiers: tuple[dict[int, Slice], ...] = tuple({} for _ in TIERS)
        self.notes: deque[Note] = deque(maxlen=MOST_NOTES)

    def add(self, done: Slice) -> None:
        """Add a fresh slice to every resolution."""
        for tier in range(len(TIERS)):
            self.put(tier, done)
        self.notes.extend(done.notes)

    def put(self, tier: int, done: Slice) -> None:
        """Add a slice to one resolution and let go what is too old there."""
        width, kept = TIERS[tier]
        buckets = self._tiers[tier]
        number = int(done.start / width)
        bucket = buckets.get(number)
        if bucket is None:
            bucket = buckets[number] = Slice(start=number * width, seconds=width)
            oldest = int((done.start - kept) / width)
            for old in [known for known in buckets if known < oldest]:
                del buckets[old]
        bucket.merge(done)

    def window(self, seconds: float, now: float) -> Slice:
        """Return everything that began within the last `seconds`, at the finest resolution that reaches back."""
        tier = next((i for i, (_, kept) in enumerate(TIERS) if kept >= seconds), len(TIERS) - 1)
        merged = Slice(start=now - seconds, seconds=seconds)
        for bucket in self._since(tier, now - seconds, now):
            merged.merge(bucket)
        return merged

    def rough(self, seconds: float, now: float) -> Slice:
        """Return the last `seconds`, and up to a bucket more, from buckets a fifth of it long; cheap enough for each tick.

        A slice has the time of its start, and another process's comes up to a tick after its end: one bucket less, and
        the last second of a process that ticks at another moment would hold nothing.
        """
        tier = max(i for i, (width, _) in enumerate(TIERS) if i == 0 or width * 5 <= seconds)
        merged = Slice(start=now - seconds, seconds=seconds)
        for bucket in self._since(tier, now - seconds - TIERS[tier][0], now):
            merged.merge(bucket)
        return merged

    def gauges(self, seconds: float, now: float) -> dict[str, dict[Labels, tuple[float, float]]]:
        """Return the last stated values of the last `seconds`, a minute at most, each behind its time."""
        stated: dict[str, dict[Labels, tuple[float, float]]] = {}
        for bucket in self._since(0, now - seconds, now):
            for metric, values in bucket.gauges.items():
                timed = {labels: (bucket.start, value) for labels, value in values.items()}
                stated.setdefault(metric, {}).update(timed)
        return stated

    def series(self, seconds: float, now: float) -> list[Slice]:
        """Return the buckets of the last `seconds`, oldest first, for curves; empty spans are left out."""
        tier = next((i for i, (_, kept) in enumerate(TIERS) if kept >= seconds), len(TIERS) - 1)
        return self._since(tier, now - seconds, now)

    def buckets(self) -> list[tuple[int, Slice]]:
        """Return all buckets with their tier, to be stored."""
        return [(tier, bucket) for tier, buckets in enumerate(self._tiers) for bucket in buckets.values()]

    def _since(self, tier: int, start: float, end: float) -> list[Slice]:
        width, _ = TIERS[tier]
        buckets = self._tiers[tier]
        # Within memory there are more buckets than asked for, or fewer: walk the smaller side.
        first, last = int(start / width), int(end / width)
        if last - first < len(buckets):
            return [buckets[number] for number in range(first + 1, last + 1) if number in buckets]
        return [bucket for number, bucket in sorted(buckets.items()) if first < number <= last]
