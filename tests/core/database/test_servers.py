"""Other servers than a quiet one: restarted under load, behind a pooler, with a replica."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from uuid import uuid4

import msgspec
import psycopg
import pytest

from cito.core.database import errors
from cito.core.database.migrations import migrate
from cito.core.database.pool import Database
from cito.core.database.query import Query
from cito.core.embedded import POSTGRES_BIN, Embedded
from cito.core.settings import DatabaseSettings

PGBOUNCER = os.environ.get("PGBOUNCER") or shutil.which(
    "pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin"
)
A = uuid4()
SOURCES = [("core", files("cito.sql") / "core"), ("wards", Path(__file__).parent / "wards")]


class Nothing(msgspec.Struct):
    pass


class Position(msgspec.Struct):
    position: str


def carries_prepared_statements() -> bool:
    """PgBouncer from 1.21 on, where it is told to."""
    said = subprocess.run([str(PGBOUNCER), "--version"], capture_output=True, text=True, check=True).stdout
    major, minor = said.split()[1].split(".")[:2]
    return (int(major), int(minor)) >= (1, 21)


@pytest.fixture(params=[0, 100], ids=["plain", "prepared"])
def pooled(wards, home, request) -> Iterator[str]:
    """The URL of a PgBouncer in transaction mode in front of the tests' own PostgreSQL, with few connections."""
    if PGBOUNCER is None:
        pytest.skip("pgbouncer is not installed (Debian: apt-get install pgbouncer)")
    carries = carries_prepared_statements()
    if request.param and not carries:
        pytest.skip("prepared statements need PgBouncer 1.21; the variable PGBOUNCER may name another binary")
    app = psycopg.conninfo.conninfo_to_dict(wards.urls.app)
    folder = home / f"bouncer-{uuid4().hex[:8]}"
    folder.mkdir()
    (folder / "users").write_text(f'"{app["user"]}" "{app["password"]}"\n')
    settings = {
        "listen_addr": "",
        "unix_socket_dir": folder,
        "listen_port": 6432,
        "auth_type": "plain",
        "auth_file": folder / "users",
        "pool_mode": "transaction",
        "default_pool_size": 2,
        "logfile": folder / "log",
    } | ({"max_prepared_statements": request.param} if carries else {})
    lines = ["[databases]", f"{app['dbname']} = host={app['host']} dbname={app['dbname']}", "[pgbouncer]"]
    lines += [f"{key} = {value}" for key, value in settings.items()]
    (folder / "bouncer.ini").write_text("\n".join(lines))
    root = {"user": 65534, "group": 65534, "extra_groups": []} if os.geteuid() == 0 else {}
    if root:
        for path in (folder, *folder.iterdir()):
            os.chown(path, 65534, 65534)
    with subprocess.Popen([PGBOUNCER, "-q", folder / "bouncer.ini"], **root) as bouncer:
        url = f"postgresql://{app['user']}:{app['password']}@/{app['dbname']}?host={folder}&port=6432"
        for _ in range(100):
            with contextlib.suppress(psycopg.OperationalError):
                psycopg.connect(url).close()
                break
            assert bouncer.poll() is None, (folder / "log").read_text()
            time.sleep(0.02)
        yield url
        bouncer.terminate()


async def test_through_a_pooler_in_transaction_mode_clinics_stay_apart_and_statements_prepared(wards, pooled):
    """Eight of our connections over two of the pooler's: each transaction may land on either."""
    clinics = [uuid4() for _ in range(6)]
    async with wards.open(pooled, pool_max=8) as database:
        own = {clinic: await wards.new(database, clinic, f"Ward of {clinic}"[:40]) for clinic in clinics}

        async def caller(clinic) -> None:
            for n in range(30):
                key = wards.WardKey(clinic, own[clinic])
                assert (await wards.find.one(database.reader(clinic), key)).id == own[clinic]
                seen = await wards.unfiltered.all(database.reader(clinic), wards.Nothing())
                assert [w.clinic_id for w in seen] == [clinic]
                if n % 10 == 0:
                    async with database.transaction(clinic) as tx:
                        await wards.rename.one(tx, wards.Rename(clinic, key.id, f"{n} {clinic}"[:40]))
                        await wards.find.one(tx, key)

        await asyncio.gather(*(caller(clinic) for clinic in clinics * 3))
        with pytest.raises(errors.UniqueViolation):
            async with database.transaction(clinics[0]) as tx:
                await wards.add.run(tx, wards.NewWard(clinics[0], own[clinics[0]], "x"))
        assert await wards.unfiltered.all(database.reader(None), wards.Nothing()) == []
    name = psycopg.conninfo.conninfo_to_dict(wards.urls.app)["dbname"]
    backends = "select count(*) from pg_stat_activity where datname = %s and usename = 'cito_app'"
    assert wards.admin(backends, name)[0][0] <= 2


async def test_a_transaction_that_meets_a_server_which_knows_half_its_statements(wards, pooled):
    """The first statements are known there from another of our processes, a later one is not."""
    async with wards.open(pooled, pool_max=1) as one, wards.open(pooled, pool_max=1) as two:

        async def pause_and_find(database) -> None:
            async with database.transaction(A) as tx:
                await wards.sleep.one(tx, wards.Seconds(0))
                await wards.find.one(tx, wards.WardKey(A, A))

        await pause_and_find(one)
        async with await psycopg.AsyncConnection.connect(pooled) as holder:
            await holder.execute("select 1")  # and keeps the server that `one` has met
            async with two.transaction(A) as tx:
                await wards.sleep.one(tx, wards.Seconds(0))
            await pause_and_find(one)


async def test_it_is_found_out_whether_a_pooler_carries_prepared_statements(wards, pooled, request):
    carried = "prepared]" in request.node.name
    async with wards.open(pooled, pool_max=1) as database:
        connection = await database.pool.acquire("find_ward")
        assert (connection.through_pooler, connection.prepares) == (True, carried)
        database.pool.take_back(connection)
    async with wards.open(pool_max=1) as database:
        connection = await database.pool.acquire("find_ward")
        assert (connection.through_pooler, connection.prepares) == (False, True)
        database.pool.take_back(connection)


async def test_a_changed_table_does_not_trouble_reads_through_a_pooler(wards, pooled):
    """A pooler that prepares for us keeps the stale plan; the reads go on without being prepared."""
    async with wards.open(pooled, pool_max=2) as database:
        key = wards.WardKey(A, await wards.new(database, A, "East", floor=2))
        for kind in ("bigint", "integer", "bigint"):
            assert (await wards.find.one(database.reader(A), key)).floor == 2
            wards.admin(f"alter table wards alter column floor type {kind}")
        assert (await wards.find.one(database.reader(A), key)).floor == 2


async def test_a_cancelled_read_through_a_pooler_harms_nobody(wards, pooled):
    async with wards.open(pooled, pool_max=2) as database:
        ward = await wards.new(database, A, "East")
        for _ in range(10):
            task = asyncio.create_task(wards.sleep.one(database.reader(A), wards.Seconds(0.02)))
            await asyncio.sleep(0.002)
            task.cancel()
            assert (await wards.find.one(database.reader(A), wards.WardKey(A, ward))).id == ward


async def test_after_a_restart_of_the_server_the_first_call_succeeds(home, figure):
    """There is no back-off to wait out: while it is away callers are told so, then it is simply there."""
    elsewhere = home / "restarted"
    server = Embedded(elsewhere, durable=False)
    urls = server.start(["postgres"])
    try:
        await migrate(urls.owner, SOURCES)
        settings = DatabaseSettings(acquire_timeout_seconds=0.5)
        database = await Database.open(settings, urls.app, {})
        reader = database.reader(None)
        position = Query("wal_position", Nothing, Position)
        assert await position.one(reader, Nothing())
        await asyncio.to_thread(server.stop)
        for _ in range(3):
            with pytest.raises(errors.ConnectionLost):
                await position.one(reader, Nothing())
        await asyncio.to_thread(server.start, ["postgres"])
        begun = time.perf_counter()
        assert await position.one(reader, Nothing())
        figure(f"after a restart of PostgreSQL the first read took {time.perf_counter() - begun:.3f} s")
        assert database.figures().active == 0
        await database.close()
    finally:
        server.stop()


@pytest.fixture(scope="module")
def standby(urls, home) -> Iterator[str]:
    """The folder of a streaming replica of the tests' own server; `standby(url)` gives a URL on it."""
    folder = home / "standby"
    as_nobody = {"user": 65534, "group": 65534, "extra_groups": []} if os.geteuid() == 0 else {}
    folder.mkdir(mode=0o700)
    if as_nobody:
        os.chown(folder, 65534, 65534)
    parts = psycopg.conninfo.conninfo_to_dict(urls.admin)
    subprocess.run(
        [
            POSTGRES_BIN / "pg_basebackup",
            "-R",
            "-X",
            "stream",
            "-c",
            "fast",
            "-D",
            folder,
            "-h",
            parts["host"],
            "-U",
            parts["user"],
        ],
        env={**os.environ, "PGPASSWORD": parts["password"]},
        check=True,
        **as_nobody,
    )
    with subprocess.Popen(
        [
            POSTGRES_BIN / "postgres",
            "-D",
            folder,
            "-h",
            "",
            "-k",
            folder,
            "-c",
            "hot_standby=on",
            "-c",
            "shared_buffers=16MB",
            "-c",
            "fsync=off",
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        **as_nobody,
    ) as server:

        def on(url: str) -> str:
            return psycopg.conninfo.make_conninfo(url, host=str(folder))

        wait_for(lambda: psycopg.connect(on(urls.on("postgres").admin)).close())
        yield on
        server.send_signal(signal.SIGQUIT)


def wait_for(action) -> None:
    """Try until it works; the test's own time limit ends an endless wait."""
    while True:
        with contextlib.suppress(psycopg.Error):
            action()
            return
        time.sleep(0.02)


@pytest.fixture
async def replicated(wards, standby):
    """A database with a replica that has the test's own database already."""
    name = psycopg.conninfo.conninfo_to_dict(wards.urls.app)["dbname"]
    # The tests' server answers commits before it writes them; nobody replays what is not written.
    wards.admin(f"alter database {name} set synchronous_commit = on")
    replica = standby(wards.urls.app)
    wait_for(lambda: psycopg.connect(replica).close())
    async with wards.open(replicas=(replica,)) as database:
        yield database, standby(wards.urls.admin)


async def settled(database, wards, ward) -> None:
    """Read until the replica answers."""
    before = database.replicas.figures()[0].answered
    while database.replicas.figures()[0].answered == before:
        await wards.find.one(database.reader(A), wards.WardKey(A, ward))
        await asyncio.sleep(0.01)


async def test_a_replica_that_has_replayed_answers(wards, replicated):
    database, _ = replicated
    ward = await wards.new(database, A, "East")
    await settled(database, wards, ward)
    assert database.replicas.figures()[0].state == "serving"


async def test_a_session_sees_its_own_write_while_the_replica_stands_still(wards, replicated):
    database, admin = replicated
    ward = await wards.new(database, A, "East")
    await settled(database, wards, ward)
    with psycopg.connect(admin, autocommit=True) as replica:
        replica.execute("select pg_wal_replay_pause()")
        wait_for(lambda: one(replica, "select 1 / (pg_get_wal_replay_pause_state() = 'paused')::int"))
        try:
            for n in range(5):
                async with database.transaction(A) as tx:
                    await wards.rename.one(tx, wards.Rename(A, ward, f"East {n}"))
                assert (await wards.find.one(database.reader(A), wards.WardKey(A, ward))).name == f"East {n}"
            figures = database.replicas.figures()[0]
            assert (figures.state, figures.behind >= 1) == ("behind", True)
        finally:
            replica.execute("select pg_wal_replay_resume()")
    await settled(database, wards, ward)


async def test_no_read_is_older_than_its_beginning(wards, replicated):
    """One writer counts up; every reader sees at least what was committed when it began."""
    database, _ = replicated
    ward = await wards.new(database, A, "0")
    committed = 0

    async def write() -> None:
        nonlocal committed
        for n in range(1, 60):
            async with database.transaction(A) as tx:
                await wards.rename.one(tx, wards.Rename(A, ward, str(n)))
            committed = n
            await asyncio.sleep(0.002)

    async def read() -> None:
        while committed < 59:
            before = committed
            found = await wards.find.one(database.reader(A), wards.WardKey(A, ward))
            assert int(found.name) >= before

    await asyncio.gather(write(), *(read() for _ in range(4)))
    assert database.replicas.figures()[0].answered > 0


async def test_a_dead_replica_costs_no_read_and_is_noticed(wards, caplog):
    async with wards.open(replicas=("postgresql:///nothing?host=/nowhere",)) as database:
        ward = await wards.new(database, A, "East")
        for _ in range(20):
            assert await wards.find.one(database.reader(A), wards.WardKey(A, ward))
        figures = database.replicas.figures()[0]
        assert (figures.state, figures.failed, figures.answered) == ("gone", 1, 0)
        assert "replica is gone" in caplog.text


async def test_decisions_read_the_primary(wards, replicated):
    database, _ = replicated
    ward = await wards.new(database, A, "East")
    await settled(database, wards, ward)
    before = database.replicas.figures()
    await wards.find.one(database.reader(A, primary=True), wards.WardKey(A, ward))
    assert database.replicas.figures() == before


def one(connection, statement):
    return connection.execute(statement).fetchone()[0]
