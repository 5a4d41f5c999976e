"""Reads on streaming replicas, never older than the moment they were asked for.

A read first learns how far the primary has written (one small question for all reads of a tick), and its
replica answers only when it has replayed that position. So a session that wrote sees its write, and a load
under a fresh stamp sees what made the stamp, without anyone remembering positions. Else the primary answers.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from time import monotonic
from typing import TYPE_CHECKING, Any
from uuid import UUID

import msgspec

from cito.core.database.batch import Coalescer
from cito.core.database.connection import Command, StalePlan
from cito.core.database.connections import Pool
from cito.core.database.timing import timed
from cito.core.declarations import Executor
from cito.core.errors import Unavailable

if TYPE_CHECKING:
    from cito.core.database.pool import Database

_log = logging.getLogger(__name__)
_BEHIND_SECONDS = 0.05  # a replica that had not replayed is asked again after it
_GONE_SECONDS = 1.0  # and one that did not answer, after it


class ReplicaFigures(msgspec.Struct, frozen=True):
    """One replica now, and since the process began.

    Attributes:
        number: its place in `database.replicas`; its URL is not told.
        state: `serving`, `behind` or `gone`.
        answered: reads that it answered.
        behind: reads that went to the primary because it had not replayed.
        failed: reads that went to the primary because it did not answer.
    """

    number: int
    state: str
    answered: int
    behind: int
    failed: int


class _Position(msgspec.Struct, frozen=True):
    position: str


class _Nothing(msgspec.Struct, frozen=True):
    pass


class _Replica:
    def __init__(self, number: int, pool: Pool) -> None:
        self.number = number
        self.pool = pool
        self.state = "serving"
        self.out_until = 0.0
        self.answered = self.behind = self.failed = 0

    def turn(self, state: str, seconds: float) -> None:
        """Leave it out for a while; say so when it goes and when it comes back: to be behind is usual."""
        if state != self.state and "gone" in (state, self.state):
            _log.warning("replica is %s", state, extra={"replica": self.number})
        self.state = state
        self.out_until = monotonic() + seconds


class Replicas:
    """The replicas of one process.

    Args:
        pools: one for each replica, not started: one that is away now may come later.
        position: opens the executor on the primary that says how far it has written.
    """

    def __init__(self, pools: Sequence[Pool], position: Callable[[UUID | None], Executor]) -> None:
        self._replicas = [_Replica(number, pool) for number, pool in enumerate(pools)]
        self._position: Coalescer[str, str] = Coalescer(_ask_position, position)
        self._turn = 0

    def __bool__(self) -> bool:
        return bool(self._replicas)

    async def read(self, database: Database, scope: Command, command: Command) -> tuple[bool, Any]:
        """Return whether a replica answered, and its answer.

        Raises:
            DatabaseProblem: what the replica refused for the statement's own sake.
        """
        replica = self._choose()
        if replica is None:
            return False, None
        position = await self._position.get(None, "now")
        assert position is not None
        replayed = database.core_command("replayed", (position.encode(),), lambda row: row[0])
        try:
            connection = await replica.pool.acquire(command.name)
            try:
                _, (is_current,), answer = await timed(connection, (scope, replayed, command))
            finally:
                replica.pool.take_back(connection)
        except (Unavailable, StalePlan):
            replica.failed += 1
            replica.turn("gone", _GONE_SECONDS)
            return False, None
        if not is_current:
            replica.behind += 1
            replica.turn("behind", _BEHIND_SECONDS)
            return False, None
        replica.answered += 1
        replica.turn("serving", 0.0)
        return True, answer

    def figures(self) -> list[ReplicaFigures]:
        """Return what each replica does."""
        return [
            ReplicaFigures(one.number, one.state, one.answered, one.behind, one.failed)
            for one in self._replicas
        ]

    async def close(self) -> None:
        """End all connections."""
        for replica in self._replicas:
            await replica.pool.close()

    def _choose(self) -> _Replica | None:
        """Return the next in turn of those that are not left out."""
        now = monotonic()
        for _ in self._replicas:
            self._turn += 1
            replica = self._replicas[self._turn % len(self._replicas)]
            if replica.out_until <= now:
                return replica
        return None


async def _ask_position(on: Executor, keys: Sequence[str]) -> Mapping[str, str]:
    (row,) = await on.fetch("wal_position", _Nothing(), _Position)
    return dict.fromkeys(keys, row.position)
