"""Allergies against orders, by ingredient sets and classes, never by names."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from cito.plugins.clinical.vocabulary import Severity
from cito.plugins.drugs.folding import fold, squash
from cito.plugins.drugs.models import Drug, Status
from cito.plugins.drugs.triage_models import Allergen, Order, Reason, Route
from cito.plugins.drugs.triage_rules import AllergyClass, Rules

_SEVERE = {Severity.SEVERE, Severity.LIFE_THREATENING}


def check_allergies(orders: Sequence[Order], allergens: Sequence[Allergen], rules: Rules) -> Iterator[Reason]:
    """Yield the reasons of each order against each allergy. A substance that nobody knows goes to a person."""
    for allergen in allergens:
        key = squash(fold(allergen.allergy.substance))
        named = rules.class_names.get(key)
        drug = allergen.resolution.drug
        if named is None and drug is None:
            if key not in rules.other_allergens:
                yield _unknown(allergen)
            continue
        for at, order in enumerate(orders):
            if order.resolution.drug is not None:
                yield from _against(at, order.resolution.drug, allergen, named, rules)


def _against(at: int, drug: Drug, allergen: Allergen, named: str | None, rules: Rules) -> Iterator[Reason]:
    source = allergen.resolution.drug if named is None else None
    if source is not None:
        mine, theirs = _folded(drug.ingredients), _folded(source.ingredients)
        if mine == theirs:
            yield _reason("direct", at, allergen, drug, severe=Route.BLOCKED)
        elif mine & theirs:
            yield _reason("ingredient", at, allergen, drug, severe=Route.BLOCKED)
    for shared in _shared(drug, source, named, rules):
        yield _reason("class", at, allergen, drug, severe=shared.severe, by=shared)


def _shared(drug: Drug, source: Drug | None, named: str | None, rules: Rules) -> list[AllergyClass]:
    """Return the classes that the allergy reaches and the drug belongs to; a narrow one hides its parent."""
    reached = {named} if named is not None else set(source.classes if source is not None else ())
    reached &= rules.allergy_classes.keys()
    parents = {rules.allergy_classes[name].parent for name in reached if name} - {""}
    mine = {name for name in drug.classes if name in rules.allergy_classes}
    mine |= {rules.allergy_classes[name].parent for name in mine} - {""}
    common = (reached | parents) & mine
    hidden = {rules.allergy_classes[name].parent for name in common if name}
    return [
        rules.allergy_classes[name] for name in sorted(name for name in common if name and name not in hidden)
    ]


def _reason(
    kind: str, at: int, allergen: Allergen, drug: Drug, *, severe: Route, by: AllergyClass | None = None
) -> Reason:
    certain = allergen.allergy.severity in _SEVERE and allergen.allergy.verified
    what = f"class {by.name}" if by else "ingredient"
    return Reason(
        flag=f"allergy:{kind}",
        route=severe if certain else Route.DOCTOR,
        items=(at,),
        message=f"{drug.generic_name} against a recorded allergy, by {what}",
        against=allergen.allergy.substance,
        source=by.source if by else None,
    )


def _unknown(allergen: Allergen) -> Reason:
    near = allergen.resolution.status in {Status.SUGGEST, Status.AMBIGUOUS}
    return Reason(
        flag="allergy:unconfirmed" if near else "allergy:unknown_substance",
        route=Route.CLARIFY if near else Route.PHARMACIST,
        items=(),
        message="an allergy cannot be checked: its substance is not known",
        against=allergen.allergy.substance,
    )


def _folded(names: Sequence[str]) -> set[str]:
    return {fold(name) for name in names}
