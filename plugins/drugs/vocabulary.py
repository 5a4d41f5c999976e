"""The whole vocabulary in memory: the same answers as the tables give, without a round trip."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property

from cito.plugins.drugs.folding import bare, slips, squash, trigrams
from cito.plugins.drugs.matching import Alias, resolve
from cito.plugins.drugs.models import Drug, Resolution
from cito.plugins.drugs.names import aliases_of, ingredient_keys, ingredient_named
from cito.plugins.drugs.parsing import Request, read
from cito.plugins.drugs.ranking import MOST_CANDIDATES, NEAR_SIMILARITY


class Vocabulary:
    """All drugs, by every way to ask for them. Immutable once made; what finds similar names is made when needed."""

    def __init__(self, drugs: Iterable[Drug]) -> None:
        self._named: dict[str, list[Alias]] = defaultdict(list)
        self._composed: dict[frozenset[str], list[Drug]] = defaultdict(list)
        self._ingredients: set[str] = set()
        for drug in drugs:
            for alias in aliases_of(drug):
                self._named[squash(alias.folded)].append(alias)
            keys = ingredient_keys(drug)
            self._ingredients.update(keys)
            self._composed[frozenset(keys)].append(drug)

    def __len__(self) -> int:
        """Return the number of names."""
        return sum(map(len, self._named.values()))

    def lookup(self, text: str) -> Resolution:
        """Return what one typed name means."""
        request = read(text)
        return resolve(request, _Asked(self, request))

    def lookup_many(self, texts: Sequence[str]) -> list[Resolution]:
        """Return one resolution for each position."""
        return [self.lookup(text) for text in texts]

    def exactly(self, request: Request) -> Resolution | None:
        """Return what a request means where exact names decide; None: similar names have to be looked for."""
        try:
            return resolve(request, _Exactly(self, request))
        except _SimilarWantedError:
            return None

    def named(self, key: str) -> Sequence[Alias]:
        """Return the aliases that are exactly this key."""
        return self._named.get(key, ())

    def ingredient(self, key: str) -> str | None:
        """Return the ingredient that a key names."""
        return ingredient_named(key, self._ingredients, self.named(key))

    def composed_of(self, ingredients: frozenset[str]) -> Sequence[Drug]:
        """Return the drugs with exactly these ingredients."""
        return self._composed.get(ingredients, ())

    def slipped(self, request: Request) -> list[Alias]:
        """Return the aliases that are one slip away."""
        wanted = request.slips()
        places = {at for slip in wanted for at in self._slips.get(slip, ())}
        return [self._trigrams[0][at] for at in sorted(places)]

    def alike(self, folded: str) -> list[Alias]:
        """Return aliases by trigram similarity, the most similar first, as pg_trgm would."""
        aliases, sizes, postings = self._trigrams
        grams = trigrams(bare(folded))
        shared = Counter[int]()
        for gram in grams:
            shared.update(postings.get(gram, ()))
        similar = [
            (-count / (len(grams) + sizes[at] - count), aliases[at].folded, at)
            for at, count in shared.items()
        ]
        similar = sorted(found for found in similar if found[0] <= -NEAR_SIMILARITY)[:MOST_CANDIDATES]
        return [aliases[at] for _, _, at in similar]

    @cached_property
    def _slips(self) -> Mapping[str, list[int]]:
        """Where each writing with a letter left out occurs."""
        found: dict[str, list[int]] = defaultdict(list)
        for at, alias in enumerate(self._trigrams[0]):
            for slip in slips(squash(alias.folded)):
                found[slip].append(at)
        return found

    @cached_property
    def _trigrams(self) -> tuple[list[Alias], list[int], Mapping[str, list[int]]]:
        """All aliases, how many trigrams each has, and where each trigram occurs."""
        aliases = [alias for named in self._named.values() for alias in named]
        aliases.sort(key=lambda alias: (alias.folded, alias.drug.id))
        grams = [trigrams(bare(alias.folded)) for alias in aliases]
        postings: dict[str, list[int]] = defaultdict(list)
        for at, own in enumerate(grams):
            for gram in own:
                postings[gram].append(at)
        return aliases, [len(own) for own in grams], postings


class _Asked:
    """The vocabulary's knowledge about one request."""

    def __init__(self, vocabulary: Vocabulary, request: Request) -> None:
        self.named = vocabulary.named
        self.ingredient = vocabulary.ingredient
        self.composed_of = vocabulary.composed_of
        self._vocabulary = vocabulary
        self._request = request

    def near(self) -> Sequence[Alias]:
        return self._vocabulary.slipped(self._request) or self._vocabulary.alike(self._request.core)


class _SimilarWantedError(Exception):
    """Exact names do not decide this request."""


class _Exactly(_Asked):
    """The same, without similar names."""

    def near(self) -> Sequence[Alias]:
        raise _SimilarWantedError
