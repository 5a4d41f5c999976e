"""Notes each query in the record of the request, job or relay step that runs it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from time import perf_counter_ns
from typing import Any, Self

from cito.core.database.connection import Command, Connection, StalePlan
from cito.core.database.errors import ConnectionLost
from cito.core.telemetry import What, current_record


async def timed(connection: Connection, batch: Sequence[Command], what: What = What.QUERY) -> list[Any]:
    """Run a batch and note its last statement: name, duration, rows, and the kind of failure if any.

    What is lost with its connection is noted, and no run of the query: whoever repeats it asks once.

    Raises:
        DatabaseProblem, StalePlan: as `Connection.run`.
    """
    record = current_record.get()
    if record is None:
        return await connection.run(batch)
    note = record.query if what is What.QUERY else partial(record.add, what)
    start_ns = perf_counter_ns()
    try:
        results = await connection.run(batch)
    except (ConnectionLost, StalePlan) as lost:
        record.add(what, batch[-1].name, start_ns, code=type(lost).__name__)
        raise
    except BaseException as error:
        note(batch[-1].name, start_ns, code=type(error).__name__)
        raise
    last = results[-1]
    note(batch[-1].name, start_ns, amount=last if isinstance(last, int) else len(last))
    return results


class Noted:
    """Adds up what one statement takes of the server's time, and notes it in the current record at its end.

    Args:
        name: of the statement.
    """

    __slots__ = ("_began_ns", "_name", "_spent_ns", "_start_ns", "rows")

    def __init__(self, name: str) -> None:
        self._name = name
        self._start_ns = self._began_ns = perf_counter_ns()
        self._spent_ns = 0
        self.rows = 0

    def __enter__(self) -> Self:
        """Begin, or go on, to wait for the server."""
        self._began_ns = perf_counter_ns()
        return self

    def __exit__(self, *_: object) -> None:
        """The server has answered."""
        self._spent_ns += perf_counter_ns() - self._began_ns

    def end(self, error: BaseException | None = None) -> None:
        """Note it: once, however many round trips it took."""
        record = current_record.get()
        if record is not None:
            code = "" if error is None or isinstance(error, GeneratorExit) else type(error).__name__
            record.query(
                self._name, self._start_ns, code=code, amount=max(self.rows, 0), spent_ns=self._spent_ns
            )
