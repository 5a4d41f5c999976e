"""What a simulated run is about: what may go wrong, how long things take, and the things that are cached."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import msgspec

from cito.core.cache.keyring import KeyRing
from cito.core.cache.keys import Names

CLINIC = UUID(int=1)
ITEMS = 3
STALENESS = 1.0
DEADLINE = 0.05
RING = KeyRing(
    b"n" * 32, {1: b"k" * 32}, 1
)  # names decide orders: the same ones in every run, so that a seed replays
NAMES = Names(RING.names, "simulation")


@dataclass
class Faults:
    """What may go wrong in a run, as probabilities and times."""

    lost: float = 0.0  # of a command: half of them before, half after it was executed
    crash: float = 0.0  # of a writer between commit and bump
    evict: float = 0.0  # of a random key at a moment
    stalls: bool = False
    failover: float = 0.0  # to an older state, at a moment
    flush: bool = False
    relay_dies: bool = False
    relay_stops: float = 0.0  # between its poll and its beat, for a while
    slow: float = 0.0  # seconds that the answer to a load takes
    cuts: float = 0.0  # of a feed, at a moment
    deaf: float = 0.0  # of a feed, at a moment: it reads nothing for a while
    turn: float = 0.00001  # of the server's loop: answers leave within it, pushes at its end


def delay(rng: random.Random) -> float:
    """Mostly a fraction of a millisecond, sometimes tens of them."""
    return rng.random() * (0.03 if rng.random() < 0.1 else 0.0008)


def tags_of(item: int) -> list[str]:
    return [f"item:{item}", "items"]


def items_of(key: Any) -> Sequence[int]:
    """Return the items whose versions a key's value holds, in order."""
    if isinstance(key, ItemKey):
        return (key.id,)
    return (key.left, key.right) if isinstance(key, PairKey) else range(ITEMS)


class ItemKey(msgspec.Struct, frozen=True):
    id: int


class PairKey(msgspec.Struct, frozen=True):
    left: int
    right: int


class AllKey(msgspec.Struct, frozen=True):
    pass


class Versions(msgspec.Struct, frozen=True):
    versions: list[int]
