"""The outbox as the relay sees it: one connection that may lead, takes notes, and gives them back if a step fails."""

from __future__ import annotations

from importlib.resources import files
from typing import Any, NamedTuple

from psycopg.conninfo import make_conninfo

from cito.core.database.connection import Command, Connection, StalePlan
from cito.core.database.errors import DatabaseProblem
from cito.core.database.parameters import Wire
from cito.core.database.sql import read_queries
from cito.core.tasks import whole

MOST = 1000
"""Notes taken in one step."""
_CONNECT_SECONDS = 5.0
_ANSWER_SECONDS = 10.0
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

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.oldest_seconds = 0.0

    @classmethod
    async def open(cls, url: str) -> Outbox:
        """Connect as the application role.

        Raises:
            OutboxError: the database is away.
        """
        connecting = Connection.open(make_conninfo(url, options=_OPTIONS), _CONNECT_SECONDS, _ANSWER_SECONDS)
        try:
            return cls(await whole(connecting, Connection.close))
        except DatabaseProblem as error:
            raise OutboxError(type(error).__name__) from None

    async def close(self) -> None:
        """Close the connection; leadership and what was taken but not done go back."""
        self._connection.close()

    async def lead(self) -> bool:
        """Become the one relay, if there is no other.

        Raises:
            OutboxError: the database is away.
        """
        ((leads,),) = await self._run(_command("try_lead"))
        return bool(leads)

    async def deployment(self) -> str:
        """Return which database of which server this is.

        Raises:
            OutboxError: the database is away.
        """
        ((deployment,),) = await self._run(_command("relay_deployment"))
        return str(deployment)

    async def mark(self) -> Mark:
        """Return how far the heartbeat was when stamps were last set.

        Raises:
            OutboxError: the database is away.
        """
        ((epoch, counter, timeline, now),) = await self._run(_command("read_mark"))
        return Mark(bytes(epoch), counter, intact=timeline == now)

    async def take(self) -> list[str]:
        """Take up to `MOST` notes; they are the relay's until `done` or `undo`.

        Raises:
            OutboxError: the database is away.
        """
        self.oldest_seconds = 0.0
        ((waiting,),) = await self._run(_ANYTHING)
        if not waiting:  # most of the time: one round trip, no transaction
            return []
        taken = await self._run(_command("begin_transaction"), _command("take_stale", b"%d" % MOST))
        self.oldest_seconds = max((seconds for _, seconds in taken), default=0.0)
        return [tag for tag, _ in taken]

    async def done(self, mark: tuple[bytes, int] | None) -> None:
        """Remove what was taken, for good, and note the heartbeat that went with it.

        Raises:
            OutboxError: the database is away; the notes come again, which costs misses and nothing else.
        """
        if not self._connection.in_transaction:
            return  # nothing was taken
        ending = [_command("commit_transaction")]
        if mark is not None:
            epoch, counter = mark
            ending.insert(0, _command("write_mark", b"\\x" + epoch.hex().encode(), b"%d" % counter))
        await self._run(*ending)

    async def backlog(self) -> tuple[int, float]:
        """Return how many notes wait, and for how many seconds the oldest of them.

        Raises:
            OutboxError: the database is away.
        """
        ((count, seconds),) = await self._run(_command("outbox_backlog"))
        return count, seconds

    async def undo(self) -> None:
        """Give back what was taken.

        Raises:
            OutboxError: the database is away.
        """
        if self._connection.in_transaction:
            await self._run(_command("rollback_transaction"))

    async def _run(self, *batch: Command) -> Any:
        """Send a batch in one flush; return the last one's rows."""
        try:
            return (await self._connection.run(batch))[-1]
        except (DatabaseProblem, StalePlan) as error:
            raise OutboxError(type(error).__name__) from None


def _command(name: str, *values: Wire) -> Command:
    block = _QUERIES[name]
    return Command(name, block.text, values, None if block.returns == "rows" else tuple)


_QUERIES = {
    name: block
    for file in ("relay.sql", "session.sql")
    for name, block in read_queries(files("cito.sql") / "core" / file).items()
}
_ANYTHING = _command("anything_stale")
