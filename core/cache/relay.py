"""The relay: takes what the database noted as stale, sets new stamps, and lets its heart beat behind them.

One leads (an advisory lock of the database); every process may. A step: take notes; in one script set their stamps
and move the heartbeat from the value that this relay left there to the next; then remove the notes. A crash in
between brings the notes again: a second bump costs misses, a lost one is impossible.

The heartbeat is never moved over notes that are still to come (a full batch bumps without a beat), and a step begins
only after the last beat was seen in place: `cito.core.cache.pulse` rests on that. A heartbeat that is not the one
left there tells of a shared tier that lost writes (failover, flush): then a new epoch makes all older values misses.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Sequence
from time import perf_counter_ns
from typing import Protocol

import msgspec

from cito.core.cache.keys import Names
from cito.core.cache.pulse import EPOCH
from cito.core.cache.shared import SharedAway
from cito.core.cache.tags import EVERYTHING
from cito.core.telemetry import Record, What

log = logging.getLogger(__name__)
POLL_SECONDS = 0.015
BEAT_SECONDS = 0.05


class Mark(Protocol):
    """How far the heartbeat was when stamps were last set."""

    @property
    def epoch(self) -> bytes: ...
    @property
    def counter(self) -> int: ...
    @property
    def intact(self) -> bool: ...


class Notes(Protocol):
    """The outbox; see `cito.core.database.outbox`."""

    async def mark(self) -> Mark:
        """Return how far the heartbeat was when stamps were last set."""
        ...

    @property
    def oldest_seconds(self) -> float:
        """Age of the oldest note that was taken last; by the database's clock."""
        ...

    async def take(self) -> list[str]:
        """Take notes."""
        ...

    async def done(self, mark: tuple[bytes, int] | None) -> None:
        """Remove what was taken."""
        ...

    async def undo(self) -> None:
        """Give back what was taken."""
        ...


class Stamps(Protocol):
    """The shared tier as the relay uses it."""

    async def beat(self, expected: bytes, following: bytes, tag_keys: Sequence[bytes]) -> bytes | None:
        """Set stamps and move the heartbeat; returns the one found where it is not the expected."""
        ...

    async def bump(self, tag_keys: Sequence[bytes], number: int) -> object:
        """Set stamps."""
        ...

    async def heartbeat(self) -> bytes:
        """Return the heartbeat; empty: there is none."""
        ...


class RelayCounts(msgspec.Struct):
    """What a relay has done since it began to lead."""

    steps: int = 0
    tags: int = 0
    beats: int = 0
    epochs: int = 0


class Relay:
    """One leader's work.

    Args:
        notes: the outbox, of a connection that leads.
        stamps: the shared tier.
        names: names of tags.
        full: how many notes make a full batch.
        finished: gets the record of each step that did something.
        monotonic: the clock.
    """

    def __init__(
        self,
        notes: Notes,
        stamps: Stamps,
        names: Names,
        *,
        full: int,
        finished: Callable[[Record], None],
        monotonic: Callable[[], float],
    ) -> None:
        self._notes = notes
        self._stamps = stamps
        self._names = names
        self._full = full
        self._finished = finished
        self._monotonic = monotonic
        self._known = b""
        self._beaten_at = float("-inf")
        self.counts = RelayCounts()

    async def begin(self) -> None:
        """Take up the heartbeat, or begin an epoch where the one that is there cannot be trusted.

        Raises:
            SharedAway: the shared tier is away.
        """
        mark = await self._notes.mark()
        found = await self._stamps.heartbeat()
        whole = mark.intact and found[:EPOCH] == mark.epoch and int(found[EPOCH:] or b"0") >= mark.counter
        self._known = found
        if not whole or not found:
            await self._new_epoch()

    async def step(self) -> bool:
        """Take, bump, beat, remove; True when there may be more to take at once.

        Raises:
            SharedAway: the shared tier is away; what was taken is given back.
        """
        record = Record("relay", "relay_step")
        tags = await self._notes.take()
        record.add(What.TRACK, "relay.take", record.start_ns, amount=len(tags))
        now = self._monotonic()
        if not tags and now - self._beaten_at < BEAT_SECONDS:
            await self._notes.done(None)
            return False
        taken_ns = perf_counter_ns()
        try:
            mark = await self._apply(tags, now)
        except SharedAway as error:
            await self._notes.undo()
            record.error = type(error).__name__
            record.finish(503)
            self._finished(record)
            raise
        bumped_ns = perf_counter_ns()
        await self._notes.done(mark)
        if tags:
            self.counts.steps += 1
            self.counts.tags += len(tags)
            record.add(What.TRACK, "relay.done", bumped_ns)
            lag_ns = round(self._notes.oldest_seconds * 1e9) + bumped_ns - taken_ns
            record.timed(What.TRACK, "relay.bump", taken_ns, bumped_ns - taken_ns, amount=len(tags))
            record.timed(What.LAG, "commit_to_bump", bumped_ns - lag_ns, lag_ns, amount=len(tags))
            record.finish(200)
            self._finished(record)
        return len(tags) >= self._full

    async def _apply(self, tags: Sequence[str], now: float) -> tuple[bytes, int] | None:
        """Set the stamps; returns the heartbeat to be noted with the removal."""
        if EVERYTHING in tags:
            await self._new_epoch()
        keys = [self._names.tag(tag) for tag in dict.fromkeys(tags) if tag != EVERYTHING]
        if len(tags) >= self._full:
            await self._stamps.bump(keys, 0)
            return self._mark(self._known, ahead=1)
        following = _heartbeat(self._known[:EPOCH], int(self._known[EPOCH:]) + 1)
        found = await self._stamps.beat(self._known, following, keys)
        if found is None:
            self._known = following
            self._beaten_at = now
            self.counts.beats += 1
            return self._mark(following) if tags else None
        if found[:EPOCH] == self._known[:EPOCH] and int(found[EPOCH:]) > int(self._known[EPOCH:]):
            self._known = found  # another relay, before it noticed that it leads no longer
        else:
            self._known = found
            await self._new_epoch()
        return self._mark(self._known, ahead=1) if tags else None

    async def _new_epoch(self) -> None:
        """Make every stored value a miss."""
        while True:
            following = _heartbeat(os.urandom(EPOCH), 1)
            found = await self._stamps.beat(self._known, following, ())
            if found is None:
                break
            self._known = found
        self._known = following
        self.counts.epochs += 1
        log.warning("shared cache: a new epoch begins")

    @staticmethod
    def _mark(heartbeat: bytes, ahead: int = 0) -> tuple[bytes, int]:
        """Return what a shared tier must have reached to have these stamps; `ahead`: only the next beat vouches."""
        return heartbeat[:EPOCH], int(heartbeat[EPOCH:]) + ahead


def _heartbeat(epoch: bytes, counter: int) -> bytes:
    return epoch + b"%d" % counter
