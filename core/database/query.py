"""Typed binding of one named block of a `queries.sql`: the single way from Python to the database."""

from __future__ import annotations

from typing import Generic, TypeVar

import msgspec

from cito.core.declarations import Executor

P = TypeVar("P", bound=msgspec.Struct)
R = TypeVar("R", bound=msgspec.Struct)


class Query(Generic[P, R]):
    """A named query that returns rows. The name is the operation in spans, metrics, alerts and plans.

    Args:
        name: the block's name in `sql/<domain>/queries.sql`; unique over all plugins.
        params: struct whose fields are the block's `:parameters`.
        row: struct whose fields are the returned columns, in order.
    """

    def __init__(self, name: str, params: type[P], row: type[R]) -> None:
        self.name = name
        self.params = params
        self.row = row

    async def one(self, on: Executor, params: P) -> R | None:
        """Return the first row, or None."""
        rows = await on.fetch(self.name, params, self.row)
        return rows[0] if rows else None

    async def all(self, on: Executor, params: P) -> list[R]:
        """Return all rows."""
        return await on.fetch(self.name, params, self.row)


class Statement(Generic[P]):
    """A named statement that returns no rows."""

    def __init__(self, name: str, params: type[P]) -> None:
        self.name = name
        self.params = params

    async def run(self, on: Executor, params: P) -> int:
        """Run it and return how many rows it touched."""
        return await on.execute(self.name, params)
