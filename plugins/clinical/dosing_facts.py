"""What single phrases of a dosing text can say. The grammar makes facts, `dosing_combine` weighs them together."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction

WEEK = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


class Join(StrEnum):
    """How a phrase is tied to the one before it."""

    NOTHING = ""
    COMMA = ","
    AND = "and"
    OR = "or"


@dataclass(frozen=True, slots=True)
class Cycle:
    """`frequency` doses every `period` `unit`s. `bare`: "daily", which a list of times may refine."""

    frequency: int
    period: int
    unit: str
    frequency_max: int | None = None
    period_max: int | None = None
    interval: bool = False
    bare: bool = False


@dataclass(frozen=True, slots=True)
class Occasions:
    """Times within a day, one dose at each: event codes (with an offset in minutes) or clock times."""

    codes: tuple[str, ...] = ()
    clocks: tuple[str, ...] = ()
    offset_min: int | None = None


@dataclass(frozen=True, slots=True)
class Meals:
    """Before (AC), with (C), after (PC) or between (IC) meals; `each`: at every meal, else just with food."""

    code: str
    each: bool
    offset_min: int | None = None


@dataclass(frozen=True, slots=True)
class Days:
    """Days of the week. `span`: named as a whole (weekdays, Monday to Friday), which "daily" may precede."""

    days: tuple[str, ...]
    span: bool = False
    calendar: str | None = None


@dataclass(frozen=True, slots=True)
class Except:
    """Days of the week that are left out."""

    days: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class AsNeeded:
    """Given when the patient needs it."""


@dataclass(frozen=True, slots=True)
class Limit:
    """At most `number` of `noun` in 24 hours; noun `dose`, a unit, or empty when not said."""

    number: Fraction
    noun: str


@dataclass(frozen=True, slots=True)
class Duration:
    """For how long."""

    value: int
    unit: str


@dataclass(frozen=True, slots=True)
class BareDuration:
    """Days without "for" ("bid 7 days"): a duration right after "twice a day", anything elsewhere."""

    value: int
    unit: str


@dataclass(frozen=True, slots=True)
class OneTime:
    """A single dose, then nothing."""


@dataclass(frozen=True, slots=True)
class DoseCount:
    """This many doses in all."""

    number: int


@dataclass(frozen=True, slots=True)
class Pattern:
    """1-0-1: amounts at morning, noon, night; or four amounts whose times nobody fixed."""

    amounts: tuple[int | float, ...]


@dataclass(frozen=True, slots=True)
class Amount:
    """What is taken at once; `unit` is empty for a bare number."""

    low: Fraction
    high: Fraction
    unit: str


@dataclass(frozen=True, slots=True)
class Route:
    """Where it goes; `eye`: into an eye."""

    eye: bool


@dataclass(frozen=True, slots=True)
class OnceDailyOrEye:
    """The letters od: once daily, or oculus dexter, the right eye (ISMP list of error-prone abbreviations)."""


@dataclass(frozen=True, slots=True)
class PerDay:
    """So many a day ("4 / day"): four times a day beside an amount; alone, four times one or once four."""

    number: int


@dataclass(frozen=True, slots=True)
class APeriod:
    """A period after an amount ("a day"): half a tablet is one dose; three tablets may be one dose or three."""

    unit: str


@dataclass(frozen=True, slots=True)
class Directed:
    """Given as directed: someone else knows."""


@dataclass(frozen=True, slots=True)
class UntilFinished:
    """Ends with the supply: understood, but no date."""


@dataclass(frozen=True, slots=True)
class Ambiguous:
    """Two readings, in words that the grammar understands."""

    candidates: tuple[str, ...]
    reason: str


@dataclass(frozen=True, slots=True)
class Refused:
    """A phrase that makes the whole text unsafe to read by rules."""

    reason: str


@dataclass(frozen=True, slots=True)
class Skip:
    """Says nothing about time: "take", "with water". `verb`: a bare number after it is an amount."""

    verb: bool = False


@dataclass(frozen=True, slots=True)
class Reason:
    """Opens a purpose ("for pain"): unknown words may follow."""


@dataclass(frozen=True, slots=True)
class Substance:
    """Opens a name ("of amoxicillin"): unknown words may follow."""


Fact = (
    Cycle
    | Occasions
    | Meals
    | Days
    | Except
    | AsNeeded
    | Limit
    | Duration
    | BareDuration
    | OneTime
    | DoseCount
    | Pattern
    | Amount
    | Route
    | OnceDailyOrEye
    | PerDay
    | APeriod
    | Directed
    | UntilFinished
    | Ambiguous
    | Refused
    | Skip
    | Reason
    | Substance
)


@dataclass(frozen=True, slots=True)
class Item:
    """A fact and how it is joined to the fact about time before it."""

    fact: Fact
    join: Join
