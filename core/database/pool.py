"""The way to PostgreSQL of one process: readers, transactions, deadlines, shedding. Interface; the body follows."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from uuid import UUID

from cito.core.declarations import Executor

Committed = Callable[[Sequence[str]], Awaitable[None]]


class Database:
    """The pool of one process.

    Attributes:
        committed: called after each commit, before `transaction` returns, with the tags that the
            transaction's own triggers wrote to the outbox; the cache bumps them, so a writer's next read is fresh.
    """

    committed: Committed | None = None

    def reader(self, clinic_id: UUID | None, *, primary: bool = False) -> Executor:
        """Return where reads of one clinic run (None: tables that belong to no clinic).

        Each call is one round trip, under row-level security. `primary`: never a replica (decisions).
        """
        raise NotImplementedError

    def transaction(self, clinic_id: UUID | None) -> AbstractAsyncContextManager[Executor]:
        """Open a transaction on the primary; commits on leaving, rolls back on an exception."""
        raise NotImplementedError
