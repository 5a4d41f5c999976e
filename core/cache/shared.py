"""The shared tier: Redis or Valkey behind a deadline and a circuit breaker, four scripts, one round trip each.

A failure of any kind is `SharedAway`, within the deadline, and opens the breaker: from then on nobody waits, until
a probe in the background has been answered. Nothing is ever tried twice; the database answers instead.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
from collections.abc import Sequence
from importlib.resources import files
from typing import Any, NamedTuple, Protocol

import msgspec
from redis.asyncio import ConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError

from cito.core.cache.keys import Names
from cito.core.cache.words import NO_WORD, Word
from cito.core.tasks import end

log = logging.getLogger(__name__)
_CONNECTIONS = 16
_PROBE_SECONDS = 0.1
_GRACE_SECONDS = 0.002
STAMP_LIFE_MS = 24 * 3600 * 1000
"""A stamp lives longer than any value; one that is gone is a miss, and a new one is another."""
LEASE_MS = 1000
"""A process that died with a lease holds the others up no longer."""
WITNESS_MS = 60_000
_STAMP = 16


class SharedAway(Exception):  # noqa: N818 - an expected condition, not an error
    """The shared tier did not answer in time, or the breaker is open."""


class Wanted(Protocol):
    """A value to be read: where it is, and the stamps that vouch for it."""

    @property
    def value_key(self) -> bytes:
        """Where the value is stored."""
        ...

    @property
    def tag_keys(self) -> tuple[bytes, ...]:
        """Where its stamps are stored, in order."""
        ...

    @property
    def validators(self) -> bytes:
        """Copies that the caller has, as `Copy.wire` writes them; while one is current, no value is leased."""
        ...


class Found(NamedTuple):
    """What a read found. `stored`: a valid value; else `vector` of the stamps to load under, and the lease."""

    stored: bytes | None
    vector: bytes
    leased: bool


class Reading(NamedTuple):
    """One answer of the shared tier, in the order asked.

    Attributes:
        heartbeat: None: there is none, and nothing is vouched for.
        clock_ms: the server's clock.
        witnesses: in the order asked: first and last number of the bumps that the server has without a gap.
    """

    heartbeat: bytes | None
    clock_ms: int
    witnesses: Sequence[tuple[int, int]]
    found: Sequence[Found]


class Stored(NamedTuple):
    """A value to be stored; no bytes: only its lease ends."""

    key: bytes
    stored: bytes
    life_ms: int


class SharedCounts(msgspec.Struct):
    """What one process has done with the shared tier."""

    trips: int = 0
    failures: int = 0
    opened: int = 0
    refused: int = 0


class SharedTier:
    """One process's way to the shared tier.

    Args:
        url: `redis://`, `rediss://` or `unix://`.
        names: prefixes.
        deadline_seconds: nobody waits longer for one round trip.
    """

    def __init__(self, url: str, names: Names, deadline_seconds: float) -> None:
        self._names = names
        self._deadline = deadline_seconds
        self._client = connect(url, deadline_seconds)
        self._token = os.urandom(8)
        self.report_name = names.process_prefix + self._token.hex().encode()
        self.witness = names.witness_prefix + self._token.hex().encode()
        self._sha: dict[str, str] = {}
        self._probe: asyncio.Task[None] | None = None
        self.counts = SharedCounts()

    async def close(self) -> None:
        """Close all connections."""
        if self._probe is not None:
            await end(self._probe)
        await self._client.aclose()

    @property
    def available(self) -> bool:
        """Whether the breaker is closed."""
        return self._probe is None

    async def read(self, wanted: Sequence[Wanted], witnesses: Sequence[bytes]) -> Reading:
        """Read values under their stamps; what is missing is leased to this process.

        Args:
            wanted: values with their stamps.
            witnesses: of recent bumps.

        Raises:
            SharedAway: no answer in time.
        """
        positions: dict[bytes, int] = {}
        maps: list[bytes] = []
        for one in wanted:
            at = [positions.setdefault(tag, len(positions)) for tag in one.tag_keys]
            maps += (b"".join(index.to_bytes(2, "big") for index in at), one.validators)
        names = self._names
        keys = [names.heartbeat, *witnesses, *positions, *(one.value_key for one in wanted)]
        reply = await self._run(
            "read",
            keys,
            len(witnesses),
            len(positions),
            STAMP_LIFE_MS,
            LEASE_MS,
            self._token,
            os.urandom(_STAMP - 4),
            names.value_prefix,
            names.lease_prefix,
            *maps,
        )
        found = [
            Found(None, item[0], item[1] == 1) if isinstance(item, list) else Found(item, b"", leased=False)
            for item in reply[3:]
        ]
        return Reading(reply[0], reply[1], [_range(witness) for witness in reply[2]], found)

    async def store(self, values: Sequence[Stored]) -> None:
        """Store values and end their leases.

        Raises:
            SharedAway: no answer in time; the leases end by themselves.
        """
        arguments: list[bytes | int] = [self._token, self._names.value_prefix, self._names.lease_prefix]
        for value in values:
            arguments += (value.stored, value.life_ms)
        await self._run("store", [value.key for value in values], *arguments)

    async def bump(self, tag_keys: Sequence[bytes], number: int, word: Word | None = None) -> Sequence[bytes]:
        """Give tags new stamps; `number` counts this process's bumps and is left as a witness.

        Args:
            tag_keys: of the tags.
            number: of the bump.
            word: for the other nodes.

        Returns:
            The channels of the nodes that were told.

        Raises:
            SharedAway: no answer in time; whether they have them is not known.
        """
        stamps = new_stamps(len(tag_keys))
        keys = [self.witness, *tag_keys]
        told: Sequence[bytes] = await self._run(
            "bump", keys, STAMP_LIFE_MS, number, WITNESS_MS, *(word or NO_WORD), *stamps
        )
        return told

    async def beat(self, expected: bytes, following: bytes, tag_keys: Sequence[bytes]) -> bytes | None:
        """Set stamps and move the heartbeat; returns the one found where it is not the expected ('' = none).

        Raises:
            SharedAway: no answer in time.
        """
        stamps = new_stamps(len(tag_keys))
        keys = [self._names.heartbeat, *tag_keys]
        found: bytes | None = await self._run("beat", keys, expected, following, STAMP_LIFE_MS, *stamps)
        return found

    async def heartbeat(self) -> bytes:
        """Return the heartbeat; empty: there is none.

        Raises:
            SharedAway: no answer in time.
        """
        return await self._guarded("GET", self._names.heartbeat) or b""

    async def stamps(self, tag_keys: Sequence[bytes]) -> tuple[bytes | None, list[bytes | None]]:
        """Return the heartbeat and the stamps alone.

        Raises:
            SharedAway: no answer in time.
        """
        reply = await self._guarded("MGET", self._names.heartbeat, *tag_keys)
        return reply[0], reply[1:]

    async def count(self, name: str, amount: int, life_ms: int) -> int:
        """Add to a counter that all processes share and return its total; it ends `life_ms` after its first use.

        Raises:
            SharedAway: no answer in time; whether it was added is not known.
        """
        total: int = await self._run("count", [self._names.counter(name)], amount, life_ms)
        return total

    async def peek(self, value_key: bytes) -> tuple[bytes | None, int]:
        """Return a value whatever its stamps, and the shared tier's clock (ms).

        Raises:
            SharedAway: no answer in time.
        """
        clock = await self._guarded("TIME")
        return await self._guarded("GET", value_key), int(clock[0]) * 1000 + int(clock[1]) // 1000

    async def keep(self, name: bytes, value: bytes, life_ms: int) -> None:
        """Keep something beside the values, such as a report.

        Raises:
            SharedAway: no answer in time.
        """
        await self._guarded("SET", name, value, "PX", life_ms)

    async def kept(self, prefix: bytes) -> dict[bytes, bytes]:
        """Return what is kept under a prefix. For operators: it walks over all keys.

        Raises:
            SharedAway: no answer in time.
        """
        found: dict[bytes, bytes] = {}
        cursor: int | bytes = 0
        while True:
            cursor, names = await self._guarded("SCAN", cursor, "MATCH", prefix + b"*", "COUNT", 1000)
            values = await self._guarded("MGET", *names) if names else []
            found |= {name: value for name, value in zip(names, values, strict=True) if value is not None}
            if int(cursor) == 0:
                return found

    async def _run(self, script: str, keys: Sequence[bytes], *arguments: bytes | int) -> Any:
        sha = self._sha.get(script)
        if sha is None:
            sha = self._sha[script] = script_sha(script)
        try:
            return await self._guarded("EVALSHA", sha, len(keys), *keys, *arguments)
        except NoScriptError:  # a server that was restarted or flushed
            return await self._guarded("EVAL", script_text(script), len(keys), *keys, *arguments)

    async def _guarded(self, *command: bytes | str | int) -> Any:
        if self._probe is not None:
            self.counts.refused += 1
            raise SharedAway
        self.counts.trips += 1
        loop = asyncio.get_running_loop()
        limit = asyncio.timeout(None)
        timer = loop.call_later(self._deadline, _end_soon, limit, loop)
        try:
            async with limit:
                reply = await self._client.execute_command(*command)  # type: ignore[no-untyped-call] # redis-py
        except NoScriptError:
            raise
        except Exception as error:  # also what is none of redis-py's own, as uvloop's of a closed connection
            self._failed(error)
            raise SharedAway from error
        finally:
            timer.cancel()
        return reply

    def _failed(self, error: BaseException) -> None:
        self.counts.failures += 1
        if self._probe is None:
            self.counts.opened += 1
            log.warning("shared cache away (%s): the database answers", type(error).__name__)
            self._probe = asyncio.create_task(self._until_back())

    async def _until_back(self) -> None:
        """Close the breaker once the server answers again."""
        while True:
            await asyncio.sleep(_PROBE_SECONDS)
            try:
                async with asyncio.timeout(self._deadline):
                    await self._client.execute_command("PING")  # type: ignore[no-untyped-call] # redis-py
            except Exception as error:  # noqa: BLE001 - whatever it is: a probe that ends leaves the breaker open
                log.debug("shared cache still away (%s)", type(error).__name__)
                continue
            self._probe = None
            log.warning("shared cache back")
            return


def _range(witness: bytes | None) -> tuple[int, int]:
    """Return first and last number of a witness; none is higher than the last of one that is gone."""
    first, _, last = (witness or b"0 0").partition(b" ")
    return int(first), int(last)


def _end_soon(limit: asyncio.Timeout, loop: asyncio.AbstractEventLoop) -> None:
    """End the wait, but not before this process has looked once more: after a pause of its own, the answer is there."""
    limit.reschedule(loop.time() + _GRACE_SECONDS)


def connect(url: str, deadline_seconds: float) -> Redis:
    """Return a client that never tries twice and never waits longer than the deadline."""
    pool = ConnectionPool.from_url(
        url,
        protocol=3,
        max_connections=_CONNECTIONS,
        socket_timeout=None,  # `_guarded` times the whole command
        socket_connect_timeout=deadline_seconds,
        retry=Retry(NoBackoff(), 0),
        driver_info=None,  # nothing is said of the client: Redis 7.0 does not know the command, so no rule may name it
    )
    return Redis.from_pool(pool)


def new_stamps(count: int) -> list[bytes]:
    """Return stamps that never were and never will be."""
    random = os.urandom(_STAMP * count)
    return [random[at : at + _STAMP] for at in range(0, len(random), _STAMP)]


_texts: dict[str, str] = {}


def script_text(name: str) -> str:
    """Return a script of `scripts/`."""
    if name not in _texts:
        _texts[name] = (files("cito.core.cache") / "scripts" / f"{name}.lua").read_text()
    return _texts[name]


def script_sha(name: str) -> str:
    """Return the name under which a server keeps a script."""
    return hashlib.sha1(script_text(name).encode(), usedforsecurity=False).hexdigest()
