"""One connection: a batch of statements out and their results back in one flush, as one transaction.

psycopg opens the connection and speaks the protocol (libpq in pipeline mode); waiting is one future on a
reader that stays registered, so that a server that goes away is noticed while the connection is idle.
PostgreSQL runs everything up to a sync as one transaction unless `begin` says otherwise, so a scoped read
needs no begin and no commit of its own.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from enum import Enum
from time import monotonic
from typing import Any, NamedTuple

import psycopg
from psycopg import pq
from psycopg.adapt import Transformer

from cito.core.database.errors import DatabaseProblem, connection_lost, no_answer, refusal
from cito.core.database.parameters import Wire

_ROWS = pq.ExecStatus.TUPLES_OK
_DONE = pq.ExecStatus.COMMAND_OK
_SYNC = pq.ExecStatus.PIPELINE_SYNC
_FAILED = pq.ExecStatus.FATAL_ERROR
_STALE_PLAN = frozenset({"0A000", "26000", "42P05"})  # result type changed; prepared elsewhere or lost


_SETTLE_ATTEMPTS = 20
_SETTLE_SECONDS = 0.05


class Command(NamedTuple):
    """One statement of a batch: its name on the server, its text, its parameters, how to make a row."""

    name: str
    text: str
    values: Sequence[Wire]
    make_row: Callable[[Sequence[Any]], Any] | None


class Loads:
    """How the columns of one prepared statement become Python values; found once, at its first result."""

    __slots__ = ("_known", "_transformer")

    def __init__(self, transformer: Any) -> None:
        self._transformer = transformer
        self._known = False

    def rows(self, result: pq.abc.PGresult, make_row: Callable[[Sequence[Any]], Any]) -> list[Any]:
        """Return the result's rows."""
        self._transformer.set_pgresult(result, set_loaders=not self._known)
        self._known = True
        rows: list[Any] = self._transformer.load_rows(0, result.ntuples, make_row)
        return rows


class Answer(Enum):
    """What a message of a batch is answered with."""

    CLOSED = 1
    PREPARED = 2
    RESULT = 3


class StalePlan(Exception):  # noqa: N818 - a signal, not a failure
    """A prepared statement no longer fits the server; nothing was executed, the batch may be sent again."""


class Connection:
    """A libpq connection in pipeline mode, bound to the running event loop.

    Attributes:
        broken: lost or out of step; must not be used again.
        settled: every answer was read; False after a caller left in the middle, until `settle`.
        idle_since: `time.monotonic` when it was last given back.
        through_pooler: a transaction pooler stands between: each batch may meet another server process.
        prepares: statements are prepared for the next batch; not through a pooler that does not carry them along.

    Args:
        connection: psycopg's, just opened.
        answer_seconds: a batch that is not answered by then breaks the connection. The server keeps the
            statements' own limits; this one holds when it has fallen silent and leaves the connection open.
    """

    def __init__(self, connection: psycopg.AsyncConnection[Any], answer_seconds: float) -> None:
        self.broken = False
        self.settled = True
        self.through_pooler = False
        self.prepares = True
        self.idle_since = monotonic()
        self.on_broken: Callable[[Connection], None] | None = None
        self._psycopg = connection
        self._pgconn = connection.pgconn
        self._pgconn.enter_pipeline_mode()
        self._loop = asyncio.get_running_loop()
        self._answer_seconds = answer_seconds
        self._waiter: asyncio.Future[None] | None = None
        self._prepared: dict[str, Loads] = {}
        self._fd = self._pgconn.socket
        self._loop.add_reader(self._fd, self._readable)

    @classmethod
    async def open(cls, url: str, timeout_seconds: float, answer_seconds: float) -> Connection:
        """Connect.

        Raises:
            DatabaseProblem: the server is not there, refuses, or does not answer in time.
        """
        try:
            async with asyncio.timeout(timeout_seconds):
                raw = await psycopg.AsyncConnection.connect(url, autocommit=True, prepare_threshold=None)
        except (psycopg.Error, TimeoutError, OSError):
            raise connection_lost("connect") from None
        return cls(raw, answer_seconds)

    @property
    def backend_pid(self) -> int:
        """The server process, for tests and reports."""
        return self._pgconn.backend_pid

    @property
    def in_transaction(self) -> bool:
        """The server has an open transaction: between `begin` and its end."""
        return self._pgconn.transaction_status != pq.TransactionStatus.IDLE

    async def run(self, batch: Sequence[Command]) -> list[Any]:
        """Send the batch in one flush and return one result for each: rows, or how many were touched.

        The first failure fails the batch. When the caller is cancelled, the connection is out of step until
        `settle` has read the rest.

        Raises:
            DatabaseProblem: what the server refused, without values; NoAnswer: nothing came in time.
            StalePlan: send it again.
        """
        expected: deque[tuple[Answer, Command]] = deque()
        self.settled = False
        due = self._loop.time() + self._answer_seconds
        limit = self._loop.call_at(due, self._break)
        try:
            for command in batch:
                if not self.prepares:
                    self._pgconn.send_query_params(command.text.encode(), command.values)
                    self._prepared[command.name] = Loads(Transformer(self._psycopg))
                    expected.append((Answer.RESULT, command))
                    continue
                encoded = command.name.encode()
                if command.name not in self._prepared:
                    # Closing what is not there is no error, and a leftover of that name would be one.
                    self._pgconn.send_close_prepared(encoded)
                    self._pgconn.send_prepare(encoded, command.text.encode())
                    expected += ((Answer.CLOSED, command), (Answer.PREPARED, command))
                self._pgconn.send_query_prepared(encoded, command.values)
                expected.append((Answer.RESULT, command))
            self._pgconn.pipeline_sync()
            await self._flush()
            return await self._results(expected)
        except psycopg.OperationalError:
            self._break()
            lost = no_answer if self._loop.time() >= due else connection_lost
            raise lost(batch[-1].name) from None
        finally:
            limit.cancel()

    async def settle(self) -> None:
        """After a cancelled `run`: read what is still to come, or break.

        Most statements end by themselves sooner than a cancel request, which is a connection of its own,
        gets through. One that does not is cancelled, repeatedly: a request that overtakes it is ignored.
        """
        for _ in range(_SETTLE_ATTEMPTS):
            try:
                async with asyncio.timeout(_SETTLE_SECONDS):
                    await self._drain()
                    return
            except psycopg.Error:
                break
            except TimeoutError:
                with suppress(psycopg.Error, OSError):
                    await self._psycopg.cancel_safe(timeout=1.0)
        self._break()

    async def _drain(self) -> None:
        await self._flush()
        while (await self._next_result()).status != _SYNC:
            pass
        self.settled = True

    def close(self) -> None:
        """End it at once; the server rolls back what is open."""
        self.on_broken = None
        self._break()

    async def _flush(self) -> None:
        while self._pgconn.flush():  # the socket is full: large parameters
            self._loop.add_writer(self._fd, self._wake)
            try:
                await self._wait()
            finally:
                if not self.broken:  # else the number may be another connection's by now
                    self._loop.remove_writer(self._fd)

    async def _results(self, expected: deque[tuple[Answer, Command]]) -> list[Any]:
        results: list[Any] = []
        failed: DatabaseProblem | StalePlan | None = None
        while (result := await self._next_result()).status != _SYNC:
            if not expected:
                raise psycopg.OperationalError  # more answers than questions: the server says goodbye
            answer, command = expected.popleft()
            if result.status == _ROWS:
                results.append(self._load(command, result))
            elif result.status == _FAILED:
                failed = self._refused(command.name, result)
            elif result.status == _DONE and answer is Answer.PREPARED:
                self._prepared[command.name] = Loads(Transformer(self._psycopg))
            elif result.status == _DONE and answer is Answer.RESULT:
                results.append(result.command_tuples or 0)
        self.settled = True
        if failed is not None:
            raise failed
        return results

    async def _next_result(self) -> pq.abc.PGresult:
        """Return the next result; each statement's results end with None, and two in a row never come."""
        for _ in range(2):
            while self._pgconn.is_busy():
                await self._wait()
            result = self._pgconn.get_result()
            if result is not None:
                return result
        raise psycopg.OperationalError

    def _load(self, command: Command, result: pq.abc.PGresult) -> Any:
        if command.make_row is None:
            return result.ntuples
        return self._prepared[command.name].rows(result, command.make_row)

    def _refused(self, name: str, result: pq.abc.PGresult) -> DatabaseProblem | StalePlan:
        sqlstate = (result.error_field(pq.DiagnosticField.SQLSTATE) or b"").decode()
        if sqlstate in _STALE_PLAN:
            self._prepared.clear()
            # A pooler prepares by the text and keeps what is stale; its server processes are not ours to close.
            self.prepares = self.prepares and not self.through_pooler
            return StalePlan()
        constraint = (result.error_field(pq.DiagnosticField.CONSTRAINT_NAME) or b"").decode()
        return refusal(sqlstate, name, constraint)

    async def _wait(self) -> None:
        if self.broken:
            raise psycopg.OperationalError
        self._waiter = self._loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _readable(self) -> None:
        try:
            self._pgconn.consume_input()
        except psycopg.OperationalError:
            self._break()
            return
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _break(self) -> None:
        if self.broken:
            return
        self.broken = self.settled = True
        self._loop.remove_reader(self._fd)
        self._loop.remove_writer(self._fd)
        self._pgconn.finish()
        self._wake()
        if self.on_broken is not None:
            self.on_broken(self)
