"""All processes of a node as one: each appends to a file of its own, any of them reads the others'.

A process owns a slot: the lowest free number, held by a file lock, so that a crash frees it. A restarted
process takes the slot again: the recent past stays in windows, and its cumulative series start at zero, as
a restarted Prometheus target's do. No server is in the way: telemetry is there when database and cache are not.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

import msgspec

from cito.observability import catalog as c
from cito.observability.metrics import Labels, Slice
from cito.observability.notes import Note
from cito.observability.slots import Reader, Slot, Writer

MAX_SLOTS = 64
_MINUTES = 2  # the tier whose buckets are a minute long
_ASKED_PARTS = frozenset({"cache", "relay"})  # of which `facts` asks
_STATED_SECONDS = 10.0  # a gauge that was not stated for so long belongs to a process that is gone


class NoSlotError(RuntimeError):
    """More processes share one home than there are slots."""


class Node:
    """The telemetry of all processes that share one home.

    Args:
        folder: within `<home>/run/telemetry`; made if it is not there.
        bounds: of all histograms.
    """

    def __init__(self, folder: Path, bounds: tuple[int, ...]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self._bounds = bounds
        self.number, self._lock = _free_slot(folder)
        self._leader: int | None = None
        self._writer = Writer(folder / f"{self.number}.log", bounds)
        self._readers: dict[int, Reader] = {}

    def publish(self, done: Slice) -> None:
        """Make a slice of this process known to the node."""
        self._writer.append(done)

    def collect(self) -> None:
        """Read what the other processes have published since the last time."""
        for path in self.folder.glob("*.log"):
            number = int(path.stem)
            if number != self.number:
                self._readers.setdefault(number, Reader(path, self._bounds)).follow()

    def slots(self) -> dict[int, Slot]:
        """Return what each process has published, as far as collected."""
        others = {number: reader.slot for number, reader in self._readers.items()}
        return dict(sorted({self.number: self._writer.slot, **others}.items()))

    def totals(self, now: float) -> dict[int, Slice]:
        """Return what each process has counted since it started, and its gauges as far as it still states them."""
        found = {}
        for number, slot in self.slots().items():
            living = slot.timeline.gauges(_STATED_SECONDS, now)
            gauges = {
                metric: {k: value for k, (_, value) in values.items()} for metric, values in living.items()
            }
            found[number] = msgspec.structs.replace(slot.total, gauges=gauges)
        return found

    def window(self, seconds: float, now: float) -> Slice:
        """Return the node's counts of the last `seconds`, with the gauges as they are now."""
        merged = Slice(start=now - seconds, seconds=seconds)
        for slot in self.slots().values():
            merged.merge(slot.timeline.window(seconds, now))
        merged.gauges = self.gauges(now)
        return merged

    def rough(self, seconds: float, now: float) -> Slice:
        """Return about the same as `window`, for judging twice a second: whole buckets, a fifth of it long."""
        merged = Slice(start=now - seconds, seconds=seconds)
        for slot in self.slots().values():
            merged.merge(slot.timeline.rough(seconds, now))
        merged.gauges = self.gauges(now)
        return merged

    def gauges(self, now: float) -> dict[str, dict[Labels, float]]:
        """Return what the living processes state now: summed over them, or the latest word of whoever leads."""
        stated: dict[str, dict[Labels, list[tuple[float, float]]]] = {}
        for slot in self.slots().values():
            for metric, values in slot.timeline.gauges(_STATED_SECONDS, now).items():
                known = stated.setdefault(metric, {})
                for labels, timed in values.items():
                    known.setdefault(labels, []).append(timed)
        return {
            metric: {
                labels: max(timed)[1] if _one_says(metric, labels) else sum(value for _, value in timed)
                for labels, timed in values.items()
            }
            for metric, values in stated.items()
        }

    def series(self, seconds: float, now: float) -> list[Slice]:
        """Return the node's buckets of the last `seconds`, oldest first."""
        by_start: dict[float, Slice] = {}
        for slot in self.slots().values():
            for bucket in slot.timeline.series(seconds, now):
                by_start.setdefault(bucket.start, Slice(bucket.start, bucket.seconds)).merge(bucket)
        return [by_start[start] for start in sorted(by_start)]

    def notes(self) -> list[Note]:
        """Return what was noted lately, newest first."""
        notes = [note for slot in self.slots().values() for note in slot.timeline.notes]
        return sorted(notes, key=lambda note: -note.at)

    def minutes(self) -> list[Slice]:
        """Return the node's counts minute by minute, as far back as is kept, oldest first."""
        by_start: dict[float, Slice] = {}
        for slot in self.slots().values():
            for tier, bucket in slot.timeline.buckets():
                if tier == _MINUTES:
                    by_start.setdefault(bucket.start, Slice(bucket.start, bucket.seconds)).merge(bucket)
        return [by_start[start] for start in sorted(by_start)]

    def leads(self) -> bool:
        """Return whether this process is the one that does what the node does once, such as alerting."""
        if self._leader is None:
            self._leader = _try_lock(self.folder / "leader.lock")
        return self._leader is not None

    def close(self) -> None:
        """Free the slot; what was published stays readable."""
        os.close(self._lock)
        if self._leader is not None:
            os.close(self._leader)
            self._leader = None


def _one_says(metric: str, labels: Labels) -> bool:
    """Whether only the leading process states a gauge: the word of one that led before must not be added to it."""
    return metric == c.ALERTS or (metric == c.FIGURES and labels[0] in _ASKED_PARTS)


def _free_slot(folder: Path) -> tuple[int, int]:
    for number in range(MAX_SLOTS):
        lock = _try_lock(folder / f"{number}.lock")
        if lock is not None:
            return number, lock
    raise NoSlotError(f"{folder}: all {MAX_SLOTS} slots are taken; give each Cito a home of its own")


def _try_lock(path: Path) -> int | None:
    """Take an exclusive lock and return its descriptor, or None while another process holds it."""
    descriptor = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor
