"""Patient search, cache off, against the naive twin and under 50 users, at 10,000, 200,000 and 1,000,000 patients.

In one process without HTTP; the profiles of a page are read as well, as a request does with a cold cache. Searches
are drawn from the patients themselves, at the largest clinic: whole names, family names, beginnings, typing errors,
birth dates, phones, e-mail. `CPU`: mean of the database alone, for one search, all its processes together. `users`:
each searches a name, waits about a second, and searches again. `growth`: p95 over that of the smallest size;
`--most-per-clinic` says how far clinics grow before branches open.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

import psutil
import psycopg
from harness import environment
from rich.console import Console
from rich.table import Table

from cito.core.assembly import assemble
from cito.core.database.pool import Database
from cito.core.embedded import running
from cito.core.preparation import prepare
from cito.core.settings import Settings
from cito.plugins.patients.criteria import Filters, interpret
from cito.plugins.patients.models import Hits
from cito.plugins.patients.queries import SomePatients, find_patients_by_ids
from cito.plugins.patients.search import search, search_naively
from cito.plugins.patients.seed import MOST_PER_CLINIC, load_clinics, load_patients

Row = tuple[str, str, Any, str, str | None]
NAIVE = ("whole name", "family name", "three letters")


def misspelt(name: str, rng: random.Random) -> str:
    """The name with two neighbours swapped, a letter left out, or one put in."""
    at = rng.randrange(max(1, len(name) - 1))
    return rng.choice(
        (
            name[:at] + name[at + 1 : at + 2] + name[at : at + 1] + name[at + 2 :],
            name[:at] + name[at + 1 :],
            name[:at] + rng.choice("aeiourst") + name[at:],
        )
    )


KINDS: dict[str, Callable[[Row, random.Random], str]] = {
    "whole name": lambda row, _: f"{row[0]} {row[1]}",
    "family name": lambda row, _: row[1],
    "three letters": lambda row, _: row[1][:3],
    "two beginnings": lambda row, _: f"{row[0][:3]} {row[1][:3]}",
    "whole name, misspelt": lambda row, rng: f"{misspelt(row[0], rng)} {misspelt(row[1], rng)}",
    "part of a name": lambda row, _: row[1][1:5],
    "name and birth date": lambda row, _: f"{row[1]} {row[2]}",
    "birth date": lambda row, _: str(row[2]),
    "phone": lambda row, _: row[3],
    "last 4 digits": lambda row, _: row[3][-4:],
    "e-mail": lambda row, _: row[4] or "nobody@example.org",
}
NAMES = ("whole name", "family name", "three letters", "whole name, misspelt", "part of a name")


async def fill(owner_url: str, count: int, most_per_clinic: int) -> tuple[UUID, list[Row]]:
    """Make the patients who are missing; return the largest clinic and a sample of its people."""
    async with await psycopg.AsyncConnection.connect(owner_url, autocommit=True) as owner:
        started = time.perf_counter()
        async with owner.transaction():
            await load_clinics(owner, None, lambda *_: None)
            await load_patients(owner, count, lambda *_: None, most_per_clinic=most_per_clinic)
        sys.stderr.write(f"{count:,} patients made in {time.perf_counter() - started:.0f} s\n")
        await owner.execute("vacuum analyze")
        sizes = await owner.execute(
            "select clinic_id from patient group by 1 order by count(*) desc, 1 limit 1"
        )
        [clinic] = await sizes.fetchone() or [None]
        sample = await owner.execute(
            "select given_name, family_name, date_of_birth, phone_e164, email from patient"
            " where clinic_id = %s and status = 'active' and length(given_name) > 3 and length(family_name) > 4"
            " order by md5(id::text) limit 2000",
            (clinic,),
        )
        return clinic, await sample.fetchall()


async def timed(run: Callable[[str], Any], texts: Sequence[str]) -> list[float]:
    """Return the milliseconds of each search."""
    times = []
    for text in texts:
        start = time.perf_counter_ns()
        await run(text)
        times.append((time.perf_counter_ns() - start) / 1e6)
    return sorted(times)


def p95(times: Sequence[float]) -> float:
    """Return the 95th percentile of sorted times."""
    return times[min(len(times) - 1, int(len(times) * 0.95))]


def cpu_ms(home: Path) -> float:
    """Return what PostgreSQL has computed so far: a mean of it says the same on a busy machine."""
    postmaster = psutil.Process(int((home / "run" / "postgres.pid").read_text()))
    servers = (postmaster, *postmaster.children())
    return sum(1000 * (times.user + times.system) for times in (server.cpu_times() for server in servers))


async def users(run: Callable[[str], Any], texts: Sequence[str], many: int, seconds: float) -> list[float]:
    """Let users search and think; return the milliseconds of each search."""
    times: list[float] = []
    until = time.perf_counter() + seconds

    async def user(number: int) -> None:
        rng = random.Random(number)
        await asyncio.sleep(rng.random())
        while time.perf_counter() < until:
            start = time.perf_counter_ns()
            await run(rng.choice(texts))
            times.append((time.perf_counter_ns() - start) / 1e6)
            await asyncio.sleep(0.5 + rng.random())

    await asyncio.gather(*(user(number) for number in range(many)))
    return sorted(times)


async def at_size(
    home: Path, count: int, most_per_clinic: int, repeats: int, seconds: float
) -> list[dict[str, Any]]:
    """Fill a Cito with so many patients and measure it."""
    assembly = assemble(Settings(home=home, plugins=("patients",)))
    rows: list[dict[str, Any]] = []
    with running(home, durable=False) as urls:
        await prepare(assembly, urls, lambda _: None)
        clinic, people = await fill(urls.owner, count, most_per_clinic)
        queries = {name: owned.value for name, owned in assembly.sources.queries.items()}
        database = await Database.open(assembly.settings.database, urls.app, queries)
        reader, rng = database.reader(clinic), random.Random(7)

        async def show(page: Hits) -> None:
            await find_patients_by_ids.all(reader, SomePatients(clinic, [hit.id for hit in page.hits]))

        async def ours(text: str) -> None:
            await show(await search(reader, interpret(Filters(search=text), "US", "en-US"), "active", 1, 20))

        async def naive(text: str) -> None:
            await show(await search_naively(reader, text, "active", 1, 20))

        for kind, text_of in KINDS.items():
            texts = [text_of(row, rng) for row in people[: repeats + 20]]
            await timed(ours, texts[:20])  # warm plans
            computed = cpu_ms(home)
            times = await timed(ours, texts[20:])
            row = {"patients": count, "kind": kind, "p50_ms": statistics.median(times), "p95_ms": p95(times)}
            row["cpu_ms"] = (cpu_ms(home) - computed) / len(times)
            if kind in NAIVE:
                row["naive_ms"] = statistics.median(
                    await timed(naive, texts[20 : 20 + max(5, repeats // 10)])
                )
            rows.append(row)
        mixed = [KINDS[kind](row, rng) for row in people for kind in NAMES]
        crowd = await users(ours, mixed, 50, seconds)
        rows.append(
            {
                "patients": count,
                "kind": "names, 50 users",
                "p50_ms": statistics.median(crowd),
                "p95_ms": p95(crowd),
                "searches": len(crowd),
            }
        )
        await database.close()
    return rows


def report(rows: Sequence[dict[str, Any]]) -> None:
    """Print a table: milliseconds by kind and size, and how much slower the naive twin is."""
    table = Table(title="Patient search, cache off: milliseconds", title_justify="left")
    for heading in ("patients", "kind", "CPU", "p50", "p95", "growth", "naive p50", "naive/ours"):
        table.add_column(heading, justify="left" if heading == "kind" else "right")
    first = {row["kind"]: row["p95_ms"] for row in rows if row["patients"] == rows[0]["patients"]}
    for row in rows:
        naive = row.get("naive_ms")
        table.add_row(
            f"{row['patients']:,}",
            row["kind"],
            f"{row['cpu_ms']:.1f}" if "cpu_ms" in row else "",
            f"{row['p50_ms']:.1f}",
            f"{row['p95_ms']:.1f}",
            f"{row['p95_ms'] / first[row['kind']]:.1f}x",
            "" if naive is None else f"{naive:.1f}",
            "" if naive is None else f"{naive / row['p50_ms']:.0f}x",
        )
    Console(width=100).print(table)


def main() -> None:
    """Measure, print, and keep the raw figures where asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--patients", type=int, nargs="+", default=[10_000, 200_000, 1_000_000])
    parser.add_argument("--most-per-clinic", type=int, default=MOST_PER_CLINIC, help="then branches open")
    parser.add_argument("--keep", type=Path, help="keep the databases here, for the next run")
    parser.add_argument("--repeats", type=int, default=200, help="searches of each kind")
    parser.add_argument("--seconds", type=float, default=30, help="how long 50 users search")
    parser.add_argument("--json", type=Path, help="keep the raw figures here")
    given = parser.parse_args()
    rows = []
    for count in given.patients:
        with contextlib.ExitStack() as stack:
            home = given.keep / f"{count}" if given.keep else None
            if home is None:
                home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="cito-bench-")))
            home.mkdir(parents=True, exist_ok=True)
            home.chmod(0o755)
            rows += asyncio.run(at_size(home, count, given.most_per_clinic, given.repeats, given.seconds))
        report(rows)
    if given.json:
        given.json.write_text(json.dumps({"environment": environment(), "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
