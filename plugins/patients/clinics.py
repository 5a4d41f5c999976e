"""Demonstration clinics with ids that never change, and the list of all clinics."""

from __future__ import annotations

from importlib.resources import files
from uuid import UUID

import msgspec
import psycopg

from cito.core.database.sql import read_queries
from cito.plugins.patients.models import Clinic


class StaffMember(msgspec.Struct, frozen=True):
    """Someone who works at a clinic; `subject` is the token's `sub`."""

    subject: str
    name: str
    role: str


# The first has no locale on purpose: there 03/04/2004 is refused, at the others their locale decides.
DEMO_CLINICS = (
    Clinic(
        UUID("01900000-0000-7000-8000-000000000001"), "Riverside Clinic", "America/Los_Angeles", "US", None
    ),
    Clinic(UUID("01900000-0000-7000-8000-000000000002"), "Lakeview Clinic", "America/Chicago", "US", "en-US"),
    Clinic(UUID("01900000-0000-7000-8000-000000000003"), "Harbour Surgery", "Europe/London", "GB", "en-GB"),
    Clinic(UUID("01900000-0000-7000-8000-000000000004"), "Palm Avenue School", "Africa/Lagos", "NG", "en-NG"),
)

DEMO_STAFF = tuple(
    StaffMember(f"demo-{role}", f"Demo {role.capitalize()}", role)
    for role in ("nurse", "doctor", "pharmacist", "clerk")
)


def demo_clinics(how_many: int) -> list[Clinic]:
    """Return the first demo clinics and, beyond them, as many branches of the first as it takes, ids in order."""
    branches = (
        Clinic(
            UUID(int=DEMO_CLINICS[0].id.int + number),
            f"Riverside Clinic, branch {number + 1}",
            DEMO_CLINICS[0].time_zone,
            DEMO_CLINICS[0].region,
            DEMO_CLINICS[0].locale,
        )
        for number in range(len(DEMO_CLINICS), how_many)
    )
    return [*DEMO_CLINICS[:how_many], *branches]


async def list_clinics(owner_url: str) -> list[Clinic]:
    """Return all clinics by name: what `cito clinics` shows.

    Args:
        owner_url: PostgreSQL as `cito_owner`, the only role that sees more than one clinic.
    """
    query = read_queries(files("cito.sql") / "patients" / "admin.sql")["list_clinics"]
    async with await psycopg.AsyncConnection.connect(owner_url) as connection:
        rows = await (await connection.execute(query.text.encode())).fetchall()
    return [Clinic(*row) for row in rows]
