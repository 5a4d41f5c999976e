"""What is shown of the vocabulary: reads through the cache. What decides is read by `deciding`."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from cito.core.cache.engine import Entry, Read
from cito.core.context import Context
from cito.core.errors import invalid
from cito.plugins.drugs.cache import DRUG, LOOKUP, SEARCH, DrugKey, NameKey, PageKey
from cito.plugins.drugs.folding import fold
from cito.plugins.drugs.memory import at_hand
from cito.plugins.drugs.models import Drug, DrugPage, Resolution, Status, class_slug
from cito.plugins.drugs.parsing import Request, read

_INVALID = Resolution(Status.INVALID)


async def look_up(context: Context, name: str) -> Entry[Resolution] | Resolution:
    """Return what one typed name means: the cached answer, or a resolution that says "not found".

    Raises:
        Invalid: the text cannot be a name.
    """
    request = read(name)
    if not request.valid:
        raise invalid("name", "invalid", "a name has 1 to 200 printable characters")
    if not request.folded:
        return _not_found(request)
    entry = await context.cache.get(LOOKUP, NameKey(request.folded), None)
    return _not_found(request) if entry.absent else entry


async def look_up_many(context: Context, names: Sequence[str]) -> list[Entry[Resolution] | Resolution]:
    """Return what each typed name means, as `look_up` does: one round trip to the cache, one query at most.

    Exact names are found in memory where the whole vocabulary is at hand. A text that cannot be a name has the
    status `invalid`.
    """
    requests = [read(name) for name in names]
    vocabulary = at_hand(context)
    known = {
        request.folded: answer
        for request in requests
        if vocabulary and request.folded and (answer := vocabulary.exactly(request))
    }
    keys = {
        NameKey(request.folded): None
        for request in requests
        if request.folded and request.folded not in known
    }
    entries = await context.cache.get_many(LOOKUP, tuple(keys), None) if keys else {}

    def answered(request: Request) -> Entry[Resolution] | Resolution:
        if not request.valid:
            return _INVALID
        if request.folded in known:
            return known[request.folded]
        entry = entries[NameKey(request.folded)] if request.folded else None
        return _not_found(request) if entry is None or entry.absent else entry

    return [answered(request) for request in requests]


def find_page(
    context: Context, search: str, drug_class: str, schedule: str, *, page: int, limit: int
) -> Read[DrugPage]:
    """Return a page of active drugs: by name, or ranked where there is a search."""
    key = PageKey(fold(search), class_slug(drug_class), schedule.strip(), page, limit)
    return context.cache.get(SEARCH, key, None)


def find(context: Context, drug_id: UUID) -> Read[Drug]:
    """Return one drug; the entry is absent where there is none."""
    return context.cache.get(DRUG, DrugKey(drug_id), None)


def _not_found(request: Request) -> Resolution:
    return Resolution(Status.NOT_FOUND, parsed=request.parsed)
