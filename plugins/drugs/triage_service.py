"""Triage with its facts: names and schedules from the primary, allergies and medicines from whoever knows them."""

from __future__ import annotations

from uuid import UUID

import msgspec

from cito.core.caller import Caller
from cito.core.context import Context
from cito.core.errors import NotFound, invalid
from cito.core.ids import new_id
from cito.core.settings import plugin_settings
from cito.plugins.clinical.dosing import parse_timing
from cito.plugins.clinical.vocabulary import ACTIVE_MEDICATIONS, ALLERGIES, PATIENT, Allergy, AskPatient
from cito.plugins.drugs import triage_queries as q
from cito.plugins.drugs.deciding import resolve_to_decide
from cito.plugins.drugs.models import Resolution
from cito.plugins.drugs.parsing import read
from cito.plugins.drugs.settings import DrugsSettings
from cito.plugins.drugs.triage import triage
from cito.plugins.drugs.triage_models import Allergen, Order, Taken, Verdict
from cito.plugins.drugs.triage_requests import (
    Known,
    Medication,
    NewOverride,
    NewRequest,
    Override,
    Sources,
    Triaged,
    TriagedMedication,
)
from cito.plugins.drugs.triage_rules import load_rules

RECORD, REQUEST = "record", "request"


async def ask(context: Context, caller: Caller, clinic_id: UUID, asked: NewRequest) -> Triaged:
    """Triage a request, store it and return the answer.

    All names, of orders, allergies and medicines taken, are looked up together: one round trip to the cache, and
    one query that reads names, schedules and status from the primary.

    Raises:
        Invalid: the clinic has no such patient.
    """
    asked = await _of_known_patient(context, clinic_id, asked)
    allergies, taken, sources = await _facts(context, clinic_id, asked)
    names = [medication.medication_name for medication in asked.medications]
    names += [allergy.substance for allergy in allergies] + taken
    found = await resolve_to_decide(context, names)
    orders = [_order(*pair) for pair in zip(asked.medications, found, strict=False)]
    rest = found[len(orders) :]
    allergens = [Allergen(*pair) for pair in zip(allergies, rest, strict=False)]
    medicines = [Taken(*pair) for pair in zip(taken, rest[len(allergens) :], strict=True)]
    jurisdiction = plugin_settings(context.settings, "drugs", DrugsSettings).jurisdiction
    verdict = triage(orders, allergens, medicines, load_rules(), jurisdiction=jurisdiction)
    triaged = Triaged(
        id=new_id(),
        patient_id=asked.patient_id,
        route=verdict.route,
        rules_route=verdict.route,
        medications=tuple(
            _shown(at, asked.medications[at], order, verdict) for at, order in enumerate(orders)
        ),
        flags=verdict.flags,
        reasons=verdict.reasons,
        rules_version=verdict.rules_version,
        sources=sources,
        symptoms=asked.symptoms,
        duration=asked.duration,
        requested_by=caller.subject,
        requested_at=context.clock.now(),
    )
    row = q.NewRow(
        clinic_id=clinic_id,
        id=triaged.id,
        patient_id=triaged.patient_id,
        route=triaged.rules_route,
        rules_version=triaged.rules_version,
        requested_by=triaged.requested_by,
        requested_at=triaged.requested_at,
        answer=triaged,
    )
    async with context.database.transaction(clinic_id) as tx:
        await q.add_prescription_request.run(tx, row)
    return triaged


async def find(context: Context, clinic_id: UUID, request_id: UUID) -> Triaged:
    """Return a stored request with the decisions against it.

    Raises:
        NotFound: no such request in this clinic.
    """
    reader = context.database.reader(clinic_id, primary=True)
    row = await q.find_prescription_request.one(reader, q.ById(clinic_id, request_id))
    if row is None:
        raise NotFound
    return _with_overrides(row)


async def override(
    context: Context, caller: Caller, clinic_id: UUID, request_id: UUID, decided: NewOverride
) -> Triaged:
    """Store a decision against the rules and return the request with it.

    Raises:
        NotFound: no such request in this clinic.
        Invalid: the request takes this route already.
    """
    async with context.database.transaction(clinic_id) as tx:
        row = await q.find_prescription_request.one(tx, q.ById(clinic_id, request_id))
        if row is None:
            raise NotFound
        if _with_overrides(row).route is decided.route:
            raise invalid("route", "unchanged", "the request takes this route already")
        made = Override(
            new_id(), decided.route, decided.reason, caller.subject, caller.role, context.clock.now()
        )
        await q.add_prescription_override.run(
            tx,
            q.OverrideRow(
                clinic_id=clinic_id,
                id=made.id,
                request_id=request_id,
                route=made.route,
                reason=made.reason,
                overridden_by=made.overridden_by,
                role=made.role,
                overridden_at=made.overridden_at,
            ),
        )
    return _with_overrides(q.StoredRow(row.answer, (*row.overrides, made)))


async def _of_known_patient(context: Context, clinic_id: UUID, asked: NewRequest) -> NewRequest:
    """Return the request with the id of the patient's record now; as it is where nobody knows patients."""
    if asked.patient_id is None:
        return asked
    known = await context.ask(PATIENT, clinic_id, AskPatient(asked.patient_id))
    if known is None:
        return asked
    if known.patient_id is None:
        raise invalid("patientId", "unknown", "no such patient in this clinic")
    return msgspec.structs.replace(asked, patient_id=known.patient_id)


async def _facts(
    context: Context, clinic_id: UUID, asked: NewRequest
) -> tuple[list[Allergy], list[str], Sources]:
    """Return allergies, medicines taken, and who said so. What the asker knows adds to the record."""
    allergies, taken, said = _from_request(asked.context)
    by_allergies, by_taken = [REQUEST] * said[0], [REQUEST] * said[1]
    if asked.patient_id is not None:
        patient = AskPatient(asked.patient_id)
        recorded = await context.ask(ALLERGIES, clinic_id, patient)
        if recorded is not None:
            allergies = [*recorded.allergies, *allergies]
            by_allergies.insert(0, RECORD)
        active = await context.ask(ACTIVE_MEDICATIONS, clinic_id, patient)
        if active is not None:
            taken = [*(medication.name for medication in active.medications), *taken]
            by_taken.insert(0, RECORD)
    distinct = list(dict.fromkeys(allergies)), list(dict.fromkeys(taken))
    return *distinct, Sources(tuple(by_allergies), tuple(by_taken))


def _from_request(known: Known) -> tuple[list[Allergy], list[str], tuple[bool, bool]]:
    allergies = [Allergy(a.substance, a.severity, a.verified) for a in known.allergies or ()]
    taken = [one if isinstance(one, str) else one.name for one in known.active_medications or ()]
    return allergies, taken, (known.allergies is not None, known.active_medications is not None)


def _order(asked: Medication, resolution: Resolution) -> Order:
    return Order(
        name=asked.medication_name,
        resolution=resolution,
        strength=_written_alike(asked.strength) or resolution.parsed.strength,
        form=asked.form or resolution.parsed.form,
        timing=None if asked.dosage is None else parse_timing(asked.dosage),
    )


def _written_alike(strength: str | None) -> str | None:
    """Return a strength as one within a name is returned: "1,000 mgs" is `1000 mg`; what is more than that, as typed."""
    if strength is None or not (strength[:1].isalnum() or strength.startswith(".")):
        return strength  # "-2+3" would lose its sign
    asked = read(f"x {strength}")
    return asked.readings[-1].parsed.strength or strength if asked.core == "x" else strength


def _shown(at: int, asked: Medication, order: Order, verdict: Verdict) -> TriagedMedication:
    timing = order.timing
    per_day = timing.doses_per_day if timing else None
    return TriagedMedication(
        medication_name=order.name,
        status=order.resolution.status,
        drug=order.resolution.drug,
        suggestions=order.resolution.suggestions,
        strength=order.strength,
        form=order.form,
        dosage=asked.dosage,
        dosage_status=timing.status if timing else None,
        doses_per_day=None if per_day is None else str(per_day),
        route=verdict.item_routes[at],
        flags=tuple(dict.fromkeys(reason.flag for reason in verdict.reasons if at in reason.items)),
    )


def _with_overrides(row: q.StoredRow) -> Triaged:
    route = row.overrides[-1].route if row.overrides else row.answer.rules_route
    return msgspec.structs.replace(row.answer, route=route, overrides=row.overrides)
