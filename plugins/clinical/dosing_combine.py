"""Weighs the facts of a text together: one consistent reading, or the reason why there is none.

Whatever contradicts, adds up in two ways or leaves a choice is refused: a text may be unsure, never wrong.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise
from typing import TypeVar

import msgspec

from cito.plugins.clinical import dosing_facts as f
from cito.plugins.clinical.dosing_code import code_of
from cito.plugins.clinical.dosing_dose import doses_of, most_doses, one_dose
from cito.plugins.clinical.dosing_doubt import Doubtful, Unreadable
from cito.plugins.clinical.dosing_facts import Item, Join
from cito.plugins.clinical.dosing_moments import Day, day_of
from cito.plugins.clinical.dosing_repeat import Repeat, repeat_of
from cito.plugins.clinical.dosing_scan import TIMELESS
from cito.plugins.clinical.dosing_settle import settle
from cito.plugins.clinical.timing import Bounds, Dose, Status, Timing

T = TypeVar("T")
_WITHIN_DAY = (f.Occasions, f.Meals)
_PATTERN_TIMES = ("MORN", "NOON", "NIGHT")


def combine(items: Sequence[Item]) -> Timing:
    """Return what the facts say together, without times: these are the site's."""
    try:
        return _reading(items)
    except Unreadable as why:
        return Timing(status=Status.UNPARSED, reason=str(why))
    except Doubtful as why:
        return Timing(status=Status.AMBIGUOUS, candidates=why.candidates, reason=str(why))


def _reading(items: Sequence[Item]) -> Timing:
    items = settle(items)
    if any(item.join is Join.OR for item in items):
        raise Unreadable("a choice is left open")
    doses = doses_of(items)
    facts = [item for item in items if not isinstance(item.fact, TIMELESS)]
    _check_order(facts)
    day = day_of([item for item in facts if isinstance(item.fact, _WITHIN_DAY)])
    if len(doses) > max(1, len(day.moments)):
        raise Unreadable("several amounts for one time")
    dose = one_dose(doses)
    if _find(facts, f.OneTime):
        return _one_time(facts, dose)
    timing = _repeated(facts, day, dose)
    unsure = bool(_find(items, f.Directed) or _find(items, f.UntilFinished)) and not timing.as_needed
    return msgspec.structs.replace(timing, needs_review=timing.needs_review or unsure)


def _repeated(facts: Sequence[Item], day: Day, dose: Dose | None) -> Timing:
    repeat = repeat_of(facts, day)
    needed = bool(_find(facts, f.AsNeeded))
    limits = [most_doses(limit, dose) for limit in _find(facts, f.Limit)]
    most = min((number for number in limits if number is not None), default=None)
    only_a_maximum = (
        repeat is None
        and most is not None
        and any(limit.noun == "dose" or (needed and not limit.noun) for limit in _find(facts, f.Limit))
    )
    if only_a_maximum and most is not None:
        repeat = Repeat(frequency=most, period=1, unit="d")
    if repeat is None and not needed:
        raise Unreadable("nothing about how often")
    per_day = None if repeat is None else repeat.doses_per_day
    capped = only_a_maximum or (most is None and bool(limits)) or (most is not None and most < (per_day or 0))
    if per_day is not None and most is not None:
        per_day = min(per_day, Fraction(most))
    bounds, count = _one(facts, f.Duration), _one(facts, f.DoseCount)
    pattern = _one(facts, f.Pattern)
    when = _when(day, pattern)
    clocks = tuple(sorted(moment.clock for moment in day.moments if moment.clock))
    offset = _offset(day)
    coded = not (clocks or pattern or limits or offset)
    return Timing(
        status=Status.PRN if needed else Status.OK,
        as_needed=needed,
        frequency=repeat.frequency if repeat else None,
        frequency_max=repeat.frequency_max if repeat else None,
        period=repeat.period if repeat else None,
        period_max=repeat.period_max if repeat else None,
        period_unit=repeat.unit if repeat else None,
        when=when,
        offset_min=offset,
        time_of_day=clocks,
        day_of_week=repeat.days if repeat else (),
        calendar=repeat.calendar if repeat else None,
        bounds=Bounds(bounds.value, bounds.unit) if bounds else None,
        count=count.number if count else None,
        max_per_day=most,
        dose_pattern=pattern.amounts if pattern else (),
        anchor=bool(repeat and repeat.anchored),
        rolling=bool(repeat and repeat.rolling),
        needs_review=not needed and (capped or _open(repeat, day)),
        code=code_of(repeat, when) if repeat and coded else None,
        doses_per_day=per_day,
        dose=dose,
    )


def _open(repeat: Repeat | None, day: Day) -> bool:
    """Tell whether a person must choose: an interval, weekdays, or the meals of "twice daily with meals"."""
    if repeat is None:
        return False
    unplaced = repeat.open and not (repeat.unit == "d" and day.doses == repeat.frequency)
    chosen = (
        day.meals is None
        or not day.meals.each
        or bool(day.moments)
        or repeat.frequency == 3 * (len(repeat.days) or 1)
    )
    return unplaced or not chosen


def _one_time(facts: Sequence[Item], dose: Dose | None) -> Timing:
    others = [item.fact for item in facts if not isinstance(item.fact, f.OneTime)]
    if any(isinstance(fact, _WITHIN_DAY) for fact in others) and all(
        isinstance(fact, _WITHIN_DAY) for fact in others
    ):
        raise Doubtful("a single dose, or one every day", ("one time only", "once daily"))
    if others:
        raise Unreadable("a single dose and a repeated one")
    return Timing(status=Status.OK, count=1, dose=dose)


def _check_order(facts: Sequence[Item]) -> None:
    """Refuse texts whose parts would have to be paired or added: "8 am on Monday and 9 pm on Friday"."""
    for one, two in pairwise(facts):
        pair = (one.fact, two.fact)
        same = all(isinstance(x, _WITHIN_DAY) for x in pair) or all(isinstance(x, f.Days) for x in pair)
        if two.join is Join.AND and not same and not isinstance(two.fact, f.Limit | f.Duration):
            raise Unreadable("two instructions in one")
    # "At bedtime every other night" is one statement: a cycle may stand between times.
    apart = [item for item in facts if not isinstance(item.fact, f.Cycle)]
    for kind in (_WITHIN_DAY, (f.Days, f.Except)):
        places = [at for at, item in enumerate(apart) if isinstance(item.fact, kind)]
        if places and places[-1] - places[0] >= len(places):
            raise Unreadable("times or days that belong to different parts of the text")


def _when(day: Day, pattern: f.Pattern | None) -> tuple[str, ...]:
    if pattern is not None:
        if len(pattern.amounts) != len(_PATTERN_TIMES):
            return ()
        return tuple(code for code, amount in zip(_PATTERN_TIMES, pattern.amounts, strict=True) if amount)
    named = tuple(moment.code for moment in day.moments if moment.code)
    if day.meals is None or (day.moments and not day.added):
        return named
    return (day.meals.code, *named)


def _offset(day: Day) -> int | None:
    if day.meals is not None and day.meals.offset_min is not None:
        return day.meals.offset_min
    return next((moment.offset_min for moment in day.moments if moment.offset_min is not None), None)


def _find(items: Sequence[Item], kind: type[T]) -> list[T]:
    return [item.fact for item in items if isinstance(item.fact, kind)]


def _one(facts: Sequence[Item], kind: type[T]) -> T | None:
    found = _find(facts, kind)
    if len(found) > 1:
        raise Unreadable("the same thing said twice")
    return found[0] if found else None
