"""Dental chairs by floor: everything that a plugin is, in one file."""

from collections.abc import Iterable
from importlib.resources import files
from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import Request, Response, get
from litestar.di import NamedDependency
from litestar.params import QueryParameter
from litestar.types import ControllerRouterHandler

from cito.core.caller import Caller
from cito.core.context import Context
from cito.core.database.query import Query
from cito.core.declarations import CacheFamily, Executor, Grant, Index, Invalidation, rules
from cito.core.hookspecs import Plugin, hookimpl
from cito.core.http.etag import answer


# what is read
class Chair(msgspec.Struct, frozen=True):
    id: UUID
    floor: int
    name: str


class Chairs(msgspec.Struct, frozen=True):
    chairs: list[Chair]


class OnFloor(msgspec.Struct, frozen=True):
    clinic_id: UUID
    floor: int


list_chairs = Query("list_chairs", OnFloor, Chair)  # the block of that name in queries.sql
BY_FLOOR = Index(  # the block of that name in indexes.sql
    name="dental_chairs_floor",
    table="dental_chairs",
    serves=("list_chairs",),
    because="the chairs of a floor are read in order, without the others",
)


# how it is cached
class Floor(msgspec.Struct, frozen=True):
    floor: int


async def load_chairs(on: Executor, key: Floor) -> Chairs:
    assert on.clinic_id is not None  # the family is scoped
    return Chairs(await list_chairs.all(on, OnFloor(on.clinic_id, key.floor)))


CHAIRS = CacheFamily(
    name="dental_chairs",
    version=1,
    key=Floor,
    value=Chairs,
    load=load_chairs,
    tags=("dental_chairs:{clinic_id}:{floor}",),
    ttl_seconds=300,
    hard_limit_seconds=3_600,
)
CHAIRS_CHANGED = Invalidation(
    table="dental_chairs",
    tags=("dental_chairs:{clinic_id}:{floor}",),
    because="every column is shown, so every change counts",
)


# how it is asked for
@get("/dental/chairs", operation_id="list_chairs", opt=rules("dental:read", queries=1, patient_data=False))
async def chairs_on_floor(
    request: Request[Any, Any, Any],
    context: NamedDependency[Context],
    caller: NamedDependency[Caller],
    floor: Annotated[int, QueryParameter(ge=-5, le=200)],
) -> Response[Chairs]:
    """Answer the chairs on one floor of the caller's clinic."""
    return await answer(request, context.cache.get(CHAIRS, Floor(floor), caller.clinic_id))


# what it declares
class Dental(Plugin):
    name = "dental"
    sql = files("cito_dental") / "sql"

    @hookimpl
    def register_grants(self) -> Iterable[Grant]:
        return [Grant(scope="dental:read", roles=("nurse", "doctor"))]

    @hookimpl
    def register_routes(self) -> Iterable[ControllerRouterHandler]:
        return [chairs_on_floor]

    @hookimpl
    def register_queries(self) -> Iterable[Query[Any, Any]]:
        return [list_chairs]

    @hookimpl
    def register_indexes(self) -> Iterable[Index]:
        return [BY_FLOOR]

    @hookimpl
    def register_cache_families(self) -> Iterable[CacheFamily[Any, Any]]:
        return [CHAIRS]

    @hookimpl
    def register_invalidations(self) -> Iterable[Invalidation]:
        return [CHAIRS_CHANGED]


plugin = Dental()
