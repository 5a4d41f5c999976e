"""A transaction of one clinic on the primary: lazily begun, committed together with the news of what is stale."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import UUID

import msgspec

from cito.core.database.connection import Command, Connection, StalePlan
from cito.core.database.errors import DatabaseProblem, refusal
from cito.core.database.rows import row_maker
from cito.core.database.timing import timed
from cito.core.telemetry import What

if TYPE_CHECKING:
    from cito.core.database.pool import Database

V = TypeVar("V")
_TRY_AGAIN = "40001"


class Transaction:
    """An executor whose statements stand or fall together. Made by `Database.transaction`."""

    def __init__(self, database: Database, clinic_id: UUID | None) -> None:
        self.clinic_id = clinic_id
        self._database = database
        self._clinic = b"" if clinic_id is None else str(clinic_id).encode()
        self._connection: Connection | None = None
        self._failed: DatabaseProblem | None = None
        self._one_at_a_time = asyncio.Lock()

    async def fetch(self, name: str, params: msgspec.Struct, row: type[V]) -> list[V]:
        """Run the named query and return its rows as `row` structs.

        Raises:
            ParameterError: a parameter of the wrong type or length; nothing was sent.
            DatabaseProblem: what the server refused; the transaction can only be left.
        """
        assert issubclass(row, msgspec.Struct)
        rows: list[V] = await self._run(self._database.command(name, params, row_maker(row)))
        return rows

    async def execute(self, name: str, params: msgspec.Struct) -> int:
        """Run the named statement and return how many rows it touched.

        Raises:
            ParameterError, DatabaseProblem: as `fetch`.
        """
        touched: int = await self._run(self._database.command(name, params, None))
        return touched

    async def commit(self) -> list[str]:
        """Commit in one round trip; return the tags that the transaction's triggers noted as stale."""
        if self._failed is not None:
            await self.rollback()
            raise self._failed
        if self._connection is None:
            return []
        tags = self._database.core_command("written_tags", make_row=_first)
        try:
            noted, _ = await timed(
                self._connection, (tags, self._database.core_command("commit_transaction")), What.COMMIT
            )
        except StalePlan:
            raise refusal(_TRY_AGAIN, "commit_transaction") from None
        finally:
            self._give_back()
        return list(noted)

    async def rollback(self) -> None:
        """Undo everything; the pool ends what is still running."""
        self._give_back()

    async def _run(self, command: Command) -> Any:
        async with self._one_at_a_time:
            try:
                if self._connection is None:
                    return await self._begin(command)
                return (await timed(self._connection, (command,)))[-1]
            except StalePlan:
                self._failed = refusal(_TRY_AGAIN, command.name)
                raise self._failed from None
            except DatabaseProblem as error:
                self._failed = error
                raise

    async def _begin(self, command: Command) -> Any:
        core = self._database.core_command
        timeout = b"%d" % self._database.statement_timeout_ms
        batch: Sequence[Command] = (
            core("begin_transaction"),
            core("scope_write", (self._clinic, timeout)),
            command,
        )
        self._connection = await self._database.pool.acquire(command.name)
        try:
            return (await timed(self._connection, batch))[-1]
        except StalePlan:  # nothing of it was executed: begin anew, once
            self._give_back()
        self._connection = await self._database.pool.acquire(command.name)
        return (await timed(self._connection, batch))[-1]

    def _give_back(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            self._database.pool.take_back(connection)


def _first(values: Sequence[Any]) -> Any:
    return values[0]
