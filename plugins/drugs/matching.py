"""From a typed name and what the vocabulary knows about it to an answer. Pure: no I/O, nothing remembered.

Exact steps decide, in this order: generic, brand, keyword, ingredient set; each for the reading that takes
least off the text. Whatever is merely alike becomes a suggestion that a person must confirm.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple, Protocol

from cito.plugins.drugs.folding import squash
from cito.plugins.drugs.models import Drug, Kind, Parsed, Resolution, Status, Suggestion
from cito.plugins.drugs.parsing import MAX_PHRASE_WORDS, MAX_WORDS, Reading, Request
from cito.plugins.drugs.ranking import ranked

_STEPS = (Kind.GENERIC, Kind.BRAND, Kind.KEYWORD)
_SHARES = re.compile(r"(?<!\S)(?P<one>\d+)[/-](?P<other>\d+)(?!\S)")
_WHOLE = 100


class Alias(NamedTuple):
    """One name of one drug."""

    name: str
    folded: str
    kind: Kind
    drug: Drug


class Knowledge(Protocol):
    """What is known about one request; asked by squashed text."""

    def named(self, key: str) -> Sequence[Alias]:
        """Return the aliases that are exactly this."""
        ...

    def ingredient(self, key: str) -> str | None:
        """Return the key of the ingredient that this names, by its own name or by its only meaning as a synonym."""
        ...

    def composed_of(self, ingredients: frozenset[str]) -> Sequence[Drug]:
        """Return the drugs with exactly these ingredients, given by key."""
        ...

    def near(self) -> Sequence[Alias]:
        """Return aliases that look like the request's core or whole text."""
        ...


def resolve(request: Request, known: Knowledge, *, most: int = 5) -> Resolution:
    """Answer one request.

    Args:
        request: the typed name, taken apart.
        known: the vocabulary's knowledge about it.
        most: how many suggestions at most.
    """
    if not request.valid:
        return Resolution(Status.INVALID)
    named = _named(request, [reading.name for reading in request.readings], known, most)
    if named is not None:
        return named
    drugs = _by_ingredients(request.words, known)
    if drugs:
        return _decided(drugs, "ingredients", request.parsed, most)
    # "TMP/SMX" where "TMP-SMX" is known: the same letters, joined otherwise.
    named = _named(request, [reading.apart for reading in request.readings], known, most)
    if named is not None:
        return named
    suggestions = ranked(request, known.near(), most=most) if request.core else ()
    status = Status.SUGGEST if suggestions else Status.NOT_FOUND
    return Resolution(status, suggestions=suggestions, parsed=request.parsed)


def _named(request: Request, names: Sequence[str], known: Knowledge, most: int) -> Resolution | None:
    """Answer by the first reading that is exactly a name; `names` are how the readings are written."""
    for reading, name in zip(request.readings, names, strict=True):
        found, kind = _exact(name, known)
        if not found:
            continue
        suspect = (
            _numbered(request, found, known) or _mixed(reading, found, known)
            if reading.dropped_number
            else []
        )
        if suspect:
            suggestions = ranked(request, suspect, most=most)
            return Resolution(Status.SUGGEST, suggestions=suggestions, parsed=request.parsed)
        return _decided(found, kind.value, reading.parsed, most)
    return None


def _exact(name: str, known: Knowledge) -> tuple[list[Drug], Kind]:
    """Return the drugs of the first step at which this is exactly a name."""
    aliases = known.named(squash(name))
    for kind in _STEPS:
        drugs = {alias.drug.id: alias.drug for alias in aliases if alias.kind is kind}
        if drugs:
            return list(drugs.values()), kind
    return [], Kind.KEYWORD


def _numbered(request: Request, found: Iterable[Drug], known: Knowledge) -> list[Alias]:
    """Return what makes a bare number suspect: another drug's name that is this name and some number.

    "Tylenol 4" must not become Tylenol while a "Tylenol 3" with codeine exists.
    """
    ids = {drug.id for drug in found}
    core = squash(request.core)
    near = known.near()
    others = [
        alias
        for alias in near
        if alias.drug.id not in ids
        and (key := squash(alias.folded)).startswith(core)
        and key[len(core) :].replace("/", "").isdigit()
    ]
    return others and [*others, *(alias for alias in near if alias.drug.id in ids)]


def _mixed(reading: Reading, found: Sequence[Drug], known: Knowledge) -> list[Alias]:
    """Return what makes a ratio suspect: shares of a whole, beside a drug of one ingredient.

    "Humalog 75/25" is a mixture of two insulins, and no strength of Humalog.
    """
    shares = _SHARES.search(reading.parsed.strength or "")
    whole = shares is not None and int(shares["one"]) + int(shares["other"]) == _WHOLE
    if not whole or any(len(drug.ingredients) > 1 for drug in found):
        return []
    return [alias for alias in known.named(squash(reading.name)) if alias.drug in found]


def _by_ingredients(words: tuple[str, ...], known: Knowledge) -> list[Drug]:
    """Return the drugs made of exactly the ingredients that the words name, in any order; all words must count."""
    if len(words) > MAX_WORDS:
        return []
    for named in _ingredients(words, known):
        drugs = known.composed_of(frozenset(named)) if len(set(named)) == len(named) else ()
        if drugs:
            return list(drugs)
    return []


def _ingredients(words: tuple[str, ...], known: Knowledge) -> Iterator[list[str]]:
    """Yield each way to split the words into ingredient names, longest names first; none where a word is left."""
    if not words:
        yield []
    for length in range(min(MAX_PHRASE_WORDS, len(words)), 0, -1):
        ingredient = known.ingredient(squash("".join(words[:length])))
        if ingredient is not None:
            yield from ([ingredient, *rest] for rest in _ingredients(words[length:], known))


def _decided(found: Sequence[Drug], matched_on: str, parsed: Parsed, most: int) -> Resolution:
    """Return the answer for drugs of one exact step: active ones count first."""
    drugs = [drug for drug in found if drug.is_active] or list(found)
    if len(drugs) == 1:
        status = Status.RESOLVED if drugs[0].is_active else Status.INACTIVE
        return Resolution(status, drugs[0], parsed=parsed, matched_on=matched_on)
    listed = sorted(drugs, key=lambda drug: (drug.generic_name, drug.id.bytes))[:most]
    suggestions = tuple(Suggestion(drug, 1.0, f"the same {matched_on}") for drug in listed)
    return Resolution(Status.AMBIGUOUS, suggestions=suggestions, parsed=parsed, matched_on=matched_on)
