"""Demo data: clinics, staff, nicknames, and as many patients as asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from importlib.resources import files
from typing import Any

import msgspec
import psycopg

from cito.core.database.sql import read_queries
from cito.core.ids import new_id
from cito.plugins.patients.clinics import DEMO_CLINICS, DEMO_STAFF, demo_clinics
from cito.plugins.patients.models import Clinic
from cito.plugins.patients.people import people

DEFAULT_PATIENTS = 2_000
MOST_PER_CLINIC = 25_000
_BATCH = 10_000
_SQL = read_queries(files("cito.sql") / "patients" / "admin.sql")
Progress = Callable[[int, int], None]
Connection = psycopg.AsyncConnection[Any]


async def load_clinics(connection: Connection, _: int | None, progress: Progress) -> None:
    """Add the demo clinics and a member of staff for each role, where they are missing."""
    await _add_clinics(connection, DEMO_CLINICS)
    progress(len(DEMO_CLINICS), len(DEMO_CLINICS))


async def load_patients(
    connection: Connection, count: int | None, progress: Progress, *, most_per_clinic: int = MOST_PER_CLINIC
) -> None:
    """Fill the demo clinics up to `count` patients in all; those that are there stay.

    More people than four clinics can have become patients of further branches: clinics do not grow without end.
    People are copied into a staging table and inserted from it: COPY does not pass row-level security.
    """
    wanted = DEFAULT_PATIENTS if count is None else count
    clinics = demo_clinics(max(len(DEMO_CLINICS), -(-wanted // most_per_clinic)))
    await _add_clinics(connection, clinics)
    await _run(connection, "create_staging")
    share, done = -(-wanted // len(clinics)), 0
    for clinic in clinics:
        there = await _number(connection, "next_number", clinic.id)
        mine = min(share, wanted - done)
        for first in range(there, mine, _BATCH):
            size = min(_BATCH, mine - first)
            async with connection.cursor() as cursor, cursor.copy(_SQL["copy_staging"].text.encode()) as copy:
                for person in people(first, size, clinic):
                    await copy.write_row((new_id(), new_id(), new_id(), *msgspec.structs.astuple(person)))
            for name in ("add_staged_patients", "add_staged_contacts", "add_staged_insurance"):
                await _run(connection, name, clinic.id)
            await _run(connection, "empty_staging")
            progress(done + first + size, wanted)
        done += max(mine, 0)
    await _run(connection, "drop_staging")


async def _add_clinics(connection: Connection, clinics: Iterable[Clinic]) -> None:
    for clinic in clinics:
        await _run(
            connection, "add_clinic", clinic.id, clinic.name, clinic.time_zone, clinic.region, clinic.locale
        )
        for member in DEMO_STAFF:
            await _run(connection, "add_staff", clinic.id, new_id(), member.subject, member.name, member.role)


async def _run(connection: Connection, name: str, *values: object) -> None:
    async with psycopg.AsyncRawCursor(connection) as cursor:
        await cursor.execute(_SQL[name].text.encode(), values)


async def _number(connection: Connection, name: str, *values: object) -> int:
    async with psycopg.AsyncRawCursor(connection) as cursor:
        await cursor.execute(_SQL[name].text.encode(), values)
        row = await cursor.fetchone()
    assert row is not None
    return int(row[0])
