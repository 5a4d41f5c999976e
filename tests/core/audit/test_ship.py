from __future__ import annotations

import asyncio
import random
from datetime import UTC, date, datetime
from pathlib import Path
from uuid import UUID

import psycopg
import pytest

from cito.core.audit.journal import Journal
from cito.core.audit.retention import retire
from cito.core.audit.ship import SHIP_SECONDS, Shipper
from cito.core.audit.store import store, store_directly
from cito.core.audit.sync import wait_until_shipped
from cito.core.embedded import Urls

from .conftest import KEY, NOVEMBER, checked, entry, ship

THINGS = "select count(distinct resource_id) from cito.audit_event where resource = 'patients'"


def files(folder: Path) -> list[Path]:
    return list(folder.glob("*.journal"))


def value(url: str, statement: str) -> object:
    with psycopg.connect(url) as connection:
        row = connection.execute(statement).fetchone()
        assert row is not None
        return row[0]


async def test_each_patient_of_an_access_is_a_row(audited: Urls, folder: Path) -> None:
    journal = Journal(folder)
    search, nothing = entry(1, patients=3), entry(2, patients=0)
    journal.write(search)
    journal.write(nothing)
    assert await ship(folder, audited) == 1 + 3 + 1
    with psycopg.connect(audited.app) as connection:
        rows = connection.execute(
            "select patient_id, request_id, occurred_at, actor, purpose, ordinal from cito.audit_event"
            " where resource = 'patients' order by sequence, ordinal"
        ).fetchall()
    assert [row[0] for row in rows] == [*search.patients, None]
    assert [row[1] for row in rows] == ["request-1"] * 3 + ["request-2"]
    assert rows[0][2] == datetime.fromtimestamp(search.occurred_ns / 1e9, UTC)
    assert rows[0][3:5] == ("staff-1", "TREAT")


async def test_shipped_journals_are_removed_and_verify(audited: Urls, folder: Path) -> None:
    journal = Journal(folder, segment_bytes=8_192)
    for number in range(200):
        journal.write(entry(number, patients=number % 3))
    journal.close()
    await ship(folder, audited)
    assert not files(folder)
    verdict = await checked(audited)
    assert verdict.faults == []
    assert verdict.chains > 5
    assert value(audited.app, THINGS) == 200


async def test_a_killed_writers_journal_is_closed_shipped_and_removed(audited: Urls, folder: Path) -> None:
    journal = Journal(folder)
    journal.write(entry())
    segment = journal._segment
    assert segment is not None
    segment.close()  # what the kernel does when a process is killed
    await ship(folder, audited)
    await ship(folder, audited)
    assert not files(folder)
    assert (await checked(audited)).faults == []


async def test_sending_again_after_a_crash_adds_nothing(audited: Urls, folder: Path) -> None:
    journal = Journal(folder)
    for number in range(10):
        journal.write(entry(number))
    [path] = files(folder)
    before = path.read_bytes()
    await ship(folder, audited)
    path.write_bytes(before)  # the shipper died before it could note what it had shipped
    for number in range(10, 15):
        journal.write(entry(number))
    journal.close()
    await ship(folder, audited)
    assert value(audited.app, THINGS) == 15
    assert (await checked(audited)).faults == []


async def test_a_database_that_goes_away_loses_nothing(audited: Urls, folder: Path) -> None:
    journal = Journal(folder, segment_bytes=16_384)
    shipper = asyncio.create_task(Shipper(folder, audited.app, KEY).run(0.005))
    for number in range(300):
        journal.write(entry(number))
        if number % 60 == 30:
            with psycopg.connect(audited.admin, autocommit=True) as admin:
                admin.execute(
                    "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'cito audit'"
                )
        await asyncio.sleep(0.002)
    journal.close()
    assert await wait_until_shipped(folder, 30)
    shipper.cancel()
    await asyncio.gather(shipper, return_exceptions=True)
    assert value(audited.app, THINGS) == 300
    assert (await checked(audited)).faults == []


async def test_requests_come_first_the_less_the_more_is_waiting(audited: Urls, folder: Path) -> None:
    shipper = Shipper(folder, audited.app, KEY)
    assert shipper.pause_seconds(0, 0.04) == SHIP_SECONDS
    assert shipper.pause_seconds(1_000, 0.04) == pytest.approx(0.36)
    assert shipper.pause_seconds(1_000, 40) == 0.5
    journals: list[Journal] = []
    async with store(audited.app) as database:
        for expected in (0.18, 0.0):
            journals += [Journal(folder) for _ in range(16)]
            for journal in journals:
                journal.write(entry(1))
            await shipper.ship_once(database)
            assert shipper.pause_seconds(1_000, 0.04) == pytest.approx(expected)
    for journal in journals:
        journal.close()


async def test_two_shippers_take_turns(audited: Urls, folder: Path) -> None:
    journal = Journal(folder)
    first = asyncio.create_task(Shipper(folder, audited.app, KEY).run(0.005))
    await asyncio.sleep(0)
    second = asyncio.create_task(Shipper(folder, audited.app, KEY).run(0.005))
    journal.write(entry(1))
    assert await wait_until_shipped(folder, 30)
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    journal.write(entry(2))
    journal.close()
    assert await wait_until_shipped(folder, 30)
    second.cancel()
    await asyncio.gather(second, return_exceptions=True)
    assert value(audited.app, THINGS) == 2


async def test_waiting_gives_up_without_a_shipper(folder: Path) -> None:
    journal = Journal(folder)
    journal.write(entry())
    assert not await wait_until_shipped(folder, 0.05)


async def test_a_write_without_a_journal_is_a_chain_of_its_own(audited: Urls) -> None:
    await store_directly(audited.app, KEY, entry(patients=2))
    verdict = await checked(audited)
    assert (verdict.rows, verdict.chains, verdict.faults) == (4, 1, [])


TAMPERINGS = {
    "an edited actor": "update cito.audit_event set actor = 'somebody-else' where sequence = 7",
    "an edited time": "update cito.audit_event set occurred_at = occurred_at + interval '1 us' where sequence = 7",
    "an edited id": "update cito.audit_event set id = gen_random_uuid() where sequence = 7",
    "a missing row": "delete from cito.audit_event where sequence = 7",
    "a missing patient of several": "delete from cito.audit_event where sequence = 8 and ordinal = 1",
    "a missing last patient": "delete from cito.audit_event where sequence = 8 and ordinal = 2",
    "a missing beginning": "delete from cito.audit_event where sequence = 0",
    "a missing end": "delete from cito.audit_event where sequence >= 10",
    "two rows swapped": (
        "update cito.audit_event set sequence = case sequence when 5 then 906 else 905 end where sequence in (5, 6);"
        "update cito.audit_event set sequence = sequence - 900 where sequence in (905, 906)"
    ),
    "an added row": (
        "insert into cito.audit_event select occurred_at, gen_random_uuid(), 'x', role, clinic_id, action, outcome,"
        " resource, resource_id, patient_id, request_id, trace_id, purpose, chain, sequence, 9, seal"
        " from cito.audit_event where sequence = 7 and ordinal = 0"
    ),
    "a row edited and sealed without the key": (
        "update cito.audit_event set actor = 'x', seal = sha256(actor::bytea) where sequence = 9"
    ),
    "a chain removed whole": (
        "delete from cito.audit_event where chain = (select chain from cito.audit_event"
        " where action = 'chain.opened' and resource_id is null)"
    ),
}


@pytest.mark.parametrize("statement", TAMPERINGS.values(), ids=TAMPERINGS.keys())
async def test_tampering_is_found(audited: Urls, folder: Path, statement: str) -> None:
    for _ in range(2):
        journal = Journal(folder)
        for number in range(9):
            journal.write(entry(number, patients=3))
        journal.close()
    await ship(folder, audited)
    assert (await checked(audited)).faults == []
    with psycopg.connect(audited.admin, autocommit=True) as admin:
        for one in statement.split(";"):
            admin.execute(one.encode())
    assert (await checked(audited)).faults != []


@pytest.mark.full
async def test_every_single_edit_of_many_is_found(audited: Urls, folder: Path) -> None:
    journal = Journal(folder)
    for number in range(100):
        journal.write(entry(number, patients=2))
    journal.close()
    await ship(folder, audited)
    chance = random.Random(5)
    with psycopg.connect(audited.admin, autocommit=True) as admin:
        for _ in range(100):
            column = chance.choice(["actor", "role", "resource_id", "request_id", "trace_id", "purpose"])
            where = {"sequence": chance.randrange(1, 101), "ordinal": chance.randrange(2)}
            statement = f"update cito.audit_event set {column} = %(to)s where sequence = %(sequence)s and ordinal = %(ordinal)s"
            old = admin.execute(
                f"select {column} from cito.audit_event where sequence = %(sequence)s and ordinal = %(ordinal)s".encode(),
                where,
            ).fetchone()
            assert old is not None
            admin.execute(statement.encode(), {**where, "to": "changed"})
            assert len((await checked(audited)).faults) == 1
            admin.execute(statement.encode(), {**where, "to": old[0]})
    assert (await checked(audited)).faults == []


@pytest.mark.parametrize(
    "statement",
    [
        "update cito.audit_event set actor = 'x'",
        "delete from cito.audit_event",
        "truncate cito.audit_event",
        "update cito.audit_event_202611 set actor = 'x'",
        "delete from cito.audit_event_202611",
        "select count(*) from cito.audit_event_202611",
        "insert into cito.audit_retention (month, rows) values ('2026-11-01', 1)",
        "alter table cito.audit_event disable row level security",
        "drop table cito.audit_event",
    ],
)
async def test_the_application_can_only_append(audited: Urls, folder: Path, statement: str) -> None:
    journal = Journal(folder, now_ns=lambda: NOVEMBER)
    journal.write(entry())
    await ship(folder, audited)
    with psycopg.connect(audited.app) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute(statement.encode())


async def test_an_auditor_of_one_clinic_sees_that_clinic_only(audited: Urls, folder: Path) -> None:
    journal = Journal(folder)
    for number in range(4):
        journal.write(entry(number))
    await ship(folder, audited)
    with psycopg.connect(audited.app) as connection:
        connection.execute(
            "select set_config('cito.clinic_id', %s, true)", ["00000000-0000-0000-0000-000000000001"]
        )
        seen = connection.execute(
            "select count(*), count(distinct clinic_id) from cito.audit_event"
        ).fetchone()
        assert seen == (4, 1)
        connection.execute(
            "select set_config('cito.clinic_id', %s, true)", ["00000000-0000-0000-0000-000000000002"]
        )
        assert connection.execute("select count(*) from cito.audit_event").fetchone() == (0,)


async def test_retention_removes_whole_months_and_still_verifies(audited: Urls, folder: Path) -> None:
    now = datetime.now(UTC)
    day_ns = 86_400_000_000_000
    moments = [int(now.timestamp()) * 1_000_000_000 - days * day_ns for days in (130, 95, 0)]
    for at_ns in moments:
        journal = Journal(folder, now_ns=lambda at_ns=at_ns: at_ns)  # type: ignore[misc]
        journal.write(entry(at_ns=at_ns))
        journal.close()
    await ship(folder, audited)
    async with store(audited.owner) as database:
        expected = [month for _, month, _ in await database.months()][:-1]
        assert [month for month, _ in await retire(database, now, 1, dry_run=True)] == expected
        assert [month for month, _ in await retire(database, now, 1)] == expected
        assert await database.removed_months() == set(expected)
        assert await retire(database, now, 1) == []
        with pytest.raises(ValueError, match="at least one month"):
            await retire(database, now, 0)
    assert date(now.year, now.month, 1) not in expected
    assert value(audited.app, THINGS) == 1


async def test_a_journal_that_cannot_be_read_does_not_stop_the_others(audited: Urls, folder: Path) -> None:
    journal = Journal(folder)
    journal.write(entry())
    (folder / f"{UUID(int=7)}.journal").write_bytes(b"x" * 100)
    assert await ship(folder, audited) == 2


async def test_a_torn_end_is_replaced_by_the_closing_record(audited: Urls, folder: Path) -> None:
    journal = Journal(folder)
    for number in range(3):
        journal.write(entry(number))
    segment = journal._segment
    assert segment is not None
    segment.map[segment.end - 5] ^= 1  # a power cut
    segment.close()
    await ship(folder, audited)
    await ship(folder, audited)
    assert value(audited.app, THINGS) == 2
    assert (await checked(audited)).faults == []
    assert not files(folder)
