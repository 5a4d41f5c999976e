"""The checks of one medication: is it known, controlled, read, too much, too often? Each yields its reasons."""

from __future__ import annotations

from collections.abc import Iterator

from cito.plugins.clinical.timing import Status as TimingStatus
from cito.plugins.drugs.folding import fold
from cito.plugins.drugs.models import Drug, Status
from cito.plugins.drugs.triage_amounts import milligrams_a_day, milligrams_at_once, strength_of
from cito.plugins.drugs.triage_models import Order, Reason, Route
from cito.plugins.drugs.triage_rules import Rules

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
    yield from _read(at, order)
    if drug is not None:
        yield from _amounts(at, order, drug, rules)
        yield from _too_often(at, order, drug, rules)


def _controlled(at: int, drug: Drug, rules: Rules, jurisdiction: str) -> Iterator[Reason]:
    here = [entry for entry in drug.schedules if entry.jurisdiction == jurisdiction]
    for entry in here or drug.schedules:
        yield Reason(
            flag=f"controlled:{entry.schedule}",
            route=rules.route_of_schedule(entry.jurisdiction, entry.schedule),
            items=(at,),
            message=f"{drug.generic_name} is controlled: {entry.jurisdiction} schedule {entry.schedule}",
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
    """Compare with the limits of the only ingredient; a strength of a combination says nothing about one of them."""
    limit = rules.dose_limits.get(fold(drug.ingredients[0])) if len(drug.ingredients) == 1 else None
    once = milligrams_at_once(order)
    if limit is None or once is None:
        return
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


def _too_often(at: int, order: Order, drug: Drug, rules: Rules) -> Iterator[Reason]:
    """Find weekly medicines ordered daily. As needed is too often as well, for no upper bound is known."""
    timing = order.timing
    if timing is None or timing.status not in {TimingStatus.OK, TimingStatus.PRN}:
        return
    ingredients = {fold(ingredient) for ingredient in drug.ingredients}
    strength = strength_of(order) or (milligrams_at_once(order), None)
    for alert in rules.high_alert:
        small = alert.from_mg is not None and (strength[0] is None or strength[0] < alert.from_mg)
        other_form = alert.form and alert.form not in (order.form or "").lower()
        if alert.ingredient not in ingredients or small or other_form:
            continue
        if timing.count == 1 and timing.frequency is None:
            continue  # one dose only
        months = timing.period_unit in {"mo", "a"} and timing.status is TimingStatus.OK
        often = timing.doses_per_day is None and not months
        if often or (timing.doses_per_day is not None and timing.doses_per_day > alert.most_per_day):
            yield Reason(
                flag="high_alert_frequency",
                route=Route.DOCTOR,
                items=(at,),
                message=f"{drug.generic_name} more often than {float(alert.most_per_day * 7):g} times a week",
                source=alert.source,
            )
