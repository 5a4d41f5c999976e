"""Reads of one clinic: each is one round trip, one read-only transaction, repeated when a connection died."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import UUID

import msgspec

from cito.core.database.connection import Command, StalePlan
from cito.core.database.errors import ConnectionLost, NoAnswer
from cito.core.database.rows import row_maker
from cito.core.database.timing import timed

if TYPE_CHECKING:
    from cito.core.database.pool import Database

V = TypeVar("V")
_ATTEMPTS = 2


class Reader:
    """An executor for reads. Statements that write are refused by PostgreSQL: the transaction is read-only."""

    __slots__ = ("_clinic", "_database", "clinic_id", "primary")

    def __init__(self, database: Database, clinic_id: UUID | None, *, primary: bool) -> None:
        self.clinic_id = clinic_id
        self.primary = primary
        self._database = database
        self._clinic = b"" if clinic_id is None else str(clinic_id).encode()

    async def fetch(self, name: str, params: msgspec.Struct, row: type[V]) -> list[V]:
        """Run the named query and return its rows as `row` structs.

        Raises:
            ParameterError: a parameter of the wrong type or length; nothing was sent.
            DatabaseProblem: refused, timed out, or no connection to be had.
        """
        assert issubclass(row, msgspec.Struct)
        rows: list[V] = await self._read(self._database.command(name, params, row_maker(row)))
        return rows

    async def execute(self, name: str, params: msgspec.Struct) -> int:
        """Run the named query and return how many rows it has.

        Raises:
            ParameterError, DatabaseProblem: as `fetch`.
        """
        touched: int = await self._read(self._database.command(name, params, None))
        return touched

    async def _read(self, command: Command) -> Any:
        timeout_ms = self._database.timeout_ms(command.name)
        scope = self._database.core_command("scope_read", (self._clinic, b"%d" % timeout_ms))
        if not self.primary and self._database.replicas:
            answered, answer = await self._database.replicas.read(self._database, scope, command)
            if answered:
                return answer
        for _ in range(_ATTEMPTS):
            # Read-only by the server's word: to repeat it can change nothing.
            try:
                return await self._once((scope, command))
            except NoAnswer:
                raise  # whoever asked has waited long enough
            except (ConnectionLost, StalePlan):
                continue
        return await self._once((scope, command))

    async def _once(self, batch: Sequence[Command]) -> Any:
        pool = self._database.pool
        connection = await pool.acquire(batch[-1].name)
        try:
            return (await timed(connection, batch))[-1]
        finally:
            pool.take_back(connection)
