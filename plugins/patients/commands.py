"""`cito clinics`: the clinics of this site, for tokens and scripts."""

from __future__ import annotations

import asyncio
from typing import Annotated

import msgspec
import typer

from cito.core.assembly import assemble_cito, servers
from cito.core.commands.output import config_path, show
from cito.plugins.patients.clinics import list_clinics

app = typer.Typer(help="List the clinics of this site.", invoke_without_command=True)


@app.callback()
def clinics(
    context: typer.Context,
    *,
    json: Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")] = False,
) -> None:
    """List clinics: id, name, time zone, region of phone numbers, locale of dates. The demo ones have fixed ids."""
    with servers(assemble_cito(config_path(context)).settings) as urls:
        found = asyncio.run(list_clinics(urls.owner))
    show([msgspec.to_builtins(clinic) for clinic in found], title="Clinics", as_json=json)
