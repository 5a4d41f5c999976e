"""Requests for medicines over HTTP: asked, read again, and overridden with a reason."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from litestar import Controller, Request, Response, get, post
from litestar.di import NamedDependency
from litestar.openapi.spec import Example
from litestar.params import Body, FromPath

from cito.core.caller import Caller
from cito.core.context import Context
from cito.core.declarations import rules
from cito.core.errors import Forbidden
from cito.core.http.audit import concerns
from cito.plugins.drugs import triage_service as service
from cito.plugins.drugs.triage_requests import NewOverride, NewRequest, Triaged

ASK = "triage:ask"
OVERRIDE = "triage:override"


_A_REQUEST = {
    "medications": [{"medicationName": "paracetamol 500 mg", "dosage": "1 tablet twice daily for 7 days"}]
}
_A_DECISION = {"reason": "Seen in the ward today; the patient tolerates it."}


class Prescriptions(Controller):
    """`/api/prescriptions/requests`: where a request for medicines goes, and why."""

    path = "/prescriptions/requests"
    tags = ("Triage",)

    @post(
        "/",
        operation_id="ask_for_prescription",
        summary="Triage a request for medicines",
        opt=rules(ASK, queries=5),
    )
    async def ask_for_prescription(
        self,
        request: Request[Any, Any, Any],
        context: NamedDependency[Context],
        caller: NamedDependency[Caller],
        data: Annotated[NewRequest, Body(title="The medicines", examples=[Example(value=_A_REQUEST)])],
    ) -> Response[Triaged]:
        """Answer the route, with every reason and the medicine that it belongs to; the worst reason decides."""
        triaged = await service.ask(context, caller, _clinic(caller), data)
        _concerns(request, triaged)
        where = {
            "location": f"/api/prescriptions/requests/{triaged.id}",
            "cache-control": "private, no-store",
        }
        return Response(triaged, status_code=201, headers=where)

    @get(
        "/{request_id:uuid}",
        operation_id="read_prescription_request",
        summary="Read a request and the decisions on it",
        opt=rules(ASK, queries=1),
    )
    async def read_prescription_request(
        self,
        request: Request[Any, Any, Any],
        context: NamedDependency[Context],
        caller: NamedDependency[Caller],
        request_id: FromPath[UUID],
    ) -> Response[Triaged]:
        """Answer a request as it was triaged, with the decisions against the rules since."""
        triaged = await service.find(context, _clinic(caller), request_id)
        _concerns(request, triaged)
        return Response(triaged, headers={"cache-control": "private, no-store"})

    @post(
        "/{request_id:uuid}/override",
        operation_id="override_prescription_request",
        summary="Decide against the rules, with a reason",
        opt=rules(OVERRIDE, queries=2),
    )
    async def override_prescription_request(
        self,
        request: Request[Any, Any, Any],
        context: NamedDependency[Context],
        caller: NamedDependency[Caller],
        request_id: FromPath[UUID],
        data: Annotated[NewOverride, Body(title="The decision", examples=[Example(value=_A_DECISION)])],
    ) -> Response[Triaged]:
        """Send the request another way; who did so and why is kept with it and in the audit."""
        triaged = await service.override(context, caller, _clinic(caller), request_id, data)
        _concerns(request, triaged, action="override")
        return Response(triaged, status_code=201, headers={"cache-control": "private, no-store"})


def _concerns(request: Request[Any, Any, Any], triaged: Triaged, *, action: str | None = None) -> None:
    patients = () if triaged.patient_id is None else (triaged.patient_id,)
    concerns(request, patients, resource_id=triaged.id, action=action)


def _clinic(caller: Caller) -> UUID:
    if caller.clinic_id is None:  # the guard has refused it already
        raise Forbidden("the token names no clinic")
    return caller.clinic_id
