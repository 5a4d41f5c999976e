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
        verdict: `proven` at full size; `usable` where all its indexes are on small tables; `unproven`: no data or no example values;
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
    on_small = {index.name for index in serving if _table(index) not in large}
    used: set[str] = set()
    scanned: set[str] = set()
    shown: Plan | None = None
    for values in tries:
        try:
            plan, scans = await _tried(app_url, query, values)
            used |= _indexes(plan, scans)
            if on_small - used:  # rightly, perhaps: a small table is read faster whole
                used |= on_small & _indexes(*await _tried(app_url, query, values, without_scans=True))
        except DatabaseProblem as error:
            because = f"its example is refused: {error.sqlstate}"
            return Proof(query=query.name, verdict="unproven", because=because)
        whole = {n for (n, is_index), count in scans.items() if not is_index and count and n in large}
        if shown is None or whole - scanned:
            shown = plan
        scanned |= whole
    assert shown is not None
    return _judged(query, serving, used=used, scanned=scanned, on_small=on_small, plan=shown)


def _judged(
    query: NamedQuery,
    serving: Sequence[Index],
    *,
    used: set[str],
    scanned: set[str],
    on_small: set[str],
    plan: Plan,
) -> Proof:
    unused = tuple(index.name for index in serving if index.name not in used)
    verdict: Verdict = "usable" if on_small and len(on_small) == len(serving) else "proven"
    if (scanned and not query.scans) or {*unused} - on_small:
        verdict = "failed"
    elif unused:
        verdict = "unproven"
    said = [f"does not use {name}" for name in unused]
    said += [f"reads all of {name}" + (f": {query.scans}" if query.scans else "") for name in sorted(scanned)]
    said += sorted({f"{_table(index)} is small" for index in serving if index.name in on_small})
    return Proof(
        query=query.name,
        verdict=verdict,
        unused=unused,
        scanned=tuple(sorted(scanned)),
        because="; ".join(said),
        plan=tuple(plan.tree()),
    )


def _table(index: Index) -> str:
    return index.table.rpartition(".")[2]


def _indexes(plan: Plan, scans: Scans) -> set[str]:
    return {name for (name, is_index), count in scans.items() if is_index and count} | plan.indexes


async def _tried(
    app_url: str, query: NamedQuery, values: Example, *, without_scans: bool = False
) -> tuple[Plan, Scans]:
    async with rehearsal(app_url) as app:
        await app.execute(PLANS["one_process"].encode())
        await app.execute(PLANS["set_scope"].encode(), (values.clinic_id or "",))
        if without_scans:
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
