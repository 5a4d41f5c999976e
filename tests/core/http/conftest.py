"""A small application with one route of each kind, behind the layers that every request passes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import httpx
import msgspec
import pytest
from litestar import Litestar, get, post
from litestar.di import NamedDependency, Provide
from litestar.params import FromPath, JSONBody, QueryParameter

from cito.core.caller import Caller
from cito.core.declarations import rules
from cito.core.errors import Conflict
from cito.core.http.auth import Authenticated, provide_caller
from cito.core.http.guard import RouteGuard
from cito.core.http.keys import load_keys
from cito.core.http.problems import PROBLEM_HANDLERS
from cito.core.http.record import Recorded
from cito.core.http.tokens import TokenVerifier, mint
from cito.core.settings import Settings
from cito.core.telemetry import Record, What, current_record

CLINIC = UUID("01890000-0000-7000-8000-000000000001")
SCOPES = {"nurse": frozenset({"things:read", "things:write"}), "auditor": frozenset({"audit:read"})}


class Contact(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    phone_number: Annotated[str, msgspec.Meta(max_length=20)]


class NewThing(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    name: Annotated[str, msgspec.Meta(min_length=1, max_length=50)]
    contact: Contact | None = None
    born: UUID | None = None


@get("/api/things/{thing_id:uuid}", operation_id="get_thing", opt=rules("things:read", queries=1))
async def get_thing(
    thing_id: FromPath[UUID], caller: NamedDependency[Caller], page: Annotated[int, QueryParameter(ge=1)] = 1
) -> dict[str, Any]:
    record = current_record.get()
    assert record is not None
    record.cache = "local"
    record.add(What.QUERY, "find_thing", record.start_ns, amount=1)
    return {"id": str(thing_id), "clinic": str(caller.clinic_id), "page": page}


@post("/api/things", operation_id="create_thing", opt=rules("things:write", queries=1))
async def create_thing(data: JSONBody[NewThing]) -> NewThing:
    if data.name == "duplicate":
        raise Conflict("another thing has this name")
    if data.name == "bug":
        raise RuntimeError("secret value 4711")
    return data


@get("/api/bare", operation_id="bare")
async def bare() -> str:
    return "never seen"


@get("/health", operation_id="health")
async def health() -> dict[str, str]:
    return {"status": "ok"}


@get("/metrics", operation_id="metrics", opt=rules("audit:read", queries=0, clinic=False))
async def metrics(caller: NamedDependency[Caller]) -> str:
    return caller.role


@dataclass
class Site:
    settings: Settings
    verifier: TokenVerifier
    app: Any
    records: list[Record] = field(default_factory=list)

    def headers(self, role: str = "nurse", clinic: UUID | None = CLINIC, **more: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {mint(self.settings, role, clinic)}", **more}


def layered(settings: Settings, routes: list[Any], *, sample_ratio: float = 0.0) -> Site:
    verifier = TokenVerifier(settings.auth, load_keys(settings))
    litestar = Litestar(
        routes,
        middleware=[lambda app: RouteGuard(app, SCOPES)],
        dependencies={"caller": Provide(provide_caller, sync_to_thread=False)},
        exception_handlers=PROBLEM_HANDLERS,
        request_max_body_size=1_000,
        openapi_config=None,
    )
    site = Site(settings, verifier, None)
    site.app = Recorded(Authenticated(litestar, verifier), (site.records.append,), sample_ratio)
    return site


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path)


@pytest.fixture
def site(settings: Settings) -> Site:
    return layered(settings, [get_thing, create_thing, bare, health, metrics])


@pytest.fixture
async def client(site: Site) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(site.app)
    async with httpx.AsyncClient(transport=transport, base_url="http://cito.test") as client:
        yield client
