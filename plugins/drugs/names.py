"""What a drug is called and made of, in the forms that lookups compare: the same in memory and in the tables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from cito.plugins.drugs.folding import fold, squash
from cito.plugins.drugs.matching import Alias
from cito.plugins.drugs.models import Drug, Kind, class_slug

# Other names of substances that are not sold alone, so that no drug's keyword says it.
INGREDIENT_SYNONYMS: Mapping[str, str] = {
    squash(fold(name)): squash(fold(ingredient))
    for name, ingredient in (
        ("clavulanate", "clavulanic acid"),
        ("clavulanate potassium", "clavulanic acid"),
        ("potassium clavulanate", "clavulanic acid"),
        ("clav", "clavulanic acid"),
    )
}


def aliases_of(drug: Drug) -> list[Alias]:
    """Return every name of a drug, the generic one first, each name once a kind."""
    named = (
        (Kind.GENERIC, (drug.generic_name,)),
        (Kind.BRAND, drug.brand_names),
        (Kind.KEYWORD, drug.keywords),
    )
    found = {(kind, name): Alias(name, fold(name), kind, drug) for kind, names in named for name in names}
    return [alias for alias in found.values() if squash(alias.folded)]


def ingredient_keys(drug: Drug) -> list[str]:
    """Return the drug's ingredients as they are compared."""
    return [squash(fold(ingredient)) for ingredient in drug.ingredients]


def synonym_of(alias: Alias) -> str | None:
    """Return the ingredient key that an alias stands for; None: it is no substance's name.

    Brands are products, a drug of several ingredients names none, and a class ("benzodiazepine") is no synonym.
    """
    drug = alias.drug
    if alias.kind is Kind.BRAND or len(drug.ingredients) != 1 or class_slug(alias.folded) in drug.classes:
        return None
    return ingredient_keys(drug)[0]


def ingredient_named(key: str, own: Iterable[str], aliases: Iterable[Alias]) -> str | None:
    """Return the ingredient that a key names: an ingredient's own name, else its only meaning as a synonym.

    Args:
        key: what was typed, squashed.
        own: keys of known ingredients.
        aliases: the aliases that are exactly this key.
    """
    if key in own:
        return key
    meant = {synonym_of(alias) for alias in aliases} - {None}
    if key in INGREDIENT_SYNONYMS:
        meant.add(INGREDIENT_SYNONYMS[key])
    return meant.pop() if len(meant) == 1 else None
