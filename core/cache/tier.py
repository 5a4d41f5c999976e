"""What the engine asks of a shared tier: `SharedTier` is the real one, the simulator has another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from cito.core.cache.shared import Reading, Stored, Wanted
from cito.core.cache.words import Word


class Shared(Protocol):
    """A shared tier. Each call is one round trip and raises `SharedAway` when there is no answer in time."""

    @property
    def available(self) -> bool:
        """Whether it is worth asking."""
        ...

    @property
    def witness(self) -> bytes:
        """Where the numbers of this process's bumps are."""
        ...

    async def read(self, wanted: Sequence[Wanted], witnesses: Sequence[bytes]) -> Reading:
        """Read values under their stamps; what is missing is leased to this process."""
        ...

    async def store(self, values: Sequence[Stored]) -> None:
        """Store values and end their leases."""
        ...

    async def bump(self, tag_keys: Sequence[bytes], number: int, word: Word | None = None) -> Sequence[bytes]:
        """Give tags new stamps, leave the number of this process's bump as a witness, tell other nodes: returns which."""
        ...

    async def stamps(self, tag_keys: Sequence[bytes]) -> tuple[bytes | None, list[bytes | None]]:
        """Return the heartbeat and the stamps alone."""
        ...

    async def peek(self, value_key: bytes) -> tuple[bytes | None, int]:
        """Return a value whatever its stamps, and the shared tier's clock (ms)."""
        ...

    async def close(self) -> None:
        """Close all connections."""
        ...
