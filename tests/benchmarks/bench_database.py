"""`cito bench database`: point reads against the plain pool, the cost of row-level security, changes under load,
and of the pool: what watching costs, refusals, a restart of the server.

Runs in one process, on a PostgreSQL of its own from the wheel, with the small domain of the tests.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import multiprocessing
import socket
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from uuid import UUID, uuid4

import msgspec
import psycopg
import psycopg_pool
import uvloop
from database_pool import recording, restart, shedding
from harness import Measurement, arguments, report
from psycopg.rows import args_row

from cito.core.database.batch import Coalescer
from cito.core.database.indexes import apply_indexes
from cito.core.database.migrations import migrate
from cito.core.database.pool import Database
from cito.core.database.query import Query
from cito.core.database.sql import read_queries
from cito.core.declarations import Executor, Index
from cito.core.embedded import Urls, running
from cito.core.settings import DatabaseSettings

WARDS = Path(__file__).parents[1] / "core" / "database" / "wards"
CLINIC = uuid4()
POINT_ROWS, CHANGED_ROWS = 20_000, 1_000_000
POOL = 16
ROUND_TRIP_SECONDS = 0.0005
PLAIN = "psycopg pool, predicate only"
Read = Callable[[UUID], Awaitable[object]]


class Key(msgspec.Struct, frozen=True):
    clinic_id: UUID
    id: UUID


class Keys(msgspec.Struct, frozen=True):
    clinic_id: UUID
    ids: list[UUID]


class Ward(msgspec.Struct, frozen=True):
    id: UUID
    name: str
    floor: int | None
    facts: dict[str, object]


class Rename(msgspec.Struct, frozen=True):
    clinic_id: UUID
    id: UUID
    name: str


FIND, RENAME = Query("find_ward", Key, Ward), Query("rename_ward", Rename, Ward)
MANY = Query("find_wards", Keys, Ward)


async def main(urls: Urls, rounds: int, seconds: float, kept: Path | None) -> None:
    """Run the parts and print each."""
    await migrate(urls.owner, [("core", files("cito.sql") / "core"), ("wards", WARDS)])
    found = read_queries(WARDS / "queries.sql")
    many = "select id, name, floor, facts from wards where clinic_id = $1 and id = any($2)"
    found["find_wards"] = msgspec.structs.replace(
        found["find_ward"], name="find_wards", text=many, parameters=("clinic_id", "ids")
    )
    ids = fill(urls, POINT_ROWS)
    database = await Database.open(DatabaseSettings(pool_max=POOL), urls.app, found)
    measurements = await point_reads(urls, database, ids, rounds, seconds)
    report(measurements, PLAIN, path=kept, title="Point reads by key, in process")
    more = {
        "policy_cost": await policy_cost(urls, found, ids, rounds, seconds),
        "recording": recording(rounds),
        "shedding": await shedding(urls),
        "restart": await restart(rounds),
        "changes_under_load": await changes_under_load(urls, database, ids),
    }
    await database.close()
    if kept:
        keep(kept, more)


def keep(path: Path, more: Mapping[str, object]) -> None:
    """Add to the figures that `report` has kept."""
    path.write_text(json.dumps(json.loads(path.read_text()) | more, indent=1) + "\n")


async def point_reads(
    urls: Urls, database: Database, ids: Sequence[UUID], rounds: int, seconds: float
) -> list[Measurement]:
    """Measure ways to read one row by its key, in interleaved rounds."""
    async with (
        psycopg_pool.AsyncConnectionPool(
            urls.admin, min_size=POOL, max_size=POOL, kwargs={"autocommit": True}
        ) as owner,
        psycopg_pool.AsyncConnectionPool(
            urls.app, min_size=POOL, max_size=POOL, kwargs={"autocommit": True}
        ) as app,
    ):
        text = "select id, name, floor, facts from wards where clinic_id = %s and id = %s"

        async def plain(id_: UUID) -> object:
            async with owner.connection() as connection:
                cursor = connection.cursor(row_factory=args_row(Ward))
                await cursor.execute(text, (CLINIC, id_))
                return await cursor.fetchone()

        async def scoped(id_: UUID) -> object:
            async with app.connection() as connection, connection.transaction():
                await connection.execute("select set_config('cito.clinic_id', %s, true)", (str(CLINIC),))
                cursor = connection.cursor(row_factory=args_row(Ward))
                await cursor.execute(text, (CLINIC, id_))
                return await cursor.fetchone()

        async def ours(id_: UUID) -> object:
            return await FIND.one(database.reader(CLINIC), Key(CLINIC, id_))

        async def load(on: Executor, keys: Sequence[UUID]) -> Mapping[UUID, Ward]:
            return {ward.id: ward for ward in await MANY.all(on, Keys(CLINIC, list(keys)))}

        coalescer = Coalescer(load, database.reader)

        async def coalesced(id_: UUID) -> object:
            return await coalescer.get(CLINIC, id_)

        subjects = {
            PLAIN: plain,
            "psycopg pool, transaction and policy": scoped,
            "Cito reader (policy, one round trip)": ours,
            "Cito coalesced (policy)": coalesced,
        }
        measurements = []
        for _ in range(rounds):
            for callers in (1, 32):
                for name, read in subjects.items():
                    await pressed(name, read, ids, callers, 0.3)
                    measurements.append(await pressed(name, read, ids, callers, seconds))
        return measurements


async def pressed(name: str, read: Read, ids: Sequence[UUID], callers: int, seconds: float) -> Measurement:
    """Have so many callers read as fast as they are answered."""
    taken: list[float] = []
    ends = time.perf_counter() + seconds

    async def caller(at: int) -> None:
        while (begun := time.perf_counter()) < ends:
            at += 37
            if await read(ids[at % len(ids)]) is None:
                sys.exit(f"{name}: a row is missing")
            taken.append(time.perf_counter() - begun)

    cpu, begun = time.process_time(), time.perf_counter()
    await asyncio.gather(*(caller(n * 101) for n in range(callers)))
    elapsed, cpu = time.perf_counter() - begun, time.process_time() - cpu
    taken.sort()
    return Measurement(
        subject=name,
        connections=callers,
        requests_per_second=len(taken) / elapsed,
        p50_ms=taken[len(taken) // 2] * 1000,
        p99_ms=taken[int(len(taken) * 0.99)] * 1000,
        cpu_us_per_request=cpu / len(taken) * 1e6,
        errors=0,
    )


async def policy_cost(
    urls: Urls, found: Mapping[str, object], ids: Sequence[UUID], rounds: int, seconds: float
) -> dict[str, float]:
    """Compare a scoped read with the bare predicate in the same driver, over a delayed line."""
    with delayed(urls) as line:
        app = await Database.open(DatabaseSettings(pool_max=1), line.app, found)  # type: ignore[arg-type]
        bare = await Database.open(DatabaseSettings(pool_max=1), line.admin, found)  # type: ignore[arg-type]

        async def scoped(id_: UUID) -> object:
            return await FIND.one(app.reader(CLINIC), Key(CLINIC, id_))

        async def predicate_only(id_: UUID) -> object:
            command = bare.command("find_ward", Key(CLINIC, id_), tuple)
            connection = await bare.pool.acquire("find_ward")
            try:
                return (await connection.run((command,)))[0]
            finally:
                bare.pool.take_back(connection)

        ratios, medians = [], {"scoped": [], "predicate only": []}  # type: ignore[var-annotated]
        for _ in range(rounds):
            one = await pressed("predicate only", predicate_only, ids, 1, seconds)
            two = await pressed("scoped", scoped, ids, 1, seconds)
            medians["predicate only"].append(one.p50_ms)
            medians["scoped"].append(two.p50_ms)
            ratios.append(two.p50_ms / one.p50_ms)
        await app.close()
        await bare.close()
    print(
        f"\nRow-level security at {ROUND_TRIP_SECONDS * 1000} ms round trip: scoped read "
        f"{statistics.median(medians['scoped']):.2f} ms, predicate only "
        f"{statistics.median(medians['predicate only']):.2f} ms: {statistics.median(ratios):.2f}x "
        f"({min(ratios):.2f}-{max(ratios):.2f}); goal at most 1.3x"
    )
    return {"ratio": statistics.median(ratios), "round_trip_ms": ROUND_TRIP_SECONDS * 1000}


async def changes_under_load(urls: Urls, database: Database, ids: Sequence[UUID]) -> dict[str, float]:
    """Migrate and index a large table while others read and write it; find the longest that anyone waited."""
    fill(urls, CHANGED_ROWS)
    longest = {"read": 0.0, "write": 0.0}
    over = False

    async def worker(at: int) -> None:
        while not over:
            at += 37
            id_ = ids[at % len(ids)]
            begun = time.perf_counter()
            if at % 4:
                await FIND.one(database.reader(CLINIC), Key(CLINIC, id_))
                kind = "read"
            else:
                async with database.transaction(CLINIC) as tx:
                    await RENAME.one(tx, Rename(CLINIC, id_, f"again {at % len(ids)}"[:40]))
                kind = "write"
            longest[kind] = max(longest[kind], time.perf_counter() - begun)

    workers = [asyncio.create_task(worker(n * 101)) for n in range(8)]
    await asyncio.sleep(1)
    quiet = dict(longest)
    longest.update(read=0.0, write=0.0)
    begun = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        migrations = Path(folder) / "migrations"
        migrations.mkdir()
        (migrations / "change_0001_column.sql").write_text(
            "alter table wards add column place text not null default 'here';"
        )
        await migrate(urls.owner, [("change", Path(folder))])
    index = Index(name="wards_place", table="wards", serves=("find_ward",), because="the benchmark")
    await apply_indexes(
        urls.owner,
        [index],
        {index.name: "create index concurrently wards_place on wards (clinic_id, place, floor)"},
    )
    spent = time.perf_counter() - begun
    over = True
    await asyncio.gather(*workers)
    print(
        f"\nA column and an index on {CHANGED_ROWS + POINT_ROWS:,} rows under load: {spent:.1f} s; the longest read "
        f"took {longest['read'] * 1000:.0f} ms (before: {quiet['read'] * 1000:.0f}), the longest write "
        f"{longest['write'] * 1000:.0f} ms (before: {quiet['write'] * 1000:.0f})"
    )
    return {"seconds": spent, **{f"longest_{kind}_ms": value * 1000 for kind, value in longest.items()}}


def fill(urls: Urls, count: int) -> list[UUID]:
    """Add wards of one clinic and return some of their ids."""
    with psycopg.connect(urls.admin, autocommit=True) as admin:
        prefix = uuid4().hex[:6]
        admin.execute(
            "insert into wards select %s, gen_random_uuid(), %s || n, n from generate_series(1, %s) as n",
            (CLINIC, prefix, count),
        )
        admin.execute("truncate cito.outbox")
        admin.execute("vacuum analyze wards")
        return [id_ for (id_,) in admin.execute("select id from wards limit 5000")]


@contextlib.contextmanager
def delayed(urls: Urls) -> Iterator[Urls]:
    """The same server behind a line that holds each packet for half the round trip, each way."""
    target = f"{psycopg.conninfo.conninfo_to_dict(urls.admin)['host']}/.s.PGSQL.5432"
    with tempfile.TemporaryDirectory() as folder:
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(f"{folder}/.s.PGSQL.5432")
        listener.listen()
        proxy = multiprocessing.get_context("fork").Process(
            target=carry, args=(listener, target), daemon=True
        )
        proxy.start()
        try:
            yield Urls(
                *(
                    psycopg.conninfo.make_conninfo(url, host=folder)
                    for url in (urls.admin, urls.owner, urls.app)
                ),
                urls.cache,
            )
        finally:
            proxy.kill()


def carry(listener: socket.socket, target: str) -> None:
    """Carry bytes between each caller and the server, late: threads, as event loops count in milliseconds."""

    def one_way(source: socket.socket, sink: socket.socket) -> None:
        while data := source.recv(65536):
            time.sleep(ROUND_TRIP_SECONDS / 2)
            sink.sendall(data)

    while True:
        caller, _ = listener.accept()
        server = socket.socket(socket.AF_UNIX)
        server.connect(target)
        for pair in ((caller, server), (server, caller)):
            threading.Thread(target=one_way, args=pair, daemon=True).start()


if __name__ == "__main__":
    given = arguments(__doc__ or "")
    with tempfile.TemporaryDirectory() as own:
        Path(own).chmod(0o755)
        with running(Path(own)) as its:
            uvloop.run(main(its, given.rounds, given.seconds, given.json))
