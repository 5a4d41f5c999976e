"""What of this domain is cached, and what makes it stale, side by side.

A page of a search is two things: who stands on it, and what is shown of them. Who: the search families keep ids in
their order, and only a write to a column that searches compare makes them stale. It does so for the whole clinic, since
typing errors are matched too and no narrower tag is true. What is shown: the profiles, each under its patient's own
tag. So a corrected phone or address leaves every search for a name as it is, and is shown at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from uuid import UUID

import msgspec

from cito.core.declarations import CacheFamily, Executor, Invalidation, Strategy
from cito.plugins.patients.criteria import Criteria
from cito.plugins.patients.models import STATUSES, Clinic, ClinicMetadata, Hits, Patient
from cito.plugins.patients.queries import (
    OfClinic,
    OnePatient,
    SomePatients,
    find_clinic,
    find_clinic_metadata,
    find_patient,
    find_patients_by_ids,
)
from cito.plugins.patients.search import search


class ClinicKey(msgspec.Struct, frozen=True):
    """The caller's clinic."""


class PatientKey(msgspec.Struct, frozen=True):
    """One patient of the caller's clinic."""

    patient_id: UUID


class SearchKey(Criteria, frozen=True, kw_only=True):
    """One page of one search; equal for all ways to write the same question."""

    status: str
    page: int
    limit: int


async def _load_clinic(on: Executor, _: ClinicKey) -> Clinic | None:
    assert on.clinic_id is not None
    return await find_clinic.one(on, OfClinic(on.clinic_id))


async def _load_metadata(on: Executor, _: ClinicKey) -> ClinicMetadata | None:
    assert on.clinic_id is not None
    row = await find_clinic_metadata.one(on, OfClinic(on.clinic_id))
    if row is None:
        return None
    return ClinicMetadata(
        clinic=Clinic(row.id, row.name, row.time_zone, row.region, row.locale),
        patients={status: row.patients.get(status, 0) for status in STATUSES},
        last_registered_at=row.last_registered_at,
        last_changed_at=row.last_changed_at,
        statuses=STATUSES,
        sexes=("female", "male", "other", "unknown"),
    )


async def _load_patient(on: Executor, key: PatientKey) -> Patient | None:
    assert on.clinic_id is not None
    row = await find_patient.one(on, OnePatient(on.clinic_id, key.patient_id))
    return row.patient if row else None


async def _load_patients(on: Executor, keys: Sequence[PatientKey]) -> Mapping[PatientKey, Patient]:
    assert on.clinic_id is not None
    rows = await find_patients_by_ids.all(on, SomePatients(on.clinic_id, [key.patient_id for key in keys]))
    return {PatientKey(row.id): row.patient for row in rows}


async def _load_search(on: Executor, key: SearchKey) -> Hits:
    return await search(on, key, key.status, key.page, key.limit)


def _patients_found(_: SearchKey, value: Hits) -> Iterable[UUID]:
    return (hit.id for hit in value.hits)


clinic = CacheFamily(
    name="clinic",
    version=1,
    key=ClinicKey,
    value=Clinic,
    load=_load_clinic,
    tags=("clinic:{clinic_id}",),
    ttl_seconds=600,
    hard_limit_seconds=3600,
)

clinic_metadata = CacheFamily(
    name="clinic_metadata",
    version=1,
    key=ClinicKey,
    value=ClinicMetadata,
    load=_load_metadata,
    tags=("clinic:{clinic_id}", "patients:{clinic_id}"),
    ttl_seconds=600,
    hard_limit_seconds=900,
    strategy=Strategy.WRITE_THROUGH,
)

patient_profile = CacheFamily(
    name="patient_profile",
    version=1,
    key=PatientKey,
    value=Patient,
    load=_load_patient,
    load_many=_load_patients,
    tags=("patient:{patient_id}",),
    ttl_seconds=300,
    hard_limit_seconds=300,
    phi=True,
    absent_ttl_seconds=5,
    patients=lambda key, _: (key.patient_id,),
)

patient_name_search = CacheFamily(
    name="patient_name_search",
    version=1,
    key=SearchKey,
    value=Hits,
    load=_load_search,
    tags=("patient_names:{clinic_id}",),
    ttl_seconds=120,
    hard_limit_seconds=150,
    strategy=Strategy.REFRESH_AHEAD,
    phi=True,
    patients=_patients_found,
)

patient_search = CacheFamily(
    name="patient_search",
    version=2,
    key=SearchKey,
    value=Hits,
    load=_load_search,
    tags=("patient_names:{clinic_id}", "patient_numbers:{clinic_id}"),
    ttl_seconds=120,
    hard_limit_seconds=150,
    strategy=Strategy.REFRESH_AHEAD,
    phi=True,
    patients=_patients_found,
)

FAMILIES = (clinic, clinic_metadata, patient_profile, patient_name_search, patient_search)

INVALIDATIONS = (
    Invalidation(
        table="clinic",
        tags=("clinic:{id}",),
        because="Its region and locale decide how searches are read.",
    ),
    Invalidation(
        table="patient",
        tags=("patient:{id}", "patients:{clinic_id}"),
        because="All columns are shown, and the clinic's last change is counted. A merge updates both records, so that "
        "both ids are fresh.",
    ),
    Invalidation(
        table="patient",
        columns=(
            "given_name",
            "middle_name",
            "family_name",
            "date_of_birth",
            "status",
            "deleted_at",
            "merged_into",
        ),
        tags=("patient_names:{clinic_id}",),
        because="What decides who bears a name, in which order and how many. The tables that searches read "
        "(patient_name, patient_name_word, name_vocabulary, patient_count) need no rule: triggers write them in the "
        "same statement, from these columns alone.",
    ),
    Invalidation(
        table="patient",
        columns=("mrn", "student_number", "phone", "phone_e164", "email"),
        tags=("patient_numbers:{clinic_id}",),
        because="What decides who has a number or an address; other columns of the two are generated from these.",
    ),
    Invalidation(
        table="emergency_contact",
        tags=("patient:{patient_id}",),
        because="Part of the profile; no search looks at it.",
    ),
    Invalidation(
        table="insurance",
        tags=("patient:{patient_id}",),
        because="Part of the profile; no search looks at it.",
    ),
)
