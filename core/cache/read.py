"""A read that is about to happen: whoever awaits it gets the entry, whoever has a copy may ask whether it is good."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Generator
from typing import Any, Generic, TypeVar
from uuid import UUID

from cito.core.cache.entry import Entry
from cito.core.declarations import CacheFamily

V = TypeVar("V")
Find = Callable[[CacheFamily[Any, V], Any, UUID | None, str], Coroutine[Any, Any, Entry[V]]]


class Read(Generic[V]):
    """One read of one key, not yet begun. Made by `Cache.get`; await it, or hand it to `cito.core.http.etag.answer`."""

    __slots__ = ("_clinic_id", "_family", "_find", "_key")

    def __init__(self, find: Find[V], family: CacheFamily[Any, V], key: Any, clinic_id: UUID | None) -> None:
        self._find = find
        self._family = family
        self._key = key
        self._clinic_id = clinic_id

    def __await__(self) -> Generator[Any, Any, Entry[V]]:
        """Return the entry, from the nearest tier that may vouch for it, else loaded.

        Raises:
            KeyRefused: an undeclared family, or a key or clinic that does not fit it.
            Problem: what the loader raised.
        """
        return self._find(self._family, self._key, self._clinic_id, "").__await__()

    async def unless(self, if_none_match: str) -> Entry[V]:
        """Return the entry, or one that is `not_modified` and has no body: the caller's own copy is still good.

        That is decided from stamps alone, without value or load; not for patient data, whose patients only a body
        tells.

        Args:
            if_none_match: the validators of the caller's copies, as in the header.

        Raises:
            KeyRefused, Problem: as when awaited.
        """
        return await self._find(self._family, self._key, self._clinic_id, if_none_match)
