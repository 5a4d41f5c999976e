"""One process's simulated way to the shared tier: what the scripts do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from simulated import NAMES
from simulated_server import Server

from cito.core.cache.codec import VECTOR_AT
from cito.core.cache.pulse import EPOCH
from cito.core.cache.shared import Found, Reading, SharedAway, Stored, _range
from cito.core.cache.validators import stamp_digest
from cito.core.cache.words import Word


class Tier:
    """One process's way to the server: what the scripts do."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.token = server.rng.randbytes(8)
        self.available = True
        self.witness = NAMES.witness_prefix + self.token

    def _failed(self) -> None:
        if self.available:
            self.available = False
            self.server.loop.call_later(0.1, lambda: setattr(self, "available", True))

    async def _run(self, work: Callable[[], Any]) -> Any:
        if not self.available:
            raise SharedAway
        try:
            return await self.server.execute(work)
        except SharedAway:
            self._failed()
            raise

    async def read(self, wanted: Sequence[Any], witnesses: Sequence[bytes]) -> Reading:
        server, now = self.server, self.server.loop

        def work() -> Reading:
            clock = int(now.now * 1000)
            ranges = [_range(server.data.get(witness)) for witness in witnesses]
            heartbeat = server.data.get(NAMES.heartbeat)
            if heartbeat is None:
                return Reading(None, clock, ranges, [])
            found = []
            for one in wanted:
                for tag in one.tag_keys:
                    if tag not in server.data:
                        server.set(tag, server.rng.randbytes(16))
                vector = heartbeat[:EPOCH] + b"".join(server.data[tag] for tag in one.tag_keys)
                value = server.data.get(one.value_key)
                if (
                    value is not None
                    and value[VECTOR_AT:].startswith(vector)
                    and _fresh(value, vector, clock)
                ):
                    found.append(Found(value, b"", leased=False))
                    continue
                if any(
                    copy.digest == stamp_digest(one.value_key, vector, copy.valid_until_ms)
                    for copy in one.copies
                ):
                    found.append(Found(None, vector, leased=False))
                    continue
                holder, until = server.leases.get(one.value_key, (b"", 0.0))
                if until < now.now or holder[8:] != vector or holder[:8] == self.token:
                    server.leases[one.value_key] = (self.token + vector, now.now + 1)
                    found.append(Found(None, vector, leased=True))
                else:
                    found.append(Found(None, vector, leased=False))
            return Reading(heartbeat, clock, ranges, found)

        reading: Reading = await self._run(work)
        return reading

    async def store(self, values: Sequence[Stored]) -> None:
        def work() -> None:
            for value in values:
                if value.stored:
                    self.server.set(value.key, value.stored)
                if self.server.leases.get(value.key, (b"", 0))[0][:8] == self.token:
                    del self.server.leases[value.key]

        await self._run(work)

    async def bump(self, tag_keys: Sequence[bytes], number: int, word: Word | None = None) -> Sequence[bytes]:
        def work() -> Sequence[bytes]:
            begun, ended = map(int, self.server.data.get(self.witness, b"0 0").split())
            first = begun if ended == number - 1 else number
            last = ended if begun == number + 1 else number
            self.server.set(self.witness, b"%d %d" % (first, last))
            for key in tag_keys:
                self.server.set(key, self.server.rng.randbytes(16))
            if word is None:
                return ()
            channels = [name for name in self.server.channels if name.startswith(word.channels)]
            told = [channel for channel in channels if channel != word.own]
            for channel in told:
                self.server.publish(channel, word.text)
            return told

        told: Sequence[bytes] = await self._run(work)
        return told

    async def beat(self, expected: bytes, following: bytes, tag_keys: Sequence[bytes]) -> bytes | None:
        found: bytes | None = await self.server.execute(
            lambda: self.server.beat(expected, following, tag_keys), 0.5
        )
        return found

    async def heartbeat(self) -> bytes:
        found: bytes = await self.server.execute(lambda: self.server.data.get(NAMES.heartbeat, b""), 0.5)
        return found

    async def stamps(self, tag_keys: Sequence[bytes]) -> Any:
        return await self._run(lambda: [self.server.data.get(key) for key in (NAMES.heartbeat, *tag_keys)])

    async def peek(self, value_key: bytes) -> Any:
        return await self._run(lambda: (self.server.data.get(value_key), int(self.server.loop.now * 1000)))

    async def close(self) -> None: ...


def _fresh(value: bytes, vector: bytes, clock: int) -> bool:
    at = VECTOR_AT + len(vector)
    return int.from_bytes(value[2:4], "little") == len(vector) and clock < int.from_bytes(
        value[at : at + 8], "little"
    )
