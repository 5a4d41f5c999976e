"""The routes of patients: read the request, ask the service, answer."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from litestar import Controller, Request, Response, delete, get, patch, post
from litestar.params import Body, Parameter
from litestar.response import Redirect
from litestar.status_codes import HTTP_201_CREATED, HTTP_308_PERMANENT_REDIRECT

from cito.core.cache.engine import Entry
from cito.core.caller import Caller
from cito.core.context import Context
from cito.core.declarations import rules
from cito.core.errors import NotFound
from cito.core.http.etag import answer, required_version
from cito.plugins.patients import service
from cito.plugins.patients.criteria import Filters
from cito.plugins.patients.models import (
    ClinicMetadata,
    FoundPatients,
    Merge,
    NewPatient,
    Patient,
    PatientChanges,
    WantedStatus,
)
from cito.plugins.patients.search import DEFAULT_LIMIT, MOST_LIMIT

Web = Request[Any, Any, Any]


class Patients(Controller):
    """Patients of the caller's clinic. Those of another do not exist here."""

    path = "/patients"
    tags = ["patients"]  # noqa: RUF012 - Litestar's name for it

    @get(
        operation_id="search_patients",
        summary="Find patients",
        description="One box (`search`) for name, record or student number, phone, e-mail and date of birth, in any "
        "mix; filters narrow it. Best match first: identifier, exact, transposed, tokens, prefix, substring, fuzzy, "
        "nickname; `match` says why. Name and birth date together: when nobody has both, near ones follow as fuzzy, "
        "and `match.on` lacks what differs. At most 1,000 patients are counted and paged.",
        opt=rules("patients:read", queries=2),
    )
    async def search(
        self,
        *,
        request: Web,
        context: Context,
        caller: Caller,
        search: Annotated[str | None, Parameter(max_length=200)] = None,
        phone: Annotated[str | None, Parameter(max_length=60)] = None,
        email: Annotated[str | None, Parameter(max_length=254)] = None,
        date_of_birth: Annotated[str | None, Parameter(query="dateOfBirth", max_length=40)] = None,
        patient_id: Annotated[str | None, Parameter(query="patientId", max_length=60)] = None,
        status: WantedStatus = "active",
        page: Annotated[int, Parameter(ge=1, le=1_000_000)] = 1,
        limit: Annotated[int, Parameter(ge=1, le=MOST_LIMIT)] = DEFAULT_LIMIT,
    ) -> Response[FoundPatients]:
        """Search by any mix of what is known about a patient."""
        asked = Filters(
            search=search, phone=phone, email=email, date_of_birth=date_of_birth, patient_id=patient_id
        )
        entry = await service.found(context, _clinic(caller), asked, status=status, page=page, limit=limit)
        return answer(request, entry)

    @get(
        "/metadata",
        operation_id="patient_metadata",
        summary="The clinic, its counts and lists of values",
        opt=rules("patients:read", queries=1, patient_data=False),
    )
    async def metadata(self, request: Web, context: Context, caller: Caller) -> Response[ClinicMetadata]:
        """Counts by status and the values that a form may offer."""
        return answer(request, await service.metadata(context, _clinic(caller)))

    @get(
        "/{patient_id:uuid}",
        operation_id="get_patient",
        summary="A patient's profile",
        opt=rules("patients:read", queries=2),
    )
    async def profile(
        self, request: Web, context: Context, caller: Caller, patient_id: UUID
    ) -> Response[Patient] | Redirect:
        """The profile with contacts, emergency contacts and insurance; a merged id leads to its successor (308)."""
        clinic_id = _clinic(caller)
        entry = await service.profile(context, clinic_id, patient_id)
        if not entry.absent:
            return answer(request, entry)
        moved = await service.successor(context, clinic_id, patient_id)
        if moved is None:
            raise NotFound
        return Redirect(f"/api/patients/{moved}", status_code=HTTP_308_PERMANENT_REDIRECT)

    @post(
        operation_id="register_patient", summary="Register a patient", opt=rules("patients:write", queries=5)
    )
    async def register(
        self, context: Context, caller: Caller, data: Annotated[NewPatient, Body()]
    ) -> Response[Patient]:
        """Add a patient; 409 when the record or student number is taken."""
        clinic_id = _clinic(caller)
        entry = await service.profile(context, clinic_id, await service.register(context, clinic_id, data))
        return _written(entry, HTTP_201_CREATED)

    @patch(
        "/{patient_id:uuid}",
        operation_id="change_patient",
        summary="Change a patient",
        opt=rules("patients:write", queries=8),
    )
    async def change(
        self,
        *,
        request: Web,
        context: Context,
        caller: Caller,
        patient_id: UUID,
        data: Annotated[PatientChanges, Body()],
    ) -> Response[Patient]:
        """Change what is sent; needs `If-Match` with the ETag of the profile that was read."""
        clinic_id = _clinic(caller)
        await service.change(context, clinic_id, patient_id, required_version(request), data)
        return _written(await service.profile(context, clinic_id, patient_id))

    @delete(
        "/{patient_id:uuid}",
        operation_id="delete_patient",
        summary="Take a patient out of every list",
        status_code=204,
        opt=rules("patients:write", queries=2),
    )
    async def remove(self, request: Web, context: Context, caller: Caller, patient_id: UUID) -> None:
        """Delete softly: the record stays for those who must keep it. `If-Match` is honoured where it is sent."""
        await service.remove(context, _clinic(caller), patient_id, _offered_version(request))

    @post(
        "/{patient_id:uuid}/merge",
        operation_id="merge_patients",
        summary="Merge a duplicate into this patient",
        status_code=200,
        opt=rules("patients:write", queries=4),
    )
    async def merge(
        self, request: Web, context: Context, caller: Caller, patient_id: UUID, data: Annotated[Merge, Body()]
    ) -> Response[Patient]:
        """Move everything of the duplicate here; its id redirects from now on. `If-Match` is honoured."""
        clinic_id = _clinic(caller)
        version = _offered_version(request)
        await service.merge(context, clinic_id, patient_id, version, data)
        return _written(await service.profile(context, clinic_id, patient_id))


def _written(entry: Entry[Patient], status: int = 200) -> Response[Patient]:
    """Return what was just written, with the validator that the next change needs."""
    if entry.absent:
        raise NotFound  # deleted again in the meantime
    patient = entry.value
    headers = {"ETag": entry.etag, "Cache-Control": "private, no-cache"}
    if status == HTTP_201_CREATED:
        headers["Location"] = f"/api/patients/{patient.id}"
    return Response(patient, status_code=status, headers=headers)


def _clinic(caller: Caller) -> UUID:
    assert caller.clinic_id is not None  # the route's rules demand it
    return caller.clinic_id


def _offered_version(request: Web) -> int | None:
    """Return the row version of `If-Match` where a client sends it."""
    return required_version(request) if "if-match" in request.headers else None
