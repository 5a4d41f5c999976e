"""`cito indexes verify`: every named query is run as the application role, and seen to use what serves it.

Scans are counted by PostgreSQL itself, so that those inside functions count too. On a table too small to
matter the planner rightly reads everything; there it is only shown that the index could serve.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

import msgspec

from cito.core.database.errors import DatabaseProblem
from cito.core.database.examples import Example, examples, tables
from cito.core.database.owner import owner_connection
from cito.core.database.plans import PLANS, AppConnection, Plan, explain, rehearsal
from cito.core.database.sql import NamedQuery
from cito.core.declarations import Index

LARGE_ROWS = 200_000
Verdict = Literal["proven", "usable", "unproven", "failed"]
Scans = Mapping[tuple[str, bool], int]


class Proof(msgspec.Struct, frozen=True, kw_only=True):
    """What one query's plan shows.

    Attributes:
        query: the named query.
        verdict: `proven` at full size; `usable` on small tables; `unproven`: no data or no example values;
            `failed`: a declared index unused, or a large table read from end to end without a `-- scans:` line.
        unused: declared indexes that it does not use.
        scanned: large tables that it reads from end to end.
        because: one sentence.
        plan: the plan as a tree; of several, the one that reads a large table.
    """

    query: str
    verdict: Verdict
    unused: tuple[str, ...] = ()
    scanned: tuple[str, ...] = ()
    because: str = ""
    plan: tuple[str, ...] = ()


async def verify_indexes(
    owner_url: str,
    app_url: str,
    queries: Iterable[NamedQuery],
    indexes: Iterable[Index],
    *,
    large_rows: int = LARGE_ROWS,
) -> list[Proof]:
    """Run each query once with example values, in a transaction that is rolled back, and judge its scans.

    Args:
        owner_url: reads the catalogue and samples values.
        app_url: plans and runs, under the policies.
        queries: all named queries.
        indexes: all declarations.
        large_rows: from here on a table is large.
    """
    declared = list(indexes)
    async with owner_connection(owner_url) as owner:
        await owner.execute(b"analyze")
        known = await tables(owner)
        proofs = []
        for query in queries:
            serving = [index for index in declared if query.name in index.serves]
            tries = await examples(owner, query, known)
            large = {table.name for table in known.values() if table.rows >= large_rows}
            proofs.append(await _prove(app_url, query, serving, tries, large))
        return proofs


async def _prove(
    app_url: str, query: NamedQuery, serving: Sequence[Index], tries: Sequence[Example], large: set[str]
) -> Proof:
    if not tries:
        because = "no rows, or no `-- example:` for its values"
        return Proof(query=query.name, verdict="unproven", because=because)
    small = any(index.table.rpartition(".")[2] not in large for index in serving)
    used: set[str] = set()
    scanned: set[str] = set()
    shown: Plan | None = None
    for values in tries:
        try:
            plan, scans = await _tried(app_url, query, values, small=small)
        except DatabaseProblem as error:
            because = f"its example is refused: {error.sqlstate}"
            return Proof(query=query.name, verdict="unproven", because=because)
        used |= {name for (name, is_index), count in scans.items() if is_index and count} | plan.indexes
        whole = {
            name for (name, is_index), count in scans.items() if not is_index and count and name in large
        }
        if shown is None or whole - scanned:
            shown = plan
        scanned |= whole
    assert shown is not None
    unused = tuple(index.name for index in serving if index.name not in used)
    return _judged(query, unused, tuple(sorted(scanned)), shown, small=small)


def _judged(
    query: NamedQuery, unused: tuple[str, ...], scanned: tuple[str, ...], plan: Plan, *, small: bool
) -> Proof:
    faults = [f"does not use {name}" for name in unused]
    reasons = [f"reads all of {name}" + (f": {query.scans}" if query.scans else "") for name in scanned]
    verdict: Verdict = "usable" if small else "proven"
    if scanned and not query.scans:
        verdict = "failed"
    elif unused:
        verdict = "unproven" if small else "failed"
    return Proof(
        query=query.name,
        verdict=verdict,
        unused=unused,
        scanned=scanned,
        because="; ".join([*faults, *reasons, *(["its tables are small"] if small else [])]),
        plan=tuple(plan.tree()),
    )


async def _tried(app_url: str, query: NamedQuery, values: Example, *, small: bool) -> tuple[Plan, Scans]:
    async with rehearsal(app_url) as app:
        await app.execute(PLANS["one_process"].encode())
        await app.execute(PLANS["set_scope"].encode(), (values.clinic_id or "",))
        if small:
            await app.execute(PLANS["without_sequential_scans"].encode())
        return await _watched(app, query, values)


async def _watched(app: AppConnection, query: NamedQuery, values: Example) -> tuple[Plan, Scans]:
    """Plan, then plan and run: what the second adds beyond twice the first was scanned by the run itself.

    Planning alone looks at the ends of some indexes.
    """
    await explain(app, query, values.values, run=False)
    planned = await _scans(app)
    plan = await explain(app, query, values.values)
    both = await _scans(app)
    return plan, {name: count - 2 * planned.get(name, 0) for name, count in both.items()}


async def _scans(app: AppConnection) -> Scans:
    rows = await (await app.execute(PLANS["scans_so_far"].encode())).fetchall()
    return {(name, is_index): count for name, is_index, count in rows}
