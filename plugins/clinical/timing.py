"""Vocabulary: when a medicine is to be given, in the terms of FHIR R4 Timing.repeat, and a site's own times.

A `Timing` never guesses: what is unsure has a status or `needs_review`, and then no times to remind anyone of.
"""

from __future__ import annotations

from enum import StrEnum
from fractions import Fraction

import msgspec


class Status(StrEnum):
    """How far a text was understood."""

    OK = "ok"
    PRN = "prn"
    AMBIGUOUS = "ambiguous"
    UNPARSED = "unparsed"


class Bounds(msgspec.Struct, frozen=True):
    """How long: `value` times `unit` (UCUM: d, wk, mo, a)."""

    value: int
    unit: str


class Dose(msgspec.Struct, frozen=True):
    """How much is given at once, from `low` to `high`, in `unit` (`tablet`, `mg`, `ml`; empty: not said)."""

    low: Fraction
    high: Fraction
    unit: str = ""


class Timing(msgspec.Struct, frozen=True, kw_only=True):
    """What a text says about the time of doses. Units are UCUM codes: min, h, d, wk, mo, a.

    Attributes:
        status: `ok`; `prn` (as needed, nothing to schedule); `ambiguous` (a person must choose one of
            `candidates`); `unparsed` (no reading).
        frequency: doses in each `period`; `frequency_max`: a range was written.
        period: length of a cycle in `period_unit`; `period_max`: a range was written, `period` is its start.
        times: local times of day, `HH:MM`; empty: nothing to schedule; None: no time may be assumed.
        when: FHIR event codes (MORN, ACD, HS, ...), with `offset_min` minutes before or after.
        time_of_day: times that the text itself gives; they win over the site's.
        day_of_week: mon to sun; `calendar`: further restricted by it ("school").
        bounds: for how long; `count`: how many doses in all.
        max_per_day: most doses that the text allows in 24 hours.
        dose_pattern: amounts at morning, noon and night (1-0-1), or four of them.
        anchor: needs a start date; `rolling`: each dose is counted from the one before.
        needs_review: understood, but a person must choose (weekdays, an interval, times) before it is scheduled.
        code: HL7 v3 GTSAbbreviation, where one says exactly this.
        doses_per_day: exact; the most that a range allows; None where a day is no fixed part of the period.
        dose: the amount at once, where the text gives it.
        candidates: the possible readings of an ambiguous text, in words that parse themselves.
        reason: one sentence for a person, when the text was not fully understood.
    """

    status: Status
    frequency: int | None = None
    frequency_max: int | None = None
    period: int | None = None
    period_max: int | None = None
    period_unit: str | None = None
    times: tuple[str, ...] | None = None
    when: tuple[str, ...] = ()
    offset_min: int | None = None
    time_of_day: tuple[str, ...] = ()
    day_of_week: tuple[str, ...] = ()
    calendar: str | None = None
    as_needed: bool = False
    bounds: Bounds | None = None
    count: int | None = None
    max_per_day: int | None = None
    dose_pattern: tuple[int | float, ...] = ()
    anchor: bool = False
    rolling: bool = False
    needs_review: bool = False
    code: str | None = None
    doses_per_day: Fraction | None = None
    dose: Dose | None = None
    candidates: tuple[str, ...] = ()
    reason: str | None = None
