"""What typed names mean, for a decision: found through the cache, then held against the primary.

A cached meaning may be a moment old. So every drug that it names is read anew by its id, schedules, classes and
status with it, and the meaning counts only while that drug still has the name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from uuid import UUID
from weakref import WeakKeyDictionary, ref

import msgspec

from cito.core.context import Context
from cito.core.database.batch import Coalescer
from cito.core.database.pool import Database
from cito.core.declarations import Executor
from cito.plugins.drugs import queries as q
from cito.plugins.drugs.finding import find_resolutions
from cito.plugins.drugs.models import Drug, Resolution, Status
from cito.plugins.drugs.service import look_up_many
from cito.plugins.drugs.vocabulary import Vocabulary

Ids = frozenset[UUID]
Drugs = Mapping[UUID, Drug]


async def resolve_to_decide(context: Context, names: Sequence[str]) -> list[Resolution]:
    """Return what each typed name means, with every drug as the primary has it now: for triage and the like.

    One query reads the drugs of all names, and of the requests that arrive together; a second one only looks up
    names that have moved to another drug. A drug that is gone is not found, a withdrawn one inactive.
    """
    shown = [
        answer if isinstance(answer, Resolution) else answer.value
        for answer in await look_up_many(context, names)
    ]
    ids = frozenset(drug.id for answer in shown for drug in _drugs_of(answer))
    now = (await _reads(context.database).get(None, ids) or {}) if ids else {}
    found = [_as_of(answer, now) for answer in shown]
    moved = [at for at, answer in enumerate(found) if answer.drug and not _means(names[at], answer.drug)]
    if moved:
        primary = context.database.reader(None, primary=True)
        anew = await find_resolutions(primary, [names[at] for at in moved])
        for at, answer in zip(moved, anew, strict=True):
            found[at] = answer
    return found


_coalescers: WeakKeyDictionary[Database, Coalescer[Ids, Drugs]] = WeakKeyDictionary()


def _reads(database: Database) -> Coalescer[Ids, Drugs]:
    """Return the reads of one process: requests that arrive together share one query."""
    reads = _coalescers.get(database)
    if reads is None:
        process = ref(database)  # else the entry would keep its own key alive

        def primary(clinic_id: UUID | None) -> Executor:
            opened = process()
            assert opened is not None
            return opened.reader(clinic_id, primary=True)

        reads = _coalescers[database] = Coalescer(_load, primary)
    return reads


async def _load(on: Executor, wanted: Sequence[Ids]) -> Mapping[Ids, Drugs]:
    """Read the drugs of several requests."""
    rows = await q.find_drugs.all(on, q.ByIds(sorted(frozenset[UUID]().union(*wanted))))
    now = {drug.id: drug for drug in rows}
    return {ids: {drug_id: now[drug_id] for drug_id in ids if drug_id in now} for ids in wanted}


def _means(name: str, drug: Drug) -> bool:
    return Vocabulary((drug,)).lookup(name).drug is not None


def _drugs_of(answer: Resolution) -> list[Drug]:
    own = [answer.drug] if answer.drug else []
    return own + [suggestion.drug for suggestion in answer.suggestions]


def _as_of(answer: Resolution, now: Drugs) -> Resolution:
    """Return an answer with its drugs as they are now."""
    suggestions = tuple(
        msgspec.structs.replace(suggestion, drug=now[suggestion.drug.id])
        for suggestion in answer.suggestions
        if suggestion.drug.id in now
    )
    if answer.drug is None:
        gone = answer.suggestions and not suggestions
        status = Status.NOT_FOUND if gone else answer.status
        return msgspec.structs.replace(answer, status=status, suggestions=suggestions)
    drug = now.get(answer.drug.id)
    if drug is None:
        return Resolution(Status.NOT_FOUND, parsed=answer.parsed)
    status = Status.RESOLVED if drug.is_active else Status.INACTIVE
    return msgspec.structs.replace(answer, status=status, drug=drug)
