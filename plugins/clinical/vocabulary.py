"""Vocabulary: what several domains say about a patient, and the questions that one asks and another answers."""

from __future__ import annotations

from enum import StrEnum
from uuid import UUID

import msgspec

from cito.core.declarations import Question


class Severity(StrEnum):
    """How bad a reaction was, the least first."""

    MILD = "MILD"
    MODERATE = "MODERATE"
    SEVERE = "SEVERE"
    LIFE_THREATENING = "LIFE_THREATENING"


class Allergy(msgspec.Struct, frozen=True, rename="camel"):
    """A recorded allergy: the substance as it was written, how bad, and whether a clinician verified it.

    What is not said counts as bad: a severity that is missing is `SEVERE`.
    """

    substance: str
    severity: Severity = Severity.SEVERE
    verified: bool = False


class ActiveMedication(msgspec.Struct, frozen=True, rename="camel"):
    """A medicine that a patient takes now: its name as ordered; the drug's id where the answering plugin knows it."""

    name: str
    drug_id: UUID | None = None


class AskPatient(msgspec.Struct, frozen=True):
    """A question about one patient of the asker's clinic."""

    patient_id: UUID


class KnownPatient(msgspec.Struct, frozen=True):
    """The id of a patient's record now: another than the one asked for after a merge. None: no such patient."""

    patient_id: UUID | None


class Allergies(msgspec.Struct, frozen=True):
    """All allergies of a patient, verified or not."""

    allergies: tuple[Allergy, ...]


class ActiveMedications(msgspec.Struct, frozen=True):
    """All medicines that a patient takes now."""

    medications: tuple[ActiveMedication, ...]


PATIENT = Question(name="patient", asked=AskPatient, answered=KnownPatient)
ALLERGIES = Question(name="allergies", asked=AskPatient, answered=Allergies)
ACTIVE_MEDICATIONS = Question(name="active_medications", asked=AskPatient, answered=ActiveMedications)
