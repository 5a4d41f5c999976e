"""The checks between medications: interactions and duplicates, among the ordered and with what is taken already."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations

from cito.plugins.drugs.folding import fold
from cito.plugins.drugs.models import Drug, Status
from cito.plugins.drugs.triage_models import Order, Reason, Route, Taken
from cito.plugins.drugs.triage_rules import Rules


def check_pairs(orders: Sequence[Order], taken: Sequence[Taken], rules: Rules) -> Iterator[Reason]:
    """Yield the reasons of all pairs: two ordered medications, or one and a medicine taken already."""
    known = [
        (at, order.resolution.drug) for at, order in enumerate(orders) if order.resolution.drug is not None
    ]
    for (at, one), (other_at, other) in combinations(known, 2):
        yield from _pair((at, other_at), one, other, None, rules)
    for medicine in taken:
        if (
            medicine.resolution.status not in {Status.RESOLVED, Status.INACTIVE}
            or medicine.resolution.drug is None
        ):
            yield Reason(
                flag="active_medication_unknown",
                route=Route.CLARIFY,
                items=(),
                message="a medicine that is taken already is not known: interactions with it cannot be checked",
                against=medicine.name,
            )
            continue
        for at, drug in known:
            yield from _pair((at,), drug, medicine.resolution.drug, medicine.name, rules)


def _pair(
    items: tuple[int, ...], one: Drug, other: Drug, against: str | None, rules: Rules
) -> Iterator[Reason]:
    shared = {fold(name) for name in one.ingredients} & {fold(name) for name in other.ingredients}
    for ingredient in sorted(shared):
        yield Reason(
            flag=f"duplicate_ingredient:{ingredient}",
            route=Route.PHARMACIST,
            items=items,
            message=f"{one.generic_name} and {other.generic_name} both contain {ingredient}",
            against=against,
        )
    if one.id == other.id or (shared and len(one.ingredients) == len(other.ingredients) == len(shared)):
        return  # the same medicine twice is a duplicate, not an interaction
    mine, theirs = rules.groups_of(one), rules.groups_of(other)
    for rule in rules.interactions:
        one_way = rule.group in mine and rule.other_group in theirs
        if one_way or (rule.group in theirs and rule.other_group in mine):
            yield Reason(
                flag=f"interaction:{rule.level}",
                route=rule.route,
                items=items,
                message=f"{one.generic_name} with {other.generic_name}: {rule.risk}",
                against=against,
                rule=rule.rule,
                source=rule.source,
            )
