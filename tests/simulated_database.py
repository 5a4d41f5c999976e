"""A simulated database: rows, the moments of their versions, the outbox, and the relay's way to it."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from simulated import ITEMS, delay, tags_of
from virtual import VirtualLoop


@dataclass
class Database:
    """Rows, the moments of their versions, and the outbox."""

    loop: VirtualLoop
    versions: list[list[float]] = field(default_factory=lambda: [[0.0] for _ in range(ITEMS)])
    outbox: list[str] = field(default_factory=list)
    mark: tuple[bytes, int] = (b"", 0)

    def commit(self, item: int) -> int:
        self.versions[item].append(self.loop.now)
        self.outbox += tags_of(item)
        return len(self.versions[item]) - 1

    def version(self, item: int) -> int:
        return len(self.versions[item]) - 1


@dataclass
class Notes:
    """The outbox of one relay's session."""

    database: Database
    rng: random.Random
    stops: float
    taken: list[str] = field(default_factory=list)
    oldest_seconds: float = 0.0

    async def mark(self) -> Any:
        epoch, counter = self.database.mark
        return _Mark(epoch, counter, intact=True)

    async def take(self) -> list[str]:
        await self.database.loop.pause(delay(self.rng))
        self.taken = list(self.database.outbox)
        await self.database.loop.pause(delay(self.rng))
        if self.stops and self.rng.random() < self.stops:
            await self.database.loop.pause(self.rng.random() * 0.5)
        return self.taken

    async def done(self, mark: tuple[bytes, int] | None) -> None:
        await self.database.loop.pause(delay(self.rng))
        for tag in self.taken:
            self.database.outbox.remove(tag)
        self.taken = []
        if mark is not None:
            self.database.mark = mark

    async def undo(self) -> None:
        self.taken = []


@dataclass
class _Mark:
    epoch: bytes
    counter: int
    intact: bool


class Readers:
    def reader(self, clinic_id: UUID | None, *, primary: bool = False) -> Any:
        assert primary
        return None
