"""The history of real processes, without faults and with them: `cito bench consistency` plays it longer."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import pytest
from history import play
from redis.asyncio import Redis
from shelf import Shelf
from valkey import Valkey

READS = [
    pytest.param(4_000, id="4000"),
    pytest.param(1_000_000, id="1000000", marks=[pytest.mark.full, pytest.mark.timeout(3600)]),
]


@pytest.mark.parametrize("reads", READS)
async def test_without_faults_nothing_is_older_than_a_second_and_nobody_misses_own_writes(
    unrelayed: Shelf, tmp_path: Path, reads: int
) -> None:
    history = await play(unrelayed, tmp_path, reads=reads)
    found = history.summary()
    assert history.own_stale == []
    assert (found["failed"], found["olderThanOneSecond"]) == (0, 0)
    assert found["outcomes"]["local"] > reads / 10


@pytest.mark.parametrize("reads", READS)
async def test_with_faults_nothing_is_older_than_the_bound(
    unrelayed: Shelf, valkey: Valkey, tmp_path: Path, reads: int
) -> None:
    rng = random.Random(5)

    async def faults() -> None:
        await asyncio.sleep(rng.random() * 0.5)
        kind = rng.choice(["stall", "kill", "flush", "cut"])
        if kind == "stall":
            with valkey.stalled():
                await asyncio.sleep(rng.random())
        elif kind == "kill":
            valkey.kill()
            await asyncio.sleep(rng.random() * 0.5)
            await asyncio.to_thread(valkey.start)
        else:
            async with Redis.from_url(valkey.url) as server:
                command = ("FLUSHALL",) if kind == "flush" else ("CLIENT", "KILL", "TYPE", "normal")
                await server.execute_command(*command)

    found = (await play(unrelayed, tmp_path, reads=reads, faults=faults)).summary()
    assert found["failed"] == 0
    assert found["stalenessMs"]["max"] < 1_000 * 1.0  # the family's max_staleness
