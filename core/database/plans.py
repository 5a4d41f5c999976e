"""How PostgreSQL runs a named query: its plan as a tree to read and as JSON, as the application role sees it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from importlib.resources import files
from textwrap import shorten
from typing import Any

import msgspec
import psycopg

from cito.core.database.errors import refusal
from cito.core.database.generic import explain_generic
from cito.core.database.sql import NamedQuery, read_queries

AppConnection = psycopg.AsyncConnection[tuple[Any, ...]]
Node = Mapping[str, Any]

PLANS = {name: query.text for name, query in read_queries(files("cito.sql") / "core" / "plans.sql").items()}
_LINE = 240  # characters of a condition; a list of ids would fill the screen


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """A plan.

    Attributes:
        query: the named query.
        generic: made without values: none can be seen in it.
        planning_ms, execution_ms: times; None for a generic plan, which is not run.
        identifier: the statement's in pg_stat_statements; only in generic plans.
        root: PostgreSQL's own JSON.
    """

    query: str
    generic: bool
    planning_ms: float | None
    execution_ms: float | None
    identifier: int | None = None
    root: dict[str, Any]

    def nodes(self) -> Iterator[Node]:
        """Yield every node, parents first."""
        return _walk(self.root)

    @property
    def indexes(self) -> frozenset[str]:
        """The indexes it uses; those inside functions do not show."""
        return frozenset(node["Index Name"] for node in self.nodes() if "Index Name" in node)

    def tree(self) -> list[str]:
        """Return it as lines for a person: what is done, on what, how often, how long, how many pages."""
        lines = list(_lines(self.root, 0))
        if self.execution_ms is not None:
            lines.append(f"planned in {self.planning_ms:.2f} ms, run in {self.execution_ms:.2f} ms")
        return lines


@asynccontextmanager
async def rehearsal(app_url: str) -> AsyncIterator[AppConnection]:
    """A transaction of the application role that is always rolled back."""
    connection = await psycopg.AsyncConnection.connect(
        app_url, autocommit=True, cursor_factory=psycopg.AsyncRawCursor
    )
    async with connection, connection.transaction(force_rollback=True):
        yield connection


async def explain(
    connection: AppConnection, query: NamedQuery, values: Sequence[object] | None, *, run: bool = True
) -> Plan:
    """Return the plan of a query.

    Args:
        connection: from `rehearsal`; a statement that writes is undone there.
        query: the query.
        values: its parameters in their order; None: the generic plan, made without any.
        run: also run it, for times and buffers.

    Raises:
        DatabaseProblem: PostgreSQL refused the statement, with its values or without.
    """
    try:
        if values is None:
            found = (await explain_generic(connection, query.text, "verbose", "format json"))[0][0]
        else:
            found = await _explain_with(connection, query, values, run=run)
    except psycopg.Error as error:
        raise refusal(error.sqlstate or "", query.name) from None
    return Plan(
        query=query.name,
        generic=values is None,
        planning_ms=found.get("Planning Time"),
        execution_ms=found.get("Execution Time"),
        identifier=found.get("Query Identifier"),
        root=found["Plan"],
    )


async def _explain_with(
    connection: AppConnection, query: NamedQuery, values: Sequence[object], *, run: bool
) -> dict[str, Any]:
    options = "analyze, buffers" if run else "verbose off"
    async with connection.transaction():
        cursor = await connection.execute(
            f"explain ({options}, format json) {query.text}".encode(), list(values)
        )
        row = await cursor.fetchone()
    assert row is not None
    found: dict[str, Any] = row[0][0]
    return found


def _walk(node: Node) -> Iterator[Node]:
    yield node
    for child in node.get("Plans", ()):
        yield from _walk(child)


def _lines(node: Node, depth: int) -> Iterator[str]:
    indent = "   " * depth
    what = str(node["Node Type"])
    if role := node.get("Subplan Name"):
        what = f"{role}: {what}"
    if index := node.get("Index Name"):
        what += f" by {index}"
    if relation := node.get("Relation Name") or node.get("Function Name") or node.get("CTE Name"):
        what += f" on {relation}"
    figures = [f"{node['Plan Rows']:,} rows expected"]
    if "Actual Rows" in node:
        loops = node["Actual Loops"]
        figures = [f"{node['Actual Rows'] * loops:,.0f} rows ({figures[0]})"]
        figures.append(f"{node['Actual Total Time'] * loops:.2f} ms")
        if loops != 1:
            figures.append(f"{loops:,} times")
        read = node.get("Shared Read Blocks", 0)
        figures.append(
            f"{node.get('Shared Hit Blocks', 0) + read:,} pages" + (f", {read:,} read" if read else "")
        )
    yield f"{indent}{what}: {', '.join(figures)}"
    for key in ("Index Cond", "Recheck Cond", "Hash Cond", "Merge Cond", "Join Filter", "Filter", "Sort Key"):
        if key in node:
            said = node[key]
            text = ", ".join(said) if isinstance(said, list) else str(said)
            yield f"{indent}   {key.lower()}: {shorten(text, _LINE, placeholder=' ...')}"
    if removed := node.get("Rows Removed by Filter"):
        yield f"{indent}   thrown away by the filter: {removed * node.get('Actual Loops', 1):,.0f} rows"
    for child in node.get("Plans", ()):
        yield from _lines(child, depth + 1)
