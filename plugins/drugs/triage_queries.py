"""Typed bindings of the triage blocks of `sql/drugs/queries.sql`."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import msgspec

from cito.core.database.query import Query, Statement
from cito.plugins.drugs.triage_models import Route
from cito.plugins.drugs.triage_requests import Override, Triaged


class NewRow(msgspec.Struct, frozen=True):
    """A row of `prescription_requests`."""

    clinic_id: UUID
    id: UUID
    patient_id: UUID | None
    route: Route
    rules_version: str
    requested_by: str
    requested_at: datetime
    answer: Triaged


class ById(msgspec.Struct, frozen=True):
    """Which request."""

    clinic_id: UUID
    id: UUID


class OverrideRow(msgspec.Struct, frozen=True):
    """A row of `prescription_overrides`."""

    clinic_id: UUID
    id: UUID
    request_id: UUID
    route: Route
    reason: str
    overridden_by: str
    role: str
    overridden_at: datetime


class StoredRow(msgspec.Struct, frozen=True):
    """A stored request and its overrides, the last one last."""

    answer: Triaged
    overrides: tuple[Override, ...]


add_prescription_request = Statement("add_prescription_request", NewRow)
find_prescription_request = Query("find_prescription_request", ById, StoredRow)
add_prescription_override = Statement("add_prescription_override", OverrideRow)

ALL = (add_prescription_request, find_prescription_request, add_prescription_override)
