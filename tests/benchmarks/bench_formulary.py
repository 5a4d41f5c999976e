"""Formulary search and autocomplete against what one writes first, at the demo formulary and at 50,000 medicines.

In one process without HTTP: `own` is the query alone (no cache), `cached` the answer from the cache. The references:
`ilike`, substrings and a second query for the total; `twin`, everything fetched and ranked in memory (the oracle of
the tests). Rounds are interleaved; the ratio of each round counts.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import psycopg
from harness import environment
from rich.console import Console
from rich.table import Table

from cito.core.app import opened
from cito.core.assembly import assemble
from cito.core.clock import Clock
from cito.core.context import Context
from cito.core.database.sql import read_queries
from cito.core.embedded import running
from cito.core.preparation import prepare
from cito.core.relaying import run_relay
from cito.core.settings import Settings
from cito.plugins.medications import cache, naive, service
from cito.plugins.medications.seed import load_formulary

SEARCHES = (
    "aspirin 81 mg",
    "metformin 500",
    "lisinopril",
    "asp",
    "insulin lispro",
    "tylenol",
    "amoxicillin suspension",
)
LETTERS = ("as", "asp", "met", "lisin", "tyl", "amox", "insulin")
ILIKE = read_queries(Path(__file__).with_name("formulary_ilike.sql"))
MORE = (
    "insert into medications (id, name, generic_name, dosage_form, strength) "
    "select gen_random_uuid(), translate(m.name, 'aeiourstln', 'eioualnrst') || ' ' || n, "
    "translate(m.generic_name, 'aeiourstln', 'eioualnrst') || ' ' || n, m.dosage_form, m.strength "
    "from medications as m, generate_series(1, 50) as n limit %s"
)
Run = Callable[[str], Awaitable[object]]


async def median_ms(run: Run, texts: Sequence[str]) -> float:
    """Return the median time of a text in milliseconds."""
    times = []
    for text in texts:
        start = time.perf_counter_ns()
        await run(text)
        times.append((time.perf_counter_ns() - start) / 1e6)
    return statistics.median(times)


def subjects(
    context: Context, connection: psycopg.AsyncConnection[Any]
) -> Mapping[str, tuple[Sequence[str], Mapping[str, Run]]]:
    """What is measured: operation -> texts and ways to answer them."""
    on = context.database.reader(None)

    async def ilike(text: str) -> None:
        pattern = "%" + text + "%"
        await (await connection.execute(ILIKE["search_page"].text, (pattern, 20, 0))).fetchall()
        await (await connection.execute(ILIKE["search_total"].text, (pattern,))).fetchall()

    search: dict[str, Run] = {
        "own": lambda text: cache.FORMULARY.load(on, cache.PageKey(text, 1, 20)),
        "cached": lambda text: service.find_page(context, text, 1, 20),
        "ilike": ilike,
        "twin": lambda text: naive.find_page(on, text, 1, 20),
    }
    suggest: dict[str, Run] = {
        "own": lambda text: cache.SUGGESTIONS.load(on, cache.TypedKey(text, 10)),
        "cached": lambda text: service.suggest(context, text, 10),
        "ilike": ilike,
        "twin": lambda text: naive.suggest(on, text, 10),
    }
    return {"search": (SEARCHES, search), "autocomplete": (LETTERS, suggest)}


async def at_size(home: Path, count: int, rounds: int) -> list[dict[str, Any]]:
    """Open a Cito with so many medicines and measure it."""
    assembly = assemble(Settings(home=home, plugins=("medications",)))
    found: list[dict[str, Any]] = []
    with running(home, durable=False) as urls:
        await prepare(assembly, urls, lambda _: None)
        async with await psycopg.AsyncConnection.connect(urls.owner, autocommit=True) as owner:
            async with owner.transaction():
                await load_formulary(owner, None, lambda *_: None)
            (there,) = await (await owner.execute("select count(*) from medications")).fetchone() or (0,)
            await owner.execute(MORE, (max(0, count - there),))
            await owner.execute("vacuum analyze medications")
            (there,) = await (await owner.execute("select count(*) from medications")).fetchone() or (0,)
        relay = asyncio.create_task(run_relay(assembly.settings, assembly.registry, urls.app, urls.cache))
        try:
            async with (
                opened(assembly, urls, Clock()) as context,
                await psycopg.AsyncConnection.connect(
                    urls.app, autocommit=True, cursor_factory=psycopg.AsyncRawCursor
                ) as connection,
            ):
                await asyncio.sleep(2)  # until the first heartbeats
                for number in range(rounds):
                    for operation, (texts, ways) in subjects(context, connection).items():
                        for name in ("own", "cached"):  # plans and entries are made
                            await median_ms(ways[name], texts)
                        times = {
                            name: await median_ms(way, texts[:2] if name == "twin" else texts * 5)
                            for name, way in ways.items()
                        }
                        found.append({"medicines": there, "operation": operation, "round": number, **times})
        finally:
            relay.cancel()
            await asyncio.gather(relay, return_exceptions=True)
    return found


def report(rows: Sequence[Mapping[str, Any]]) -> None:
    """Print medians and the ratios round by round."""
    table = Table(title="Formulary: milliseconds for an answer", title_justify="left")
    for heading in (
        "medicines",
        "operation",
        "own",
        "cached",
        "ilike",
        "twin",
        "ilike/own",
        "twin/own",
        "ilike/cached",
    ):
        table.add_column(heading, justify="right")
    for medicines, operation in dict.fromkeys((row["medicines"], row["operation"]) for row in rows):
        own = [row for row in rows if (row["medicines"], row["operation"]) == (medicines, operation)]
        medians = [statistics.median(row[way] for row in own) for way in ("own", "cached", "ilike", "twin")]
        pairs = (("ilike", "own"), ("twin", "own"), ("ilike", "cached"))
        ratios = [statistics.median(row[a] / row[b] for row in own) for a, b in pairs]
        table.add_row(
            f"{medicines:,}",
            operation,
            *(f"{ms:,.3f}" for ms in medians),
            *(f"{ratio:,.0f}x" for ratio in ratios),
        )
    Console(width=110).print(table)


def main() -> None:
    """Measure, print, and keep the raw figures where asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--medicines", type=int, nargs="+", default=[1_868, 50_000])
    parser.add_argument("--json", type=Path, help="keep the raw figures here")
    given = parser.parse_args()
    rows = []
    for count in given.medicines:
        with tempfile.TemporaryDirectory(prefix="cito-bench-") as folder:
            Path(folder).chmod(0o755)
            rows += asyncio.run(at_size(Path(folder), count, given.rounds))
    report(rows)
    if given.json:
        given.json.write_text(json.dumps({"environment": environment(), "rounds": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
