"""Lookups of 1, 3, 20 and 100 names, cold and warm, against the naive twin, at 500 and 50,000 drugs.

In one process without HTTP: `cold` is the query alone (no cache), `first` a batch that was not asked for before, its exact
names found in memory where the whole vocabulary is at hand, `warm` the same batch again. Names are drawn from the
vocabulary, so that nearly all exist; one in twenty is misspelt, and in two further batches every one is. Rounds are
interleaved; the ratio of each round counts.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from importlib.resources import as_file, files
from pathlib import Path

import psycopg
from harness import environment
from rich.console import Console
from rich.table import Table

from cito.core.app import opened
from cito.core.assembly import assemble
from cito.core.clock import Clock
from cito.core.context import Context
from cito.core.embedded import running
from cito.core.preparation import prepare
from cito.core.relaying import run_relay
from cito.core.settings import Settings
from cito.plugins.drugs import naive, service
from cito.plugins.drugs.finding import find_resolutions
from cito.plugins.drugs.importing import import_all
from cito.plugins.drugs.memory import made
from cito.plugins.drugs.reading import Line, read_file

DEMO = files("cito.sql") / "drugs" / "demo_drugs.tsv"
BATCHES = ((1, 0.05), (3, 0.05), (20, 0.05), (100, 0.05), (20, 1.0), (100, 1.0))  # names, share misspelt


def vocabulary(count: int, rng: random.Random) -> list[Line]:
    """The demo drugs, filled up with made-up ones: a generic name, two brands and a synonym each.

    Made-up names are the beginning of one real name and the end of another, so that they are as alike as real ones.
    """
    with as_file(DEMO) as path:
        lines = read_file(path)
    real = [word for line in lines for word in line.generic_name.split("/") if word.isalpha()]
    lines = lines[:count]

    def word() -> str:
        first, second = rng.sample(real, 2)
        return first[: len(first) // 2 + rng.randint(0, 2)] + second[len(second) // 2 - rng.randint(0, 1) :]

    taken = set(real)
    while len(lines) < count:
        generic = word()
        if generic in taken:
            continue
        taken.add(generic)
        given = {
            "brand_names": (word().title(), word().title()),
            "keywords": (f"{generic} hydrochloride",),
            "ingredients": (generic,),
        }
        lines.append(Line(0, generic, given))
    return lines


def misspelt(name: str, rng: random.Random) -> str:
    """The name with two neighbours swapped."""
    at = rng.randrange(max(1, len(name) - 1))
    return name[:at] + name[at + 1 : at + 2] + name[at : at + 1] + name[at + 2 :]


# Until a heartbeat is seen again: the naive twin keeps the loop, and with it the relay, busy for seconds.
HEARTBEATS_SECONDS = 2.0


async def measured(
    run: Callable[[Sequence[str]], Awaitable[object]], batches: Sequence[Sequence[str]]
) -> float:
    """Return the median time of a batch in milliseconds."""
    times = []
    for names in batches:
        start = time.perf_counter_ns()
        await run(names)
        times.append((time.perf_counter_ns() - start) / 1e6)
    return statistics.median(times)


async def compare(
    context: Context, names: Sequence[str], rounds: int, repeats: int
) -> list[dict[str, float]]:
    """Measure each batch size in interleaved rounds."""
    rng = random.Random(7)
    reader = context.database.reader(None)
    await asyncio.sleep(HEARTBEATS_SECONDS)
    await service.look_up_many(context, names[:1])
    await made(context)
    found = []
    for number in range(rounds):
        for size, share in BATCHES:
            drawn = [
                [misspelt(n, rng) if rng.random() < share else n for n in rng.choices(names, k=size)]
                for _ in range(repeats)
            ]
            await asyncio.sleep(HEARTBEATS_SECONDS)
            row = {
                "round": number,
                "names": size,
                "misspelt": share,
                "first_ms": await measured(lambda batch: service.look_up_many(context, batch), drawn),
                "warm_ms": await measured(lambda batch: service.look_up_many(context, batch), drawn),
                "cold_ms": await measured(lambda batch: find_resolutions(reader, batch), drawn),
                "naive_ms": await measured(lambda batch: naive.look_up_many(reader, batch), drawn[:1]),
            }
            found.append(row)
    return found


async def at_size(home: Path, count: int, rounds: int, repeats: int) -> list[dict[str, float]]:
    """Open a Cito with so many drugs and measure it."""
    lines = vocabulary(count, random.Random(8))
    assembly = assemble(Settings(home=home, plugins=("drugs",)))
    with running(home, durable=False) as urls:
        await prepare(assembly, urls, lambda _: None)
        start = time.perf_counter()
        done = await import_all(urls.owner, lines, lambda *_: None)
        took = time.perf_counter() - start
        Console().print(f"{count:,} drugs with {done.names:,} names imported in {took:.1f} s")
        async with await psycopg.AsyncConnection.connect(urls.owner, autocommit=True) as connection:
            await connection.execute("vacuum analyze")
            stored = await (
                await connection.execute("select name from drug_aliases order by name")
            ).fetchall()
        relay = asyncio.create_task(run_relay(assembly.settings, assembly.registry, urls.app, urls.cache))
        try:
            async with opened(assembly, urls, Clock()) as context:
                rows = await compare(context, [name for (name,) in stored], rounds, repeats)
        finally:
            relay.cancel()
            await asyncio.gather(relay, return_exceptions=True)
    return [{"drugs": count, **row} for row in rows]


def report(rows: Sequence[dict[str, float]]) -> None:
    """Print medians and the ratios round by round."""
    table = Table(title="Drug lookup: milliseconds for a batch", title_justify="left")
    for heading in (
        "drugs",
        "names",
        "misspelt",
        "warm",
        "first",
        "cold",
        "naive",
        "naive/cold",
        "naive/warm",
    ):
        table.add_column(heading, justify="right")
    for drugs, names, share in dict.fromkeys((row["drugs"], row["names"], row["misspelt"]) for row in rows):
        own = [row for row in rows if (row["drugs"], row["names"], row["misspelt"]) == (drugs, names, share)]
        cold = statistics.median(row["naive_ms"] / row["cold_ms"] for row in own)
        warm = statistics.median(row["naive_ms"] / row["warm_ms"] for row in own)
        kinds = ("warm_ms", "first_ms", "cold_ms", "naive_ms")
        medians = [statistics.median(row[what] for row in own) for what in kinds]
        table.add_row(
            f"{drugs:,.0f}",
            f"{names:.0f}",
            f"{share:.0%}",
            *(f"{ms:,.2f}" for ms in medians),
            f"{cold:,.0f}x",
            f"{warm:,.0f}x",
        )
    Console(width=110).print(table)


def main() -> None:
    """Measure, print, and keep the raw figures where asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--repeats", type=int, default=20, help="batches of each size in a round")
    parser.add_argument("--drugs", type=int, nargs="+", default=[500, 50_000])
    parser.add_argument("--json", type=Path, help="keep the raw figures here")
    given = parser.parse_args()
    rows = []
    for count in given.drugs:
        with tempfile.TemporaryDirectory(prefix="cito-bench-") as folder:
            Path(folder).chmod(0o755)
            rows += asyncio.run(at_size(Path(folder), count, given.rounds, given.repeats))
    report(rows)
    if given.json:
        given.json.write_text(json.dumps({"environment": environment(), "rounds": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
