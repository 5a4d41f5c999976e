"""The outbox as the relay sees it: one connection that may lead, takes notes, and gives them back if a step fails."""

from __future__ import annotations

from importlib.resources import files
from typing import Any, NamedTuple

import psycopg

from cito.core.database.sql import read_queries
from cito.core.tasks import whole

MOST = 1000
"""Notes taken in one step."""
_OPTIONS = (
    "-c statement_timeout=5000 -c idle_in_transaction_session_timeout=10000 -c application_name=cito_relay"
)


class OutboxError(Exception):
    """The database is away or refuses; the step did not happen."""


class Mark(NamedTuple):
    """The heartbeat with which stamps were last set. `intact`: the database is on the same timeline as then."""

    epoch: bytes
    counter: int
    intact: bool


class Outbox:
    """One relay's connection. Made by `Outbox.open`.

    Attributes:
        oldest_seconds: age of the oldest note that was taken last, by the database's clock; 0.0: there was none.
    """

    def __init__(self, connection: psycopg.AsyncConnection[tuple[Any, ...]]) -> None:
        self._connection = connection
        self.oldest_seconds = 0.0

    @classmethod
    async def open(cls, url: str) -> Outbox:
        """Connect as the application role.

        Raises:
            OutboxError: the database is away.
        """
        try:
            connecting = psycopg.AsyncConnection.connect(
                url,
                autocommit=True,
                cursor_factory=psycopg.AsyncRawCursor,
                options=_OPTIONS,
                connect_timeout=5,
            )
            return cls(await whole(connecting, lambda connection: connection.pgconn.finish()))
        except psycopg.Error as error:
            raise OutboxError(type(error).__name__) from None

    async def close(self) -> None:
        """Close the connection; leadership and what was taken but not done go back."""
        await self._connection.close()

    async def lead(self) -> bool:
        """Become the one relay, if there is no other.

        Raises:
            OutboxError: the database is away.
        """
        row = (await self._run("try_lead"))[0]
        return bool(row[0])

    async def deployment(self) -> str:
        """Return which database of which server this is.

        Raises:
            OutboxError: the database is away.
        """
        row = (await self._run("relay_deployment"))[0]
        return str(row[0])

    async def mark(self) -> Mark:
        """Return how far the heartbeat was when stamps were last set.

        Raises:
            OutboxError: the database is away.
        """
        epoch, counter, timeline, now = (await self._run("read_mark"))[0]
        return Mark(bytes(epoch), counter, intact=timeline == now)

    async def take(self) -> list[str]:
        """Take up to `MOST` notes; they are the relay's until `done` or `undo`.

        Raises:
            OutboxError: the database is away.
        """
        self.oldest_seconds = 0.0
        ((waiting,),) = await self._run("anything_stale")
        if not waiting:  # most of the time: one round trip, no transaction
            return []
        taken = await self._run("take_stale", MOST, begin=True)
        self.oldest_seconds = max((seconds for _, seconds in taken), default=0.0)
        return [tag for tag, _ in taken]

    async def done(self, mark: tuple[bytes, int] | None) -> None:
        """Remove what was taken, for good, and note the heartbeat that went with it.

        Raises:
            OutboxError: the database is away; the notes come again, which costs misses and nothing else.
        """
        if mark is not None:
            await self._run("write_mark", *mark)
        await self._end(commit=True)

    async def backlog(self) -> tuple[int, float]:
        """Return how many notes wait, and for how many seconds the oldest of them.

        Raises:
            OutboxError: the database is away.
        """
        count, seconds = (await self._run("outbox_backlog"))[0]
        return count, seconds

    async def undo(self) -> None:
        """Give back what was taken.

        Raises:
            OutboxError: the database is away.
        """
        await self._end(commit=False)

    async def _run(self, name: str, *values: object, begin: bool = False) -> list[tuple[Any, ...]]:
        try:
            if begin:
                await self._connection.set_autocommit(False)
            cursor = await self._connection.execute(_QUERIES[name].text.encode(), values)
            return await cursor.fetchall() if cursor.description else []
        except psycopg.Error as error:
            raise OutboxError(type(error).__name__) from None

    async def _end(self, *, commit: bool) -> None:
        try:
            await (self._connection.commit() if commit else self._connection.rollback())
            await self._connection.set_autocommit(True)
        except psycopg.Error as error:
            raise OutboxError(type(error).__name__) from None


_QUERIES = read_queries(files("cito.sql") / "core" / "relay.sql")
