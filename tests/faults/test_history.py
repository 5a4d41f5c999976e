"""The history of real processes, without faults and with them: `cito bench consistency` plays it longer.

Without faults a shorter one is played over HTTP (`test_history_http.py`).
"""

from __future__ import annotations

from pathlib import Path

import pytest
from history import play
from history_engine import engines
from shelf import Shelf
from trouble import KINDS, Trouble
from valkey import Valkey

MILLION = pytest.param(1_000_000, id="1000000", marks=[pytest.mark.full, pytest.mark.timeout(3600)])


@pytest.mark.parametrize("reads", [MILLION])
async def test_without_faults_nothing_is_older_than_a_second_and_nobody_misses_own_writes(
    unrelayed: Shelf, tmp_path: Path, reads: int
) -> None:
    async with engines(unrelayed, tmp_path) as system:
        history = await play(system, reads=reads)
    found = history.summary()
    assert (history.own_stale, history.broken) == ([], [])
    assert (found["failed"], found["olderThanOneSecond"]) == (0, 0)
    assert found["outcomes"]["local"] > reads / 10


@pytest.mark.parametrize("reads", [pytest.param(4_000, id="4000"), MILLION])
async def test_with_faults_nothing_is_older_than_the_bound_and_nobody_misses_own_writes(
    unrelayed: Shelf, valkey: Valkey, tmp_path: Path, reads: int
) -> None:
    trouble = Trouble(valkey)
    async with engines(unrelayed, tmp_path, deadline_ms=50) as system:
        history = await play(system, reads=reads, faults=trouble, pause_seconds=4 if reads > 100_000 else 0.4)
    found = history.summary()
    assert (history.own_stale, history.broken) == ([], [])
    assert found["failed"] == 0
    assert found["stalenessMs"]["max"] < 1_000 * 1.0  # the family's max_staleness
    assert len(trouble.made) == len(KINDS) or reads < 100_000
