"""Lookups from the tables: up to 100 names, one query, decided by the same rules as in memory."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from operator import itemgetter

from cito.core.declarations import Executor
from cito.plugins.drugs import queries as q
from cito.plugins.drugs.folding import squash
from cito.plugins.drugs.matching import Alias, resolve
from cito.plugins.drugs.models import Drug, Resolution
from cito.plugins.drugs.names import INGREDIENT_SYNONYMS, ingredient_keys, ingredient_named
from cito.plugins.drugs.parsing import Request, read


async def find_resolutions(on: Executor, texts: Sequence[str]) -> list[Resolution]:
    """Return one resolution for each text. Runs one query, or none where no text can be a name."""
    requests = [read(text) for text in texts]
    asked = _asked(requests)
    rows = await q.lookup_drugs.all(on, asked) if asked.keys else []
    evidence = _Evidence(rows)
    return [resolve(request, _Known(evidence, request)) for request in requests]


def _asked(requests: Iterable[Request]) -> q.Asked:
    keys: set[str] = set()
    cores: dict[tuple[str, frozenset[str]], int] = {}
    slips: dict[int, frozenset[str]] = {}
    for request in requests:
        keys |= request.keys()
        if request.core:
            # A reading that takes a number for a strength does not make similar names unwanted: see `_numbered`.
            exact = frozenset(
                squash(reading.name) for reading in request.readings if not reading.dropped_number
            )
            slips[cores.setdefault((request.core, exact), len(cores) + 1)] = request.slips()
    keys |= {INGREDIENT_SYNONYMS[key] for key in keys if key in INGREDIENT_SYNONYMS}
    pairs = [(place, key) for (_, exact), place in cores.items() for key in sorted(exact)]
    slipped = [(place, slip) for place, own in slips.items() for slip in sorted(own)]
    return q.Asked(
        keys=sorted(keys),
        cores=[core for core, _ in cores],
        core_places=[place for place, _ in pairs],
        exact_keys=[key for _, key in pairs],
        slip_places=[place for place, _ in slipped],
        slips=[slip for _, slip in slipped],
    )


class _Evidence:
    """What one query found, for all its requests."""

    def __init__(self, rows: Iterable[q.FoundRow]) -> None:
        self.named: dict[str, list[Alias]] = defaultdict(list)
        self.composed: dict[frozenset[str], list[Drug]] = defaultdict(list)
        self.ingredients: set[str] = set()
        alike: dict[str, list[tuple[int, Alias]]] = defaultdict(list)
        for row in sorted(rows, key=lambda row: row.id):
            drug = q.as_drug(row)
            own = ingredient_keys(drug)
            self.ingredients.update(own)
            self.composed[frozenset(own)].append(drug)
            for reason in row.reasons:
                alias = Alias(reason.name, reason.folded, reason.kind, drug)
                if reason.how == "exact":
                    self.named[squash(reason.folded)].append(alias)
                elif reason.how == "alike":
                    alike[reason.core].append((reason.place, alias))
        self.alike = {core: sorted(found, key=itemgetter(0)) for core, found in alike.items()}


class _Known:
    """What is known about one request."""

    def __init__(self, evidence: _Evidence, request: Request) -> None:
        self._evidence = evidence
        self._request = request

    def named(self, key: str) -> Sequence[Alias]:
        return self._evidence.named.get(key, ())

    def ingredient(self, key: str) -> str | None:
        return ingredient_named(key, self._evidence.ingredients, self.named(key))

    def composed_of(self, ingredients: frozenset[str]) -> Sequence[Drug]:
        return self._evidence.composed.get(ingredients, ())

    def near(self) -> Sequence[Alias]:
        found = self._evidence.alike.get(self._request.core, ())
        slipped = [alias for place, alias in found if not place] if self._request.slips() else []
        return slipped or [alias for place, alias in found if place]
