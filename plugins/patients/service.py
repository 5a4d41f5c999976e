"""The use cases of patients: reads by cache family, writes by transaction."""

from __future__ import annotations

from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec
from msgspec import UnsetType

from cito.core.cache.engine import Entry, Read
from cito.core.context import Context
from cito.core.database.errors import UniqueViolation
from cito.core.declarations import Executor
from cito.core.errors import Conflict, FieldError, NotFound, PreconditionFailed, Problem
from cito.core.http.preconditions import check_version
from cito.core.ids import new_id
from cito.plugins.patients import cache, queries
from cito.plugins.patients.criteria import Filters, interpret
from cito.plugins.patients.models import (
    Clinic,
    ClinicMetadata,
    FoundPatients,
    Merge,
    NewPatient,
    Patient,
    PatientChanges,
    WantedStatus,
)
from cito.plugins.patients.pages import shown_page
from cito.plugins.patients.queries import ChangedPatient, OnePatient, OneVersion, TwoPatients
from cito.plugins.patients.values import Rules, changed_values, new_values

_UNIQUE = {"patient_mrn_once": "mrn", "patient_student_number_once": "studentNumber"}


async def search(
    context: Context, clinic_id: UUID, asked: Filters, *, status: WantedStatus, page: int, limit: int
) -> Entry[FoundPatients]:
    """Return one page of a search: who was found, from one cache family, with their profiles, from another.

    Raises:
        Invalid: an empty, too short or ambiguous question.
    """
    site = await clinic(context, clinic_id)
    criteria = interpret(asked, site.region, site.locale)
    key = cache.SearchKey(**msgspec.structs.asdict(criteria), status=status, page=page, limit=limit)
    family = cache.patient_search if criteria.facts else cache.patient_name_search
    found = await context.cache.get(family, key, clinic_id)
    hits = found.value.hits
    keys = [cache.PatientKey(hit.id) for hit in hits]
    profiles = await context.cache.get_many(cache.patient_profile, keys, clinic_id)
    return shown_page(found, [profiles[key] for key in keys])


def profile(context: Context, clinic_id: UUID, patient_id: UUID) -> Read[Patient]:
    """Return a patient's profile, or an absent entry."""
    return context.cache.get(cache.patient_profile, cache.PatientKey(patient_id), clinic_id)


async def successor(context: Context, clinic_id: UUID, patient_id: UUID) -> UUID | None:
    """Return the record that a merged one became; None: it was not merged, or is not there."""
    row = await queries.find_successor.one(
        context.database.reader(clinic_id), OnePatient(clinic_id, patient_id)
    )
    return row.id if row else None


def metadata(context: Context, clinic_id: UUID) -> Read[ClinicMetadata]:
    """Return the clinic, its counts and its lists of values."""
    return context.cache.get(cache.clinic_metadata, cache.ClinicKey(), clinic_id)


async def clinic(context: Context, clinic_id: UUID) -> Clinic:
    """Return the clinic of a token.

    Raises:
        NotFound: the token names a clinic that is not here.
    """
    entry = await context.cache.get(cache.clinic, cache.ClinicKey(), clinic_id)
    if entry.absent:
        raise NotFound("the clinic of the token is not known here")
    return entry.value


async def register(context: Context, clinic_id: UUID, sent: NewPatient) -> UUID:
    """Add a patient and return its id.

    Raises:
        Invalid: a phone or a date that cannot be.
        Conflict: the record or student number is taken.
    """
    rules = await _rules(context, clinic_id)
    id_ = new_id()
    values = new_values(clinic_id, id_, sent, rules)
    contacts, policies = rules.contacts(sent.emergency_contacts), rules.policies(sent.insurance)
    rules.raise_if_broken()
    try:
        async with context.database.transaction(clinic_id) as tx:
            await queries.add_patient.run(tx, values)
            await _add_lists(tx, clinic_id, id_, contacts, policies)
    except UniqueViolation as error:
        raise _taken(error) from None
    return id_


async def change(
    context: Context, clinic_id: UUID, patient_id: UUID, expected: frozenset[int] | None, sent: PatientChanges
) -> None:
    """Change a patient, if it is still a version that the client expects (None: any).

    Raises:
        NotFound, PreconditionFailed, Invalid, Conflict: nothing was changed.
    """
    rules = await _rules(context, clinic_id)
    try:
        async with context.database.transaction(clinic_id) as tx:
            stored = await queries.find_patient.one(tx, OnePatient(clinic_id, patient_id))
            if stored is None:
                raise await _gone(tx, clinic_id, patient_id)
            check_version(stored.patient.version, expected)
            values = changed_values(clinic_id, stored.patient, sent, rules)
            contacts = (
                None
                if isinstance(sent.emergency_contacts, UnsetType)
                else rules.contacts(sent.emergency_contacts)
            )
            policies = None if isinstance(sent.insurance, UnsetType) else rules.policies(sent.insurance)
            rules.raise_if_broken()
            written = ChangedPatient(version=stored.patient.version, **msgspec.structs.asdict(values))
            if not await queries.change_patient.run(tx, written):
                raise PreconditionFailed
            owner = queries.OfPatient(clinic_id, patient_id)
            if contacts is not None:
                await queries.clear_emergency_contacts.run(tx, owner)
            if policies is not None:
                await queries.clear_insurance.run(tx, owner)
            await _add_lists(tx, clinic_id, patient_id, contacts or [], policies or [])
    except UniqueViolation as error:
        raise _taken(error) from None


async def remove(
    context: Context, clinic_id: UUID, patient_id: UUID, expected: frozenset[int] | None
) -> None:
    """Take a patient out of every list; the record and what refers to it stay.

    Raises:
        NotFound, PreconditionFailed, Conflict: nothing was changed.
    """
    async with context.database.transaction(clinic_id) as tx:
        held = await _lock(tx, clinic_id, patient_id, expected)
        await queries.delete_patient.run(tx, OneVersion(clinic_id, patient_id, held))


async def merge(
    context: Context, clinic_id: UUID, survivor: UUID, expected: frozenset[int] | None, sent: Merge
) -> None:
    """Make a duplicate part of another record: its id leads there from now on, what refers to it moves.

    Raises:
        NotFound: one of the two is not there.
        Conflict: they are the same, one was merged already, or what moves exists on both sides.
        PreconditionFailed: the surviving record is another version.
    """
    if survivor == sent.duplicate_id:
        raise Conflict("a record cannot be merged with itself")
    async with context.database.transaction(clinic_id) as tx:
        # Always in the same order, so that two merges wait for each other and never both.
        for id_ in sorted((survivor, sent.duplicate_id)):
            await _lock(tx, clinic_id, id_, expected if id_ == survivor else None)
        await queries.merge_patients.run(tx, TwoPatients(clinic_id, survivor, sent.duplicate_id))


async def _lock(tx: Executor, clinic_id: UUID, patient_id: UUID, expected: frozenset[int] | None) -> int:
    held = await queries.lock_patient.one(tx, OnePatient(clinic_id, patient_id))
    if held is None:
        raise NotFound
    if held.merged_into is not None:
        raise Conflict("the record was merged into another; change that one")
    check_version(held.version, expected)
    return held.version


async def _gone(tx: Executor, clinic_id: UUID, patient_id: UUID) -> Problem:
    """Return why a patient cannot be changed: merged, or not there."""
    try:
        await _lock(tx, clinic_id, patient_id, None)
    except Problem as problem:
        return problem
    return PreconditionFailed()


async def _rules(context: Context, clinic_id: UUID) -> Rules:
    site = await clinic(context, clinic_id)
    today = context.clock.now().astimezone(ZoneInfo(site.time_zone)).date()
    return Rules(site.region, today)


async def _add_lists(
    tx: Executor,
    clinic_id: UUID,
    patient_id: UUID,
    contacts: list[queries.ContactRow],
    policies: list[queries.PolicyRow],
) -> None:
    if contacts:
        rows = msgspec.json.encode(contacts).decode()
        await queries.add_emergency_contacts.run(tx, queries.NewContacts(clinic_id, patient_id, rows))
    if policies:
        rows = msgspec.json.encode(policies).decode()
        await queries.add_insurance.run(tx, queries.NewPolicies(clinic_id, patient_id, rows))


def _taken(error: UniqueViolation) -> Conflict:
    field = _UNIQUE.get(error.constraint)
    if field is None:
        return Conflict("an id that was sent is in use elsewhere")
    rule = FieldError(field, "unique", "another patient has it")
    return Conflict(f"{field}: {rule.message}", errors=(rule,))
