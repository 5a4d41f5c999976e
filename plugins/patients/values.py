"""From what a client sends to the columns that are stored: pure, with every broken rule named."""

from __future__ import annotations

from datetime import date
from typing import TypeVar
from uuid import UUID

import msgspec
from msgspec import UNSET, UnsetType

from cito.core.errors import FieldError, Invalid
from cito.core.ids import new_id
from cito.plugins.patients.models import (
    Contact,
    ContactChanges,
    NewEmergencyContact,
    NewInsurance,
    NewPatient,
    Patient,
    PatientChanges,
)
from cito.plugins.patients.phone import read_phone, worth_keeping
from cito.plugins.patients.queries import ContactRow, PatientValues, PolicyRow

T = TypeVar("T")
_OLDEST_YEARS = 130


class Rules:
    """Collects broken rules, so that a client learns all of them at once."""

    def __init__(self, region: str, today: date) -> None:
        self._region = region
        self._today = today
        self._broken: list[FieldError] = []

    def raise_if_broken(self) -> None:
        """Raise Invalid when a rule was broken."""
        if self._broken:
            first = self._broken[0]
            raise Invalid(f"{first.field}: {first.message}", errors=tuple(self._broken))

    def phone(
        self, field: str, raw: str | None, extension: str | None
    ) -> tuple[str | None, str | None, str | None]:
        """Return a phone's columns: as written, in E.164, extension."""
        if raw is None:
            if extension is not None:
                self._break(f"{field}Extension", "phone", "belongs to a number that is not there")
            return None, None, None
        phone = read_phone(raw, self._region)
        if not worth_keeping(phone):
            self._break(field, "phone", "is not a phone number")
        return raw, phone.e164, extension or phone.extension

    def born(self, day: date | None) -> date | None:
        """Hold a date of birth against the calendar."""
        if day is not None and not self._today.year - _OLDEST_YEARS <= day.year:
            self._break("dateOfBirth", "minimum", f"is more than {_OLDEST_YEARS} years ago")
        if day is not None and day > self._today:
            self._break("dateOfBirth", "maximum", "is in the future")
        return day

    def contacts(self, sent: list[NewEmergencyContact]) -> list[ContactRow]:
        """Return the rows of the people to call."""
        self._distinct("emergencyContacts", [contact.id for contact in sent])
        rows = []
        for i, contact in enumerate(sent):
            phone, e164, extension = self.phone(
                f"emergencyContacts[{i}].phone", contact.phone, contact.phone_extension
            )
            rows.append(
                ContactRow(
                    id=contact.id or new_id(),
                    position=i + 1,
                    name=contact.name.strip(),
                    relationship=contact.relationship,
                    phone=phone,
                    phone_e164=e164,
                    phone_extension=extension,
                    email=contact.email,
                )
            )
        return rows

    def policies(self, sent: list[NewInsurance]) -> list[PolicyRow]:
        """Return the rows of insurance."""
        self._distinct("insurance", [policy.id for policy in sent])
        for i, policy in enumerate(sent):
            if policy.valid_from and policy.valid_to and policy.valid_to < policy.valid_from:
                self._break(f"insurance[{i}].validTo", "minimum", "is before validFrom")
        return [
            PolicyRow(
                id=policy.id or new_id(),
                position=i + 1,
                payer=policy.payer.strip(),
                member_number=policy.member_number,
                group_number=policy.group_number,
                valid_from=policy.valid_from,
                valid_to=policy.valid_to,
            )
            for i, policy in enumerate(sent)
        ]

    def _distinct(self, field: str, ids: list[UUID | None]) -> None:
        given = [id_ for id_ in ids if id_ is not None]
        if len(set(given)) != len(given):
            self._break(field, "unique", "the same id twice")

    def _break(self, field: str, rule: str, message: str) -> None:
        self._broken.append(FieldError(field, rule, message))


def new_values(clinic_id: UUID, id_: UUID, sent: NewPatient, rules: Rules) -> PatientValues:
    """Return the columns of a new patient."""
    phone, e164, extension = rules.phone("contact.phone", sent.contact.phone, sent.contact.phone_extension)
    return PatientValues(
        clinic_id=clinic_id,
        id=id_,
        mrn=_stripped(sent.mrn),
        student_number=_stripped(sent.student_number),
        given_name=_stripped(sent.first_name) or "",
        middle_name=_stripped(sent.middle_name) or "",
        family_name=sent.last_name.strip(),
        date_of_birth=rules.born(sent.date_of_birth),
        sex=sent.sex,
        status=sent.status,
        grade=_stripped(sent.grade),
        phone=phone,
        phone_e164=e164,
        phone_extension=extension,
        email=sent.contact.email,
        address=sent.contact.address,
    )


def changed_values(clinic_id: UUID, stored: Patient, sent: PatientChanges, rules: Rules) -> PatientValues:
    """Return the columns of a patient after some changes."""
    contact = _changed_contact(stored.contact, sent.contact)
    phone, e164, extension = rules.phone("contact.phone", contact.phone, contact.phone_extension)
    born = _chosen(sent.date_of_birth, stored.date_of_birth)
    return PatientValues(
        clinic_id=clinic_id,
        id=stored.id,
        mrn=_chosen(sent.mrn, stored.mrn).strip(),
        student_number=_stripped(_chosen(sent.student_number, stored.student_number)),
        given_name=_stripped(_chosen(sent.first_name, stored.first_name)) or "",
        middle_name=_stripped(_chosen(sent.middle_name, stored.middle_name)) or "",
        family_name=_chosen(sent.last_name, stored.last_name).strip(),
        date_of_birth=born if born == stored.date_of_birth else rules.born(born),
        sex=_chosen(sent.sex, stored.sex),
        status=_chosen(sent.status, stored.status),
        grade=_stripped(_chosen(sent.grade, stored.grade)),
        phone=phone,
        phone_e164=e164,
        phone_extension=extension,
        email=contact.email,
        address=contact.address,
    )


def _changed_contact(stored: Contact, sent: ContactChanges | UnsetType) -> Contact:
    if isinstance(sent, UnsetType):
        return stored
    changes = {name: value for name, value in msgspec.structs.asdict(sent).items() if value is not UNSET}
    if "phone" in changes and "phone_extension" not in changes:
        changes["phone_extension"] = None  # it belonged to the number before
    return msgspec.structs.replace(stored, **changes)


def _chosen(sent: T | UnsetType, stored: T) -> T:
    return stored if isinstance(sent, UnsetType) else sent


def _stripped(text: str | None) -> str | None:
    return text.strip() if text else None
