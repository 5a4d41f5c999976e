"""The `cito` command: one function per command, no logic.

Exit codes: 0 done, 1 a check failed, 2 wrong usage, 3 cannot reach what it needs.
"""

from __future__ import annotations

import asyncio
import sys
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Annotated
from uuid import UUID

import msgspec
import psycopg
import redis
import typer

from cito.core.assembly import Assembly, assemble_cito, servers
from cito.core.clock import Clock
from cito.core.commands import audit, cache, indexes, keys, output, queries
from cito.core.commands import plugins as listing
from cito.core.commands import serve as serving
from cito.core.commands.bench import run_benchmark
from cito.core.commands.output import console, fail, show
from cito.core.commands.prepare import prepare as prepare_server
from cito.core.database.errors import ConnectionLost
from cito.core.database.migrations import MigrationError
from cito.core.database.owner import OwnerUnreachableError
from cito.core.doctor import examine
from cito.core.embedded import EmbeddedError
from cito.core.http.tokens import mint
from cito.core.preparation import migrate as migrate_all
from cito.core.preparation import planned, prepare, undo
from cito.core.preparation import seed as seed_all
from cito.core.process import run
from cito.core.registry import RefusedError
from cito.core.settings import SettingsError

app = typer.Typer(
    name="cito",
    help="Cito: a plugin-based performance framework for healthcare APIs.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
)
app.add_typer(audit.app, name="audit")
app.add_typer(cache.app, name="cache")
app.add_typer(keys.app, name="keys")
app.add_typer(indexes.app, name="indexes")
app.add_typer(queries.app, name="queries")
app.command("explain")(queries.explain_named)
app.command("prepare")(prepare_server)
_config: dict[str, Path | None] = {"path": None}
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")]


def assembled(**overrides: object) -> Assembly:
    """Return the checked assembly of the configuration that `--config` names."""
    return assemble_cito(_config["path"], **overrides)


@app.callback()
def configure(
    config: Annotated[Path | None, typer.Option(help="The configuration file; else ./cito.toml.")] = None,
) -> None:
    """Take the option that every command has."""
    _config["path"] = config


@app.command()
def serve(
    port: Annotated[int | None, typer.Option(help="Where the API listens; 8000 unless told.")] = None,
    workers: Annotated[int | None, typer.Option(help="How many API processes.")] = None,
    clock: Annotated[
        datetime | None,
        typer.Option(
            formats=["%Y-%m-%dT%H:%M:%S%z", "%Y-%m-%dT%H:%M%z"],
            help="Start the clock there (development only).",
        ),
    ] = None,
) -> None:
    """Start everything: servers, migrations, indexes, demo data, relay, worker and API. Ctrl-C stops all of it."""
    serving.serve(assembled(port=port, workers=workers), clock)


@app.command()
def worker() -> None:
    """Run the declared background jobs in this process, until Ctrl-C; for production, apart from the API."""
    assembly = assembled()
    with servers(assembly.settings):
        run("worker", assembly, Clock())


@app.command()
def migrate(
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print what would be applied.")] = False,
    down: Annotated[
        str | None, typer.Option(metavar="PLUGIN", help="Undo all migrations of a plugin.")
    ] = None,
    drop_data: Annotated[
        bool, typer.Option("--drop-data", help="Let --down drop tables that hold rows.")
    ] = False,
) -> None:
    """Bring the database to what the enabled plugins declare: migrations, triggers, not the indexes."""
    assembly = assembled()
    with servers(assembly.settings) as urls:
        if dry_run:
            for text in asyncio.run(planned(assembly, urls)):
                sys.stdout.write(text + "\n")
        elif down:
            for undone in asyncio.run(undo(assembly, urls, down, drop_data=drop_data)):
                console.print(f"undone {undone}")
        else:
            asyncio.run(migrate_all(assembly, urls, console.print))


@app.command()
def seed(
    plugin: Annotated[str | None, typer.Argument(help="Only this plugin's data.")] = None,
    count: Annotated[int | None, typer.Option(help="How many records; else each seed's default.")] = None,
) -> None:
    """Load demo data; what is there already stays."""
    assembly = assembled()
    with servers(assembly.settings) as urls:
        asyncio.run(prepare(assembly, urls, console.print))
        asyncio.run(seed_all(assembly, urls, plugin, count))


@app.command("plugins")
def list_plugins(*, json: Json = False) -> None:
    """List what is enabled, from which distribution, and what each plugin declares."""
    registry = assembled().registry
    show(
        listing.described(registry) if json else listing.summary(registry),
        title="Enabled plugins",
        as_json=json,
    )


@app.command()
def doctor(*, json: Json = False) -> None:
    """Look at every part Cito stands on, and say what to do about what is not well. Exit code 1: something is not."""
    assembly = assembled()
    with servers(assembly.settings) as urls:
        findings = asyncio.run(examine(assembly, urls))
    show([msgspec.structs.asdict(finding) for finding in findings], title="Cito's health", as_json=json)
    if not all(finding.ok for finding in findings):
        raise typer.Exit(output.CHECK_FAILED)


@app.command()
def token(
    role: Annotated[str, typer.Option(help="nurse, doctor, pharmacist, clerk, auditor or admin.")],
    clinic: Annotated[
        UUID | None, typer.Option(help="The clinic's id; `cito clinics` lists the demo ones.")
    ] = None,
    expires: Annotated[int, typer.Option(metavar="SECONDS", help="The token's life.")] = 3600,
) -> None:
    """Print a bare token, signed with the development key. Development only."""
    assembly = assembled()
    if role not in assembly.registry.scopes:
        fail(
            [f"--role {role}: choose one of {', '.join(sorted(assembly.registry.scopes))}"],
            output.WRONG_USAGE,
        )
    sys.stdout.write(mint(assembly.settings, role, clinic, expires) + "\n")


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def bench(
    context: typer.Context, name: Annotated[str, typer.Argument(help="A benchmark, or `all`.")]
) -> None:
    """Run a benchmark, ratios against references in the same run; `--json PATH` keeps the raw figures."""
    raise typer.Exit(run_benchmark(name, context.args))


@app.command()
def url(
    what: Annotated[str, typer.Argument(help="`database` or `cache`.")],
    role: Annotated[str, typer.Option(help="`owner` or `app`, for the database.")] = "app",
) -> None:
    """Print the URL of a server, for psql and scripts."""
    sys.stdout.write(serving.address(assembled().settings, what, role) + "\n")


def main() -> None:
    """Run `cito`; refusals, wrong settings and unreachable servers become one line each and an exit code."""
    arguments = _hoisted(sys.argv[1:])
    try:
        _mount_plugin_commands(arguments)
        app(args=arguments)
    except (SettingsError, RefusedError) as error:
        _leave(str(error), output.WRONG_USAGE)
    except MigrationError as error:
        _leave(str(error), output.CHECK_FAILED)
    except psycopg.errors.InsufficientPrivilege:
        _leave(
            "database.owner_url: its role may not do this; name the owner of the schema, cito_owner",
            output.WRONG_USAGE,
        )
    except (
        EmbeddedError,
        ConnectionLost,
        OwnerUnreachableError,
        psycopg.OperationalError,
        redis.ConnectionError,
    ) as error:
        _leave(str(error), output.CANNOT_REACH)


def _leave(message: str, code: int) -> None:
    try:
        fail(message.splitlines(), code)
    except typer.Exit as leaving:
        sys.exit(leaving.exit_code)


def _hoisted(arguments: list[str]) -> list[str]:
    """Let `--config FILE` stand anywhere: every command has it."""
    for at, argument in enumerate(arguments):
        if argument == "--config" and at + 1 < len(arguments):
            return [*arguments[at : at + 2], *arguments[:at], *arguments[at + 2 :]]
        if argument.startswith("--config="):
            return ["--config", argument.partition("=")[2], *arguments[:at], *arguments[at + 1 :]]
    return arguments


def _mount_plugin_commands(arguments: list[str]) -> None:
    """Add the commands that enabled plugins declare, as `cito <name>`; what is wrong is told by the command itself."""
    configured = arguments[:1] == ["--config"]
    _config["path"] = Path(arguments[1]) if configured else None
    if _own_commands() & set(arguments[2:3] if configured else arguments[:1]):
        return  # no plugin's is meant, and to load them takes a while
    with suppress(SettingsError, RefusedError):
        for owned in assembled().registry.commands:
            app.add_typer(owned.value.app, name=owned.value.name)


def _own_commands() -> set[str | None]:
    named = {
        command.name or getattr(command.callback, "__name__", None) for command in app.registered_commands
    }
    return named | {group.name for group in app.registered_groups if isinstance(group.name, str)}
