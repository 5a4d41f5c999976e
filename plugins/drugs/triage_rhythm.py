"""Medicines whose doses are days apart, ordered more often: a weekly methotrexate taken daily kills."""

from __future__ import annotations

import re
from collections.abc import Iterator

from cito.plugins.clinical.timing import Status, Timing
from cito.plugins.drugs.folding import fold
from cito.plugins.drugs.models import Drug
from cito.plugins.drugs.triage_amounts import milligrams_at_once
from cito.plugins.drugs.triage_models import Order, Reason, Route
from cito.plugins.drugs.triage_rules import HighAlert, Rules
from cito.plugins.drugs.triage_strength import milligrams_in, units_in


def check_rhythm(at: int, order: Order, drug: Drug, rules: Rules) -> Iterator[Reason]:
    """Yield a reason for each rule that the dosage breaks, or may break for all that is said.

    Args:
        at: the medication's position in the request.
        order: the medication.
        drug: what its name means.
        rules: the rule data.
    """
    timing = order.timing
    if timing is None or timing.status not in {Status.OK, Status.PRN}:
        return
    ingredients = {fold(ingredient) for ingredient in drug.ingredients}
    for alert in rules.high_alert:
        if alert.ingredient not in ingredients or not _meant(order, alert) or not _too_often(timing, alert):
            continue
        strong = _strong(order, alert)
        if strong is None and not drug.prescription_only:
            continue  # sold without a prescription, it is the small strength of every day
        often = f"{drug.generic_name} more often than {float(alert.most_per_day * 7):g} times a week"
        if strong is None:
            yield Reason(
                flag="high_alert_unchecked",
                route=Route.PHARMACIST,
                items=(at,),
                message=f"{often}, and no strength that would tell whether it may be",
                source=alert.source,
            )
        elif strong:
            yield Reason(
                flag="high_alert_frequency",
                route=Route.DOCTOR,
                items=(at,),
                message=often,
                source=alert.source,
            )


def _meant(order: Order, alert: HighAlert) -> bool:
    """Tell whether a rule is about this form of the medicine, by what the order says anywhere."""
    piece = order.timing.dose.unit if order.timing and order.timing.dose else None
    said = fold(" ".join(filter(None, (order.name, order.form, order.strength, piece))))
    return (not alert.only or _says(said, alert.only)) and not _says(said, alert.unless)


def _says(text: str, words: tuple[str, ...]) -> bool:
    return any(re.search(rf"(?<!\w){re.escape(word)}(?!\w)", text) for word in words)


def _strong(order: Order, alert: HighAlert) -> bool | None:
    """Tell whether the strength is one that the rule is about; None: the order does not say how strong."""
    if alert.from_mg is None:
        return True
    if alert.from_units is not None:
        dose = order.timing.dose if order.timing else None
        units = dose.high if dose is not None and dose.unit == "unit" else units_in(order.strength)
        if units is not None:
            return units >= alert.from_units
    strength = milligrams_in(order.strength)
    milligrams = strength[0] if strength else milligrams_at_once(order)
    return None if milligrams is None else milligrams >= alert.from_mg


def _too_often(timing: Timing, alert: HighAlert) -> bool:
    """As needed is too often as well, for no upper bound is known."""
    if timing.count == 1 and timing.frequency is None:
        return False  # one dose only
    if timing.doses_per_day is not None:
        return timing.doses_per_day > alert.most_per_day
    return not (timing.period_unit in {"mo", "a"} and timing.status is Status.OK)
