"""How many milligrams an order is, where its texts say it exactly."""

from __future__ import annotations

from fractions import Fraction

from cito.plugins.clinical.timing import Status, Timing
from cito.plugins.drugs.triage_models import Order
from cito.plugins.drugs.triage_strength import IN_MG, milligrams_in

_PIECES = {
    "",
    "tablet",
    "capsule",
    "pill",
    "patch",
    "suppository",
    "sachet",
    "lozenge",
    "dose",
    "vial",
    "injection",
}


def milligrams_at_once(order: Order) -> Fraction | None:
    """Return the most that one dose is, in mg; None: the texts do not say it.

    A dosage that names no amount is at least one piece of the written strength.
    """
    timing = order.timing
    if timing is None or timing.status in {Status.UNPARSED, Status.AMBIGUOUS}:
        return None
    if timing.dose_pattern:
        return _pieces(order, Fraction(max(timing.dose_pattern)))
    dose = timing.dose
    if dose is None:
        return _pieces(order, Fraction(1))
    if dose.unit in IN_MG:
        return dose.high * IN_MG[dose.unit]
    if dose.unit == "ml":
        strength = milligrams_in(order.strength)
        return None if strength is None or strength[1] is None else dose.high * strength[0] / strength[1]
    return _pieces(order, dose.high) if dose.unit in _PIECES else None


def milligrams_a_day(order: Order) -> Fraction | None:
    """Return the most that a day is, in mg; None: the texts do not say it."""
    timing, once = order.timing, milligrams_at_once(order)
    if timing is None or once is None:
        return None
    if timing.dose_pattern:
        return _pieces(order, sum(map(Fraction, timing.dose_pattern), Fraction(0)))
    per_day = doses_a_day(timing)
    return None if per_day is None else once * per_day


def _pieces(order: Order, number: Fraction) -> Fraction | None:
    strength = milligrams_in(order.strength)
    return None if strength is None or strength[1] is not None else number * strength[0]


def doses_a_day(timing: Timing) -> Fraction | None:
    """Return the most doses on one day: for the limit of a day, an average over days is not enough."""
    if timing.doses_per_day is None:
        return None
    if timing.period_unit in {"h", "min"} or (timing.period_unit == "d" and timing.period == 1):
        return timing.doses_per_day
    on_a_day = Fraction(timing.frequency or 1, len(timing.day_of_week) or 1)
    return on_a_day if timing.max_per_day is None else min(on_a_day, Fraction(timing.max_per_day))
