"""Patients as the API shows and takes them."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Literal
from uuid import UUID

import msgspec
from msgspec import UNSET, Meta, UnsetType

from cito.core.http.paging import Pagination

Sex = Literal["female", "male", "other", "unknown"]
Status = Literal["active", "inactive", "deceased"]
WantedStatus = Literal["active", "inactive", "deceased", "any"]
STATUSES: tuple[Status, ...] = ("active", "inactive", "deceased")

# One line of text with something in it; no control characters.
_LINE = r"^[^\x00-\x1f\x7f]*[^\s\x00-\x1f\x7f][^\x00-\x1f\x7f]*$"
Name = Annotated[str, Meta(min_length=1, max_length=100, pattern=_LINE)]
Title = Annotated[str, Meta(min_length=1, max_length=200, pattern=_LINE)]
Number = Annotated[str, Meta(min_length=1, max_length=40, pattern=r"^[^\s\x00-\x1f\x7f][^\x00-\x1f\x7f]*$")]
Short = Annotated[str, Meta(min_length=1, max_length=60, pattern=_LINE)]
Grade = Annotated[str, Meta(min_length=1, max_length=20, pattern=_LINE)]
Extension = Annotated[str, Meta(min_length=1, max_length=12, pattern=r"^[0-9]+$")]
Email = Annotated[str, Meta(min_length=3, max_length=254, pattern=r"^[^\s@,;<>]+@[^\s@,;<>]+$")]
Address = Annotated[str, Meta(min_length=1, max_length=500, pattern=r"^[^\x00]*[^\s\x00][^\x00]*$")]


class Contact(msgspec.Struct, frozen=True, rename="camel"):
    """How to reach a patient. `phone` is E.164 where the number says enough, else as it was written."""

    phone: str | None = None
    phone_extension: str | None = None
    email: str | None = None
    address: str | None = None


class EmergencyContact(msgspec.Struct, frozen=True, rename="camel"):
    """Someone to call, first things first."""

    id: UUID
    name: str
    relationship: str | None = None
    phone: str | None = None
    phone_extension: str | None = None
    email: str | None = None


class Insurance(msgspec.Struct, frozen=True, rename="camel"):
    """Who pays, in the order in which they are asked."""

    id: UUID
    payer: str
    member_number: str | None = None
    group_number: str | None = None
    valid_from: date | None = None
    valid_to: date | None = None


class Patient(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """A patient's profile. Someone with one name only has it as `lastName`, as passports do (ICAO 9303)."""

    id: UUID
    mrn: str
    student_number: str | None
    first_name: str | None
    middle_name: str | None
    last_name: str
    date_of_birth: date | None
    sex: Sex
    status: Status
    grade: str | None
    contact: Contact
    emergency_contacts: list[EmergencyContact]
    insurance: list[Insurance]
    version: int


class Match(msgspec.Struct, frozen=True):
    """Why a patient was found.

    Attributes:
        tier: the policy's tier, best first as in `TIERS`.
        score: 0 to 1, comparable within one tier of one search.
        on: the fields that matched; one that was asked for and is missing here differs.
    """

    tier: str
    score: float
    on: tuple[str, ...]


class FoundPatient(Patient, frozen=True, rename="camel", kw_only=True):
    """A patient in a search's answer; `match` is null where nothing was searched for."""

    match: Match | None = None


class FoundPatients(msgspec.Struct, frozen=True, rename="camel"):
    """One page of a search."""

    patients: list[FoundPatient]
    pagination: Pagination


class Hit(msgspec.Struct, frozen=True):
    """A patient who was found, and why."""

    id: UUID
    match: Match | None


class Hits(msgspec.Struct, frozen=True):
    """Who stands on one page of a search: what the search decides, without anything of the profiles."""

    hits: list[Hit]
    pagination: Pagination


class Clinic(msgspec.Struct, frozen=True, rename="camel"):
    """A clinic and what its conventions decide: local time, phones without country code, the order of dates."""

    id: UUID
    name: str
    time_zone: str
    region: str
    locale: str | None


class ClinicMetadata(msgspec.Struct, frozen=True, rename="camel"):
    """A clinic, its patients counted by status, and the values that a form may offer."""

    clinic: Clinic
    patients: dict[str, int]
    last_registered_at: datetime | None
    last_changed_at: datetime | None
    statuses: tuple[str, ...]
    sexes: tuple[str, ...]


class NewContact(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """How to reach a patient, as sent. The extension may stand in `phone` as well (`415-555-0132 ext. 12`)."""

    phone: Short | None = None
    phone_extension: Extension | None = None
    email: Email | None = None
    address: Address | None = None


class NewEmergencyContact(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """Someone to call, as sent; with the `id` of one that is there, it stays that one."""

    name: Title
    id: UUID | None = None
    relationship: Short | None = None
    phone: Short | None = None
    phone_extension: Extension | None = None
    email: Email | None = None


class NewInsurance(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """Who pays, as sent."""

    payer: Title
    id: UUID | None = None
    member_number: Short | None = None
    group_number: Short | None = None
    valid_from: date | None = None
    valid_to: date | None = None


Contacts = Annotated[list[NewEmergencyContact], Meta(max_length=20)]
Policies = Annotated[list[NewInsurance], Meta(max_length=20)]


class NewPatient(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True, kw_only=True):
    """A patient to register. Without `mrn` the clinic's next record number is taken."""

    last_name: Name
    first_name: Name | None = None
    middle_name: Name | None = None
    mrn: Number | None = None
    student_number: Number | None = None
    date_of_birth: date | None = None
    sex: Sex = "unknown"
    status: Status = "active"
    grade: Grade | None = None
    contact: NewContact = NewContact()
    emergency_contacts: Contacts = []
    insurance: Policies = []


class ContactChanges(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """Changes of the contact: what is left out stays, null empties it."""

    phone: Short | UnsetType | None = UNSET
    phone_extension: Extension | UnsetType | None = UNSET
    email: Email | UnsetType | None = UNSET
    address: Address | UnsetType | None = UNSET


class PatientChanges(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True, kw_only=True):
    """Changes of a patient (RFC 7396): what is left out stays, null empties it; a list replaces the list."""

    last_name: Name | UnsetType = UNSET
    first_name: Name | UnsetType | None = UNSET
    middle_name: Name | UnsetType | None = UNSET
    mrn: Number | UnsetType = UNSET
    student_number: Number | UnsetType | None = UNSET
    date_of_birth: date | UnsetType | None = UNSET
    sex: Sex | UnsetType = UNSET
    status: Status | UnsetType = UNSET
    grade: Grade | UnsetType | None = UNSET
    contact: ContactChanges | UnsetType = UNSET
    emergency_contacts: Contacts | UnsetType = UNSET
    insurance: Policies | UnsetType = UNSET


class Merge(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """The record that turned out to be the same person: it becomes part of the one in the path."""

    duplicate_id: UUID
