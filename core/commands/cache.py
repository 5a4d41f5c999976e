"""`cito cache`: what the cache does, what it holds by tag, and the few things that an operator may do to it."""

from __future__ import annotations

import asyncio
import getpass
import sys
import time
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar
from uuid import UUID

import msgspec
import typer
from rich.progress import Progress

from cito.core.assembly import Assembly, assemble_cito, servers
from cito.core.audit.entry import Entry
from cito.core.audit.journal import Journal
from cito.core.cache import operate
from cito.core.cache.engine import Cache
from cito.core.cache.keyring import KeyFile
from cito.core.cache.keys import KeyRefused
from cito.core.cache.report import agreements, hit_rate, nines, summed
from cito.core.cache.sampler import HORIZONS_SECONDS
from cito.core.cache.shared import SharedAway, SharedTier
from cito.core.commands import output
from cito.core.commands.output import config_path, console, fail, show
from cito.core.database.pool import Database
from cito.core.declarations import tag_shape

app = typer.Typer(help="Look at the cache, and make parts of it stale.")
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")]
T = TypeVar("T")
_DEADLINE_SECONDS = 2.0
_TARGET = 0.99999


@dataclass(frozen=True, slots=True)
class _Opened:
    assembly: Assembly
    database: Database
    cache: Cache
    shared: SharedTier


@app.command()
def stats(context: typer.Context, *, json: Json = False) -> None:
    """Show what all processes together have done, by family, and how fresh their news is."""
    reports, relay = _run(context, lambda opened: operate.reports(opened.shared, opened.cache.names))
    families = [
        {"family": name, **msgspec.structs.asdict(counts), "hitRate": round(hit_rate(counts), 4)}
        for name, counts in sorted(summed(reports).items())
    ]
    processes = [
        {
            "pid": report.pid,
            "entries": report.entries,
            "localBytes": report.local_bytes,
            "evictions": report.evictions,
            "feed": report.connected,
            "newsSeconds": None if report.told_seconds_ago is None else round(report.told_seconds_ago, 3),
            "roundTrips": report.shared.trips if report.shared else 0,
            "failures": report.shared.failures if report.shared else 0,
            "confirmed": report.words.confirmed if report.words else 0,
            "unconfirmed": report.words.unconfirmed if report.words else 0,
        }
        for report in reports
    ]
    if json:
        found = {"families": families, "processes": processes, "relay": relay}
        sys.stdout.write(msgspec.json.format(msgspec.json.encode(found), indent=2).decode() + "\n")
        return
    show(busy(families), title="Cache families", as_json=False)
    show(busy(processes), title="Processes", as_json=False)
    show([msgspec.structs.asdict(relay)] if relay else [], title="Relay", as_json=False)


def busy(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Leave out counts that are zero in all rows, so that a terminal of 80 columns shows the others unbroken."""
    return [
        {name: row[name] for name in row if any(other[name] or other[name] is False for other in rows)}
        for row in rows
    ]


@app.command()
def families(context: typer.Context, *, json: Json = False) -> None:
    """List the declared families: life, limits, strategy, tags."""
    declared = [
        (owned.plugin, owned.value) for owned in assemble_cito(config_path(context)).registry.cache_families
    ]
    rows: list[dict[str, Any]] = [
        {
            "family": family.name,
            "plugin": plugin,
            "version": family.version,
            "strategy": family.strategy.value,
            "ttlSeconds": family.ttl_seconds,
            "hardLimitSeconds": family.hard_limit_seconds,
            "maxStalenessSeconds": family.max_staleness_seconds,
            "serveStaleSeconds": family.serve_stale_seconds,
            "scoped": family.scoped,
            "phi": family.phi,
            "safety": family.safety,
            "tags": list(family.tags),
        }
        for plugin, family in declared
    ]
    if not json:
        rows = [
            {
                "family": f"{row['family']} {row['version']}",
                "plugin": row["plugin"],
                "strategy": row["strategy"],
                "life": f"{row['ttlSeconds']:g} s, at most {row['hardLimitSeconds']:g} s",
                "is": [name for name in ("scoped", "phi", "safety") if row[name]],
                "tags": row["tags"],
            }
            for row in rows
        ]
    show(rows, title="Cache families", as_json=json)


@app.command()
def tags(context: typer.Context, *, json: Json = False) -> None:
    """List the tag templates: which families depend on each, and which tables make it stale."""
    registry = assemble_cito(config_path(context)).registry
    carried: dict[str, set[str]] = {}
    emitted: dict[str, set[str]] = {}
    for owned in registry.cache_families:
        for tag in owned.value.tags:
            carried.setdefault(tag_shape(tag), set()).add(owned.value.name)
    for rule in registry.invalidations:
        for tag in rule.value.tags:
            emitted.setdefault(tag_shape(tag), set()).add(rule.value.table)
    rows = [
        {"tag": tag, "families": sorted(carried[tag]), "tables": sorted(emitted.get(tag, ()))}
        for tag in sorted(carried)
    ]
    show(rows, title="Tags", as_json=json)


@app.command()
def invalidate(
    context: typer.Context,
    tag: Annotated[str, typer.Argument(help="Such as `item:42`; see `cito cache tags`.")],
) -> None:
    """Make one tag stale everywhere. It is written to the audit."""
    _run(context, lambda opened: _audited(opened, "invalidate", tag, opened.cache.invalidate(tag)))
    console.print(f"stale: {tag}", highlight=False, markup=False)


@app.command()
def bump(context: typer.Context, family: Annotated[str, typer.Argument(help="A family's name.")]) -> None:
    """Make all entries of a family stale everywhere. It is written to the audit."""
    _run(context, lambda opened: _audited(opened, "invalidate", family, opened.cache.bump(family)))
    console.print(f"stale: all of {family}", highlight=False)


@app.command()
def warm(
    context: typer.Context,
    clinic: Annotated[
        list[UUID] | None, typer.Option(help="For families that belong to a clinic; may be repeated.")
    ] = None,
    *,
    json: Json = False,
) -> None:
    """Load what families declare as worth it, such as after a deploy."""
    with Progress(console=output.errors, disable=json, transient=True) as bar:
        tasks: dict[str, Any] = {}

        def progress(family: str, done: int, total: int) -> None:
            if family not in tasks:
                tasks[family] = bar.add_task(family, total=total)
            bar.update(tasks[family], completed=done, total=total)

        warmed = _run(
            context,
            lambda opened: operate.warm(opened.cache, opened.database, clinic or [], progress),
            follow=True,
        )
    rows = [{"family": name, "entries": entries} for name, entries in warmed.items()]
    show(rows, title="Warmed", as_json=json)


@app.command()
def consistency(context: typer.Context, *, json: Json = False) -> None:
    """Show what the samplers found: the share of hits that agree with the database at 1, 10 and 60 seconds.

    Exit code 1: a family agrees for less than 99.999 % at one second.
    """
    reports, _ = _run(context, lambda opened: operate.reports(opened.shared, opened.cache.names))
    found = sorted(agreements(reports).items())
    rows = [
        {
            "family": name,
            "samples": agreement.samples,
            "differedAtFirst": agreement.differed,
            **{f"at{horizon}s": nines(agreement, horizon) for horizon in HORIZONS_SECONDS},
        }
        for name, agreement in found
    ]
    show(rows, title="Agreement with the database", as_json=json)
    if any(nines(agreement, HORIZONS_SECONDS[0]) < _TARGET for _, agreement in found):
        raise typer.Exit(output.CHECK_FAILED)


@app.command()
def acl(context: typer.Context) -> None:
    """Print the rules of a server user that may do what Cito does and nothing else, for `ACL SETUSER cito ...`."""

    async def rules(opened: _Opened) -> str:
        return operate.acl_rules(opened.cache.names)

    console.print(_run(context, rules), soft_wrap=True, highlight=False, markup=False, emoji=False)


@app.command()
def key(
    context: typer.Context,
    *,
    rotate: Annotated[
        bool, typer.Option("--rotate", help="Add a key and encrypt with it from now on.")
    ] = False,
) -> None:
    """Make the keys of the cache where there are none, or rotate them; running processes take them up by themselves."""
    file = KeyFile(assemble_cito(config_path(context)).settings.home / "keys" / "cache.json")
    file.open(create=True)
    number = file.rotate() if rotate else None
    console.print(f"{file.path}: " + (f"key {number} encrypts now" if number else "there"), highlight=False)


async def _audited(opened: _Opened, action: str, what: str, work: Coroutine[Any, Any, None]) -> None:
    """Do it, and write down who did."""
    outcome = "failed"
    try:
        await work
        outcome = "success"
    finally:
        journal = Journal(opened.assembly.settings.home / "audit")
        actor = f"operator:{getpass.getuser()}"
        now = time.time_ns()
        journal.write(Entry(now, actor, "operator", None, action, outcome, "cache", what, (), "", "", None))
        journal.close()


def _run(context: typer.Context, work: Any, *, follow: bool = False) -> Any:
    """Run `work(opened)` against the servers; what is refused or away becomes a line and an exit code."""
    assembly = assemble_cito(config_path(context))
    with servers(assembly.settings) as urls:

        async def main() -> Any:
            async with _opened(assembly, urls.app, urls.cache, follow=follow) as opened:
                return await work(opened)

        try:
            return asyncio.run(main())
        except KeyRefused as error:
            fail([str(error)], output.WRONG_USAGE)
        except SharedAway:
            fail(["the shared cache did not answer"], output.CANNOT_REACH)


@asynccontextmanager
async def _opened(
    assembly: Assembly, database_url: str, cache_url: str, *, follow: bool
) -> AsyncIterator[_Opened]:
    queries = {name: owned.value for name, owned in assembly.sources.queries.items()}
    settings = assembly.settings
    database = await Database.open(settings.database, database_url, queries, size=1)
    cache = await Cache.open(settings, cache_url, database, assembly.registry)
    shared = SharedTier(cache_url, cache.names, _DEADLINE_SECONDS)
    try:
        if follow:
            await cache.vouched_for(_DEADLINE_SECONDS * 5)
        yield _Opened(assembly, database, cache, shared)
    finally:
        await shared.close()
        await cache.close()
        await database.close()
