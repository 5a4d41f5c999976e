"""The cache of one process: local tier, shared tier, loader. Interface; the body follows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Generic, TypeVar
from uuid import UUID

import msgspec

from cito.core.declarations import CacheFamily

K = TypeVar("K", bound=msgspec.Struct)
V = TypeVar("V")


class Entry(Generic[V]):
    """One answer: the encoded body and what is known about it.

    Attributes:
        body: the value as encoded JSON, ready to be sent; empty when absent.
        absent: the thing does not exist (a negative answer).
        etag: strong validator of the body.
        age_seconds: since the load.
        outcome: `local`, `shared`, `miss`, `bypass` or `stale`.
        patients: whose data the body holds.
    """

    body: bytes
    absent: bool
    etag: str
    age_seconds: float
    outcome: str
    patients: tuple[UUID, ...]

    @property
    def value(self) -> V:
        """The value, decoded when first asked for."""
        raise NotImplementedError


class Cache:
    """Coherent reads by family and key."""

    async def get(self, family: CacheFamily[K, V], key: K, clinic_id: UUID | None) -> Entry[V]:
        """Return the answer for one key, from the nearest tier that may vouch for it, else loaded."""
        raise NotImplementedError

    async def get_many(
        self, family: CacheFamily[K, V], keys: Sequence[K], clinic_id: UUID | None
    ) -> dict[K, Entry[V]]:
        """Return the answers for many keys: one round trip to the shared tier, one query, one write back."""
        raise NotImplementedError
