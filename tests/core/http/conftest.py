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
from litestar import Litestar, Request, Response, get, post
from litestar.di import NamedDependency, Provide
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter

from cito.core.audit.entry import Entry, decode_entry
from cito.core.audit.journal import Journal
from cito.core.audit.segment import FIRST, SUFFIX, Segment
from cito.core.caller import Caller
from cito.core.database.errors import QueryFailed
from cito.core.declarations import rules
from cito.core.errors import Conflict
from cito.core.http.audit import Audited, concerns
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
    caller: Contact | None = None  # the name of a dependency


@get("/api/things/{thing_id:uuid}", operation_id="get_thing", opt=rules("things:read", queries=1))
async def get_thing(
    *,
    thing_id: FromPath[UUID],
    caller: NamedDependency[Caller],
    page: Annotated[int, QueryParameter(ge=1)] = 1,
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
    if data.name == "refused statement":
        raise QueryFailed
    return data


@get(
    "/api/patients/{patient_id:uuid}/things", operation_id="list_things", opt=rules("things:read", queries=1)
)
async def list_things(patient_id: FromPath[UUID], seen: FromQuery[int] = 0) -> Response[bytes]:
    return Response(b"" if seen else b"[]", status_code=304 if seen else 200)


@get("/api/things", operation_id="search_things", opt=rules("things:read", queries=1))
async def search_things(request: Request[Any, Any, Any], hits: FromQuery[int] = 0) -> list[str]:
    concerns(request, [UUID(int=number) for number in range(hits)])
    return []


@post("/api/things/{thing_id:uuid}/approval", operation_id="override", opt=rules("things:write", queries=1))
async def override(request: Request[Any, Any, Any], thing_id: FromPath[UUID]) -> None:
    concerns(request, (UUID(int=7),), action="override")


@get("/api/formulary", operation_id="formulary", opt=rules("things:read", queries=1, patient_data=False))
async def formulary() -> list[str]:
    return []


@get("/api/bare", operation_id="bare")
async def bare() -> str:
    return "never seen"


@get("/health", operation_id="health")
async def health() -> dict[str, str]:
    return {"status": "ok"}


@get("/metrics", operation_id="metrics", opt=rules("audit:read", queries=0, clinic=False, patient_data=False))
async def metrics(caller: NamedDependency[Caller]) -> str:
    return caller.role


@dataclass
class Site:
    settings: Settings
    verifier: TokenVerifier
    app: Any
    journal: Journal
    direct: list[Entry] = field(default_factory=list)
    records: list[Record] = field(default_factory=list)

    @property
    def events(self) -> list[Entry]:
        """What the journals hold, markers left out."""
        segments = [Segment.open(path) for path in (self.settings.home / "audit").glob(f"*{SUFFIX}")]
        entries = [decode_entry(payload) for segment in segments for payload, _ in segment.read(FIRST)]
        for segment in segments:
            segment.close()
        return [entry for entry in entries if entry.actor != "cito"]

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
    site = Site(settings, verifier, None, Journal(settings.home / "audit"))

    async def direct(entry: Entry) -> None:
        site.direct.append(entry)

    audited = Audited(litestar, site.journal, direct)
    site.app = Recorded(Authenticated(audited, verifier), (site.records.append,), sample_ratio)
    return site


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path)


@pytest.fixture
def site(settings: Settings) -> Site:
    return layered(
        settings,
        [
            get_thing,
            create_thing,
            list_things,
            search_things,
            override,
            formulary,
            bare,
            health,
            metrics,
        ],
    )


@pytest.fixture
async def client(site: Site) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(site.app)
    async with httpx.AsyncClient(transport=transport, base_url="http://cito.test") as client:
        yield client
