"""A Valkey of a test's own, to be stopped, killed, flushed and rolled back."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from redis.asyncio import Redis

from cito.core.embedded import Embedded


@contextmanager
def stopped(pid: int) -> Iterator[None]:
    """Stop a process for the length of a block."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


class Valkey:
    """One server that a test may treat badly."""

    def __init__(self, home: Path) -> None:
        self._embedded = Embedded(home)
        self.url = self._embedded.start(["valkey"]).cache

    @property
    def pid(self) -> int:
        return self._embedded._started["valkey"].pid

    def stalled(self) -> AbstractContextManager[None]:
        return stopped(self.pid)

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)
        self._embedded._started.pop("valkey").wait()
        (self._embedded.run / "valkey.pid").unlink(missing_ok=True)

    def start(self) -> None:
        self._embedded.start(["valkey"])

    def stop(self) -> None:
        self._embedded.stop()

    async def snapshot(self) -> dict[bytes, tuple[bytes, int]]:
        """What a replica has at this moment."""
        async with Redis.from_url(self.url) as server:
            return {
                key: (await server.dump(key), max(0, await server.pttl(key)))
                async for key in server.scan_iter(count=1000)
            }

    async def fail_over(self, snapshot: dict[bytes, tuple[bytes, int]]) -> None:
        """Become the replica that had only `snapshot`: everything later is lost, every connection is cut."""
        async with Redis.from_url(self.url) as server:
            pipe = server.pipeline(transaction=True)
            pipe.flushall()
            for key, (value, life) in snapshot.items():
                pipe.restore(key, life, value)
            await pipe.execute()
            await server.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
