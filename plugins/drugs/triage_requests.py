"""What goes in and out of `/api/prescriptions/requests`."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

import msgspec
from msgspec import Meta

from cito.plugins.clinical.vocabulary import Severity
from cito.plugins.drugs.models import Drug, Status, Suggestion
from cito.plugins.drugs.triage_models import Reason, Route

MOST_MEDICATIONS = 20

# Something to read, without control characters.
_SAYING = r"^[^\x00-\x1f\x7f]*[^\s\x00-\x1f\x7f][^\x00-\x1f\x7f]*$"
Name = Annotated[str, Meta(min_length=1, max_length=200, pattern=_SAYING)]
_ANY = r"^[^\x00]*$"  # PostgreSQL stores all but NUL
Short = Annotated[str, Meta(max_length=100, pattern=_ANY)]
Text = Annotated[str, Meta(max_length=2000, pattern=_ANY)]
Dosage = Annotated[str, Meta(max_length=500, pattern=_ANY, examples=["1 tablet twice daily for 7 days"])]


class Medication(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """A medicine that is asked for; strength and form may also stand in the name."""

    medication_name: Name
    strength: Short | None = None
    form: Short | None = None
    dosage: Dosage | None = None


class KnownAllergy(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """An allergy as the asker knows it. Without a severity it counts as severe."""

    substance: Name
    severity: Severity = Severity.SEVERE
    verified: bool = False


class KnownMedication(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """A medicine that the patient takes, as the asker knows it."""

    name: Name


class Known(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """What the asker knows about the patient; it adds to what the records say. None: not asked."""

    allergies: Annotated[tuple[KnownAllergy, ...], Meta(max_length=50)] | None = None
    active_medications: Annotated[tuple[Name | KnownMedication, ...], Meta(max_length=50)] | None = None


class NewRequest(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """A request for medicines."""

    medications: Annotated[tuple[Medication, ...], Meta(min_length=1, max_length=MOST_MEDICATIONS)]
    patient_id: UUID | None = None
    symptoms: Text | Annotated[tuple[Text, ...], Meta(max_length=50)] | None = None
    duration: Short | None = None
    context: Known = Known()


class NewOverride(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """A clinician's decision against the rules: the route to take instead, and why."""

    reason: Annotated[str, Meta(min_length=10, max_length=1000, pattern=_SAYING)]
    route: Route = Route.AUTO


class TriagedMedication(msgspec.Struct, frozen=True, rename="camel"):
    """One medication of the answer: what its name meant, how its dosage was read, where it alone would go."""

    medication_name: str
    status: Status
    drug: Drug | None
    suggestions: tuple[Suggestion, ...]
    strength: str | None
    form: str | None
    dosage: str | None
    dosage_status: str | None
    doses_per_day: str | None
    route: Route
    flags: tuple[str, ...]


class Sources(msgspec.Struct, frozen=True, rename="camel"):
    """Where facts about the patient came from: `record`, `request`, both, or nobody knew (empty)."""

    allergies: tuple[str, ...]
    active_medications: tuple[str, ...]


class Override(msgspec.Struct, frozen=True, rename="camel"):
    """A decision against the rules."""

    id: UUID
    route: Route
    reason: str
    overridden_by: str
    role: str
    overridden_at: datetime


class Triaged(msgspec.Struct, frozen=True, rename="camel"):
    """A request and its triage.

    Attributes:
        route: where it goes now: the last override's route, else the rules'.
        rules_route: where the rules send it.
        flags, reasons: everything that the rules found, the worst first.
        rules_version: which rule data decided.
        sources: whose allergies and active medicines were weighed.
        overrides: decisions against the rules, the last one last.
    """

    id: UUID
    patient_id: UUID | None
    route: Route
    rules_route: Route
    medications: tuple[TriagedMedication, ...]
    flags: tuple[str, ...]
    reasons: tuple[Reason, ...]
    rules_version: str
    sources: Sources
    symptoms: str | tuple[str, ...] | None
    duration: str | None
    requested_by: str
    requested_at: datetime
    overrides: tuple[Override, ...] = ()
