"""What can be done with the formulary: reads by family, writes by transaction."""

from __future__ import annotations

from typing import Any, NoReturn
from uuid import UUID

import msgspec
from msgspec import UNSET

from cito.core.cache.engine import Entry, Read
from cito.core.context import Context
from cito.core.database.errors import UniqueViolation
from cito.core.errors import Conflict, FieldError, NotFound, PreconditionFailed, invalid
from cito.core.http.preconditions import check_version
from cito.core.ids import new_id
from cito.plugins.medications import queries as q
from cito.plugins.medications.cache import FORMULARY, MEDICINE, SUGGESTIONS, MedicineKey, PageKey, TypedKey
from cito.plugins.medications.models import Medicine, MedicineChange, MedicinePage, NewMedicine, Suggestions
from cito.plugins.medications.ndc import normalise_ndc

_LEAST_LETTERS = 2


def find_page(context: Context, search: str, page: int, limit: int) -> Read[MedicinePage]:
    """Return a page of the formulary: ranked by the search, or by name without one."""
    return context.cache.get(FORMULARY, PageKey(_one_spelling(search), page, limit), None)


def suggest(context: Context, typed: str, limit: int) -> Read[Suggestions]:
    """Return the medicines that the first letters of a name may mean.

    Raises:
        Invalid: fewer than two letters.
    """
    spelt = _one_spelling(typed)
    if len(spelt) < _LEAST_LETTERS:
        raise invalid("query", "min_length", f"type at least {_LEAST_LETTERS} letters")
    return context.cache.get(SUGGESTIONS, TypedKey(spelt, limit), None)


def find(context: Context, medicine_id: UUID) -> Read[Medicine]:
    """Return one medicine; the entry is absent where there is none."""
    return context.cache.get(MEDICINE, MedicineKey(medicine_id), None)


async def add(context: Context, new: NewMedicine) -> Entry[Medicine]:
    """Add a medicine and return it as the next reader will see it.

    Raises:
        Invalid: an NDC that is none.
        Conflict: another medicine has this NDC.
    """
    given = msgspec.structs.asdict(new)
    stored = q.Stored(id=new_id(), **_tidy(given))
    try:
        async with context.database.transaction(None) as tx:
            await q.add_medication.one(tx, stored)
    except UniqueViolation as error:
        _refuse_duplicate(error)
    return await find(context, stored.id)


async def change(
    context: Context, medicine_id: UUID, change: MedicineChange, expected: frozenset[int] | None
) -> Entry[Medicine]:
    """Change the given fields of a medicine and return it as the next reader will see it.

    Args:
        context: of this process.
        medicine_id: which.
        change: the fields to change.
        expected: versions that the caller may have read; None: any.

    Raises:
        Invalid: no field given, or an NDC that is none.
        NotFound: no such medicine.
        PreconditionFailed: changed since the caller read it.
        Conflict: another medicine has this NDC.
    """
    given = {name: value for name, value in msgspec.structs.asdict(change).items() if value is not UNSET}
    if not given:
        raise invalid("body", "empty", "name at least one field to change")
    given = _tidy(given)
    try:
        async with context.database.transaction(None) as tx:
            now = await q.find_medications.one(tx, q.ByIds([medicine_id]))
            if now is None:
                raise NotFound
            check_version(now.version, expected)
            as_is = {name: getattr(now, name) for name in q.Changed.__struct_fields__}
            # The version is compared again by the statement: someone may have been faster in between.
            if await q.change_medication.one(tx, q.Changed(**{**as_is, **given})) is None:
                raise PreconditionFailed("changed by someone else just now; read it again")
    except UniqueViolation as error:
        _refuse_duplicate(error)
    return await find(context, medicine_id)


def _tidy(given: dict[str, Any]) -> dict[str, Any]:
    """Return the fields as they are stored: no space around a text, the NDC in its one form."""
    tidy = {name: value.strip() if isinstance(value, str) else value for name, value in given.items()}
    ndc = tidy.get("ndc")
    return tidy | {"ndc": normalise_ndc(ndc)} if isinstance(ndc, str) else tidy


def _refuse_duplicate(error: UniqueViolation) -> NoReturn:
    if error.constraint != "medications_ndc_key":
        raise error
    duplicate = FieldError("ndc", "unique", "another medicine has this NDC")
    raise Conflict("another medicine has this NDC", errors=(duplicate,)) from None


def _one_spelling(text: str) -> str:
    """Return what several spellings of a search share, so that they share a cache entry; SQL folds the rest."""
    return " ".join(text.casefold().split())
