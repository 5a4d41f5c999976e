"""The pool of one process: few connections, a bounded queue, waits measured, a full house said at once.

Last in, first out, so that spare connections fall idle and are closed. A caller who would open a connection
while the server is away learns it from the attempt itself: there is no back-off to wait out, and the first
call after the server's return succeeds.
"""

from __future__ import annotations

import asyncio
from collections import deque
from importlib.resources import files
from time import monotonic, perf_counter_ns

import msgspec

from cito.core.database.connection import Command, Connection, StalePlan
from cito.core.database.errors import DatabaseProblem, pool_full
from cito.core.database.sql import read_queries
from cito.core.telemetry import What, current_record

_WAITING_PER_CONNECTION = 16  # longer queues could not be served within the acquire deadline
_CORE = read_queries(files("cito.sql") / "core" / "session.sql")
_ROLLBACK = Command("rollback_transaction", _CORE["rollback_transaction"].text, (), None)
_WHO = Command("own_backend", _CORE["own_backend"].text, (), tuple)


class PoolFigures(msgspec.Struct, frozen=True):
    """What the pool does now and has done since it opened.

    Attributes:
        size: the most connections it may have.
        idle, active, waiting: connections free and in use; callers in the queue.
        acquired: how often a connection was handed out.
        shed: callers refused at once, the queue being full.
        timed_out: callers refused after the acquire deadline.
        lost: connections that the server or the network ended.
    """

    size: int
    idle: int
    active: int
    waiting: int
    acquired: int
    shed: int
    timed_out: int
    lost: int


class Pool:
    """Connections to one server.

    Args:
        url: a libpq URL.
        size: the most connections.
        acquire_timeout_seconds: a caller waits no longer, for a connection or for its opening.
        idle_seconds: a connection unused for longer is closed.
        answer_seconds: a batch waits no longer for its answers.
    """

    def __init__(
        self,
        url: str,
        *,
        size: int,
        acquire_timeout_seconds: float,
        idle_seconds: float,
        answer_seconds: float,
    ) -> None:
        self.url = url
        self._size = size
        self._timeout = acquire_timeout_seconds
        self._idle_seconds = idle_seconds
        self._answer_seconds = answer_seconds
        self._idle: deque[Connection] = deque()
        self._open: set[Connection] = set()
        self._opening = 0
        self._waiters: deque[asyncio.Future[Connection | None]] = deque()
        self._settling: set[asyncio.Task[None]] = set()
        self._closed = False
        self._through_pooler = False
        self._prepares = True
        self._acquired = self._shed = self._timed_out = self._lost = 0
        self._sweeper: asyncio.TimerHandle | None = None

    async def start(self) -> None:
        """Open the first connection, so that a wrong URL is noticed now.

        Raises:
            DatabaseProblem: the server is not there or refuses.
        """
        connection = await self.acquire("connect")
        ((server_pid, ours),) = (await connection.run((_WHO,)))[0]
        # A pooler invents process ids, and may send each transaction to another server process. One that carries
        # prepared statements along (PgBouncer from 1.21 with `max_prepared_statements`) names them itself.
        self._through_pooler = connection.through_pooler = server_pid != connection.backend_pid
        self._prepares = connection.prepares = not (self._through_pooler and ours)
        self._release(connection)
        self._sweep()

    async def acquire(self, query: str) -> Connection:
        """Return a connection; give it back by `take_back`.

        Raises:
            DatabaseProblem: PoolFull (the queue is full, or the deadline passed) or ConnectionLost.
        """
        while self._idle:
            connection = self._idle.pop()
            if not connection.broken:
                self._acquired += 1
                return connection
        start_ns = perf_counter_ns()
        try:
            connection = await self._wait_or_open(query)
            self._acquired += 1
            return connection
        finally:
            record = current_record.get()
            if record is not None:
                record.add(What.POOL_WAIT, query, start_ns)

    def take_back(self, connection: Connection) -> None:
        """Take a connection back; one whose caller left in the middle is settled first, in the background."""
        if connection.settled and (connection.broken or not connection.in_transaction):
            self._release(connection)
        else:
            task = asyncio.get_running_loop().create_task(self._settle(connection))
            self._settling.add(task)
            task.add_done_callback(self._settling.discard)

    def _release(self, connection: Connection) -> None:
        """Give it to the caller who waits longest, or keep it."""
        if connection.broken:
            self._pass_on(None)
        elif self._closed:
            self._end(connection)
        else:
            connection.idle_since = monotonic()
            self._pass_on(connection)

    def figures(self) -> PoolFigures:
        """Return the figures of now."""
        return PoolFigures(
            size=self._size,
            idle=len(self._idle),
            active=len(self._open) - len(self._idle),
            waiting=len(self._waiters),
            acquired=self._acquired,
            shed=self._shed,
            timed_out=self._timed_out,
            lost=self._lost,
        )

    async def close(self) -> None:
        """End all connections; whoever waits is refused."""
        self._closed = True
        if self._sweeper is not None:
            self._sweeper.cancel()
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_exception(pool_full("close"))
        await asyncio.gather(*self._settling)
        for connection in list(self._open):
            self._end(connection)
        self._idle.clear()

    async def _wait_or_open(self, query: str) -> Connection:
        deadline = monotonic() + self._timeout
        while len(self._open) + self._opening >= self._size:
            if len(self._waiters) >= self._size * _WAITING_PER_CONNECTION:
                self._shed += 1
                raise pool_full(query)
            if given := await self._wait(query, deadline):
                return given
        if self._closed:
            raise pool_full(query)
        self._opening += 1
        try:
            connection = await Connection.open(
                self.url, max(0.05, deadline - monotonic()), self._answer_seconds
            )
        except BaseException:
            self._opening -= 1
            self._pass_on(None)
            raise
        self._opening -= 1
        connection.through_pooler, connection.prepares = self._through_pooler, self._prepares
        self._open.add(connection)
        connection.on_broken = self._forget
        return connection

    async def _wait(self, query: str, deadline: float) -> Connection | None:
        """Queue up for a connection; None: there is room now to open one."""
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[Connection | None] = loop.create_future()
        self._waiters.append(waiter)
        timer = loop.call_later(deadline - monotonic(), self._time_out, waiter, query)
        try:
            return await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled() and waiter.exception() is None:
                given = waiter.result()  # handed over in the very moment of leaving
                if given is None:
                    self._pass_on(None)
                else:
                    self._release(given)
            raise
        finally:
            timer.cancel()
            if waiter in self._waiters:
                self._waiters.remove(waiter)

    def _time_out(self, waiter: asyncio.Future[Connection | None], query: str) -> None:
        if not waiter.done():
            self._timed_out += 1
            waiter.set_exception(pool_full(query))

    def _pass_on(self, connection: Connection | None) -> None:
        """Give a connection, or the room for one, to the first who still waits."""
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(connection)
                return
        if connection is not None:
            self._idle.append(connection)

    async def _settle(self, connection: Connection) -> None:
        if not connection.settled:
            await connection.settle()
        if not connection.broken and connection.in_transaction:
            try:
                await connection.run((_ROLLBACK,))
            except (DatabaseProblem, StalePlan):
                self._end(connection)
        self._release(connection)

    def _forget(self, connection: Connection) -> None:
        self._lost += 1
        self._open.discard(connection)
        if connection in self._idle:  # then nobody waits
            self._idle.remove(connection)

    def _end(self, connection: Connection) -> None:
        """Close a connection that nobody uses; there is room for another one now."""
        self._open.discard(connection)
        connection.close()

    def _sweep(self) -> None:
        """Close what was unused too long; the oldest stand on the left."""
        limit = monotonic() - self._idle_seconds
        while self._idle and self._idle[0].idle_since < limit:
            self._end(self._idle.popleft())
        loop = asyncio.get_running_loop()
        self._sweeper = loop.call_later(max(1.0, self._idle_seconds / 4), self._sweep)
