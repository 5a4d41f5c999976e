"""One typed binding for each named query of `sql/patients/queries.sql` and `naive.sql`."""

from __future__ import annotations

from datetime import date, datetime
from uuid import UUID

import msgspec

from cito.core.database.query import Query, Statement
from cito.plugins.patients.models import Clinic, Patient


class OfClinic(msgspec.Struct, frozen=True):
    clinic_id: UUID


class OnePatient(msgspec.Struct, frozen=True):
    clinic_id: UUID
    id: UUID


class SomePatients(msgspec.Struct, frozen=True):
    clinic_id: UUID
    ids: list[UUID]


class ClinicMetadataRow(msgspec.Struct, frozen=True):
    id: UUID
    name: str
    time_zone: str
    region: str
    locale: str | None
    patients: dict[str, int]
    last_registered_at: datetime | None
    last_changed_at: datetime | None


class PatientRow(msgspec.Struct, frozen=True):
    patient: Patient


class PatientOfId(msgspec.Struct, frozen=True):
    id: UUID
    patient: Patient


class IdRow(msgspec.Struct, frozen=True):
    id: UUID


class Locked(msgspec.Struct, frozen=True):
    version: int
    merged_into: UUID | None


class Listing(msgspec.Struct, frozen=True, kw_only=True):
    clinic_id: UUID
    status: str
    skip: int
    take: int


class NameSearch(Listing, frozen=True, kw_only=True):
    words: tuple[str, ...]


class Search(NameSearch, frozen=True, kw_only=True):
    record_id: UUID | None
    code: str | None
    number: str | None
    phone_e164: str | None
    phone_digits: str | None
    email: str | None
    born: date | None
    number_born: date | None
    parts: int


class NaiveSearch(Listing, frozen=True, kw_only=True):
    pattern: str


class FoundRow(msgspec.Struct, frozen=True):
    """One hit; with no hits there is one row that holds the total alone."""

    id: UUID | None
    tier: int | None
    score: float | None
    matched: list[str] | None
    total: int


class PatientValues(msgspec.Struct, frozen=True, kw_only=True):
    """A patient's own columns, read from a request or changed by one."""

    clinic_id: UUID
    id: UUID
    mrn: str | None
    student_number: str | None
    given_name: str
    middle_name: str
    family_name: str
    date_of_birth: date | None
    sex: str
    status: str
    grade: str | None
    phone: str | None
    phone_e164: str | None
    phone_extension: str | None
    email: str | None
    address: str | None


class ChangedPatient(PatientValues, frozen=True, kw_only=True):
    version: int


class OneVersion(msgspec.Struct, frozen=True):
    clinic_id: UUID
    id: UUID
    version: int


class TwoPatients(msgspec.Struct, frozen=True):
    clinic_id: UUID
    survivor: UUID
    duplicate: UUID


class OfPatient(msgspec.Struct, frozen=True):
    clinic_id: UUID
    patient_id: UUID


class ContactRow(msgspec.Struct, frozen=True, kw_only=True):
    id: UUID
    position: int
    name: str
    relationship: str | None
    phone: str | None
    phone_e164: str | None
    phone_extension: str | None
    email: str | None


class PolicyRow(msgspec.Struct, frozen=True, kw_only=True):
    id: UUID
    position: int
    payer: str
    member_number: str | None
    group_number: str | None
    valid_from: date | None
    valid_to: date | None


class NewContacts(msgspec.Struct, frozen=True):
    clinic_id: UUID
    patient_id: UUID
    contacts: str


class NewPolicies(msgspec.Struct, frozen=True):
    clinic_id: UUID
    patient_id: UUID
    policies: str


find_clinic = Query("find_clinic", OfClinic, Clinic)
find_clinic_metadata = Query("find_clinic_metadata", OfClinic, ClinicMetadataRow)
list_patients = Query("list_patients", Listing, FoundRow)
search_patients_by_name = Query("search_patients_by_name", NameSearch, FoundRow)
search_patients = Query("search_patients", Search, FoundRow)
naive_search_patients_by_name = Query("naive_search_patients_by_name", NaiveSearch, FoundRow)
find_patient = Query("find_patient", OnePatient, PatientRow)
find_patients_by_ids = Query("find_patients_by_ids", SomePatients, PatientOfId)
find_successor = Query("find_successor", OnePatient, IdRow)
find_known_patient = Query("find_known_patient", OnePatient, IdRow)
lock_patient = Query("lock_patient", OnePatient, Locked)
add_patient = Statement("add_patient", PatientValues)
change_patient = Statement("change_patient", ChangedPatient)
delete_patient = Statement("delete_patient", OneVersion)
merge_patients = Statement("merge_patients", TwoPatients)
clear_emergency_contacts = Statement("clear_emergency_contacts", OfPatient)
add_emergency_contacts = Statement("add_emergency_contacts", NewContacts)
clear_insurance = Statement("clear_insurance", OfPatient)
add_insurance = Statement("add_insurance", NewPolicies)

ALL = (
    find_clinic,
    find_clinic_metadata,
    list_patients,
    search_patients_by_name,
    search_patients,
    naive_search_patients_by_name,
    find_patient,
    find_patients_by_ids,
    find_successor,
    find_known_patient,
    lock_patient,
    add_patient,
    change_patient,
    delete_patient,
    merge_patients,
    clear_emergency_contacts,
    add_emergency_contacts,
    clear_insurance,
    add_insurance,
)
