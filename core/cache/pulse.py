"""How old the news can be: a lower bound for the moment up to which every committed change has been told.

The relay polls the outbox, sets new stamps, and moves a counter by one; its poll for n+1 begins only after the
counter was seen at n. So whoever asked at time t and read n, and later reads n+2, knows: the poll for n+2 began
after t (n+1 was set after t, and it follows that), hence all that was committed before t has new stamps.
One step is not enough: a relay stopped between its poll and its counter would vouch for the past with it.
No clocks of two machines are compared. A counter that falls, or another epoch, starts the evidence anew; and after a
fall only what goes beyond the highest counter that was seen is evidence: a server may fall back, and then give way to
one that had not fallen so far, whose higher counter is older than the lower one.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

EPOCH = 16
"""Bytes of the epoch at the head of a heartbeat; the counter follows in decimal digits."""
_STEPS = 2
_MOST_SAMPLES = 256


class Sample(NamedTuple):
    """A counter, the last time at which it was asked for, and when that answer came."""

    counter: int
    asked_at: float
    answered_at: float


class Pulse:
    """The evidence of one process.

    Attributes:
        as_of: monotonic seconds; what was committed before is in the stamps. Minus infinity: no evidence yet.
        epoch: of the last heartbeat; empty before the first.
    """

    def __init__(self) -> None:
        self.as_of = float("-inf")
        self.epoch = b""
        self._samples: deque[Sample] = deque(maxlen=_MOST_SAMPLES)
        self._highest = 0  # before the last fall within this epoch

    def seen(self, heartbeat: bytes | None, asked_at: float, answered_at: float) -> bool:
        """Take in a heartbeat that was asked for at `asked_at`; True when the epoch is another one than before."""
        epoch = b"" if heartbeat is None else heartbeat[:EPOCH]
        if epoch != self.epoch:
            if self._samples and asked_at < self._samples[-1].answered_at:
                return False  # an answer that was overtaken
            self.epoch = epoch
            self._highest = 0
            self._restart()
            if heartbeat is not None:
                self._samples.append(Sample(int(heartbeat[EPOCH:]), asked_at, answered_at))
            return True
        if heartbeat is not None:
            self._count(Sample(int(heartbeat[EPOCH:]), asked_at, answered_at))
        return False

    def lost(self) -> None:
        """Forget all evidence: the connection was cut."""
        self.epoch = b""
        self._restart()

    def _restart(self) -> None:
        self._samples.clear()
        self.as_of = float("-inf")

    def _count(self, sample: Sample) -> None:
        samples = self._samples
        last = samples[-1]
        if sample.counter < last.counter:
            if sample.asked_at >= last.answered_at:  # it fell: a server that lost writes
                self._highest = max(self._highest, last.counter)
                self._restart()
                samples.append(sample)
            return
        if sample.counter == last.counter:
            if sample.asked_at > last.asked_at:
                samples[-1] = sample
            return
        samples.append(sample)
        while len(samples) > 1 and samples[0].counter <= sample.counter - _STEPS:
            if samples[0].counter >= self._highest:
                self.as_of = max(self.as_of, samples[0].asked_at)
            samples.popleft()
