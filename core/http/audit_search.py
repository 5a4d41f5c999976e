"""`GET /api/admin/audit`: who looked at what, for auditors."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

import msgspec
from litestar import Request, get
from litestar.datastructures import State
from litestar.di import NamedDependency
from litestar.params import QueryParameter

from cito.core.audit.sync import wait_until_shipped
from cito.core.caller import Caller
from cito.core.context import Context
from cito.core.database.query import Query
from cito.core.declarations import Index, rules
from cito.core.errors import invalid
from cito.core.http.audit import concerns
from cito.core.http.paging import RANKED_CAP, PageLimit, PageNumber, Pagination, page_size, paginate

_WAIT_SECONDS = 1.0
_TEXT_MAX = 255

Outcome = Literal["success", "refused", "failed"]


class AuditEvent(msgspec.Struct, rename="camel", frozen=True):
    """One access to one patient's data, one refusal, or one administrative act.

    FHIR AuditEvent: `action`, `outcome`, `agent` (actor, role), `entity` (resource, patient), `purposeOfEvent`.
    """

    id: UUID
    occurred_at: datetime
    actor: str
    role: str
    clinic_id: UUID | None
    action: str
    outcome: str
    resource: str
    resource_id: str | None
    patient_id: UUID | None
    request_id: str
    trace_id: str
    purpose: str | None


class AuditEvents(msgspec.Struct, rename="camel", frozen=True):
    """A page of events, newest first."""

    events: list[AuditEvent]
    pagination: Pagination


class Filters(msgspec.Struct, frozen=True):
    """What to look for; None: anything."""

    patient_id: UUID | None
    actor: str | None
    action: str | None
    outcome: str | None
    resource: str | None
    request_id: str | None
    since: datetime | None
    until: datetime | None


class SearchAudit(Filters, frozen=True):
    """Parameters of `search_audit`."""

    offset: int
    limit: int


class CountAudit(Filters, frozen=True):
    """Parameters of `count_audit`."""

    cap: int


class Total(msgspec.Struct, frozen=True):
    """How many were found."""

    total: int


search_audit = Query("search_audit", SearchAudit, AuditEvent)
count_audit = Query("count_audit", CountAudit, Total)

_SEARCHES = ("search_audit", "count_audit")
AUDIT_INDEXES = (
    Index(
        name="audit_event_recent",
        table="cito.audit_event",
        serves=("search_audit",),
        because="the newest events are on the first page; all events are the largest table of all",
    ),
    Index(
        name="audit_event_patient",
        table="cito.audit_event",
        serves=_SEARCHES,
        because="who looked at this patient: the question that an audit is asked most",
    ),
    Index(
        name="audit_event_actor",
        table="cito.audit_event",
        serves=_SEARCHES,
        because="what one person looked at",
    ),
    Index(
        name="audit_event_request",
        table="cito.audit_event",
        serves=_SEARCHES,
        because="from a line of a log to its events",
    ),
)


@get(
    "/admin/audit",
    operation_id="search_audit_events",
    summary="Search the audit",
    description="Events of all clinics, or of the token's clinic where it names one. Up to 1,000 can be paged.",
    tags=["administration"],
    opt=rules("audit:read", queries=2, clinic=False, patient_data=False),
)
async def search_audit_events(
    *,
    request: Request[object, object, State],
    context: NamedDependency[Context],
    caller: NamedDependency[Caller],
    patient_id: Annotated[UUID | None, QueryParameter(name="patientId")] = None,
    actor: Annotated[str | None, QueryParameter(max_length=_TEXT_MAX)] = None,
    action: Annotated[str | None, QueryParameter(max_length=_TEXT_MAX)] = None,
    outcome: Annotated[Outcome | None, QueryParameter()] = None,
    resource: Annotated[str | None, QueryParameter(max_length=_TEXT_MAX)] = None,
    request_id: Annotated[str | None, QueryParameter(name="requestId", max_length=_TEXT_MAX)] = None,
    since: Annotated[datetime | None, QueryParameter()] = None,
    until: Annotated[datetime | None, QueryParameter()] = None,
    page: PageNumber = 1,
    limit: PageLimit = 20,
) -> AuditEvents:
    """Return a page of events; what happened before this request is in it."""
    for name, moment in (("since", since), ("until", until)):
        if moment is not None and moment.tzinfo is None:
            raise invalid(name, "format", "a time has a zone")
    await wait_until_shipped(context.settings.home / "audit", _WAIT_SECONDS)
    if patient_id is not None:
        concerns(request, (patient_id,))
    filters = (patient_id, actor, action, outcome, resource, request_id, since, until)
    reader = context.database.reader(caller.clinic_id, primary=True)
    offset, fetched = page_size(page, limit, cap=RANKED_CAP)
    found = await search_audit.all(reader, SearchAudit(*filters, offset=offset, limit=fetched))
    counted = await count_audit.one(reader, CountAudit(*filters, cap=RANKED_CAP + 1))
    return AuditEvents(found, paginate(page, limit, counted.total if counted else 0, cap=RANKED_CAP))
