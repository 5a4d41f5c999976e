"""Brings a database to what the enabled plugins declare: migrations, indexes, invalidation triggers, demo data."""

from __future__ import annotations

from collections.abc import Callable
from importlib.resources import files

import psycopg
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from cito.core.assembly import Assembly
from cito.core.database import invalidation, migrations
from cito.core.database.indexes import apply_indexes
from cito.core.database.sql import read_queries
from cito.core.embedded import Urls
from cito.core.refusals import refuse_catalogue
from cito.core.seeding import run_seeds, seeds_in_order

Say = Callable[[str], None]


async def prepare(assembly: Assembly, urls: Urls, say: Say) -> None:
    """Migrate, check the declarations against the catalogue, install triggers, build indexes.

    Raises:
        MigrationError: a migration failed; the message names it.
        RefusedError: a declaration names a table or column that does not exist.
    """
    await migrate(assembly, urls, say)
    outcome = await apply_indexes(
        urls.owner,
        [owned.value for owned in assembly.registry.indexes],
        {name: owned.value for name, owned in assembly.sources.indexes.items()},
    )
    for applied in outcome.applied:
        if applied.done != "kept":
            say(f"index {applied.name} {applied.done} in {applied.seconds:.1f} s")


async def migrate(assembly: Assembly, urls: Urls, say: Say) -> None:
    """Apply pending migrations and bring the triggers in line with the declarations."""
    await migrations.migrate(
        urls.owner, assembly.migration_sources, announce=lambda name: say(f"migrating {name}")
    )
    refuse_catalogue(assembly.registry, await catalogue(urls.owner))
    for table in await invalidation.install(
        urls.owner, [owned.value for owned in assembly.registry.invalidations]
    ):
        say(f"invalidation triggers of {table} built")


async def planned(assembly: Assembly, urls: Urls) -> list[str]:
    """Return the SQL of every pending migration."""
    pending = await migrations.pending(urls.owner, assembly.migration_sources)
    return [f"-- {one.id}\n{one.up}" for one in pending]


async def undo(assembly: Assembly, urls: Urls, plugin: str, *, drop_data: bool) -> list[str]:
    """Undo all migrations of one plugin and return their ids, last first."""
    return await migrations.roll_back(urls.owner, assembly.migration_sources, plugin, drop_data=drop_data)


async def seed(assembly: Assembly, urls: Urls, plugin: str | None, count: int | None) -> None:
    """Load demo data with a progress bar each."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns) as bars:
        tasks = {}

        def progress(name: str, done: int, total: int) -> None:
            if name not in tasks:
                tasks[name] = bars.add_task(f"demo data: {name}", total=total)
            bars.update(tasks[name], completed=done, total=total)

        await run_seeds(urls.owner, seeds_in_order(assembly.registry, plugin), count, progress)


async def catalogue(owner_url: str) -> dict[str, frozenset[str]]:
    """Return the columns of each table; the core's own are named `cito.<table>`."""
    async with await psycopg.AsyncConnection.connect(owner_url) as connection:
        rows = await (await connection.execute(_QUERIES["table_columns"].text)).fetchall()
    return {table: frozenset(columns) for table, columns in rows}


_QUERIES = read_queries(files("cito.sql") / "core" / "migrations.sql")
