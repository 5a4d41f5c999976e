"""Settles words that only their neighbours explain: "od" beside a tablet, "4 / day" beside an amount."""

from __future__ import annotations

from collections.abc import Sequence

from cito.plugins.clinical.dosing_doubt import Doubtful, Unreadable
from cito.plugins.clinical.dosing_facts import (
    Ambiguous,
    Amount,
    APeriod,
    BareDuration,
    Cycle,
    Duration,
    Fact,
    Item,
    OnceDailyOrEye,
    PerDay,
    Refused,
    Route,
)
from cito.plugins.clinical.dosing_words import SWALLOWED

_OD = "od means once daily, or the right eye"


def settle(items: Sequence[Item]) -> list[Item]:
    """Return the items with every such word replaced by what it says here.

    Raises:
        Unreadable: a word was not understood, or forbids to read on.
        Doubtful: nothing settles it.
    """
    for item in items:
        if isinstance(item.fact, Refused):
            raise Unreadable(item.fact.reason)
    for item in items:
        if isinstance(item.fact, Ambiguous):
            raise Doubtful(item.fact.reason, item.fact.candidates)
    return [Item(_settled(item.fact, items, at), item.join) for at, item in enumerate(items)]


def _settled(fact: Fact, items: Sequence[Item], at: int) -> Fact:
    if isinstance(fact, OnceDailyOrEye):
        return _od([item.fact for item in items])
    if isinstance(fact, PerDay):
        if fact.number == 1:
            return Cycle(1, 1, "d", bare=True)
        if any(isinstance(item.fact, Amount) and item.fact.unit for item in items[:at]):
            return Cycle(fact.number, 1, "d")
        few = fact.number
        raise Doubtful(f"{few} times a day, or {few} at once", (f"{few} times a day", "once a day"))
    if isinstance(fact, BareDuration):
        return _bare_duration(fact, items[at - 1].fact if at else None)
    if isinstance(fact, APeriod):
        return _a_period(fact.unit, items[at - 1].fact if at else None)
    return fact


def _bare_duration(fact: BareDuration, before: Fact | None) -> Fact:
    if not isinstance(before, Cycle) or (before.period, before.unit) != (1, "d") or not fact.value:
        raise Unreadable("a number of days that nothing explains")
    return Duration(fact.value, fact.unit)


def _a_period(unit: str, amount: Fact | None) -> Fact:
    if not isinstance(amount, Amount) or not amount.unit:
        raise Unreadable("nothing about how often")
    if amount.high > 1:
        name = {"d": "day", "wk": "week", "mo": "month"}[unit]
        spread = (f"{amount.high} times a {name}",) if amount.high.denominator == 1 else ()
        raise Doubtful(f"all at once, or over the {name}", (*spread, f"once a {name}"))
    return Cycle(1, 1, unit, bare=unit == "d", interval=unit != "d")


def _od(facts: Sequence[Fact]) -> Fact:
    routes = [fact for fact in facts if isinstance(fact, Route)]
    if any(route.eye for route in routes):
        raise Doubtful(_OD, ("once daily", "in the right eye"))
    swallowed = any(isinstance(fact, Amount) and fact.unit in SWALLOWED for fact in facts)
    if routes or swallowed:
        return Cycle(1, 1, "d")
    raise Doubtful(_OD, ("once daily", "in the right eye"))
