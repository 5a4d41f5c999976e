"""Medications over HTTP. The formulary needs no clinic: it is every clinic's."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from litestar import Controller, Request, Response, get, patch, post
from litestar.di import NamedDependency
from litestar.openapi.spec import Example
from litestar.params import Body, FromPath, QueryParameter

from cito.core.context import Context
from cito.core.declarations import rules
from cito.core.http.etag import answer
from cito.core.http.paging import PageLimit, PageNumber
from cito.core.http.preconditions import expected_versions
from cito.plugins.clinical.dosing import FrequencyParse, parse_frequency
from cito.plugins.medications import service
from cito.plugins.medications.models import (
    FrequencyText,
    Medicine,
    MedicineChange,
    MedicinePage,
    NewMedicine,
    Suggestions,
)

READ = "formulary:read"
WRITE = "formulary:write"
DOSING = "medications:read"

_NO_CONTROLS = r"^[^\x00-\x1f\x7f]*$"
SearchText = Annotated[
    str,
    QueryParameter(
        max_length=200,
        pattern=_NO_CONTROLS,
        examples=[Example(value="aspirin 81 mg")],
        description="words of name, generic name, strength, form or manufacturer, or an NDC; prefixes will do",
    ),
]
TypedText = Annotated[
    str,
    QueryParameter(
        name="query",
        max_length=100,
        pattern=_NO_CONTROLS,
        examples=[Example(value="asp")],
        description="the first letters of a name, at least 2",
    ),
]


class Formulary(Controller):
    """`/api/medications`: the medicines that may be ordered."""

    path = "/medications"
    tags = ("Formulary",)

    @get(
        "/",
        operation_id="search_formulary",
        summary="Search the formulary",
        opt=rules(READ, queries=2, clinic=False, patient_data=False),
    )
    async def search_formulary(
        self,
        request: Request[Any, Any, Any],
        context: NamedDependency[Context],
        search: SearchText = "",
        page: PageNumber = 1,
        limit: PageLimit = 20,
    ) -> Response[MedicinePage]:
        """Answer a page of medicines, best match first; without a search all of them by name."""
        return await answer(request, service.find_page(context, search, page, limit))

    @get(
        "/autocomplete",
        operation_id="autocomplete_formulary",
        summary="Suggest medicines while someone types",
        opt=rules(READ, queries=2, clinic=False, patient_data=False),
    )
    async def autocomplete_formulary(
        self,
        request: Request[Any, Any, Any],
        context: NamedDependency[Context],
        typed: TypedText,  # `query` itself is a name of Litestar's
        limit: PageLimit = 10,
    ) -> Response[Suggestions]:
        """Answer names that begin with the letters, then names with such words, else similar ones."""
        return await answer(request, service.suggest(context, typed, limit))

    @get(
        "/{medicine_id:uuid}",
        operation_id="read_medication",
        summary="Read a medicine",
        opt=rules(READ, queries=1, clinic=False, patient_data=False),
    )
    async def read_medication(
        self, request: Request[Any, Any, Any], context: NamedDependency[Context], medicine_id: FromPath[UUID]
    ) -> Response[Medicine]:
        """Answer one medicine."""
        return await answer(request, service.find(context, medicine_id))

    @post(
        "/",
        operation_id="add_medication",
        summary="Add a medicine",
        opt=rules(WRITE, queries=2, clinic=False, patient_data=False),
    )
    async def add_medication(
        self,
        request: Request[Any, Any, Any],
        context: NamedDependency[Context],
        data: Annotated[NewMedicine, Body(title="The medicine")],
    ) -> Response[Medicine]:
        """Add a medicine; 409 when another one has its NDC."""
        entry = await service.add(context, data)
        where = {"location": f"/api/medications/{entry.value.id}"}
        return await answer(request, entry, status=201, headers=where)

    @patch(
        "/{medicine_id:uuid}",
        operation_id="change_medication",
        summary="Change a medicine",
        opt=rules(WRITE, queries=3, clinic=False, patient_data=False),
    )
    async def change_medication(
        self,
        request: Request[Any, Any, Any],
        context: NamedDependency[Context],
        medicine_id: FromPath[UUID],
        data: Annotated[MedicineChange, Body(title="The fields to change")],
    ) -> Response[Medicine]:
        """Change the given fields of the version that `If-Match` names."""
        expected = expected_versions(request)
        return await answer(request, await service.change(context, medicine_id, data, expected))


class Dosing(Controller):
    """`/api/medications/frequency`: how often, from text."""

    path = "/medications/frequency"
    tags = ("Dosing",)

    @post(
        "/parse",
        operation_id="parse_frequency",
        summary="Read a dosing text",
        status_code=200,
        sync_to_thread=False,  # microseconds, and remembered
        opt=rules(DOSING, queries=0, patient_data=False),
    )
    def parse_frequency(self, data: Annotated[FrequencyText, Body(title="The text")]) -> FrequencyParse:
        """Answer when the doses are due, or that a person must say; it never guesses."""
        return parse_frequency(data.text)
