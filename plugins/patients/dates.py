"""Dates of birth as people write them. Two readings are never narrowed to one by a guess."""

from __future__ import annotations

import re
from datetime import date
from typing import Literal

Order = Literal["mdy", "dmy"]

# Regions whose short dates put the month first, or the year, by Unicode CLDR's date formats; all others: the day.
_MONTH_FIRST = frozenset({"US", "PH", "FM", "MH", "PW", "PR", "GU", "AS", "VI", "UM", "MP", "BZ"})
_YEAR_FIRST = frozenset({"CA", "CN", "HU", "IR", "JP", "KP", "KR", "LT", "MN", "SE", "TW", "ZA"})

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MONTH = r"(?P<month>jan|feb|mar|apr|may|jun|jul|aug|sept?|oct|nov|dec)[a-z]*\.?"
_ISO = re.compile(r"(?P<year>\d{4})[-/.](?P<month>\d{1,2})[-/.](?P<day>\d{1,2})")
_NUMERIC = re.compile(r"(?P<first>\d{1,2})(?P<mark>[-/.])(?P<second>\d{1,2})(?P=mark)(?P<year>\d{4}|\d{2})")
_NAMED = (
    re.compile(rf"(?P<day>\d{{1,2}})(?:st|nd|rd|th)?[ .-]+{_MONTH},?[ -]+(?P<year>\d{{4}})", re.IGNORECASE),
    re.compile(rf"{_MONTH} +(?P<day>\d{{1,2}})(?:st|nd|rd|th)?,? +(?P<year>\d{{4}})", re.IGNORECASE),
)
_NAME = r"(?:jan|feb|mar|apr|may|jun|jul|aug|sept?|oct|nov|dec)[a-z]*\.?"
_WRITTEN = re.compile(
    rf"""(?<![\w+]) (?:
        \d{{4}}[-/.]\d{{1,2}}[-/.]\d{{1,2}}
      | \d{{1,2}}/\d{{1,2}}/(?:\d{{4}}|\d{{2}}) | \d{{1,2}}-\d{{1,2}}-\d{{4}} | \d{{1,2}}\.\d{{1,2}}\.\d{{4}}
      | \d{{1,2}}(?:st|nd|rd|th)?[ .-]+{_NAME},?[ -]+\d{{4}}
      | {_NAME}[ ]+\d{{1,2}}(?:st|nd|rd|th)?,?[ ]+\d{{4}}
    ) (?!\w)""",
    re.IGNORECASE | re.VERBOSE,
)


class DateError(ValueError):
    """A text that is no date or more than one: `rule` is `date` or `ambiguous_date`."""

    def __init__(self, rule: str, message: str) -> None:
        super().__init__(message)
        self.rule = rule


def find_date(text: str) -> re.Match[str] | None:
    """Return where a text holds something written like a date, whether it is one or not."""
    return _WRITTEN.search(text)


def read_date(written: str, locale: str | None) -> date:
    """Return the day that was meant.

    Args:
        written: ISO 8601, day and month in digits with the year, or an English month name.
        locale: BCP 47 (`en-GB`): decides about 03/04/2004; None, or one that starts with the year: nothing does.

    Raises:
        DateError: no day of the calendar, or two readings and no locale that decides.
    """
    text = written.strip()
    if found := _ISO.fullmatch(text):
        return _day(found["year"], found["month"], found["day"])
    for pattern in _NAMED:
        if found := pattern.fullmatch(text):
            month = _MONTHS.index(found["month"].lower()[:3]) + 1
            return _day(found["year"], str(month), found["day"])
    found = _NUMERIC.fullmatch(text)
    if not found:
        raise DateError("date", "not a date; write YYYY-MM-DD")
    if len(found["year"]) != len("2004"):
        raise DateError("ambiguous_date", "the century is not said; write YYYY-MM-DD")
    month_first = _possible(found["year"], found["first"], found["second"])
    day_first = _possible(found["year"], found["second"], found["first"])
    readings = {day for day in (month_first, day_first) if day is not None}
    if len(readings) > 1:
        order = date_order(locale)
        chosen = month_first if order == "mdy" else day_first if order == "dmy" else None
        if chosen is None:
            raise DateError("ambiguous_date", "day and month can be read either way; write YYYY-MM-DD")
        return chosen
    if not readings:
        raise DateError("date", "no such day in the calendar")
    return readings.pop()


def date_order(locale: str | None) -> Order | None:
    """Return whether a locale puts the month or the day first; None: its convention does not say."""
    _, _, region = (locale or "").partition("-")
    if not region or region in _YEAR_FIRST:
        return None
    return "mdy" if region in _MONTH_FIRST else "dmy"


def _possible(year: str, month: str, day: str) -> date | None:
    try:
        return date(int(year), int(month), int(day))
    except ValueError:
        return None


def _day(year: str, month: str, day: str) -> date:
    found = _possible(year, month, day)
    if found is None:
        raise DateError("date", "no such day in the calendar")
    return found
