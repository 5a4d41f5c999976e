"""What of the formulary is cached, and what makes it stale. The formulary is every clinic's and nobody's secret."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from uuid import UUID

import msgspec

from cito.core.declarations import CacheFamily, Executor, Invalidation
from cito.core.http.paging import RANKED_CAP, page_size, paginate
from cito.plugins.medications import queries as q
from cito.plugins.medications.models import Medicine, MedicinePage, Suggestions
from cito.plugins.medications.ndc import ndc_beginnings


class MedicineKey(msgspec.Struct, frozen=True):
    """Which medicine."""

    id: UUID


class PageKey(msgspec.Struct, frozen=True):
    """Which page of which search; an empty search: the whole formulary by name."""

    search: str
    page: int
    limit: int


class TypedKey(msgspec.Struct, frozen=True):
    """Which letters, and how many suggestions."""

    typed: str
    limit: int


async def _medicine(on: Executor, key: MedicineKey) -> Medicine | None:
    return await q.find_medications.one(on, q.ByIds([key.id]))


async def _medicines(on: Executor, keys: Sequence[MedicineKey]) -> Mapping[MedicineKey, Medicine]:
    found = await q.find_medications.all(on, q.ByIds([key.id for key in keys]))
    return {MedicineKey(medicine.id): medicine for medicine in found}


async def _page(on: Executor, key: PageKey) -> MedicinePage:
    """One query; a second one only for a page after the last, which has no row to say how many there are."""
    cap = RANKED_CAP if key.search else None
    past, size = page_size(key.page, key.limit, cap=cap)
    searched = q.Searched(key.search, ndc_beginnings(key.search))
    if key.search:
        rows = await q.search_medications.all(on, q.PageOfSearch(searched.search, searched.ndcs, past, size))
    else:
        rows = await q.list_medications.all(on, q.PageOf(past, size))
    total = rows[0].total if rows else 0
    if not rows and past:
        counted = await (
            q.count_found_medications.one(on, searched)
            if key.search
            else q.count_medications.one(on, q.Nothing())
        )
        total = counted.total if counted else 0
    return MedicinePage(
        [Medicine(*msgspec.structs.astuple(row)[:-1]) for row in rows],
        paginate(key.page, key.limit, total, cap=cap),
    )


async def _suggestions(on: Executor, key: TypedKey) -> Suggestions:
    """One query; a second one for what nothing begins with, which may be misspelt."""
    typed = q.Typed(key.typed, key.limit)
    found = await q.suggest_medications.all(on, typed)
    return Suggestions(found or await q.suggest_similar_medications.all(on, typed))


async def _first_page(_: Executor) -> Sequence[PageKey]:
    return [PageKey("", 1, 20)]


MEDICINE = CacheFamily(
    name="medication",
    version=1,
    key=MedicineKey,
    value=Medicine,
    load=_medicine,
    load_many=_medicines,
    tags=("medication:{id}",),
    ttl_seconds=3_600,
    hard_limit_seconds=86_400,
    absent_ttl_seconds=60,
    serve_stale_seconds=3_600,
    scoped=False,
)
FORMULARY = CacheFamily(
    name="formulary_page",
    version=1,
    key=PageKey,
    value=MedicinePage,
    load=_page,
    tags=("formulary",),
    ttl_seconds=3_600,
    hard_limit_seconds=86_400,
    serve_stale_seconds=3_600,
    scoped=False,
    warm=_first_page,
)
SUGGESTIONS = CacheFamily(
    name="formulary_suggestions",
    version=1,
    key=TypedKey,
    value=Suggestions,
    load=_suggestions,
    tags=("formulary",),
    ttl_seconds=3_600,
    hard_limit_seconds=86_400,
    serve_stale_seconds=3_600,
    scoped=False,
)
FAMILIES = (MEDICINE, FORMULARY, SUGGESTIONS)

INVALIDATIONS = (
    Invalidation(
        table="medications",
        tags=("medication:{id}", "formulary"),
        because="any change may move a medicine in any list: every column but the times is shown or ranked by; "
        "nothing else shows medicines, so no other table's writes need to say anything",
    ),
)
