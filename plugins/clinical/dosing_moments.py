"""Joins the times within a day: "in the morning and at 2 pm" are two, "in the morning with breakfast" is one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cito.plugins.clinical.dosing_doubt import Unreadable
from cito.plugins.clinical.dosing_facts import Item, Join, Meals, Occasions

# Hours in which a clock time can be the same occasion as a part of the day.
_MORNING, _MIDDAY, _AFTERNOON, _EVENING = range(4, 12), range(11, 15), range(12, 18), range(16, 24)
_NIGHT = (*range(18, 24), *range(4))
_HOURS: dict[str, Sequence[int]] = {"MORN": _MORNING, "NOON": _MIDDAY, "AFT": _AFTERNOON, "EVE": _EVENING}
_HOURS |= {"NIGHT": _NIGHT, "HS": _NIGHT, "WAKE": _MORNING}
_HOURS |= {
    f"{side}{meal}": hours
    for side in ("AC", "C", "PC")
    for meal, hours in zip("MDV", (_MORNING, _MIDDAY, _EVENING), strict=True)
}
# A part of the day, and what may tell it more exactly.
_FINER = {
    "MORN": {"ACM", "CM", "PCM", "WAKE"},
    "NOON": {"ACD", "CD", "PCD"},
    "AFT": {"CD", "PCD"},
    "EVE": {"ACV", "CV", "PCV", "HS"},
    "NIGHT": {"HS", "PCV"},
}


@dataclass(frozen=True, slots=True)
class Moment:
    """One occasion of a day: a clock time, or an event code with an offset in minutes."""

    code: str = ""
    clock: str = ""
    offset_min: int | None = None

    def finer(self, other: Moment) -> Moment | None:
        """Return the more exact of two descriptions of one occasion; None: they are two occasions."""
        if self == other:
            return self
        if self.clock or other.clock:
            part, clock = (other, self) if self.clock else (self, other)
            inside = bool(part.code) and int(clock.clock[:2]) in _HOURS[part.code]
            return clock if inside and part.offset_min is None else None
        for wide, exact in ((self, other), (other, self)):
            if exact.code in _FINER.get(wide.code, ()) and wide.offset_min is None:
                return exact
        return None


@dataclass(frozen=True, slots=True)
class Day:
    """What a text says about the times of one day.

    Attributes:
        moments: named occasions, one dose at each.
        meals: before, with or after meals in general.
        added: the meals come on top of the moments ("before meals and at bedtime").
    """

    moments: tuple[Moment, ...] = ()
    meals: Meals | None = None
    added: bool = False

    @property
    def doses(self) -> int | None:
        """How many doses a day this alone says; None: nothing."""
        meals = 3 if self.meals is not None and self.meals.each and (self.added or not self.moments) else 0
        return len(self.moments) + meals or None


def day_of(items: Sequence[Item]) -> Day:
    """Join the facts about times within a day, which must stand together.

    Raises:
        Unreadable: it is not clear whether two phrases mean one occasion or two.
    """
    moments: tuple[Moment, ...] = ()
    meals: Meals | None = None
    added = False
    for item in items:
        fact = item.fact
        if isinstance(fact, Meals):
            if meals is not None and meals != fact:
                raise Unreadable("two different relations to meals")
            added = added or (bool(moments) and item.join is Join.AND)
            meals = fact
        elif isinstance(fact, Occasions):
            new = _moments(fact)
            if meals is not None and not moments:
                added = item.join is not Join.NOTHING
                moments = new
            else:
                moments = _joined(moments, new, item.join) if moments else new
    if added and meals is not None and not meals.each:
        raise Unreadable("with food and at another time")
    relative = {moment.offset_min for moment in moments}
    if added and meals is not None:
        relative.add(meals.offset_min)
    if len(relative) > 1:
        raise Unreadable("several times, one of them relative")
    return Day(moments, meals, added)


def _moments(fact: Occasions) -> tuple[Moment, ...]:
    if len(set(fact.codes)) != len(fact.codes):
        raise Unreadable("the same time twice")
    by_code = tuple(Moment(code=code, offset_min=fact.offset_min) for code in fact.codes)
    return by_code + tuple(Moment(clock=clock) for clock in fact.clocks)


def _joined(old: tuple[Moment, ...], new: tuple[Moment, ...], join: Join) -> tuple[Moment, ...]:
    """Return all moments: "and" adds, else the new ones may only tell the old more exactly."""
    if join is not Join.AND:
        ends = old if len(old) == len(new) else old[-1:]
        finer = [a.finer(b) for a, b in zip(ends, new, strict=False)]
        exact = tuple(moment for moment in finer if moment is not None)
        if len(exact) == len(new) == len(ends):
            return old[: len(old) - len(exact)] + exact
    if join is Join.NOTHING or set(old) & set(new):
        raise Unreadable("one time or two: this is not clear")
    return old + new
