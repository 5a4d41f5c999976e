"""Who stands on one page of a search: the optimised way, and its naive twin."""

from __future__ import annotations

from typing import Any

from cito.core.declarations import Executor
from cito.core.http.paging import RANKED_CAP, page_size, paginate
from cito.plugins.patients.criteria import Criteria
from cito.plugins.patients.models import Hit, Hits, Match
from cito.plugins.patients.queries import (
    FoundRow,
    Listing,
    NaiveSearch,
    NameSearch,
    Search,
    list_patients,
    naive_search_patients_by_name,
    search_patients,
    search_patients_by_name,
)

_FACTS = tuple(field for field in Criteria.__struct_fields__ if field != "words")
TIERS = ("", "identifier", "exact", "transposed", "tokens", "prefix", "substring", "fuzzy", "nickname")


async def search(on: Executor, asked: Criteria, status: str, page: int, limit: int) -> Hits:
    """Return one page of those patients of the executor's clinic that match all parts of `asked`.

    Args:
        on: bound to the clinic.
        asked: see `interpret`; empty lists everybody by name.
        status: `active`, `inactive`, `deceased` or `any`.
        page: from 1; beyond the last, or the cap of 1,000, it is empty.
        limit: patients on a page, 1 to 100.
    """
    assert on.clinic_id is not None
    skip, take = page_size(page, limit, cap=RANKED_CAP)
    window: dict[str, Any] = {"clinic_id": on.clinic_id, "status": status, "skip": skip, "take": take}
    if asked.facts:
        facts: dict[str, Any] = {field: getattr(asked, field) for field in _FACTS}
        everything = Search(**window, **facts, words=asked.words, parts=asked.facts)
        rows = await search_patients.all(on, everything)
    elif asked.words:
        rows = await search_patients_by_name.all(on, NameSearch(**window, words=asked.words))
    else:
        rows = await list_patients.all(on, Listing(**window))
    return _page(rows, page, limit)


async def search_naively(on: Executor, name: str, status: str, page: int, limit: int) -> Hits:
    """Return what a pattern over both orders of a name finds: baseline of the benchmark, never a better answer."""
    assert on.clinic_id is not None
    skip, take = page_size(page, limit, cap=RANKED_CAP)
    pattern = f"%{name.strip()}%"
    rows = await naive_search_patients_by_name.all(
        on, NaiveSearch(clinic_id=on.clinic_id, pattern=pattern, status=status, skip=skip, take=take)
    )
    return _page(rows, page, limit)


def _page(rows: list[FoundRow], page: int, limit: int) -> Hits:
    total = rows[0].total if rows else 0
    hits = [Hit(row.id, _match(row)) for row in rows if row.id is not None]
    return Hits(hits, paginate(page, limit, total, cap=RANKED_CAP))


def _match(row: FoundRow) -> Match | None:
    if not row.tier:
        return None
    return Match(TIERS[row.tier], round(row.score or 0.0, 4), tuple(row.matched or ()))
