"""A history of the real thing: sessions read and write through several processes, and every read is judged.

All sessions live in one process, so on one clock. Each reads and writes through the processes of its own node at
random, and now and then reads through another node; one more writer works as psql does, past every process. A row's
version grows by one with each write. A read is stale by the time between the acknowledgement of the first newer version
and the read's own beginning; of one's own writes, nothing may be stale at all on one's own node, and on the other one
nothing as long as there are no faults.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

READS_AT_ONCE = 10
_PATIENCE_SECONDS = 60.0
"""Whoever has no answer for so long will have none: a broken history, not a slow one."""
_ELSEWHERE = 0.1
CONFLICT = "conflict"
"""Outcome of a write that another one came before: nothing was written, and nothing failed."""


class Answer(NamedTuple):
    """The version that was read or written (negative: none), and by which way, or why not."""

    version: int
    outcome: str


class Connection(Protocol):
    """One session's way to one process."""

    async def read(self, rows: Sequence[int]) -> Sequence[Answer]: ...
    async def write(self, row: int) -> Answer: ...
    def close(self) -> None: ...


@dataclass(frozen=True)
class System:
    """What is played on.

    Attributes:
        nodes: for each node, how to connect to each of its processes.
        rows: how many there are, from 0.
        write_past: writes a row as psql does; returns its version.
        relay_pid: process id of the relay.
    """

    nodes: Sequence[Sequence[Callable[[], Awaitable[Connection]]]]
    rows: int
    write_past: Callable[[int], Awaitable[int]]
    relay_pid: int


@dataclass
class History:
    """What was seen.

    Attributes:
        broken: what may never happen: a process that does not answer, a fault that could not be made or not be healed.
        own_elsewhere: reads through another node that did not see a write of their own session.
        reads_elsewhere: how many there were.
        healed_seconds: from the end of a fault to a local hit in each process.
        unhealed: faults that the next one followed before that.
    """

    reads: int = 0
    writes: int = 0
    raw_writes: int = 0
    conflicts: int = 0
    failed: int = 0
    own_elsewhere: list[str] = field(default_factory=list)
    reads_elsewhere: int = 0
    own_stale: list[str] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    stale_seconds: list[float] = field(default_factory=list)
    raw_visible_seconds: list[float] = field(default_factory=list)
    healed_seconds: list[float] = field(default_factory=list)
    unhealed: int = 0
    outcomes: dict[str, int] = field(default_factory=dict)
    _acknowledged: dict[int, dict[int, float]] = field(default_factory=dict)
    _newest: dict[int, int] = field(default_factory=dict)

    def acknowledge(self, row: int, version: int) -> float:
        """Note that a version was written; returns the moment."""
        now = time.monotonic()
        self._acknowledged.setdefault(row, {})[version] = now
        self._newest[row] = max(version, self._newest.get(row, 0))
        return now

    def judge(self, row: int, answer: Answer, began: float, own: int, *, at_home: bool = True) -> None:
        """Take one read in: what it returned, when it began, and which version its session had written before."""
        version, outcome = answer
        if version < 0:
            self.failed += 1
            return
        self.reads += 1
        self.outcomes[outcome] = self.outcomes.get(outcome, 0) + 1
        self.reads_elsewhere += not at_home
        if version < own:
            missed = self.own_stale if at_home else self.own_elsewhere
            missed.append(f"{outcome} row {row}: version {version} after its own {own}")
        if version < self._newest.get(row, 0):
            known = self._acknowledged[row]
            newer = range(version + 1, self._newest[row] + 1)
            superseded = min(known[number] for number in newer if number in known)
            if superseded < began:
                self.stale_seconds.append(began - superseded)

    def summary(self) -> dict[str, Any]:
        """Figures: staleness over all reads, in milliseconds."""
        stale = sorted(self.stale_seconds)
        fresh = self.reads - len(stale)
        working = sum(self.outcomes.get(outcome, 0) for outcome in ("local", "shared", "miss"))
        return {
            "reads": self.reads,
            "writes": self.writes,
            "rawWrites": self.raw_writes,
            "conflicts": self.conflicts,
            "failed": self.failed,
            "broken": self.broken,
            "ownStale": len(self.own_stale),
            "readsElsewhere": self.reads_elsewhere,
            "ownStaleElsewhere": len(self.own_elsewhere),
            "staleReads": len(stale),
            "olderThanOneSecond": sum(1 for seconds in stale if seconds > 1),
            "stalenessMs": {
                name: _at(stale, int(self.reads * share) - fresh)
                for name, share in (("p50", 0.5), ("p99", 0.99), ("p99.99", 0.9999), ("max", 1.0))
            },
            "rawWriteVisibleMs": _quantiles(self.raw_visible_seconds),
            "healedMs": _quantiles(self.healed_seconds),
            "faultsUnhealedBeforeTheNext": self.unhealed,
            "outcomes": self.outcomes,
            "byAWorkingCache": round(working / self.reads, 4) if self.reads else None,
        }


def _at(ordered: Sequence[float], rank: int) -> float:
    """Return one of the ordered seconds in milliseconds; 0.0 before the first of them."""
    return round(ordered[min(rank, len(ordered) - 1)] * 1000, 3) if ordered and rank >= 0 else 0.0


def _quantiles(seconds: Sequence[float]) -> dict[str, float] | None:
    ordered = sorted(seconds)
    count = len(ordered)
    shares = (("p50", 0.5), ("p99", 0.99), ("max", 1.0))
    return {name: _at(ordered, int(count * share)) for name, share in shares} if ordered else None


class Session:
    """It reads and writes through the processes of its node in turn, and knows its own writes.

    Args:
        history: judges.
        nodes: its connections; those of its own node first.
        rng: decides.
        rows: how many there are.
        writes: share of writes among its reads and writes.
    """

    def __init__(
        self,
        history: History,
        nodes: Sequence[Sequence[Connection]],
        rng: random.Random,
        rows: int,
        writes: float,
    ) -> None:
        self._history = history
        self._home, *self._others = nodes
        self._rng = rng
        self._rows = rows
        self._writes = writes
        self._own: dict[int, int] = {}
        self._last: list[int] = []

    async def step(self) -> None:
        """Write once, or read some rows at once; often those of the last step."""
        rng = self._rng
        writing = rng.random() < self._writes * READS_AT_ONCE
        if rng.random() < 0.7 or not self._last:
            self._last = [self._row() for _ in range(1 if writing else READS_AT_ONCE)]
        async with asyncio.timeout(_PATIENCE_SECONDS):
            await (self._write(self._last[0]) if writing else self._read(self._last))

    async def _write(self, row: int) -> None:
        history = self._history
        version, outcome = await self._rng.choice(self._home).write(row)
        if version >= 0:
            history.writes += 1
            history.acknowledge(row, version)
            self._own[row] = version
            self._last = [row] * READS_AT_ONCE if self._rng.random() < 0.1 else [row]
        elif outcome == CONFLICT:
            history.conflicts += 1
        else:
            history.failed += 1

    async def _read(self, rows: Sequence[int]) -> None:
        own = dict(self._own)
        away = self._others and self._rng.random() < _ELSEWHERE
        through = self._rng.choice(self._rng.choice(self._others) if away else self._home)
        began = time.monotonic()
        for row, answer in zip(rows, await through.read(rows), strict=True):
            self._history.judge(row, answer, began, own.get(row, 0), at_home=not away)

    def _row(self) -> int:
        """Return a row, the first ones more often."""
        return int(self._rows ** self._rng.random()) - 1


async def play(
    system: System,
    *,
    reads: int,
    sessions: int = 24,
    past: float = float("inf"),
    writes: float = 0.01,
    seed: int = 1,
    faults: Callable[[int], Awaitable[None]] | None = None,
    pause_seconds: float = 4.0,
    seconds: float = float("inf"),
    stop: asyncio.Event | None = None,
) -> History:
    """Play until there are enough reads, the time is over, or `stop` is set; returns the history so far.

    Args:
        system: what is played on.
        reads: how many are enough.
        sessions: how many read and write at a time; 0: nobody but who writes past the processes.
        past: how many writes past the processes are enough.
        writes: their share.
        seed: of what the sessions do.
        faults: makes one fault and ends it again; gets the relay's process id.
        pause_seconds: longest pause between two faults.
        seconds: the time.
        stop: ends it from outside.
    """
    history = History()
    stop = stop or asyncio.Event()
    clock = asyncio.get_running_loop().call_later(min(seconds, 1e8), stop.set)
    rng = random.Random(seed)

    async def session(number: int) -> None:
        at = number % len(system.nodes)
        nodes = [system.nodes[at], *system.nodes[:at], *system.nodes[at + 1 :]]
        connections = [[await connect() for connect in node] for node in nodes]
        one = Session(history, connections, random.Random(seed * 1000 + number), system.rows, writes)
        while history.reads < reads and not stop.is_set():
            await one.step()
        for node in connections:
            for connection in node:
                connection.close()

    async def guarded(name: str, work: Awaitable[None]) -> None:
        try:
            await work
        except Exception as error:  # noqa: BLE001 - told with the figures, whatever it is
            history.broken.append(f"{name}: {error!r}")
            stop.set()

    background = [asyncio.create_task(guarded("past", _write_past(system, history, rng, past, stop)))]
    if faults is not None:
        trouble = _trouble(system, history, faults, pause_seconds, stop)
        background.append(asyncio.create_task(guarded("faults", trouble)))
    await asyncio.gather(*(guarded(f"session {number}", session(number)) for number in range(sessions)))
    if sessions:
        stop.set()
    await stop.wait()
    clock.cancel()
    await asyncio.gather(*background)
    return history


async def _write_past(
    system: System, history: History, rng: random.Random, most: float, stop: asyncio.Event
) -> None:
    """Write as psql does, and see how soon it shows at one process."""
    connection = await system.nodes[0][0]()
    while not stop.is_set():
        row = rng.randrange(system.rows)
        version = await system.write_past(row)
        written = history.acknowledge(row, version)
        history.raw_writes += 1
        while not stop.is_set():
            (answer,) = await connection.read([row])
            if answer.version >= version:
                history.raw_visible_seconds.append(time.monotonic() - written)
                break
            await asyncio.sleep(0.001)
        if history.raw_writes >= most:
            stop.set()
        await asyncio.sleep(0.02)
    connection.close()


async def _trouble(
    system: System,
    history: History,
    faults: Callable[[int], Awaitable[None]],
    pause_seconds: float,
    stop: asyncio.Event,
) -> None:
    """Make faults, some of them before everything has healed from the last one; after the last one it has to."""
    rng = random.Random(7)
    everywhere = [await connect() for node in system.nodes for connect in node]
    while not stop.is_set():
        await faults(system.relay_pid)
        ended = time.monotonic()
        over = ended + rng.random() * pause_seconds
        if await _healed(everywhere, over):
            history.healed_seconds.append(time.monotonic() - ended)
        else:
            history.unhealed += 1
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), max(0.0, over - time.monotonic()))
    if not await _healed(everywhere, time.monotonic() + _PATIENCE_SECONDS):
        raise AssertionError("a process has no local hits, long after the last fault")
    for connection in everywhere:
        connection.close()


async def _healed(processes: Sequence[Connection], over: float) -> bool:
    """Wait for a local hit in each process; False when the time is over before."""
    for connection in processes:
        while (await connection.read([0]))[0].outcome != "local":
            if time.monotonic() > over:
                return False
            await asyncio.sleep(0.01)
    return True
