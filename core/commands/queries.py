"""`cito queries report` and `cito explain NAME`: what the named queries cost, and how they run."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from cito.core.assembly import assemble_cito, servers
from cito.core.commands import output
from cito.core.commands.output import config_path, console, fail, show
from cito.core.database.errors import DatabaseProblem
from cito.core.database.examples import Example, examples, tables
from cito.core.database.owner import owner_connection
from cito.core.database.plans import PLANS, Plan, explain, rehearsal
from cito.core.database.reports import StatisticsUnavailableError, query_report
from cito.core.database.sql import NamedQuery
from cito.core.embedded import Urls

app = typer.Typer(help="The named queries as they ran.", no_args_is_help=True)
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")]


@app.command()
def report(context: typer.Context, *, json: Json = False) -> None:
    """Calls, times, rows, buffers and share of the time by named query, beside its target."""
    assembly = assemble_cito(config_path(context))
    queries = {name: owned.value for name, owned in assembly.sources.queries.items()}
    try:
        with servers(assembly.settings) as urls:
            figures = asyncio.run(query_report(urls.owner, urls.app, queries))
    except StatisticsUnavailableError as error:
        fail([str(error)], output.CANNOT_REACH)
    show([msgspec.to_builtins(one) for one in figures], title="Named queries", as_json=json)


def explain_named(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="A named query; `naive_` before it for its twin.")],
    *,
    params: Annotated[
        Path | None, typer.Option(help="JSON object of its parameters; else its example.")
    ] = None,
    clinic: Annotated[str, typer.Option(help="Whose rows are visible; else the example's clinic.")] = "",
    generic: Annotated[bool, typer.Option("--generic", help="Plan without values, and do not run.")] = False,
    json: Json = False,
) -> None:
    """Show a query's plan as the application role: what it does, with times and buffers. Writes are undone."""
    assembly = assemble_cito(config_path(context))
    owned = assembly.sources.queries.get(name)
    if owned is None:
        fail(
            [f"{name}: no such query; there are {', '.join(sorted(assembly.sources.queries))}"],
            output.WRONG_USAGE,
        )
    given: dict[str, Any] | None = None
    if params is not None:
        try:
            given = msgspec.json.decode(params.read_bytes(), type=dict[str, Any])
        except (OSError, msgspec.MsgspecError) as error:
            fail([f"{params}: {error}"], output.WRONG_USAGE)
    try:
        with servers(assembly.settings) as urls:
            plan = asyncio.run(_explain(urls, owned.value, given, clinic, generic=generic))
    except (LookupError, DatabaseProblem) as error:
        fail([f"{name}: {error.args[0]}"], output.CHECK_FAILED)
    if json:
        sys.stdout.write(msgspec.json.format(msgspec.json.encode(plan), indent=2).decode() + "\n")
    else:
        console.print("\n".join(plan.tree()), highlight=False, markup=False, soft_wrap=True)


async def _explain(
    urls: Urls, query: NamedQuery, given: dict[str, Any] | None, clinic: str, *, generic: bool
) -> Plan:
    async with rehearsal(urls.app) as app_connection:
        if generic:
            return await explain(app_connection, query, None)
        if given is None:
            async with owner_connection(urls.owner) as owner:
                found = await examples(owner, query, await tables(owner))
            if not found:
                raise LookupError(
                    "neither an example nor the data give its values; use --params or --generic"
                )
            values = found[0]
        else:
            missing = [name for name in query.parameters if name not in given]
            if missing:
                raise LookupError(f"--params lacks {', '.join(missing)}")
            values = Example(tuple(given[name] for name in query.parameters), given.get("clinic_id"))
        await app_connection.execute(PLANS["set_scope"].encode(), (clinic or values.clinic_id or "",))
        return await explain(app_connection, query, values.values)
