"""What of the vocabulary is cached, and what makes it stale. It is every clinic's and nobody's secret."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.resources import files
from uuid import UUID

import msgspec

from cito.core.declarations import CacheFamily, Executor, Invalidation
from cito.core.http.paging import RANKED_CAP, page_size, paginate
from cito.plugins.drugs import queries as q
from cito.plugins.drugs.finding import find_resolutions
from cito.plugins.drugs.folding import fold, squash
from cito.plugins.drugs.models import Drug, DrugPage, Everything, Resolution, Status

_DAY_SECONDS = 86_400.0
_SHORT_SECONDS = 60.0
_SEARCHED_INSIDE = 3  # letters from which a text is looked for in the middle of names


class NameKey(msgspec.Struct, frozen=True):
    """Which typed name, folded: all spellings that fold alike share an answer."""

    folded: str


class DrugKey(msgspec.Struct, frozen=True):
    """Which drug."""

    id: UUID


class EverythingKey(msgspec.Struct, frozen=True):
    """The vocabulary: there is one."""


class PageKey(msgspec.Struct, frozen=True):
    """Which page of which search; empty texts: no condition."""

    search: str
    drug_class: str
    schedule: str
    page: int
    limit: int


async def _resolution(on: Executor, key: NameKey) -> Resolution | None:
    return (await _resolutions(on, (key,))).get(key)


async def _resolutions(on: Executor, keys: Sequence[NameKey]) -> Mapping[NameKey, Resolution]:
    """Load answers in one query; "not found" is left out, for absence has a life of its own."""
    found = await find_resolutions(on, [key.folded for key in keys])
    return {key: answer for key, answer in zip(keys, found, strict=True) if answer.status != Status.NOT_FOUND}


async def _drug(on: Executor, key: DrugKey) -> Drug | None:
    return await q.find_drugs.one(on, q.ByIds([key.id]))


async def _drugs(on: Executor, keys: Sequence[DrugKey]) -> Mapping[DrugKey, Drug]:
    found = await q.find_drugs.all(on, q.ByIds([key.id for key in keys]))
    return {DrugKey(drug.id): drug for drug in found}


async def _everything(on: Executor, _: EverythingKey) -> Everything:
    return Everything(tuple(await q.every_drug.all(on, q.Nothing())))


async def _page(on: Executor, key: PageKey) -> DrugPage:
    """One query; a second one only for a page after the last, which has no row to say how many there are."""
    cap = RANKED_CAP if key.search else None
    past, size = page_size(key.page, key.limit, cap=cap)
    rows = await _rows(on, key, past, size)
    counted = rows or (await _rows(on, key, 0, 1) if past else ())
    total = counted[0].total if counted else 0
    return DrugPage(tuple(q.as_drug(row) for row in rows), paginate(key.page, key.limit, total, cap=cap))


async def _rows(on: Executor, key: PageKey, past: int, size: int) -> Sequence[q.PageRow]:
    schedules = [key.schedule] if key.schedule else []
    if key.search:
        folded = fold(key.search)
        return await q.search_drugs.all(
            on,
            q.PageOfSearch(
                past=past,
                size=size,
                key=squash(folded),
                folded=folded,
                pattern=f"%{folded.replace('%', chr(92) + '%')}%",
                long=len(squash(folded)) >= _SEARCHED_INSIDE,
                classes=[key.drug_class] if key.drug_class else [],
                schedules=schedules,
            ),
        )
    if key.drug_class:
        asked = q.PageOfClass(past=past, size=size, drug_class=key.drug_class, schedules=schedules)
        return await q.list_drugs_of_class.all(on, asked)
    if key.schedule:
        return await q.list_drugs_of_schedule.all(on, q.PageOfSchedule(past, size, key.schedule))
    return await q.list_drugs.all(on, q.PageOf(past, size))


def most_used() -> tuple[NameKey, ...]:
    """Return the names that are looked up most, as far as general practice knows: the first to be warm."""
    text = (files("cito.sql") / "drugs" / "most_used.tsv").read_text(encoding="utf-8")
    return tuple(NameKey(fold(name)) for name in text.splitlines() if name.strip())


async def _warm(_: Executor) -> Sequence[NameKey]:
    return most_used()


# Any name, ingredient or drug may change the answer to any text, so all lookups share one tag: a change of the
# vocabulary is rare, and one bump makes everything fresh, "not found" included.
LOOKUP = CacheFamily(
    name="drug_lookup",
    version=2,
    key=NameKey,
    value=Resolution,
    load=_resolution,
    load_many=_resolutions,
    tags=("drugs",),
    ttl_seconds=_DAY_SECONDS,
    hard_limit_seconds=_DAY_SECONDS,
    scoped=False,
    absent_ttl_seconds=_SHORT_SECONDS,
    serve_stale_seconds=_DAY_SECONDS,
    warm=_warm,
)
DRUG = CacheFamily(
    name="drug",
    version=1,
    key=DrugKey,
    value=Drug,
    load=_drug,
    load_many=_drugs,
    tags=("drug:{id}",),
    ttl_seconds=_DAY_SECONDS,
    hard_limit_seconds=_DAY_SECONDS,
    scoped=False,
    absent_ttl_seconds=_SHORT_SECONDS,
    serve_stale_seconds=_DAY_SECONDS,
)
SEARCH = CacheFamily(
    name="drug_search",
    version=1,
    key=PageKey,
    value=DrugPage,
    load=_page,
    tags=("drugs",),
    ttl_seconds=_DAY_SECONDS,
    hard_limit_seconds=_DAY_SECONDS,
    scoped=False,
    serve_stale_seconds=_DAY_SECONDS,
)
# The whole vocabulary, so that a batch of names that nobody has asked for yet needs no query: see `at_hand`.
EVERYTHING = CacheFamily(
    name="drug_vocabulary",
    version=1,
    key=EverythingKey,
    value=Everything,
    load=_everything,
    tags=("drugs",),
    ttl_seconds=_DAY_SECONDS,
    hard_limit_seconds=_DAY_SECONDS,
    scoped=False,
    max_bytes=8 * 1_048_576,
)

FAMILIES = (LOOKUP, DRUG, SEARCH, EVERYTHING)
INVALIDATIONS = (
    Invalidation(
        table="drugs",
        tags=("drugs", "drug:{id}"),
        because="whatever a drug's row says is shown by its own answer and by every lookup and list",
    ),
    Invalidation(
        table="drug_aliases",
        tags=("drugs", "drug:{drug_id}"),
        because="a name more or less changes what typed names mean, also of those that were not found",
    ),
    Invalidation(
        table="drug_schedules",
        tags=("drugs", "drug:{drug_id}"),
        because="a drug's schedules are part of every answer that shows it",
    ),
)
