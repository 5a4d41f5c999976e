"""Metrics on their way out: a thread that delivers what was counted since the last delivery that arrived.

Counts that could not be delivered are added to the next delivery, so an outage delays metrics and loses none.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from cito.observability.metrics import Slice

FLUSH_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Delivery:
    """What came of a delivery: points that arrived, points that never will, or all of it `again` with the next."""

    exported: int = 0
    lost: int = 0
    again: bool = False


class Destination(Protocol):
    """Where metrics are delivered: OTLP, CloudWatch, standard output."""

    name: str

    def deliver(self, counted: Slice, until: float, timeout_seconds: float | None) -> Delivery:
        """Send what was counted until then; never raises for what the network does."""
        ...

    def close(self) -> None:
        """Let connections go."""
        ...


class Periodic:
    """Delivers slices every `seconds`.

    Attributes:
        exported: points that arrived.
        delayed: deliveries that did not and were joined to the next.
        lost: points that never will.
    """

    def __init__(self, destination: Destination, seconds: float, wall: Callable[[], float]) -> None:
        self.destination = destination
        self.exported = 0
        self.delayed = 0
        self.lost = 0
        self._seconds = seconds
        self._wall = wall
        self._lock = threading.Lock()
        self._counted = Slice(start=wall())
        self._stopping = threading.Event()
        self._deadline = 0.0
        self._thread = threading.Thread(target=self._work, name=f"cito-{destination.name}", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def add(self, done: Slice) -> None:
        """Take a slice; a merge of some tens of series, twice a second."""
        with self._lock:
            self._counted.merge(done)

    def stop(self, seconds: float = FLUSH_SECONDS) -> None:
        """Deliver the rest within so many seconds."""
        self._deadline = time.monotonic() + seconds
        self._stopping.set()
        self._thread.join(seconds + 0.5)

    def deliver(self, timeout_seconds: float | None = None) -> None:
        """Deliver what is there now."""
        now = self._wall()
        with self._lock:
            counted, self._counted = self._counted, Slice(start=now)
        delivery = self.destination.deliver(counted, now, timeout_seconds)
        self.exported += delivery.exported
        self.lost += delivery.lost
        if delivery.again:
            self.delayed += 1
            with self._lock:
                later, self._counted = self._counted, counted
                self._counted.merge(later)

    def _work(self) -> None:
        while not self._stopping.wait(self._seconds):
            self.deliver()
        self.deliver(max(0.1, self._deadline - time.monotonic()))
        self.destination.close()
