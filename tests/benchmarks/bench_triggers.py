"""`cito bench triggers`: what a write costs with invalidation triggers, and without them, in interleaved rounds."""

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

from cito.core.database.invalidation import install
from cito.core.database.migrations import migrate
from cito.core.embedded import running

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
    table = Table(title="Cost of invalidation triggers (table items, two tags, two watched columns)")
    for heading in ("write", "without", "with", "difference"):
        table.add_column(heading)
    for row in found:
        table.add_row(*(str(value) for value in row.values()))
    Console().print(table)
    if given.json:
        given.json.write_text(json.dumps(found, indent=2))


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
