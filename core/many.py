"""One query for many keys, and whose error an error is."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from typing import TypeVar

from cito.core.declarations import Executor
from cito.core.errors import Problem

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

MOST_KEYS = 100
"""Keys of one query."""
_DEFECT = 500


async def read_many(
    load_many: Callable[[Executor, Sequence[K]], Awaitable[Mapping[K, V]]], on: Executor, keys: Sequence[K]
) -> dict[K, V | Exception]:
    """Return what one query for many keys finds; a key that it leaves out does not exist.

    Where the query fails for the data's sake, it is asked again for each half, so that the error reaches its own
    key alone. A database that is away, or a defect, is everybody's error.
    """
    try:
        return dict(await load_many(on, keys))
    except Exception as error:  # noqa: BLE001 - whatever it is, it belongs to those who wait
        if len(keys) == 1 or not (isinstance(error, Problem) and error.status < _DEFECT):
            return dict.fromkeys(keys, error)
    middle = len(keys) // 2
    first = await read_many(load_many, on, keys[:middle])
    return first | await read_many(load_many, on, keys[middle:])
