"""Writes of the vocabulary: a drug with all its names and schedules stands or falls together."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NoReturn
from uuid import UUID

import msgspec
from msgspec import UNSET

from cito.core.cache.engine import Entry
from cito.core.context import Context
from cito.core.database.errors import UniqueViolation
from cito.core.declarations import Executor
from cito.core.errors import Conflict, FieldError, NotFound, PreconditionFailed, invalid
from cito.core.http.preconditions import check_version
from cito.core.ids import new_id
from cito.plugins.drugs import queries as q
from cito.plugins.drugs.folding import fold, squash
from cito.plugins.drugs.models import Drug, DrugChange, NewDrug, Schedule, class_slug
from cito.plugins.drugs.names import aliases_of, ingredient_keys
from cito.plugins.drugs.service import find

_NAMED = ("brand_names", "keywords", "ingredients")
_CALLED = {field.name: field.encode_name for field in msgspec.structs.fields(Drug)}  # as clients know them


async def add(context: Context, new: NewDrug) -> Entry[Drug]:
    """Add a drug and return it as the next reader will see it.

    Raises:
        Invalid: a name without a letter or digit, a jurisdiction named twice.
        Conflict: another drug has this generic name.
    """
    given = msgspec.structs.asdict(new)
    drug = tidy(Drug(id=new_id(), **given))
    try:
        async with context.database.transaction(None) as tx:
            await q.add_drug.run(tx, _row(drug))
            await _put_names(tx, drug)
            await _put_schedules(tx, drug)
    except UniqueViolation as error:
        _refuse_duplicate(error)
    return await find(context, drug.id)


async def change(
    context: Context, drug_id: UUID, change: DrugChange, expected: frozenset[int] | None
) -> Entry[Drug]:
    """Change the given fields of a drug and return it as the next reader will see it.

    Args:
        context: of this process.
        drug_id: which.
        change: the fields to change; a list replaces the whole list.
        expected: versions that the caller may have read; None: any.

    Raises:
        Invalid: no field given, or as `add`.
        NotFound: no such drug.
        PreconditionFailed: changed since the caller read it.
        Conflict: another drug has this generic name.
    """
    given = {name: value for name, value in msgspec.structs.asdict(change).items() if value is not UNSET}
    if not given:
        raise invalid("body", "empty", "name at least one field to change")
    if "generic_name" in given and "ingredients" not in given:
        given["ingredients"] = ()  # they follow the new name
    try:
        async with context.database.transaction(None) as tx:
            now = await q.find_drugs.one(tx, q.ByIds([drug_id]))
            if now is None:
                raise NotFound
            check_version(now.version, expected)
            drug = tidy(msgspec.structs.replace(now, **given))
            # The version is compared again by the statement: someone may have been faster in between.
            if not await q.change_drug.run(
                tx, q.ChangedRow(**msgspec.structs.asdict(_row(drug)), version=now.version)
            ):
                raise PreconditionFailed("changed by someone else just now; read it again")
            if not {"generic_name", "brand_names", "keywords"}.isdisjoint(given):
                await q.remove_names.run(tx, q.OfDrug(drug_id))
                await _put_names(tx, drug)
            if "schedules" in given:
                await q.remove_schedules.run(tx, q.OfDrug(drug_id))
                await _put_schedules(tx, drug)
    except UniqueViolation as error:
        _refuse_duplicate(error)
    return await find(context, drug_id)


def tidy(drug: Drug) -> Drug:
    """Return a drug as it is stored: texts trimmed, lists without repetitions, ingredients and classes sorted.

    Raises:
        Invalid: a name without a letter or digit, a jurisdiction named twice.
    """
    generic = " ".join(drug.generic_name.split())
    listed = {field: _distinct(getattr(drug, field)) for field in _NAMED}
    parts = listed["ingredients"] or _distinct(generic.split("/"))
    for field, names in (("generic_name", (generic,)), *listed.items()):
        if not all(squash(fold(name)) for name in names):
            raise invalid(_CALLED[field], "name", "a name has at least one letter or digit")
    schedules = tuple(Schedule(s.jurisdiction, s.schedule.strip()) for s in drug.schedules)
    if len({schedule.jurisdiction for schedule in schedules}) < len(schedules):
        raise invalid("schedules", "unique", "a jurisdiction has one schedule")
    classes = {class_slug(name) for name in drug.classes} - {""}
    return msgspec.structs.replace(
        drug,
        generic_name=generic,
        brand_names=listed["brand_names"],
        keywords=listed["keywords"],
        ingredients=tuple(sorted(parts)),
        classes=tuple(sorted(classes)),
        schedules=tuple(sorted(schedules, key=lambda schedule: schedule.jurisdiction)),
    )


def _distinct(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(tidied for name in names if (tidied := " ".join(name.split()))))


def _row(drug: Drug) -> q.NewRow:
    return q.NewRow(
        id=drug.id,
        generic_name=drug.generic_name,
        generic_key=squash(fold(drug.generic_name)),
        ingredients=list(drug.ingredients),
        ingredient_keys=ingredient_keys(drug),
        classes=list(drug.classes),
        prescription_only=drug.prescription_only,
        is_active=drug.is_active,
    )


async def _put_names(tx: Executor, drug: Drug) -> None:
    aliases = aliases_of(drug)
    await q.add_names.run(
        tx,
        q.Names(
            drug_id=drug.id,
            kinds=[alias.kind.value for alias in aliases],
            names=[alias.name for alias in aliases],
            folded=[alias.folded for alias in aliases],
            keys=[squash(alias.folded) for alias in aliases],
        ),
    )


async def _put_schedules(tx: Executor, drug: Drug) -> None:
    if drug.schedules:
        jurisdictions = [schedule.jurisdiction for schedule in drug.schedules]
        schedules = [schedule.schedule for schedule in drug.schedules]
        await q.add_schedules.run(tx, q.Schedules(drug.id, jurisdictions, schedules))


def _refuse_duplicate(error: UniqueViolation) -> NoReturn:
    if error.constraint != "drugs_generic_key_key":
        raise error
    duplicate = FieldError("genericName", "unique", "another drug has this generic name")
    raise Conflict("another drug has this generic name", errors=(duplicate,)) from None
