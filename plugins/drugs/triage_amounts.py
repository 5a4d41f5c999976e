"""How many milligrams an order is, where its texts say it exactly."""

from __future__ import annotations

import re
from fractions import Fraction

from cito.plugins.clinical.timing import Status, Timing
from cito.plugins.drugs.triage_models import Order

_IN_MG = {"mg": Fraction(1), "g": Fraction(1000), "mcg": Fraction(1, 1000), "ug": Fraction(1, 1000)}
_STRENGTH = re.compile(
    r"(?P<amount>\d+(?:\.\d+)?)\s*(?P<unit>mg|mcg|ug|g)(?:\s*/\s*(?P<volume>\d+(?:\.\d+)?)?\s*ml)?",
    re.IGNORECASE,
)
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
    if dose.unit in _IN_MG:
        return dose.high * _IN_MG[dose.unit]
    if dose.unit == "ml":
        strength = strength_of(order)
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
    strength = strength_of(order)
    return None if strength is None or strength[1] is not None else number * strength[0]


def strength_of(order: Order) -> tuple[Fraction, Fraction | None] | None:
    """Return (mg, ml that hold them) of a written strength; None: none, or several."""
    if not order.strength:
        return None
    match = _STRENGTH.fullmatch(order.strength.strip())
    if match is None:
        return None
    volume = None if "/" not in match[0] else Fraction(match["volume"] or 1)
    return Fraction(match["amount"]) * _IN_MG[match["unit"].lower()], volume


def doses_a_day(timing: Timing) -> Fraction | None:
    """Return the most doses on one day: for the limit of a day, an average over days is not enough."""
    if timing.doses_per_day is None:
        return None
    if timing.period_unit in {"h", "min"} or (timing.period_unit == "d" and timing.period == 1):
        return timing.doses_per_day
    on_a_day = Fraction(timing.frequency or 1, len(timing.day_of_week) or 1)
    return on_a_day if timing.max_per_day is None else min(on_a_day, Fraction(timing.max_per_day))
