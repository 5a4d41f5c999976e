"""The routes of patients: read the request, ask the service, answer."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from litestar import Controller, Request, Response, delete, get, patch, post
from litestar.di import NamedDependency
from litestar.openapi.spec import Example
from litestar.params import Body, FromPath, FromQuery, QueryParameter
from litestar.response import Redirect
from litestar.status_codes import (
    HTTP_200_OK,
    HTTP_201_CREATED,
    HTTP_204_NO_CONTENT,
    HTTP_308_PERMANENT_REDIRECT,
)

from cito.core.caller import Caller
from cito.core.context import Context
from cito.core.declarations import rules
from cito.core.errors import NotFound
from cito.core.http.audit import concerns
from cito.core.http.etag import answer
from cito.core.http.paging import PageLimit, PageNumber
from cito.core.http.preconditions import expected_versions
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

READ = "patients:read"
WRITE = "patients:write"

Web = Request[Any, Any, Any]
_NO_CONTROLS = r"^[^\x00-\x1f\x7f]*$"
_A_PATIENT = {
    "lastName": "Rivera",
    "firstName": "Maria",
    "mrn": "MRN-20417",
    "dateOfBirth": "2014-05-09",
    "sex": "female",
    "contact": {"phone": "+1 206 555 0134", "email": "maria.rivera@example.org"},
}
_A_CHANGE = {"contact": {"phone": "+1 206 555 0178"}}
_A_MERGE = {"duplicateId": "01900000-0000-7000-8000-00000000abcd"}
Box = Annotated[
    str | None,
    QueryParameter(
        max_length=200,
        pattern=_NO_CONTROLS,
        description="name, record or student number, phone, e-mail, date of birth, in any mix",
    ),
]
Phone = Annotated[
    str | None,
    QueryParameter(max_length=60, pattern=_NO_CONTROLS, description="whole, or its last 4 digits or more"),
]
Email = Annotated[
    str | None, QueryParameter(max_length=254, pattern=_NO_CONTROLS, description="whole, or its beginning")
]
Born = Annotated[
    str | None,
    QueryParameter(
        name="dateOfBirth",
        max_length=40,
        pattern=_NO_CONTROLS,
        description="YYYY-MM-DD; other writings where they can be read in one way only, or the clinic's locale decides",
    ),
]
PatientIdentifier = Annotated[
    str | None,
    QueryParameter(
        name="patientId",
        max_length=60,
        pattern=_NO_CONTROLS,
        description="id, record number or student number",
    ),
]


class Patients(Controller):
    """`/api/patients`: patients of the caller's clinic. Those of another do not exist here."""

    path = "/patients"
    tags = ("Patients",)

    @get("/", operation_id="search_patients", summary="Find patients", opt=rules(READ, queries=4))
    async def search_patients(
        self,
        *,
        request: Web,
        context: NamedDependency[Context],
        caller: NamedDependency[Caller],
        search: Box = None,
        phone: Phone = None,
        email: Email = None,
        born: Born = None,
        identifier: PatientIdentifier = None,
        status: FromQuery[WantedStatus] = "active",
        page: PageNumber = 1,
        limit: PageLimit = 20,
    ) -> Response[FoundPatients]:
        """Answer a page of patients for whom everything that was asked holds, best match first.

        Tiers: identifier, exact, transposed, tokens, prefix, substring, fuzzy, nickname; `match` says why. When
        nobody has both the name and the birth date, those who come near follow as fuzzy, and `match.on` lacks what
        differs. At most 1,000 are counted and paged. Nothing asked: everybody by name.
        """
        asked = Filters(search=search, phone=phone, email=email, date_of_birth=born, patient_id=identifier)
        clinic_id = _clinic(caller)
        entry = await service.search(context, clinic_id, asked, status=status, page=page, limit=limit)
        return await answer(request, entry)

    @get(
        "/metadata",
        operation_id="read_patient_metadata",
        summary="Read the clinic, its counts and lists of values",
        opt=rules(READ, queries=1, patient_data=False),
    )
    async def read_metadata(
        self, request: Web, context: NamedDependency[Context], caller: NamedDependency[Caller]
    ) -> Response[ClinicMetadata]:
        """Answer the caller's clinic, its patients by status, and the values that a form may offer."""
        return await answer(request, service.metadata(context, _clinic(caller)))

    @get(
        "/{patient_id:uuid}",
        operation_id="read_patient",
        summary="Read a patient",
        opt=rules(READ, queries=2),
    )
    async def read_patient(
        self,
        request: Web,
        context: NamedDependency[Context],
        caller: NamedDependency[Caller],
        patient_id: FromPath[UUID],
    ) -> Response[Patient]:
        """Answer the profile: contact, emergency contacts, insurance. A merged record leads to its successor (308)."""
        clinic_id = _clinic(caller)
        entry = await service.profile(context, clinic_id, patient_id)
        if entry.absent:
            successor = await service.successor(context, clinic_id, patient_id)
            if successor is None:
                raise NotFound
            return Redirect(f"/api/patients/{successor}", status_code=HTTP_308_PERMANENT_REDIRECT)
        return await answer(request, entry)

    @post("/", operation_id="register_patient", summary="Register a patient", opt=rules(WRITE, queries=5))
    async def register_patient(
        self,
        request: Web,
        context: NamedDependency[Context],
        caller: NamedDependency[Caller],
        data: Annotated[NewPatient, Body(examples=[Example(value=_A_PATIENT)])],
    ) -> Response[Patient]:
        """Add a patient; 409 when the record or student number is taken."""
        clinic_id = _clinic(caller)
        patient_id = await service.register(context, clinic_id, data)
        concerns(request, (patient_id,), resource_id=patient_id)
        profile = service.profile(context, clinic_id, patient_id)
        where = {"Location": f"/api/patients/{patient_id}"}
        return await answer(request, profile, status=HTTP_201_CREATED, headers=where)

    @patch(
        "/{patient_id:uuid}",
        operation_id="change_patient",
        summary="Change a patient",
        opt=rules(WRITE, queries=8),
    )
    async def change_patient(
        self,
        *,
        request: Web,
        context: NamedDependency[Context],
        caller: NamedDependency[Caller],
        patient_id: FromPath[UUID],
        data: Annotated[PatientChanges, Body(examples=[Example(value=_A_CHANGE)])],
    ) -> Response[Patient]:
        """Change what is sent (RFC 7396; a list replaces the list). Needs `If-Match` with the ETag that was read."""
        clinic_id = _clinic(caller)
        await service.change(context, clinic_id, patient_id, expected_versions(request), data)
        return await answer(request, service.profile(context, clinic_id, patient_id))

    @delete(
        "/{patient_id:uuid}",
        operation_id="delete_patient",
        summary="Take a patient out of every list",
        status_code=HTTP_204_NO_CONTENT,
        opt=rules(WRITE, queries=2),
    )
    async def delete_patient(
        self,
        request: Web,
        context: NamedDependency[Context],
        caller: NamedDependency[Caller],
        patient_id: FromPath[UUID],
    ) -> None:
        """Delete softly: the record stays for those who must keep it. `If-Match` counts where it is sent."""
        await service.remove(context, _clinic(caller), patient_id, _offered_versions(request))

    @post(
        "/{patient_id:uuid}/merge",
        operation_id="merge_patients",
        summary="Merge a duplicate into this patient",
        status_code=HTTP_200_OK,
        opt=rules(WRITE, queries=4),
    )
    async def merge_patients(
        self,
        *,
        request: Web,
        context: NamedDependency[Context],
        caller: NamedDependency[Caller],
        patient_id: FromPath[UUID],
        data: Annotated[Merge, Body(examples=[Example(value=_A_MERGE)])],
    ) -> Response[Patient]:
        """Move all of the duplicate here and fill what is empty; its id redirects from now on."""
        clinic_id = _clinic(caller)
        await service.merge(context, clinic_id, patient_id, _offered_versions(request), data)
        concerns(request, (patient_id, data.duplicate_id))
        return await answer(request, service.profile(context, clinic_id, patient_id))


def _clinic(caller: Caller) -> UUID:
    assert caller.clinic_id is not None  # the route's rules demand it
    return caller.clinic_id


def _offered_versions(request: Web) -> frozenset[int] | None:
    return expected_versions(request) if "if-match" in request.headers else None
