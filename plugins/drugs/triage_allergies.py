"""Allergies against orders, by ingredient sets and classes, never by names."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from cito.plugins.clinical.vocabulary import Severity
from cito.plugins.drugs.folding import fold, squash
from cito.plugins.drugs.models import Drug, Status
from cito.plugins.drugs.triage_models import Allergen, Order, Reason, Route
from cito.plugins.drugs.triage_rules import AllergyClass, Rules

_SEVERE = {Severity.SEVERE, Severity.LIFE_THREATENING}
_JOINED = re.compile(r"[,;/&+]|\b(?:and|or)\b", re.IGNORECASE)
_AROUND = re.compile(
    r"^(?:allergic|allergy) to |^allergy:? |"
    r" (?:allergy|allergies|antibiotics?|class|drugs?|group|medications?|medicines?|reactions?)$"
)


def check_allergies(orders: Sequence[Order], allergens: Sequence[Allergen], rules: Rules) -> Iterator[Reason]:
    """Yield the reasons of each order against each allergy. A substance that nobody knows goes to a person."""
    for allergen in allergens:
        named, known = _classes_named(allergen.allergy.substance, rules)
        source = None if named and known else allergen.resolution.drug
        if not known and source is None:
            yield _unknown(allergen)
        for at, order in enumerate(orders):
            if order.resolution.drug is not None:
                yield from _against(at, order.resolution.drug, allergen, named, rules, source=source)


def _classes_named(substance: str, rules: Rules) -> tuple[frozenset[str], bool]:
    """Return the classes that a text names ("penicillins and sulfa drugs"), and whether it names nothing else."""
    whole = squash(fold(substance))
    parts = {whole} if _listed(whole, rules) else {squash(_bare(part)) for part in _JOINED.split(substance)}
    named = frozenset(rules.class_names[part] for part in parts if part in rules.class_names)
    return named, bool(parts - {""}) and all(_listed(part, rules) for part in parts - {""})


def _bare(text: str) -> str:
    """Return a folded text without what is only said about an allergy: "allergic to penicillin antibiotics"."""
    text, before = fold(text), ""
    while text != before:
        text, before = _AROUND.sub("", text), text
    return text


def _listed(key: str, rules: Rules) -> bool:
    return key in rules.class_names or key in rules.other_allergens


def _against(
    at: int, drug: Drug, allergen: Allergen, named: frozenset[str], rules: Rules, *, source: Drug | None
) -> Iterator[Reason]:
    if source is not None:
        mine, theirs = _folded(drug.ingredients), _folded(source.ingredients)
        if mine == theirs:
            yield _reason("direct", at, allergen, drug, severe=Route.BLOCKED)
        elif mine & theirs:
            yield _reason("ingredient", at, allergen, drug, severe=Route.BLOCKED)
    for shared in _shared(drug, named.union(source.classes if source is not None else ()), rules):
        yield _reason("class", at, allergen, drug, severe=shared.severe, by=shared)


def _shared(drug: Drug, reached: frozenset[str], rules: Rules) -> list[AllergyClass]:
    """Return the classes that an allergy reaches and the drug belongs to; a narrow one hides its parent."""
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
