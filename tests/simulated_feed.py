"""The simulated connection of a feed: in order, with delays, until it is cut."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any

from simulated import delay
from simulated_server import Server


class Channel:
    """A feed's connection: in order, with delays, until it is cut. It stands in for redis-py's `Connection`."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.arrived: asyncio.Queue[Any] = asyncio.Queue()
        self._parser = self
        self._handler: Any = None
        self._hears: Any = None
        self.deaf_until = 0.0
        self._sent: deque[tuple[Any, ...]] = deque()
        self._last = 0.0
        self._open = True
        self._turn = -1

    def set_invalidation_push_handler(self, handler: Any) -> None:
        self._handler = handler

    def set_pubsub_push_handler(self, handler: Any) -> None:
        self._hears = handler

    async def connect(self) -> None:
        await self.server.loop.pause(delay(self.server.rng))

    async def disconnect(self, *, nowait: bool = False) -> None:
        self._open = False
        self.server.leave(self)

    async def send_command(self, *command: Any) -> None:
        self._sent.append(command)
        self.server.loop.call_later(delay(self.server.rng), self._arrive)

    def _arrive(self) -> None:
        """Execute the first command that has not been: they were sent in this order."""
        server = self.server
        if server.loop.now < server.stalled_until:
            server.loop.call_at(server.stalled_until + 0.001, self._arrive)
        elif self._turn == server.turn and server._dirty:  # it was answered in this turn already
            server.loop.call_later(server.faults.turn, self._arrive)
        elif self._open:
            self._execute(*self._sent.popleft())

    def _execute(self, verb: str, *arguments: Any) -> None:
        server = self.server
        if verb == "CLIENT":
            server.feeds.append(self)
            self._deliver(("answer", b"OK"))
        elif verb == "SSUBSCRIBE":
            (channel,) = arguments
            server.channels.setdefault(channel, []).append(self)
            self._deliver(("heard", [b"ssubscribe", channel, 1]))
        elif verb == "SPUBLISH":
            server.publish(*arguments)
            self._deliver(("answer", 1))
        elif verb == "GET":
            self._deliver(("answer", server.data.get(arguments[0])))
        else:
            self._deliver(("answer", b"PONG"))

    async def read_response(self, **_: Any) -> Any:
        what, payload = await self.arrived.get()
        if what == "cut":
            raise ConnectionError
        if what == "push":
            return await self._handler([b"invalidate", payload])
        if what == "heard":
            return await self._hears(payload)
        return payload

    def send(self, names: list[bytes] | None) -> None:
        self._deliver(("push", names))

    def say(self, channel: bytes, text: bytes) -> None:
        self._deliver(("heard", [b"smessage", channel, text]))

    def cut(self) -> None:
        """End it at the server; at the other end that is known some time later."""
        self.server.leave(self)
        self._deliver(("cut", None))

    def _deliver(self, what: Any) -> None:
        if what[0] == "answer":
            self._turn = self.server.turn
        loop = self.server.loop
        self._last = max(self._last + 1e-7, loop.now + delay(self.server.rng), self.deaf_until)
        loop.call_at(self._last, lambda: self._open and self.arrived.put_nowait(what))


class Pool:
    def __init__(self, server: Server) -> None:
        self.server = server

    def make_connection(self) -> Channel:
        return Channel(self.server)

    async def aclose(self) -> None: ...
