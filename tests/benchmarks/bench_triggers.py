"""`cito bench triggers`: what a write costs with invalidation triggers, and without them, in interleaved rounds.

Then what the triggers take on each table of the plugins, with the demo data.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import psycopg
from rich.console import Console
from rich.table import Table
from shelf import INVALIDATIONS, SOURCES
from table_triggers import table_costs

from cito.core.assembly import assemble, servers
from cito.core.database.invalidation import install
from cito.core.database.migrations import migrate
from cito.core.embedded import running
from cito.core.preparation import prepare, seed
from cito.core.registry import installed
from cito.core.settings import Settings

CLINIC = "01900000-0000-7000-8000-000000000001"
SINGLES = 300


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="cito bench triggers", description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path, help="Write the figures there.")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="cito-bench-") as folder:
        Path(folder).chmod(0o755)
        with running(Path(folder), durable=False) as urls:
            asyncio.run(migrate(urls.owner, SOURCES))
            asyncio.run(install(urls.owner, INVALIDATIONS))
            with psycopg.connect(urls.owner, autocommit=True) as connection:
                found = measure(connection, given.rows, given.rounds)
    tables = plugin_tables()
    show("Cost of invalidation triggers, us a row (table items, two tags, two watched columns)", found)
    show("On the tables of the plugins, us", tables)
    if given.json:
        given.json.write_text(json.dumps({"writes": found, "tables": tables}, indent=2) + "\n")


def show(title: str, rows: list[dict[str, object]]) -> None:
    """Print rows as a table."""
    table = Table(title=title)
    for heading in rows[0]:
        table.add_column(heading.replace("_", " "))
    for row in rows:
        table.add_row(*(str(value) for value in row.values()))
    Console(width=140).print(table)


def plugin_tables() -> list[dict[str, object]]:
    """Return what triggers cost on the watched tables of all installed plugins."""
    with tempfile.TemporaryDirectory(prefix="cito-bench-") as folder:
        Path(folder).chmod(0o755)
        settings = Settings(home=Path(folder), plugins=installed())
        assembly = assemble(settings)
        with servers(settings) as urls:
            asyncio.run(prepare(assembly, urls, lambda _: None))
            asyncio.run(seed(assembly, urls, None, None))
            with psycopg.connect(urls.admin, autocommit=True) as connection:
                return table_costs(connection, [owned.value for owned in assembly.registry.invalidations])


def measure(connection: psycopg.Connection, rows: int, rounds: int) -> list[dict[str, object]]:
    """Return medians in microseconds per row."""
    cases: dict[str, tuple[Callable[[], None], int]] = {
        "update of one row": (
            lambda: singles(connection, "update items set name = name || '.' where id = 1"),
            SINGLES,
        ),
        "update of an unwatched column": (
            lambda: singles(connection, "update items set note = 'n' where id = 1"),
            SINGLES,
        ),
        f"insert of {rows:,} rows": (lambda: bulk(connection, rows), rows),
        f"update of {rows:,} rows": (lambda: run(connection, "update items set name = name || '.'"), rows),
        f"delete of {rows:,} rows": (lambda: run(connection, "delete from items where id > 1"), rows),
    }
    timed: dict[tuple[str, bool], list[float]] = {}
    for number in range(rounds):
        for on in (True, False) if number % 2 else (False, True):
            run(
                connection,
                f"alter table items {'enable always' if on else 'disable'} trigger cito_stale_insert",
            )
            for event in ("update", "delete", "truncate"):
                run(
                    connection,
                    f"alter table items {'enable always' if on else 'disable'} trigger cito_stale_{event}",
                )
            run(connection, "truncate items cascade")
            run(connection, f"insert into items (clinic_id, id, name) values ('{CLINIC}', 1, 'one')")
            for name, (work, count) in cases.items():
                run(connection, "truncate cito.outbox")
                began = time.perf_counter()
                work()
                timed.setdefault((name, on), []).append((time.perf_counter() - began) / count * 1e6)
    found: list[dict[str, object]] = []
    for name in cases:
        without, triggers = statistics.median(timed[name, False]), statistics.median(timed[name, True])
        found.append(
            {
                "write": name,
                "without_us_per_row": round(without, 2),
                "with_us_per_row": round(triggers, 2),
                "difference_us_per_row": round(triggers - without, 2),
            }
        )
    return found


def run(connection: psycopg.Connection, statement: str) -> None:
    """Run one statement."""
    connection.execute(statement.encode())


def singles(connection: psycopg.Connection, statement: str) -> None:
    """Run one statement many times, each a transaction."""
    for _ in range(SINGLES):
        run(connection, statement)


def bulk(connection: psycopg.Connection, rows: int) -> None:
    """Insert many rows in one statement."""
    run(
        connection,
        f"insert into items (clinic_id, id, name) select '{CLINIC}', g, 'n' from generate_series(2, {rows + 1}) g",
    )


if __name__ == "__main__":
    main()
