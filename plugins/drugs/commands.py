"""`cito drugs`: bring a file of drugs in."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.progress import Progress

from cito.core.assembly import assemble_cito, servers
from cito.core.commands.output import CHECK_FAILED, WRONG_USAGE, config_path, console, errors, fail
from cito.core.preparation import migrate
from cito.plugins.drugs.importing import Imported, import_all
from cito.plugins.drugs.reading import FileRefused, Line, read_file

app = typer.Typer(help="The vocabulary of drugs.", no_args_is_help=True)


@app.callback()
def group() -> None:
    """Keep `import` a command of its own while it is the only one."""


@app.command("import")
def import_file(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="CSV or TSV: our columns, or RedMed's.")],
    *,
    json: Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")] = False,
) -> None:
    """Add the drugs of FILE, or change those that are there: all lines or none, and no line twice."""
    assembly = assemble_cito(config_path(context))
    try:
        lines = read_file(file)
    except FileRefused as refused:
        fail([f"{file.name}: {error}" for error in refused.errors], CHECK_FAILED)
    except OSError as error:
        fail([f"{file.name}: {error.strerror}"], WRONG_USAGE)
    with servers(assembly.settings) as urls:
        asyncio.run(migrate(assembly, urls, lambda _: None))
        done = asyncio.run(_import(urls.owner, lines))
    if json:
        sys.stdout.write(msgspec.json.encode(done).decode() + "\n")
    else:
        console.print(
            f"{done.added} drugs added, {done.changed} changed, {done.unchanged} as they were; {done.names} names"
        )


async def _import(owner_url: str, lines: list[Line]) -> Imported:
    with Progress(console=errors, transient=True) as bar:
        task = bar.add_task("Importing drugs", total=len(lines))
        return await import_all(
            owner_url, lines, lambda done, total: bar.update(task, completed=done, total=total)
        )
