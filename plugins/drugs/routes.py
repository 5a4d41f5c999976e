"""The vocabulary over HTTP. It is every clinic's: no route needs one."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import Controller, Request, Response, get, patch, post
from litestar.di import NamedDependency
from litestar.enums import MediaType
from litestar.openapi.spec import Example
from litestar.params import Body, FromPath, QueryParameter

from cito.core.context import Context
from cito.core.declarations import rules
from cito.core.http.etag import answer
from cito.core.http.paging import PageLimit, PageNumber
from cito.core.http.preconditions import expected_versions
from cito.plugins.drugs import editing, service
from cito.plugins.drugs.models import (
    Drug,
    DrugChange,
    DrugPage,
    LookupAnswers,
    LookupRequest,
    NewDrug,
    Resolution,
)

READ = "drugs:read"
WRITE = "drugs:write"

_NO_CONTROLS = r"^[^\x00-\x1f\x7f]*$"
_NAMES = {"names": ["Panadol", "amoxicilin 500 mg"]}
_A_DRUG = {
    "genericName": "cetirizine",
    "brandNames": ["Zyrtec"],
    "ingredients": ["cetirizine"],
    "prescriptionOnly": False,
}
_A_CHANGE = {"isActive": False}
TypedName = Annotated[
    str,
    QueryParameter(
        description="a generic, brand or other name; strength, form and route may stand beside it"
    ),
]
SearchText = Annotated[
    str,
    QueryParameter(max_length=200, pattern=_NO_CONTROLS, description="a name, or a part of one"),
]
ClassName = Annotated[
    str,
    QueryParameter(name="class", max_length=100, pattern=_NO_CONTROLS, description="a class, such as ssri"),
]
ScheduleName = Annotated[
    str,
    QueryParameter(
        max_length=20, pattern=_NO_CONTROLS, description="a schedule of any jurisdiction, such as IV"
    ),
]


class Vocabulary(Controller):
    """`/api/drugs`: what medicines are called, made of, and how they are controlled."""

    path = "/drugs"
    tags = ("Drugs",)

    @get(
        "/lookup",
        operation_id="look_up_drug",
        summary="Say what a typed name means",
        opt=rules(READ, queries=1, clinic=False, patient_data=False),
    )
    async def look_up_drug(
        self, request: Request[Any, Any, Any], context: NamedDependency[Context], name: TypedName
    ) -> Response[Resolution]:
        """Answer the drug that the name is exactly, or suggestions that a person must confirm."""
        found = await service.look_up(context, name)
        if isinstance(found, Resolution):
            return Response(found, headers={"cache-control": "private, no-cache"})
        return await answer(request, found)

    @post(
        "/lookup",
        operation_id="look_up_drugs",
        summary="Say what up to 100 typed names mean",
        status_code=200,
        opt=rules(READ, queries=1, clinic=False, patient_data=False),
    )
    async def look_up_drugs(
        self,
        context: NamedDependency[Context],
        data: Annotated[LookupRequest, Body(title="The names", examples=[Example(value=_NAMES)])],
    ) -> Response[LookupAnswers]:
        """Answer each name as a single lookup would, in the order of the names."""
        answers = await service.look_up_many(context, data.names)
        bodies = (
            msgspec.json.encode(found) if isinstance(found, Resolution) else found.body for found in answers
        )
        body: Any = b'{"results":[' + b",".join(bodies) + b"]}"  # cached answers are encoded already
        return Response(body, media_type=MediaType.JSON, headers={"cache-control": "private, no-cache"})

    @get(
        "/",
        operation_id="search_drugs",
        summary="Search the active drugs",
        opt=rules(READ, queries=2, clinic=False, patient_data=False),
    )
    async def search_drugs(
        self,
        request: Request[Any, Any, Any],
        context: NamedDependency[Context],
        *,
        drug_class: ClassName = "",
        search: SearchText = "",
        schedule: ScheduleName = "",
        page: PageNumber = 1,
        limit: PageLimit = 20,
    ) -> Response[DrugPage]:
        """Answer a page of active drugs, best match first; without a search by generic name."""
        found = service.find_page(context, search, drug_class, schedule, page=page, limit=limit)
        return await answer(request, found)

    @get(
        "/{drug_id:uuid}",
        operation_id="read_drug",
        summary="Read a drug",
        opt=rules(READ, queries=1, clinic=False, patient_data=False),
    )
    async def read_drug(
        self, request: Request[Any, Any, Any], context: NamedDependency[Context], drug_id: FromPath[UUID]
    ) -> Response[Drug]:
        """Answer one drug, withdrawn ones too."""
        return await answer(request, service.find(context, drug_id))

    @post(
        "/",
        operation_id="add_drug",
        summary="Add a drug",
        opt=rules(WRITE, queries=4, clinic=False, patient_data=False),
    )
    async def add_drug(
        self,
        request: Request[Any, Any, Any],
        context: NamedDependency[Context],
        data: Annotated[NewDrug, Body(title="The drug", examples=[Example(value=_A_DRUG)])],
    ) -> Response[Drug]:
        """Add a drug with its names and schedules; 409 when another one has its generic name."""
        entry = await editing.add(context, data)
        return await answer(request, entry, status=201, headers={"location": f"/api/drugs/{entry.value.id}"})

    @patch(
        "/{drug_id:uuid}",
        operation_id="change_drug",
        summary="Change or withdraw a drug",
        opt=rules(WRITE, queries=7, clinic=False, patient_data=False),
    )
    async def change_drug(
        self,
        request: Request[Any, Any, Any],
        context: NamedDependency[Context],
        drug_id: FromPath[UUID],
        data: Annotated[DrugChange, Body(title="The fields to change", examples=[Example(value=_A_CHANGE)])],
    ) -> Response[Drug]:
        """Change the given fields of the version that `If-Match` names; a list replaces the whole list."""
        expected = expected_versions(request)
        return await answer(request, await editing.change(context, drug_id, data, expected))
