"""The whole vocabulary in memory: the same answers as the tables give, without a round trip."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

from cito.plugins.drugs.folding import squash, trigrams
from cito.plugins.drugs.matching import Alias, resolve
from cito.plugins.drugs.models import Drug, Resolution
from cito.plugins.drugs.names import aliases_of, ingredient_keys, ingredient_named
from cito.plugins.drugs.parsing import Request, read
from cito.plugins.drugs.ranking import MOST_CANDIDATES, NEAR_SIMILARITY


class Vocabulary:
    """All drugs, by every way to ask for them. Immutable once made."""

    def __init__(self, drugs: Iterable[Drug]) -> None:
        self._named: dict[str, list[Alias]] = defaultdict(list)
        self._composed: dict[frozenset[str], list[Drug]] = defaultdict(list)
        self._ingredients: set[str] = set()
        self._aliases: list[Alias] = []
        self._sizes: list[int] = []
        self._postings: dict[str, list[int]] = defaultdict(list)
        for drug in drugs:
            self._add(drug)

    def __len__(self) -> int:
        """Return the number of names."""
        return len(self._aliases)

    def lookup(self, text: str) -> Resolution:
        """Return what one typed name means."""
        request = read(text)
        return resolve(request, _Asked(self, request))

    def lookup_many(self, texts: Sequence[str]) -> list[Resolution]:
        """Return one resolution for each position."""
        return [self.lookup(text) for text in texts]

    def _add(self, drug: Drug) -> None:
        for alias in aliases_of(drug):
            self._named[squash(alias.folded)].append(alias)
            grams = trigrams(alias.folded)
            for gram in grams:
                self._postings[gram].append(len(self._aliases))
            self._aliases.append(alias)
            self._sizes.append(len(grams))
        keys = ingredient_keys(drug)
        self._ingredients.update(keys)
        self._composed[frozenset(keys)].append(drug)

    def alike(self, folded: str) -> list[Alias]:
        """Return aliases by trigram similarity, the most similar first, as pg_trgm would."""
        grams = trigrams(folded)
        shared = Counter[int]()
        for gram in grams:
            shared.update(self._postings.get(gram, ()))
        similar = [
            (-count / (len(grams) + self._sizes[at] - count), self._aliases[at].folded, at)
            for at, count in shared.items()
        ]
        similar = sorted(found for found in similar if found[0] <= -NEAR_SIMILARITY)[:MOST_CANDIDATES]
        return [self._aliases[at] for _, _, at in similar]


class _Asked:
    """The vocabulary's knowledge about one request."""

    def __init__(self, vocabulary: Vocabulary, request: Request) -> None:
        self._vocabulary = vocabulary
        self._request = request

    def named(self, key: str) -> Sequence[Alias]:
        return self._vocabulary._named.get(key, ())  # noqa: SLF001 - one thing in two halves

    def ingredient(self, key: str) -> str | None:
        return ingredient_named(key, self._vocabulary._ingredients, self.named(key))  # noqa: SLF001

    def composed_of(self, ingredients: frozenset[str]) -> Sequence[Drug]:
        return self._vocabulary._composed.get(ingredients, ())  # noqa: SLF001

    def near(self) -> Sequence[Alias]:
        return self._vocabulary.alike(self._request.core)
