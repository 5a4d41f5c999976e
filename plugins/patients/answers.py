"""What other domains may ask about patients, read from the primary."""

from __future__ import annotations

from uuid import UUID

from cito.core.context import Context
from cito.core.declarations import Answer
from cito.plugins.clinical.vocabulary import PATIENT, AskPatient, KnownPatient
from cito.plugins.patients import queries


async def known_patient(context: Context, clinic_id: UUID, asked: AskPatient) -> KnownPatient:
    """Say whether the clinic has this patient, and under which id since a merge."""
    primary = context.database.reader(clinic_id, primary=True)
    row = await queries.find_known_patient.one(primary, queries.OnePatient(clinic_id, asked.patient_id))
    return KnownPatient(None if row is None else row.id)


ANSWERS = (Answer(question=PATIENT, provide=known_patient),)
