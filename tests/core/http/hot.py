"""One cached read behind the real fast path and the real layers, in this process, with nothing else around it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID

import msgspec
from litestar import Litestar, Request, Response, get
from litestar.params import FromPath

from cito.core.audit.journal import Journal
from cito.core.cache.entry import NEVER, Entry
from cito.core.cache.families import Plan
from cito.core.cache.keys import Names
from cito.core.cache.local import LocalTier
from cito.core.cache.observe import note_hit
from cito.core.declarations import CacheFamily, rules
from cito.core.http.audit import Audited
from cito.core.http.auth import Authenticated
from cito.core.http.etag import answer
from cito.core.http.fastpath import FastPath
from cito.core.http.guard import RouteGuard
from cito.core.http.keys import load_keys
from cito.core.http.limits import Limited, Limits
from cito.core.http.record import Recorded
from cito.core.http.tokens import TokenVerifier, mint
from cito.core.settings import HttpSettings, Settings
from cito.core.telemetry import Record, current_record

CLINIC = UUID("01890000-0000-7000-8000-000000000001")
PATIENT = UUID("01890000-0000-7000-8000-000000000009")
PATH = f"/api/patients/{PATIENT}"


class ThingKey(msgspec.Struct, frozen=True):
    id: UUID


async def _load(*_: object) -> None: ...


def local_entry() -> Entry[Any]:
    """A patient's answer as the local tier keeps it, good for ever."""
    family = CacheFamily(
        name="things",
        version=1,
        key=ThingKey,
        value=dict,
        load=_load,
        tags=("thing:{id}",),
        ttl_seconds=60,
        hard_limit_seconds=60,
        phi=True,
        patients=lambda key, _: (key.id,),
    )
    plan = Plan(family, Names(b"k" * 32, "hot"), LocalTier(1 << 20), time.monotonic)
    plan.vouched_until = NEVER
    entry: Entry[Any] = Entry(plan, ThingKey(PATIENT), CLINIC, ())
    entry.body = b'{"id":"%b","firstName":"Quick"}' % str(PATIENT).encode()
    entry.etag, entry.patients, entry.loaded_at = '"1.abc"', (PATIENT,), time.monotonic()
    return entry


def hot_app(
    settings: Settings, entry: Entry[Any], subscribers: Sequence[Callable[[Record], None]]
) -> FastPath:
    """The layers of `cito.core.http.layers` around a route that answers with an entry."""

    @get(
        "/api/patients/{patient_id:uuid}",
        operation_id="get_patient",
        opt=rules("patients:read", queries=1),
    )
    async def get_patient(request: Request[Any, Any, Any], patient_id: FromPath[UUID]) -> Response[Any]:
        note_hit(entry, entry.plan.monotonic(), current_record.get())  # as the cache does
        return await answer(request, entry)

    scopes = {"nurse": frozenset({"patients:read"})}
    litestar = Litestar(
        [get_patient],
        middleware=[lambda app: RouteGuard(app, scopes)],
        openapi_config=None,
        logging_config=None,
    )
    verifier = TokenVerifier(settings.auth, load_keys(settings))
    journal = Journal(settings.home / "audit")
    limits = Limits(HttpSettings(rate_per_subject_per_second=1e7, rate_per_clinic_per_second=1e7))
    audited = Audited(litestar, journal, _load)
    inner = Authenticated(Limited(audited, limits), verifier)
    return FastPath(
        Recorded(inner, subscribers, 0.0),
        verifier=verifier,
        limits=limits,
        journal=journal,
        subscribers=subscribers,
        sample_ratio=0.0,
    )


def hot_scope(settings: Settings) -> dict[str, Any]:
    """What a server passes on of `GET PATH` with a nurse's token."""
    token = mint(settings, "nurse", CLINIC).encode()
    headers = [(b"host", b"127.0.0.1"), (b"authorization", b"Bearer " + token)]
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": PATH,
        "raw_path": PATH.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": headers,
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 2),
        "state": {},
    }
