"""The straightforward twin of lookup: one name after the other, all names scanned, all compared for similar ones.

Baseline of the benchmark, and oracle of the property tests for every exact name. What it is known to get wrong: it
offers similar generic names only, knows no combination by its ingredients, and misses `cocodamol` for co-codamol.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from cito.core.declarations import Executor
from cito.plugins.drugs import queries as q
from cito.plugins.drugs.folding import fold, squash
from cito.plugins.drugs.models import Drug, Kind, Resolution, Status, Suggestion
from cito.plugins.drugs.parsing import read

_MOST = 5


async def look_up_many(on: Executor, names: Sequence[str]) -> list[Resolution]:
    """Return what each name means; one or two queries for each of its readings."""
    return [await look_up(on, name) for name in names]


async def look_up(on: Executor, name: str) -> Resolution:
    """Return what one name means."""
    request = read(name)
    if not request.valid:
        return Resolution(Status.INVALID)
    for reading in request.readings:
        drugs = await q.naive_lookup_drugs.all(on, q.NaiveName(reading.name, f"%{_words(reading.name)}%"))
        for kind in Kind:
            found = [drug for drug in drugs if squash(reading.name) in _keys(drug, kind)]
            found = [drug for drug in found if drug.is_active] or found
            if len(found) > 1:
                return Resolution(Status.AMBIGUOUS, parsed=reading.parsed, matched_on=kind.value)
            if found:
                status = Status.RESOLVED if found[0].is_active else Status.INACTIVE
                return Resolution(status, found[0], parsed=reading.parsed, matched_on=kind.value)
    similar = await q.naive_search_drugs.all(on, q.NaiveSimilar(request.core, _MOST))
    suggestions = tuple(Suggestion(drug, 0.0, "a similar generic name") for drug in similar)
    return Resolution(Status.SUGGEST if suggestions else Status.NOT_FOUND, suggestions=suggestions)


def _words(folded: str) -> str:
    """The text with its joints open: hyphens and spaces may be written or not."""
    return "%".join(folded.replace("-", " ").replace("%", "").split())


def _keys(drug: Drug, kind: Kind) -> set[str]:
    return {squash(fold(name)) for name in _names(drug, kind)}


def _names(drug: Drug, kind: Kind) -> Iterable[str]:
    return {Kind.GENERIC: (drug.generic_name,), Kind.BRAND: drug.brand_names, Kind.KEYWORD: drug.keywords}[
        kind
    ]
