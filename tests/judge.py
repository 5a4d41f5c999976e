"""The judge of a simulated run: nothing is older than allowed, nothing is older than one's own writes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec
from simulated import STALENESS, Versions, items_of
from simulated_database import Database

from cito.core.cache.engine import Cache
from cito.core.cache.entry import DEAD


@dataclass
class Session:
    """What a client has: the versions that it wrote, and copies with their validators.

    Attributes:
        own: what it has written.
        known: what every node was known to have been told of, when the write was answered.
    """

    own: dict[int, int] = field(default_factory=dict)
    known: dict[int, int] = field(default_factory=dict)
    copies: dict[Any, tuple[str, list[int]]] = field(default_factory=dict)


class Judge:
    """Judges every read, and every claim of a process that what it holds is vouched for.

    Args:
        database: knows when which version was superseded.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self.violations: list[str] = []
        self.reads = 0
        self.outcomes: dict[str, int] = {}

    def vouched(self, cache: Cache, as_of: float) -> None:
        """Judge the claim itself: what a process holds as valid was not superseded before `as_of`."""
        cache.vouched(as_of)
        for plan in cache.plans.values():
            for entry in plan.entries.values():
                if entry.check_at == DEAD:
                    continue
                versions = msgspec.json.decode(entry.body, type=Versions).versions
                for item, version in zip(items_of(entry.key), versions, strict=True):
                    superseded = self._superseded(item, version)
                    if superseded is not None and superseded < as_of:
                        self._object(item, "vouched for, superseded before")

    def answered(self, outcome: str, seen: Mapping[int, int], began: float, own: Mapping[int, int]) -> None:
        """Judge a read: the version of each item, when it began, what of its session it had to see."""
        self.reads += 1
        self.outcomes[outcome] = self.outcomes.get(outcome, 0) + 1
        for item, version in seen.items():
            superseded = self._superseded(item, version)
            if superseded is not None and superseded < began - STALENESS:
                self._object(item, f"{outcome} superseded {began - superseded:.3f} s before")
            if version < own.get(item, 0):
                self._object(item, f"{outcome} older than its own write")

    def _superseded(self, item: int, version: int) -> float | None:
        moments = self._database.versions[item]
        return moments[version + 1] if version + 1 < len(moments) else None

    def _object(self, item: int, what: str) -> None:
        self.violations.append(f"{self._database.loop.now:.4f} item {item}: {what}")
