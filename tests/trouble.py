"""Faults for a history: the shared tier stalled, killed, flushed and cut off, the relay stalled."""

from __future__ import annotations

import asyncio
import random

from redis.asyncio import Redis
from valkey import Valkey, stopped

KINDS = ("stall", "kill", "flush", "cut", "stall relay")


class Trouble:
    """One fault after another, at random; each has ended when the call returns.

    Args:
        valkey: the shared tier.

    Attributes:
        made: how many of each kind.
    """

    def __init__(self, valkey: Valkey) -> None:
        self._valkey = valkey
        self._rng = random.Random(5)
        self.made: dict[str, int] = {}

    async def __call__(self, relay_pid: int) -> None:
        rng, valkey = self._rng, self._valkey
        kind = rng.choice(KINDS)
        self.made[kind] = self.made.get(kind, 0) + 1
        if kind == "stall":
            with valkey.stalled():
                await asyncio.sleep(rng.random() * 1.5)
        elif kind == "kill":
            valkey.kill()
            await asyncio.sleep(rng.random() * 0.5)
            await asyncio.to_thread(valkey.start)
        elif kind == "stall relay":
            with stopped(relay_pid):
                await asyncio.sleep(rng.random() * 1.5)
        else:
            async with Redis.from_url(valkey.url) as server:
                command = ("FLUSHALL",) if kind == "flush" else ("CLIENT", "KILL", "SKIPME", "yes")
                await server.execute_command(*command)
