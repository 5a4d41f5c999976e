"""The pushes of one process: a connection on which the server names every stamp that changes, and vouches for silence.

The words of other nodes and the answers to one's own come on it, too (`cito.core.cache.words`), on sharded channels:
a script can ask which of these have listeners without walking over those of other users of the server.

Tracking in broadcast mode over the one prefix that stamps and heartbeat share, on a RESP3 connection of its own.
The heartbeat is asked for on the same connection: an answer that comes after a push was sent after it. Within one
turn of the server's loop, though, an answer is written before the pushes of that turn, so a heartbeat counts only
once a *later* question has been answered: by then every push before it has been handled here.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final

from redis.asyncio import Connection, ConnectionPool
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from cito.core.cache.keys import Names
from cito.core.cache.pulse import Pulse
from cito.core.tasks import end, leave_if_told

log = logging.getLogger(__name__)
_PUSH: Final = object()
_AGAIN_SECONDS = 0.1
_CUT_AFTER_SECONDS = 1.0

Changed = Callable[[Sequence[bytes]], None]
Channels = Mapping[bytes, Callable[[bytes], tuple[bytes, bytes] | None]]
"""What takes in the messages of each; it may return the channel and the text of an answer."""


class Feed:
    """Keeps the connection, hands on what it is told, and measures how old the news can be.

    Args:
        url: of the shared tier.
        names: prefixes.
        changed: called with the names of stamps that have changed.
        flushed: called when everything may have changed: connection lost, server flushed, another epoch.
        beaten: called with each heartbeat: it, when it was asked for, when it was answered.
        vouched: called with the moment (monotonic seconds) up to which everything has been told.
        monotonic: the clock.
        period_seconds: between two heartbeats asked for.
        channels: to be subscribed to.

    Attributes:
        connected: it is told.
        pushes, cuts: how many so far, of either.
        behind_seconds: from a bump to its arrival here, at most, when last measured.
    """

    def __init__(
        self,
        url: str,
        names: Names,
        *,
        changed: Changed,
        flushed: Callable[[], None],
        beaten: Callable[[bytes | None, float, float], object],
        vouched: Callable[[float], None],
        monotonic: Callable[[], float],
        period_seconds: float,
        channels: Channels,
    ) -> None:
        self._pool = ConnectionPool.from_url(
            url,
            protocol=3,
            socket_connect_timeout=_CUT_AFTER_SECONDS,
            socket_timeout=_CUT_AFTER_SECONDS,  # of the log-in and of writes; `_listen` waits without end
            retry=Retry(NoBackoff(), 0),
            driver_info=None,
        )
        self._names = names
        self._changed = changed
        self._flushed = flushed
        self._beaten = beaten
        self._vouched = vouched
        self._monotonic = monotonic
        self._period = period_seconds
        self._channels = channels
        self._pulse = Pulse()
        self._answers: deque[asyncio.Future[Any]] = deque()
        self._task: asyncio.Task[None] | None = None
        self._begun = asyncio.Event()
        self.connected = False
        self.pushes = 0
        self.cuts = 0
        self.behind_seconds = 0.0

    def start(self) -> None:
        """Connect, and connect again whenever the connection is lost."""
        self._task = asyncio.create_task(self._keep())

    async def begun(self) -> None:
        """Wait until it is connected, or has failed to connect for the first time."""
        await self._begun.wait()

    async def close(self) -> None:
        """Close the connection."""
        if self._task is not None:
            await end(self._task)
        await self._pool.aclose()

    async def _keep(self) -> None:
        while True:
            connection = self._pool.make_connection()  # type: ignore[no-untyped-call] # redis-py
            try:
                await self._live(connection)
            except* Exception as errors:  # noqa: BLE001 - whatever it is: a feed that ends ends all local hits
                # redis-py raises an AttributeError where a connection ends while it writes
                log.debug("cache feed: %s", [type(error).__name__ for error in errors.exceptions])
                leave_if_told()  # a group's errors outweigh the cancellation that caused them
            finally:
                self._lost()
                await connection.disconnect(nowait=True)
            await asyncio.sleep(_AGAIN_SECONDS)

    async def _live(self, connection: Connection) -> None:
        await connection.connect()  # type: ignore[no-untyped-call] # redis-py
        leave_if_told()
        parser: Any = connection._parser  # noqa: SLF001 - redis-py has no public way to a push of its own kind
        parser.set_invalidation_push_handler(self._pushed)
        parser.set_pubsub_push_handler(partial(self._said, connection))
        async with asyncio.TaskGroup() as group:
            group.create_task(self._listen(connection))
            async with asyncio.timeout(_CUT_AFTER_SECONDS):
                for channel in self._channels:
                    await self._ask(connection, "SSUBSCRIBE", channel)
                prefix = self._names.stamp_prefix
                await self._ask(connection, "CLIENT", "TRACKING", "ON", "BCAST", "PREFIX", prefix)
            self._flushed()  # what was filled while nobody listened may have changed unheard
            self.connected = True
            self._begun.set()
            while True:
                leave_if_told()
                async with asyncio.timeout(_CUT_AFTER_SECONDS):
                    await self._beat(connection)
                await asyncio.sleep(self._period)

    async def _beat(self, connection: Connection) -> None:
        """Ask twice; the second answer confirms the first."""
        asked = self._monotonic()
        heartbeat = await self._ask(connection, "GET", self._names.heartbeat)
        answered = self._monotonic()
        self._beaten(heartbeat, asked, answered)
        await self._ask(connection, "PING")
        self.behind_seconds = (
            self._monotonic() - asked
        )  # what was bumped when we asked has been handled by now
        known = self._pulse.epoch
        if self._pulse.seen(heartbeat, asked, answered) and known:
            self._flushed()
        self._vouched(self._pulse.as_of)

    async def _ask(self, connection: Connection, *command: str | bytes) -> Any:
        answer = asyncio.get_running_loop().create_future()
        self._answers.append(answer)
        await connection.send_command(*command)
        return await answer

    async def _listen(self, connection: Connection) -> None:
        while True:
            reply = await connection.read_response(timeout=math.inf, push_request=True)
            leave_if_told()
            if reply is _PUSH:
                continue
            answer = self._answers.popleft()
            if not answer.done():
                answer.set_result(reply)

    async def _pushed(self, push: Sequence[Any]) -> object:
        names = push[1]
        if names is None:  # FLUSHALL
            self._flushed()
        else:
            self.pushes += 1
            self._changed(names)
        return _PUSH

    async def _said(self, connection: Connection, push: Sequence[Any]) -> object:
        """Take in what comes on a channel, and answer it."""
        kind, channel, text = push
        if kind != b"smessage":
            return kind  # the answer to a question: subscribed
        answer = self._channels[channel](text)
        if answer is not None:
            self._answers.append(asyncio.get_running_loop().create_future())  # how many have heard it
            await connection.send_command("SPUBLISH", *answer)
        return _PUSH

    def _lost(self) -> None:
        self._begun.set()
        if self.connected:
            self.cuts += 1
        self.connected = False
        for answer in self._answers:
            answer.cancel()
        self._answers.clear()
        self._pulse.lost()
        self._vouched(self._pulse.as_of)
        self._flushed()
