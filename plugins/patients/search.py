"""One page of a search: the optimised way, and its naive twin."""

from __future__ import annotations

import math

import msgspec

from cito.core.declarations import Executor
from cito.plugins.patients.criteria import Criteria
from cito.plugins.patients.models import FoundPatient, FoundPatients, Match, Pagination
from cito.plugins.patients.queries import (
    FoundRow,
    NaiveSearch,
    Search,
    naive_search_patients,
    search_patients,
)

CAP = 1000
DEFAULT_LIMIT, MOST_LIMIT = 20, 100
TIERS = ("", "identifier", "exact", "transposed", "tokens", "prefix", "substring", "fuzzy", "nickname")


async def search(on: Executor, asked: Criteria, status: str, page: int, limit: int) -> FoundPatients:
    """Return one page of those patients of the executor's clinic that match all parts of `asked`.

    Args:
        on: bound to the clinic.
        asked: see `interpret`; empty lists everybody by name.
        status: `active`, `inactive`, `deceased` or `any`.
        page: from 1; beyond the last, or the cap of 1,000, it is empty.
        limit: patients on a page, 1 to 100.
    """
    assert on.clinic_id is not None
    skip, take = _window(page, limit)
    rows = await search_patients.all(
        on,
        Search(
            clinic_id=on.clinic_id,
            words=asked.words,
            record_id=asked.record_id,
            code=asked.code,
            number=asked.number,
            phone_e164=asked.phone_e164,
            phone_digits=asked.phone_digits,
            email=asked.email,
            born=asked.born,
            number_born=asked.number_born,
            parts=asked.facts,
            status=status,
            skip=skip,
            take=take,
        ),
    )
    return _page(rows, page, limit)


async def search_naively(on: Executor, name: str, status: str, page: int, limit: int) -> FoundPatients:
    """Return what a pattern over both orders of a name finds: baseline of the benchmark, never a better answer."""
    assert on.clinic_id is not None
    skip, take = _window(page, limit)
    pattern = f"%{name.strip()}%"
    rows = await naive_search_patients.all(
        on, NaiveSearch(clinic_id=on.clinic_id, pattern=pattern, status=status, skip=skip, take=take)
    )
    return _page(rows, page, limit)


def _window(page: int, limit: int) -> tuple[int, int]:
    skip = min((page - 1) * limit, CAP)
    return skip, min(limit, CAP - skip)


def _page(rows: list[FoundRow], page: int, limit: int) -> FoundPatients:
    found = rows[0].total if rows else 0
    total = min(found, CAP)
    patients = [_with_match(row.patient, row) for row in rows if row.patient is not None]
    pages = math.ceil(total / limit)
    return FoundPatients(patients, Pagination(page, limit, total, found > CAP, pages))


def _with_match(patient: FoundPatient, row: FoundRow) -> FoundPatient:
    if not row.tier:
        return patient
    match = Match(TIERS[row.tier], round(row.score or 0.0, 4), tuple(row.matched or ()))
    return msgspec.structs.replace(patient, match=match)
