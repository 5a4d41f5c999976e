"""Asks the catalogue whether the schema keeps clinics apart: policies, keys, views, functions, roles."""

from __future__ import annotations

from importlib.resources import files

import msgspec

from cito.core.database.owner import owner_connection
from cito.core.database.sql import read_queries


class Violation(msgspec.Struct, frozen=True):
    """A rule of tenancy that something breaks, and what to do about it."""

    name: str
    broken: str
    remedy: str


async def tenancy_violations(owner_url: str) -> list[Violation]:
    """Return what would let one clinic's rows, or their existence, show in another; empty: nothing does.

    A table with a column `clinic_id` belongs to clinics; one without is shared by all.
    """
    asked = read_queries(files("cito.sql") / "core" / "tenancy.sql")["tenancy_violations"].text
    async with owner_connection(owner_url) as connection:
        rows = await (await connection.execute(asked.encode())).fetchall()
    return [Violation(*row) for row in rows]
