"""`cito indexes`: build what is declared, prove that it is used, and see how it fares."""

from __future__ import annotations

import asyncio
from typing import Annotated

import msgspec
import typer
from rich.progress import Progress

from cito.core.assembly import Assembly, assemble_cito, servers
from cito.core.commands import output
from cito.core.commands.output import config_path, console, fail, show
from cito.core.database.examples import ExampleError
from cito.core.database.indexes import IndexBuildError, Outcome, apply_indexes
from cito.core.database.proofs import LARGE_ROWS, verify_indexes
from cito.core.database.reports import index_report
from cito.core.declarations import Index
from cito.core.sources import NAIVE

app = typer.Typer(
    help="Declared indexes: built concurrently, proved by plans, watched.", no_args_is_help=True
)
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")]


@app.command("apply")
def apply_declared(context: typer.Context, *, json: Json = False) -> None:
    """Build what is missing, repair what broke, replace what changed; what nobody declares is only named."""
    assembly = assemble_cito(config_path(context))
    try:
        with servers(assembly.settings) as urls:
            outcome = asyncio.run(_apply(assembly, urls.owner))
    except IndexBuildError as error:
        fail([str(error)], output.CHECK_FAILED)
    rows = [msgspec.structs.asdict(one) | {"seconds": round(one.seconds, 2)} for one in outcome.applied]
    rows += [{"name": name, "done": "undeclared", "seconds": 0.0} for name in outcome.undeclared]
    show(rows, title="Indexes", as_json=json)


@app.command()
def verify(
    context: typer.Context,
    *,
    large: Annotated[int, typer.Option(help="Rows from which a table must not be read whole.")] = LARGE_ROWS,
    json: Json = False,
) -> None:
    """Run every named query as the application role and look at its scans. Exit code 1: one fails."""
    assembly = assemble_cito(config_path(context))
    queries = [o.value for name, o in assembly.sources.queries.items() if not name.startswith(NAIVE)]
    try:
        with servers(assembly.settings) as urls:
            proofs = asyncio.run(
                verify_indexes(urls.owner, urls.app, queries, _declared(assembly), large_rows=large)
            )
    except ExampleError as error:
        fail([str(error)], output.CHECK_FAILED)
    if json:
        show([msgspec.to_builtins(proof) for proof in proofs], title="Plans", as_json=True)
    else:
        rows = [{"query": p.query, "verdict": p.verdict, "because": p.because} for p in proofs]
        show(rows, title="Plans", as_json=False)
        for proof in proofs:
            if proof.verdict == "failed":
                console.print(f"\n{proof.query}", style="bold red")
                console.print("\n".join(proof.plan), highlight=False, markup=False, soft_wrap=True)
    if any(proof.verdict == "failed" for proof in proofs):
        raise typer.Exit(output.CHECK_FAILED)


@app.command()
def report(context: typer.Context, *, json: Json = False) -> None:
    """Scans, size, estimated bloat, duplicates, and since when an index was not used."""
    assembly = assemble_cito(config_path(context))
    with servers(assembly.settings) as urls:
        figures = asyncio.run(index_report(urls.owner, _declared(assembly)))
    show([msgspec.to_builtins(one) for one in figures], title="Indexes", as_json=json)


def _declared(assembly: Assembly) -> list[Index]:
    return [owned.value for owned in assembly.registry.indexes]


async def _apply(assembly: Assembly, owner_url: str) -> Outcome:
    with Progress(transient=True, console=output.errors) as bars:
        bar = bars.add_task("indexes", total=1.0)

        def progress(name: str, phase: str, done: float) -> None:
            bars.update(bar, description=f"{name}: {phase}", completed=done)

        statements = {name: owned.value for name, owned in assembly.sources.indexes.items()}
        return await apply_indexes(owner_url, _declared(assembly), statements, progress=progress)
