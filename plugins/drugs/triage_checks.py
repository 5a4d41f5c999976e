"""The checks of one medication: is it known, controlled, read, too much, too often? Each yields its reasons."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from fractions import Fraction

from cito.plugins.clinical.timing import Status as TimingStatus
from cito.plugins.drugs.folding import fold
from cito.plugins.drugs.models import Drug, Status
from cito.plugins.drugs.triage_amounts import doses_a_day, milligrams_a_day, milligrams_at_once
from cito.plugins.drugs.triage_models import Order, Reason, Route
from cito.plugins.drugs.triage_rhythm import check_rhythm
from cito.plugins.drugs.triage_rules import DoseLimit, Rules
from cito.plugins.drugs.triage_strength import lacks_unit, same_strength

_FAR_LESS = 10
_UNRESOLVED = {
    Status.SUGGEST: ("unconfirmed_match", "only similar names are known: someone must say which is meant"),
    Status.AMBIGUOUS: (
        "unconfirmed_match",
        "several medicines have this name: someone must say which is meant",
    ),
    Status.INACTIVE: ("inactive_drug", "this medicine was withdrawn"),
    Status.NOT_FOUND: ("unknown_drug", "no such medicine is known"),
    Status.INVALID: ("unknown_drug", "this is no name of a medicine"),
}


def check_order(at: int, order: Order, rules: Rules, jurisdiction: str) -> Iterator[Reason]:
    """Yield the reasons of one medication alone.

    Args:
        at: its position in the request.
        order: the medication, its name resolved and its dosage parsed.
        rules: the rule data.
        jurisdiction: whose schedules count, ISO 3166.
    """
    if order.resolution.status is not Status.RESOLVED:
        flag, message = _UNRESOLVED[order.resolution.status]
        yield Reason(flag=flag, route=Route.CLARIFY, items=(at,), message=message)
    drug = order.resolution.drug
    if drug is not None:
        yield from _controlled(at, drug, rules, jurisdiction)
        if drug.prescription_only:
            yield Reason(
                flag="prescription_only",
                route=Route.PHARMACIST,
                items=(at,),
                message=f"{drug.generic_name} is not sold without a prescription",
            )
    yield from _strength(at, order)
    yield from _read(at, order)
    if drug is not None:
        yield from _amounts(at, order, drug, rules)
        yield from check_rhythm(at, order, drug, rules)


def check_totals(orders: Sequence[Order], rules: Rules) -> Iterator[Reason]:
    """Yield a reason for each ingredient that several medications give together in more than the limit of a day."""
    given: dict[str, list[tuple[int, Fraction]]] = defaultdict(list)
    for at, order in enumerate(orders):
        drug, daily = order.resolution.drug, milligrams_a_day(order)
        if drug is not None and daily is not None and len(drug.ingredients) == 1:
            given[drug.ingredients[0]].append((at, daily))
    for ingredient, parts in given.items():
        limit = rules.dose_limits.get(fold(ingredient))
        total = sum((daily for _, daily in parts), Fraction(0))
        if limit is not None and len(parts) > 1 and total > limit.daily_mg:
            yield Reason(
                flag=f"dose_limit:{ingredient}",
                route=Route.DOCTOR,
                items=tuple(at for at, _ in parts),
                message=f"together {float(total):g} mg a day are more than {float(limit.daily_mg):g} mg",
                source=limit.source,
            )


def _controlled(at: int, drug: Drug, rules: Rules, jurisdiction: str) -> Iterator[Reason]:
    here = [entry for entry in drug.schedules if entry.jurisdiction == jurisdiction]
    for entry in here or drug.schedules:
        yield Reason(
            flag=f"controlled:{entry.schedule}",
            route=rules.route_of_schedule(entry.jurisdiction, entry.schedule),
            items=(at,),
            message=f"{drug.generic_name} is controlled: {entry.jurisdiction} schedule {entry.schedule}",
        )


def _strength(at: int, order: Order) -> Iterator[Reason]:
    """A strength beside the name must not be another than the one in the name."""
    named = order.resolution.parsed.strength
    if named and order.strength and not same_strength(named, order.strength):
        yield Reason(
            flag="strength_contradiction",
            route=Route.CLARIFY,
            items=(at,),
            message="the strength is not the one that the name says",
        )


def _read(at: int, order: Order) -> Iterator[Reason]:
    """A dosage that was given must be understood."""
    timing = order.timing
    if timing is None:
        return
    if timing.status in {TimingStatus.UNPARSED, TimingStatus.AMBIGUOUS}:
        yield Reason(
            flag=f"{timing.status}_dosage",
            route=Route.CLARIFY,
            items=(at,),
            message=f"the dosage cannot be read safely: {timing.reason}",
        )
    elif timing.needs_review:
        yield Reason(
            flag="dosage_needs_review",
            route=Route.PHARMACIST,
            items=(at,),
            message="the dosage leaves something to choose: times, days or an interval",
        )


def _amounts(at: int, order: Order, drug: Drug, rules: Rules) -> Iterator[Reason]:
    """Compare with the limits of the ingredients; the strength of a combination says nothing about one of them."""
    limits = [rules.dose_limits[key] for name in drug.ingredients if (key := fold(name)) in rules.dose_limits]
    once = milligrams_at_once(order) if len(drug.ingredients) == 1 else None
    if limits and (once is None or _perhaps_grams(order, once, limits[0])) and _counted(order, limits):
        yield Reason(
            flag="dose_unchecked",
            route=Route.PHARMACIST,
            items=(at,),
            message=f"how much {drug.generic_name} this is cannot be told from its texts",
            source=limits[0].source,
        )
    if not limits or once is None:
        return
    (limit,) = limits
    daily = milligrams_a_day(order)
    for amount, most, what in ((once, limit.once_mg, "at once"), (daily, limit.daily_mg, "a day")):
        if amount is not None and amount > most:
            yield Reason(
                flag=f"dose_limit:{drug.ingredients[0]}",
                route=Route.DOCTOR,
                items=(at,),
                message=f"{float(amount):g} mg {what} are more than {float(most):g} mg",
                source=limit.source,
            )


def _perhaps_grams(order: Order, once: Fraction, limit: DoseLimit) -> bool:
    """Tell whether a number without a unit is far too small for milligrams: "paracetamol 1"."""
    return lacks_unit(order.strength) and once * _FAR_LESS < limit.once_mg


def _counted(order: Order, limits: Sequence[DoseLimit]) -> bool:
    """Tell whether a dosage counts pieces, or more doses than the limit of a day has room for."""
    timing = order.timing
    if timing is None or timing.status not in {TimingStatus.OK, TimingStatus.PRN}:
        return False
    per_day = doses_a_day(timing)
    several = max(timing.dose_pattern, default=0) > 1 or (timing.dose is not None and timing.dose.high > 1)
    room = min(limit.daily_mg / limit.once_mg for limit in limits)
    return several or (per_day is not None and per_day > room)
