"""A Valkey of a test's own, to be stopped, killed, flushed and rolled back."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

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
    def path(self) -> str:
        return urlsplit(self.url).path

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

    async def follow(self, primary: Valkey) -> None:
        """Be a replica of another server, and have what it has."""
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        async with Redis.from_url(primary.url) as first, Redis.from_url(self.url) as second:
            await first.config_set("port", port)
            await second.execute_command("REPLICAOF", "127.0.0.1", port)
            async with asyncio.timeout(20):
                # What is waited for happens between the two servers.
                while (await second.info("replication"))["master_link_status"] != "up":  # noqa: ASYNC110
                    await asyncio.sleep(0.02)
            await first.execute_command("WAIT", 1, 10_000)

    async def promote(self) -> None:
        """Be a primary from now on, with what has arrived so far."""
        async with Redis.from_url(self.url) as server:
            await server.execute_command("REPLICAOF", "NO", "ONE")

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
            await server.execute_command("CLIENT", "KILL", "SKIPME", "yes")
