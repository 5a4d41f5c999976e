"""`cito bench spans`: what OpenTelemetry's psycopg and Redis instrumentations see, tell and cost, beside our own record.

One process, one PostgreSQL, one Valkey. The same work through psycopg as it is instrumented, through `WatchedConnection`,
and through Cito's own reader; and round trips to the shared tier (`redis_spans.py`): how many spans of it there are, whether values show in them, and the CPU of a sampled read
(its spans made, not exported). The reference is the same read that nobody watches.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import psycopg
from harness import arguments
from opentelemetry.instrumentation.psycopg import PsycopgInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from redis_spans import measure_redis
from rich.console import Console
from rich.table import Table

from cito.core.database.connection import Command, Connection
from cito.core.database.timing import timed
from cito.core.database.watched import WatchedConnection
from cito.core.embedded import running
from cito.core.telemetry import Record, What, current_record
from cito.observability.spans import spans_of

MARKER = "Xylophone"
SELECT = "select n, 'row' from generate_series(1, 3) as n"
Work = Callable[[Any], Awaitable[object]]
Read = Callable[[], Awaitable[object]]


async def statement(connection: Any) -> None:
    await (await connection.execute(SELECT)).fetchall()


async def stream(connection: Any) -> None:
    async with connection.cursor() as cursor:
        async for _ in cursor.stream(SELECT):
            pass


async def server_cursor(connection: Any) -> None:
    async with connection.transaction(), connection.cursor("export") as cursor:
        await cursor.execute(SELECT)
        await cursor.fetchall()


async def copy(connection: Any) -> None:
    async with connection.cursor() as cursor, cursor.copy(f"copy ({SELECT}) to stdout") as rows:
        async for _ in rows:
            pass


async def pipeline(connection: Any) -> None:
    async with connection.pipeline():
        await connection.execute(SELECT)
        await connection.execute(SELECT)


async def literal(connection: Any) -> None:
    await connection.execute(f"select 1 where '{MARKER}' = 'other'")


async def refusal(connection: Any) -> None:
    with suppress(psycopg.Error):
        await connection.execute("insert into people values (%s)", (MARKER,))


WORK: dict[str, Work] = {
    "a statement": statement,
    "a stream": stream,
    "a server-side cursor": server_cursor,
    "a copy": copy,
    "a pipeline of two": pipeline,
    "a literal in a statement": literal,
    "a value that breaks a key": refusal,
}


class Stock:
    """What the instrumentation makes of a piece of work."""

    def __init__(self) -> None:
        self.memory = InMemorySpanExporter()
        self.provider = TracerProvider()
        self.provider.add_span_processor(SimpleSpanProcessor(self.memory))
        self.instrumentor = PsycopgInstrumentor()

    async def spans(self, work: Callable[[], Awaitable[object]]) -> list[str]:
        self.memory.clear()
        await work()
        return [span.to_json() for span in self.memory.get_finished_spans()]


async def our_spans(work: Callable[[], Awaitable[object]]) -> list[str]:
    """Return the spans of the steps of a record."""
    record = Record("http", "bench")
    token = current_record.set(record)
    try:
        await work()
    finally:
        current_record.reset(token)
    record.finish(200)
    return [str(span.template) for span in spans_of(record)[1:]]


async def cpu_us(read: Read, seconds: float) -> float:
    """Return the CPU of one read in microseconds."""
    for _ in range(200):
        await read()
    began, count, end = time.process_time(), 0, time.monotonic() + seconds
    while time.monotonic() < end:
        for _ in range(50):
            await read()
        count += 50
    return (time.process_time() - began) / count * 1e6


async def measure(url: str, rounds: int, seconds: float) -> tuple[dict[str, Any], dict[str, list[float]]]:
    """Count spans, then measure reads in interleaved rounds."""
    plain = await psycopg.AsyncConnection.connect(url, autocommit=True)
    await plain.execute("create table people (mrn text primary key)")
    await plain.execute("insert into people values (%s)", (MARKER,))
    ours = await WatchedConnection.connect(url, autocommit=True)
    stock = Stock()
    stock.instrumentor.instrument(tracer_provider=stock.provider)  # what connects from here on
    theirs = await psycopg.AsyncConnection.connect(url, autocommit=True)
    reader = await Connection.open(url, 5, 5)
    command = Command("bench_rows", SELECT, (), tuple)

    async def named() -> None:
        await timed(reader, (command,), What.QUERY)

    seen: dict[str, Any] = {}
    for name, work in WORK.items():
        found = (
            await stock.spans(lambda work=work: work(theirs)),
            await our_spans(lambda work=work: work(ours)),
        )
        seen[name] = [(len(spans), sum(MARKER in span for span in spans)) for spans in found]
    seen["a named query of Cito's reader"] = [
        (len(spans), 0) for spans in (await stock.spans(named), await our_spans(named))
    ]
    reads: dict[str, Read] = {
        "psycopg, nobody watches": lambda: statement(plain),
        "psycopg, instrumented": lambda: stock.spans(lambda: statement(theirs)),
        "psycopg, WatchedConnection": lambda: our_spans(lambda: statement(ours)),
        "Cito's reader, nobody watches": named,
        "Cito's reader, its record": lambda: our_spans(named),
    }
    costs: dict[str, list[float]] = {name: [] for name in reads}
    for _ in range(rounds):
        for name, read in reads.items():
            costs[name].append(await cpu_us(read, seconds))
    stock.instrumentor.uninstrument()
    for connection in (plain, theirs, ours):
        await connection.close()
    reader.close()
    return seen, costs


def main() -> None:
    given = arguments(__doc__ or "")
    with tempfile.TemporaryDirectory(prefix="cito-bench-") as folder:
        Path(folder).chmod(0o755)
        with running(Path(folder)) as urls:
            seen, costs = asyncio.run(measure(urls.admin, given.rounds, given.seconds))
            theirs_and_ours = measure_redis(urls.cache, our_spans, cpu_us, given.rounds, given.seconds)
            redis_seen, redis_costs = asyncio.run(theirs_and_ours)
    seen, costs = seen | redis_seen, costs | redis_costs
    table = Table("work", "instrumentation: spans", "with a value", "ours: spans", "with a value")
    for name, ((theirs, their_leaks), (ours, our_leaks)) in seen.items():
        table.add_row(name, *map(str, (theirs, their_leaks, ours, our_leaks)))
    prices = Table("a sampled read", "CPU us", "more than unwatched")
    for name, each in costs.items():
        base = costs[f"{name.partition(',')[0]}, nobody watches"]
        more = statistics.median(mine - its for mine, its in zip(each, base, strict=True))
        prices.add_row(name, f"{statistics.median(each):.0f}", f"{more:.0f}")
    Console(width=120).print(table, prices)
    if given.json:
        given.json.write_text(json.dumps({"spans": seen, "cpu_us": costs}, indent=1) + "\n")


if __name__ == "__main__":
    main()
