"""How often, over days and weeks: one cycle from all that a text says about it, or a contradiction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from cito.plugins.clinical.dosing_doubt import Doubtful, Unreadable
from cito.plugins.clinical.dosing_facts import WEEK, Cycle, Days, Except, Item, Pattern
from cito.plugins.clinical.dosing_moments import Day

_CONTRADICTION = "two statements about how often that do not agree"
_DAYS_IN = {"d": 1, "wk": 7}
_HOURS_IN = {"h": Fraction(24), "min": Fraction(1440)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Repeat:
    """`frequency` doses every `period` `unit`s, perhaps only on some days of the week."""

    frequency: int
    period: int
    unit: str
    frequency_max: int | None = None
    period_max: int | None = None
    days: tuple[str, ...] = ()
    calendar: str | None = None

    @property
    def doses_per_day(self) -> Fraction | None:
        """The most doses in a day, on average; None: months and years have no fixed number of days."""
        most = self.frequency_max or self.frequency
        if self.unit in _HOURS_IN:
            return most * _HOURS_IN[self.unit] / self.period
        return Fraction(most, self.period * _DAYS_IN[self.unit]) if self.unit in _DAYS_IN else None

    @property
    def open(self) -> bool:
        """A person must choose before this can be scheduled: an interval, a number, weekdays."""
        unplaced = self.frequency > 1 and not self.days and (self.unit != "d" or self.period > 1)
        return bool(self.frequency_max or self.period_max) or unplaced

    @property
    def anchored(self) -> bool:
        """Counted from a start date."""
        long = self.unit in {"wk", "mo", "a"} and not self.days
        return not (self.frequency > 1 and long) and (long or (self.unit in _DAYS_IN and self.period > 1))

    @property
    def rolling(self) -> bool:
        """Counted from the previous dose: an interval that does not divide the day."""
        return self.unit == "min" or (self.unit == "h" and 24 % self.period > 0 and self.period_max is None)


def repeat_of(facts: Sequence[Item], day: Day) -> Repeat | None:
    """Return the one cycle of a text; None: it names none.

    Raises:
        Unreadable: its statements contradict each other.
        Doubtful: "daily with meals": once, or at each meal.
    """
    cycle = _one_cycle(facts)
    pattern = next((item.fact for item in facts if isinstance(item.fact, Pattern)), None)
    if pattern is not None:
        doses = sum(1 for amount in pattern.amounts if amount)
        if day.moments or (cycle and not cycle.bare and cycle != Cycle(doses, 1, "d")):
            raise Unreadable(_CONTRADICTION)
        cycle = Cycle(doses, 1, "d")
    within_day = _with_day(cycle, day)
    return _on_days(within_day, facts)


def _one_cycle(facts: Sequence[Item]) -> Cycle | None:
    cycles = [item.fact for item in facts if isinstance(item.fact, Cycle)]
    if len({_rate(cycle) for cycle in cycles}) > 1:
        raise Unreadable(_CONTRADICTION)
    # "twice daily (every 12 hours)": the interval says more. "Once daily, every day": once is not to be refined.
    return min(cycles, key=lambda cycle: (not cycle.interval, cycle.bare), default=None)


def _rate(cycle: Cycle) -> tuple[object, ...]:
    repeat = Repeat(frequency=cycle.frequency, period=cycle.period, unit=cycle.unit)
    return (
        repeat.doses_per_day or (cycle.frequency, cycle.period, cycle.unit),
        cycle.frequency_max,
        cycle.period_max,
    )


def _with_day(cycle: Cycle | None, day: Day) -> Cycle | None:
    """Weigh the cycle against the times within a day."""
    named = day.doses
    if cycle is None:
        return None if named is None else Cycle(named, 1, "d")
    if named is None:
        return cycle
    if not day.moments:
        return _with_meals(cycle)
    if cycle.frequency_max or cycle.period_max:
        raise Unreadable("a range and fixed times")
    if cycle.unit in _HOURS_IN:
        by_clock = all(moment.clock for moment in day.moments)
        agrees = by_clock and cycle.period * named == _HOURS_IN[cycle.unit]
    elif cycle.unit == "d" and (cycle.bare or cycle.interval):
        cycle, agrees = replace(cycle, frequency=named), True
    else:
        agrees = cycle.frequency == named if cycle.unit == "d" and cycle.period == 1 else named == 1
    if not agrees:
        raise Unreadable(_CONTRADICTION)
    return cycle


def _with_meals(cycle: Cycle) -> Cycle:
    if cycle.bare:
        raise Doubtful("once a day, or at every meal", ("once a day", "three times a day with meals"))
    return cycle


def _on_days(cycle: Cycle | None, facts: Sequence[Item]) -> Repeat | None:
    """Restrict the cycle to days of the week."""
    named = [item.fact for item in facts if isinstance(item.fact, Days)]
    left_out = [item.fact for item in facts if isinstance(item.fact, Except)]
    if not named and not left_out:
        return None if cycle is None else _plain(cycle)
    if len(left_out) > 1 or (named and left_out):
        raise Unreadable(_CONTRADICTION)
    span = bool(left_out) or any(days.span for days in named)
    chosen = {day for days in named for day in days.days} or set(WEEK) - set(left_out[0].days)
    if left_out and cycle is None:
        raise Unreadable("nothing about how often")
    calendar = next((days.calendar for days in named if days.calendar), None)
    if sum(len(days.days) for days in named) not in {0, len(chosen)}:
        raise Unreadable("a day is named twice")
    days = tuple(day for day in WEEK if day in chosen)
    base = cycle or Cycle(1, 1, "d")
    if base.frequency_max or base.period_max or (base.bare and not span):
        raise Unreadable(_CONTRADICTION)
    if base.unit == "d" and base.period == 1:
        frequency, period = base.frequency * len(days), 1
    elif base.unit == "wk" and base.frequency == len(days) and not left_out:
        frequency, period = base.frequency, base.period
    else:
        raise Unreadable(_CONTRADICTION)
    return Repeat(frequency=frequency, period=period, unit="wk", days=days, calendar=calendar)


def _plain(cycle: Cycle) -> Repeat:
    return Repeat(
        frequency=cycle.frequency,
        period=cycle.period,
        unit=cycle.unit,
        frequency_max=cycle.frequency_max,
        period_max=cycle.period_max,
    )
