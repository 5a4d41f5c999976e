"""How much at once. Numbers that are an amount must be told from those that are a frequency."""

from __future__ import annotations

from collections.abc import Sequence

from cito.plugins.clinical.dosing_doubt import Doubtful, Unreadable
from cito.plugins.clinical.dosing_facts import (
    Amount,
    Cycle,
    Item,
    Join,
    Limit,
    Occasions,
    Reason,
    Route,
    Skip,
    Substance,
)
from cito.plugins.clinical.dosing_scan import TIMELESS
from cito.plugins.clinical.timing import Dose

_MEASURES = {"mg", "mcg", "g", "ml", "unit"}
_OCCASIONS = {"dose", "application", "injection"}
_MOST_PIECES = 10


def doses_of(items: Sequence[Item]) -> list[Dose]:
    """Return the amounts of a text, one for each instruction in it.

    Raises:
        Unreadable: a bare number may be anything; "in the morning and 2 at night" does not say how many in the morning.
        Doubtful: "take 2 daily", "2 doses daily": two at once, or one twice.
    """
    bare = any(isinstance(item.fact, Amount) and not item.fact.unit for item in items)
    hourly = any(isinstance(i.fact, Cycle) and (i.fact.period, i.fact.unit) == (1, "h") for i in items)
    if bare and hourly:  # "8 qh", "4-6 prn hourly": every 8, every 4 to 6?
        raise Unreadable("a number beside an hourly interval")
    groups: list[list[Amount]] = [[]]
    timed = False
    for at, item in enumerate(items):
        fact = item.fact
        if isinstance(fact, Amount):
            if timed and not groups[0] and any(isinstance(i.fact, Occasions) for i in items[at + 1 :]):
                raise Unreadable("an amount for one time of several")
            if not fact.unit:
                _check_bare(items, at)
            if fact.unit in _OCCASIONS and fact.high > 1:
                _check_occasions(items, at)
            groups[-1].append(fact)
        else:
            timed = timed or isinstance(fact, Occasions)
            if not isinstance(fact, TIMELESS) and groups[-1]:
                groups.append([])
    return [_dose(group) for group in groups if group]


def one_dose(doses: Sequence[Dose]) -> Dose | None:
    """Return the range over all instructions; None: nothing was said, or in units that differ."""
    units = {dose.unit for dose in doses if dose.unit}
    if not doses or len(units) > 1:
        return None
    return Dose(min(d.low for d in doses), max(d.high for d in doses), units.pop() if units else "")


def most_doses(limit: Limit, dose: Dose | None) -> int | None:
    """Return how many doses in 24 hours a maximum allows: "max 8 tablets" of 2 each are 4."""
    noun = limit.noun
    if noun == "dose" or dose is None or (not noun and dose.high == 1):
        return int(limit.number) if noun not in _MEASURES else None
    if noun and noun != dose.unit:
        return int(limit.number) if not dose.unit and dose.low >= 1 and noun not in _MEASURES else None
    return int(limit.number // dose.low)


def _dose(group: Sequence[Amount]) -> Dose:
    pieces = [amount for amount in group if amount.unit not in _MEASURES]
    if len(pieces) > 1 and len({(amount.low, amount.high, amount.unit) for amount in pieces}) > 1:
        raise Unreadable("two amounts at once")
    best = (pieces or list(group))[0]
    return Dose(best.low, best.high, best.unit)


def _check_bare(items: Sequence[Item], at: int) -> None:
    """A number without a unit is an amount only after a verb or at the start, and right before its timing."""
    amount, before = items[at].fact, items[at - 1].fact if at else None
    after = next(
        (i.fact for i in items[at + 1 :] if not isinstance(i.fact, Route | Skip | Reason | Substance)), None
    )
    assert isinstance(amount, Amount)
    begins = before is None or (isinstance(before, Skip) and before.verb)
    continues = (
        isinstance(before, Occasions) and isinstance(after, Occasions) and items[at].join is not Join.NOTHING
    )
    other = after is None or isinstance(after, Amount) or (isinstance(after, Limit) and after.noun != "dose")
    if not (begins or continues) or amount.high > _MOST_PIECES or other:
        raise Unreadable("a number without a unit")
    if isinstance(after, Cycle) and after.unit in {"wk", "mo", "a"} and amount.low < 1:
        raise Unreadable("half a dose, or twice as often")  # "half-yearly"
    _check_times(amount, after)


def _check_occasions(items: Sequence[Item], at: int) -> None:
    """Two doses are two occasions, unless the text says that they belong together, which no text does."""
    amount, after = items[at].fact, next((i.fact for i in items[at + 1 :] if isinstance(i.fact, Cycle)), None)
    assert isinstance(amount, Amount)
    _check_times(amount, after)
    raise Unreadable("several doses at once, or one after the other")


def _check_times(amount: Amount, after: object) -> None:
    """Refuse "2 daily": two at once, or twice. A half cannot be a number of times."""
    if not isinstance(after, Cycle) or amount.high <= 1 or amount.high.denominator > 1:
        return
    unit = {"d": "day", "wk": "week", "mo": "month", "a": "year"}.get(after.unit)
    if unit and (after.bare or (after.interval and after.period == 1)):
        raise Doubtful(
            f"{amount.high} at once, or {amount.high} times",
            (f"{amount.high} times a {unit}", f"once a {unit}"),
        )
