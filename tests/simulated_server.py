"""A simulated shared tier: commands in order, each there and back with delays and losses; pushes at the end of a turn."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from simulated import DEADLINE, NAMES, Faults, delay
from virtual import VirtualLoop

from cito.core.cache.shared import SharedAway


class Listener(Protocol):
    """The connection of a feed."""

    def send(self, names: list[bytes] | None) -> None: ...
    def say(self, channel: bytes, text: bytes) -> None: ...
    def cut(self) -> None: ...


class Server:
    """The shared tier: a dictionary, executed command by command, with pushes at the end of each turn."""

    def __init__(self, loop: VirtualLoop, rng: random.Random, faults: Faults) -> None:
        self.loop = loop
        self.rng = rng
        self.faults = faults
        self.data: dict[bytes, bytes] = {}
        self.leases: dict[bytes, tuple[bytes, float]] = {}
        self.feeds: list[Listener] = []
        self.channels: dict[bytes, list[Listener]] = {}
        self.stalled_until = 0.0
        self.history: list[tuple[float, dict[bytes, bytes]]] = []
        self._dirty: set[bytes] = set()
        self.turn = 0

    async def execute(self, work: Callable[[], Any], deadline: float = DEADLINE) -> Any:
        """Run one command there and back, within the deadline."""
        rng, loop = self.rng, self.loop
        answer: asyncio.Future[Any] = loop.create_future()
        fate = rng.random()

        def arrive() -> None:
            if loop.now < self.stalled_until:
                loop.call_at(self.stalled_until + rng.random() * 0.001, arrive)
                return
            if fate < self.faults.lost / 2:
                return
            result = work()
            if fate >= self.faults.lost:
                loop.call_later(delay(rng), lambda: answer.done() or answer.set_result(result))

        loop.call_later(delay(rng), arrive)
        late = loop.call_later(deadline, lambda: answer.done() or answer.set_exception(SharedAway()))
        try:
            return await answer
        finally:
            late.cancel()

    def set(self, key: bytes, value: bytes | None) -> None:
        if value is None:
            self.data.pop(key, None)
        else:
            self.data[key] = value
        if key.startswith(NAMES.stamp_prefix):
            if not self._dirty:
                self.loop.call_later(
                    self.faults.turn, self._end_turn
                )  # answers of this turn leave before its pushes
            self._dirty.add(key)

    def _end_turn(self) -> None:
        names, self._dirty = sorted(self._dirty), set()
        self.turn += 1
        for channel in self.feeds:
            channel.send(names)

    def publish(self, channel: bytes, text: bytes) -> None:
        for listener in self.channels.get(channel, ()):
            listener.say(channel, text)

    def leave(self, listener: Listener) -> None:
        """Forget a connection."""
        if listener in self.feeds:
            self.feeds.remove(listener)
        for channel, listeners in list(self.channels.items()):
            if listener in listeners:
                listeners.remove(listener)
            if not listeners:
                del self.channels[channel]

    def remember(self) -> None:
        self.history.append((self.loop.now, dict(self.data)))

    def fail_over(self) -> None:
        """Go back to what a replica had: some moments ago; every connection is cut."""
        index = max(0, len(self.history) - self.rng.randint(1, 12))
        self.data = dict(self.history[index][1])
        self.leases.clear()
        for channel in list(self.feeds):
            channel.cut()

    def flush(self) -> None:
        self.data.clear()
        for channel in list(self.feeds):
            channel.send(None)

    def evict(self) -> None:
        keys = sorted(key for key in self.data if key != NAMES.heartbeat)
        if keys:
            self.set(self.rng.choice(keys), None)

    def beat(self, expected: bytes, following: bytes, tag_keys: Sequence[bytes]) -> bytes | None:
        for key in tag_keys:
            self.set(key, self.rng.randbytes(16))
        found = self.data.get(NAMES.heartbeat, b"")
        if found != expected:
            return found
        self.set(NAMES.heartbeat, following)
        return None
