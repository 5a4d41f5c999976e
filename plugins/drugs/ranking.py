"""Which near names are near enough to be suggested, and in which order. It proposes; it never decides.

Candidates come by trigrams, because an index finds them; the order is by optimal string alignment (an edit is a
letter more, less, other, or two swapped), then Jaro-Winkler, because trigrams punish short names and swaps.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple
from uuid import UUID

from rapidfuzz.distance import OSA, JaroWinkler

from cito.plugins.drugs.folding import squash
from cito.plugins.drugs.models import Suggestion
from cito.plugins.drugs.parsing import Request, words_of

if TYPE_CHECKING:
    from cito.plugins.drugs.matching import Alias

SHORTEST = 4  # letters; below, one edit makes any abbreviation of any other
SHORTEST_BEGINNING = 5  # letters from which a beginning is worth a question
NEAR_SIMILARITY = 0.25  # trigram similarity from which a name is a candidate at all
MOST_CANDIDATES = 60  # aliases looked at for one request


class _Ranked(NamedTuple):
    order: tuple[int, float, int, str]
    alias: Alias
    score: float
    reason: str


def allowed_edits(letters: int) -> int:
    """Return how many typing errors a name of this length may have: one in four letters, at least one."""
    return max(1, (letters + 1) // 4)


def ranked(request: Request, near: Iterable[Alias], *, most: int) -> tuple[Suggestion, ...]:
    """Return at most `most` suggestions, best first, one for a drug."""
    if len(squash(request.core)) < SHORTEST:
        return ()
    best: dict[UUID, _Ranked] = {}
    for alias in near:
        found = _rank(request, alias)
        if found and (alias.drug.id not in best or found.order < best[alias.drug.id].order):
            best[alias.drug.id] = found
    # One name of several drugs, equally near: the entry that was made last, whose id is the greatest.
    chosen = sorted(best.values(), key=lambda found: (found.order, -found.alias.drug.id.int))[:most]
    return tuple(Suggestion(found.alias.drug, found.score, found.reason) for found in chosen)


def _rank(request: Request, alias: Alias) -> _Ranked | None:
    """Return how near one alias is; None: not near enough to be worth a question."""
    typed, known = squash(request.core), squash(alias.folded)
    edits, letters = OSA.distance(typed, known), max(len(typed), len(known))
    alias_words = words_of(alias.folded)
    if len(request.words) > 1 and len(alias_words) > 1:  # another order of words is no typing error
        edits = min(edits, OSA.distance("".join(sorted(request.words)), "".join(sorted(alias_words))))
    typed_words, known_words = set(request.words), set(alias_words)
    if edits <= allowed_edits(len(typed)):
        reason = f"{edits} {'letter' if edits == 1 else 'letters'} from the {alias.kind} {alias.name}"
    elif typed_words <= known_words:
        reason = f"part of the {alias.kind} {alias.name}"
    elif len(typed) >= SHORTEST_BEGINNING and known.startswith(typed):
        reason = f"the beginning of the {alias.kind} {alias.name}"
    elif known_words < typed_words and max(map(len, known_words), default=0) >= SHORTEST:
        reason = f"contains the {alias.kind} {alias.name}"
    else:
        return None
    alike = JaroWinkler.similarity(typed, known)
    order = (edits, -alike, list(type(alias.kind)).index(alias.kind), alias.folded)
    return _Ranked(order, alias, round(1 - edits / letters, 4), reason)
