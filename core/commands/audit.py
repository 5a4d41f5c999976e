"""`cito audit`: verify what is stored, and retire old months."""

from __future__ import annotations

import asyncio
from datetime import UTC, date, datetime
from typing import Annotated
from uuid import UUID

import typer
from rich.progress import Progress

from cito.core.assembly import Assembly, assemble_cito, servers
from cito.core.audit.keys import audit_key
from cito.core.audit.retention import retire
from cito.core.audit.segment import SUFFIX
from cito.core.audit.store import store
from cito.core.audit.verify import Verdict
from cito.core.audit.verify import verify as verify_chains
from cito.core.commands import output
from cito.core.commands.output import config_path, console, show

app = typer.Typer(help="Prove that the audit is whole; remove what is older than it must be kept.")
_SHOWN = 50


@app.command()
def verify(
    context: typer.Context,
    *,
    json: Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")] = False,
) -> None:
    """Check every seal: any edited, missing, added or reordered event is named. Exit code 1: something was found."""
    assembly = assemble_cito(config_path(context))
    with servers(assembly.settings) as urls:
        verdict = asyncio.run(_verify(assembly, urls.app, quiet=json))
    if json:
        summary = {
            "rows": verdict.rows,
            "chains": verdict.chains,
            "open": verdict.open,
            "faults": verdict.faults,
        }
        show([summary], title="Audit", as_json=True)
    else:
        console.print(
            f"{verdict.rows:,} events in {verdict.chains:,} chains, {verdict.open} of them still written to; "
            f"{len(verdict.faults)} faults"
        )
        for fault in verdict.faults[:_SHOWN]:
            console.print(fault, style="red", highlight=False, soft_wrap=True)
    if verdict.faults:
        raise typer.Exit(output.CHECK_FAILED)


@app.command()
def retention(
    context: typer.Context,
    months: Annotated[int, typer.Option(min=1, help="Whole months to keep besides the present one.")],
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only tell what would be removed.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")] = False,
) -> None:
    """Remove months of events that need no longer be kept; it is remembered which."""
    assembly = assemble_cito(config_path(context))
    with servers(assembly.settings) as urls:
        removed = asyncio.run(_retire(urls.owner, months, dry_run=dry_run))
    show(
        [{"month": month.isoformat()[:7], "events": rows} for month, rows in removed],
        title="Would be removed" if dry_run else "Removed months",
        as_json=json,
    )


async def _verify(assembly: Assembly, url: str, *, quiet: bool) -> Verdict:
    folder = assembly.settings.home / "audit"
    writing = {UUID(path.stem) for path in await asyncio.to_thread(lambda: [*folder.glob(f"*{SUFFIX}")])}
    async with store(url) as database:
        with Progress(console=output.errors, disable=quiet, transient=True) as bar:
            task = bar.add_task("chains", total=None)
            return await verify_chains(
                database,
                audit_key(assembly.settings),
                writing=writing,
                progress=lambda done, total: bar.update(task, completed=done, total=total),
            )


async def _retire(url: str, months: int, *, dry_run: bool) -> list[tuple[date, int]]:
    async with store(url) as database:
        return [*await retire(database, datetime.now(UTC), months, dry_run=dry_run)]
