"""Rules for how often: "4 times a day", "every 4 to 6 hours", "fortnightly", "up to 8 in 24 hours"."""

from __future__ import annotations

import re
from fractions import Fraction

from cito.plugins.clinical.dosing_facts import (
    Ambiguous,
    APeriod,
    AsNeeded,
    BareDuration,
    Cycle,
    DoseCount,
    Duration,
    Fact,
    Limit,
    OnceDailyOrEye,
    OneTime,
    PerDay,
    Refused,
    UntilFinished,
)
from cito.plugins.clinical.dosing_rule import Rule, rule
from cito.plugins.clinical.dosing_words import UNITS

_UCUM = {"minute": "min", "hour": "h", "day": "d", "week": "wk", "month": "mo", "year": "a"}
_UCUM |= {"hourly": "h", "daily": "d", "weekly": "wk", "monthly": "mo", "yearly": "a", "annually": "a"}
# Longer intervals are typing errors or nothing that a text should decide.
_LONGEST = {"min": 1440, "h": 720, "d": 366, "wk": 104, "mo": 60, "a": 10}
_MOST_A_DAY = 24

_EVERY = r"(?:1 times )?(?:every|q)"
_PER = r"(?:(?:a|an|per|/|every|in a|in every|of every|in 1|in any|in)\s)"
_PERIOD = rf"(?:{_PER}(?:(?P<k>\d+) )?(?P<unit>hour|day|week|month|year)|(?P<ly>daily|weekly|monthly|yearly))"
_MORE = r"(?: (?:-|to|or) (?P<m>\d+))?"
_24_HOURS = r"(?:(?:in|per|/|a|every|within|over) (?:a |any |every |1 )?(?:24 hour(?: period)?|day|24)|daily)"
_AT_MOST = (
    r"(?:max(?: of)?|up to(?: max(?: of)?)?|(?:no|not) more than|at most|not to exceed|(?:do )?not exceed"
    r"|limit(?: of)?)"
)


def _interval(match: re.Match[str]) -> Fact:
    unit = _UCUM[match["unit"]]
    parts = match.groupdict()
    period = int(re.sub(r"\D", "", parts.get("n") or "1"))  # 2nd, 3rd
    longest = int(parts["m"]) if parts.get("m") else None
    if not 0 < period <= (longest or period) <= _LONGEST[unit] or longest == period:
        return Refused("this interval makes no sense")
    return Cycle(1, period, unit, period_max=longest, interval=True)


def _times(match: re.Match[str]) -> Fact:
    parts = match.groupdict()
    few, most = int(parts["n"]), int(parts["m"]) if parts.get("m") else None
    period, unit = int(parts.get("k") or 1), _UCUM[parts.get("unit") or parts["ly"]]
    if (period, unit) == (24, "h"):
        period, unit = 1, "d"
    sane = 0 < few <= (most or few) <= _MOST_A_DAY and 0 < period <= _LONGEST[unit]
    if not sane or most == few:
        return Refused("this number of doses makes no sense")
    return Cycle(few, period, unit, frequency_max=most, interval=few == 1 and (period > 1 or unit != "d"))


def _limit(match: re.Match[str]) -> Fact:
    return Limit(Fraction(match["n"]), match["noun"].strip().replace("times", "dose"))


def _days_a_week(match: re.Match[str]) -> Fact:
    days = int(match["n"])
    return Cycle(days, 1, "wk") if 0 < days <= 7 else Refused("a week has seven days")  # noqa: PLR2004


def _for(match: re.Match[str]) -> Fact:
    parts = match.groupdict()
    value = int(parts["n"]) if parts.get("n") else 1
    return Duration(value, _UCUM[match["unit"]]) if value else Refused("a duration of nothing")


def _for_uk(match: re.Match[str]) -> Fact:
    """UK prescribing shorthand: 3/7 is three days, 2/52 two weeks, 1/12 one month."""
    return Duration(int(match["n"]), {"7": "d", "52": "wk", "12": "mo"}[match["of"]])


def _doubtful(*candidates: str) -> Ambiguous:
    return Ambiguous(candidates, "this is read in two ways")


def _per_unit(match: re.Match[str]) -> Fact:
    """Read "2 daily", "4 weekly": so many at once or so many times, "every 4 weeks" or 4 a week."""
    number, unit = match["n"], match["ly"].removesuffix("ly").replace("dai", "day")
    if number == "1":
        return Cycle(1, 1, _UCUM[unit], interval=unit != "day")
    if unit == "day":
        return _doubtful(f"{number} times a day", "once a day")
    return _doubtful(f"every {number} {unit}s", f"once a {unit}")


def _measured(match: re.Match[str]) -> Fact:
    """Read "500 mg x 2 daily": two of 500 mg at once, or 500 mg twice."""
    unit = "week" if match["unit"].startswith("week") else "day"
    return _doubtful(f"{match['n']} times a {unit}", f"once a {unit}")


_DAILY = Cycle(1, 1, "d", bare=True)
RULES: tuple[Rule, ...] = (
    # times in a period
    rule(rf"(?P<n>\d+) (?:times|x)(?: only)? {_PERIOD}", _times),
    rule(rf"(?P<n>\d+)(?: times)? (?:-|to|or) (?P<m>\d+) (?:times|x) {_PERIOD}", _times),
    rule(rf"x (?P<n>\d+) {_PERIOD}", _times),
    rule(r"x (?P<n>\d+) (?P<ly>daily)", _times),
    rule(
        r"[\d.]+ (?:mg|mcg|g|ml|unit) x (?P<n>[2-9]) (?:(?:a|per|/|every) )?(?P<unit>day|daily|week|weekly)",
        _measured,
    ),
    rule(rf"(?P<n>\d+) day {_PER}week", _days_a_week),
    rule(r"(?P<n>\d+) (?:/|per|a|every) day", lambda m: PerDay(int(m["n"]))),
    rule(r"(?P<n>\d+) (?:/|per|a|every) (?P<ly>week|month)", _per_unit),
    rule(r"(?:/|per|a) (?P<unit>day|week|month)", lambda m: APeriod(_UCUM[m["unit"]])),
    rule(r"(?:daily|every day|everyday|qday|q day)", _DAILY),
    rule(r"(?:qd|quaque die|1 times qd)", Cycle(1, 1, "d")),
    rule(r"od", OnceDailyOrEye()),
    rule(r"(?:bid|bd|bds|bis in die)", Cycle(2, 1, "d")),
    rule(r"(?:tid|tds|ter in die|ter die sumendum)", Cycle(3, 1, "d")),
    rule(r"(?:qid|qds|quater in die|quater die sumendum)", Cycle(4, 1, "d")),
    rule(r"biw", Cycle(2, 1, "wk")),
    rule(r"tiw", Cycle(3, 1, "wk")),
    rule(r"qiw", Cycle(4, 1, "wk")),
    # intervals
    rule(rf"{_EVERY} (?P<n>\d+){_MORE} (?P<unit>minute|hour|day|week|month|year)", _interval),
    rule(rf"{_EVERY} (?P<n>\d+) hour (?:-|to|or) (?:(?:every|q) )?(?P<m>\d+) (?P<unit>hour)", _interval),
    rule(rf"(?:{_EVERY} )?(?P<n>\d+){_MORE} (?:\^ )?(?P<unit>hourly)", _interval),
    rule(r"(?P<n>\d+) \^ (?P<unit>daily|weekly|monthly|yearly)", _interval),
    rule(rf"(?:on )?{_EVERY} (?P<n>2nd|3rd|\d+th) (?P<unit>hour|day|week|month|year)", _interval),
    rule(r"(?:1 times )?every (?P<unit>hour|week|month|year)", _interval),
    rule(r"(?:1 times )?(?P<unit>hourly|weekly|monthly|yearly|annually)", _interval),
    rule(r"qh", Cycle(1, 1, "h", interval=True)),
    rule(r"qqh", Cycle(1, 4, "h", interval=True)),
    rule(r"(?:qw|qwk|q week|qweek)", Cycle(1, 1, "wk", interval=True)),
    rule(r"(?:qmo|qmonth|q month)", Cycle(1, 1, "mo", interval=True)),
    rule(r"(?:qod|eod|q2nd day|alternis diebus)", Cycle(1, 2, "d", interval=True)),
    rule(
        r"(?:on |1 times )*(?:every |q )?(?:other|alternate) (?P<unit>day|week|month|year)",
        lambda m: Cycle(1, 2, _UCUM[m["unit"]], interval=True),
    ),
    rule(
        r"(?:fortnightly|every fortnight|1 times (?:a|every|per) fortnight)",
        Cycle(1, 2, "wk", interval=True),
    ),
    rule(r"quarterly", Cycle(1, 3, "mo", interval=True)),
    rule(r"(?:qshift|(?:every|q) shift)", Refused("the times of shifts are not known")),
    # as needed, at most
    rule(
        r"(?:only )?(?:prn|pro re nata|si opus sit|(?:as and )?(?:as|when|if|where) "
        r"(?:needed|required|necessary))(?: only)?",
        AsNeeded(),
    ),
    rule(rf"{_AT_MOST} (?P<n>\d+)(?P<noun>(?: (?:times|{'|'.join(UNITS)}))?) {_24_HOURS}", _limit),
    # how long, how many
    rule(
        r"(?:for|x|times|over)(?: (?:the next|a total of|up to|max(?: of)?))? (?P<n>\d+) "
        r"(?P<unit>day|week|month|year)(?: course)?",
        _for,
    ),
    rule(r"for (?:a|an|1 full|the next) (?P<unit>day|week|month|year)", _for),
    rule(r"(?:for )?(?:a )?(?P<n>\d+) (?P<unit>day|week|month) course", _for),
    rule(r"(?P<n>\d+) (?P<unit>day|week|month)", lambda m: BareDuration(int(m["n"]), _UCUM[m["unit"]])),
    rule(r"(?:for|x) (?P<n>\d+)/(?P<of>7|52|12)", _for_uk),
    rule(
        r"(?:until|till|to) (?:all )?(?:finished|gone|completed?|the course is (?:finished|complete))",
        UntilFinished(),
    ),
    rule(r"(?:for|x) (?P<n>\d+) dose(?: only)?", lambda m: _dose_count(int(m["n"]))),
    rule(r"x 1(?: only)?", OneTime()),
    rule(r"\d+ x 1", Refused("one of these numbers is an amount, but which?")),
    rule(
        r"(?:(?:for |as )?(?:a |1 )?(?:stat|single|now|1 off) dose(?: only)?|1 times(?: only| now| dose)?|stat|now"
        r"|immediately|at 1 times|right away|straight away|1 off|1 dose (?:only|now))(?: (?:stat|only|now|immediately))?",
        OneTime(),
    ),
    # two readings
    rule(r"(?:biweekly|bi weekly)", _doubtful("twice a week", "every 2 weeks")),
    rule(r"(?:bimonthly|bi monthly)", _doubtful("twice a month", "every 2 months")),
    rule(
        r"(?:biannual|biannually|bi annually|biyearly|bi yearly)",
        _doubtful("every 6 months", "every 2 years"),
    ),
    rule(r"(?:bidaily|bi daily)", _doubtful("twice a day", "every 2 days")),
    rule(r"qm", _doubtful("every morning", "every month")),
    rule(
        r"(?:every|q) (?P<n>\d+) m",
        lambda m: _doubtful(f"every {m['n']} minutes", f"every {m['n']} months"),
    ),
    rule(r"(?P<n>\d+) (?P<ly>daily|weekly|monthly)", _per_unit),
)


def _dose_count(number: int) -> Fact:
    return DoseCount(number) if number > 1 else OneTime() if number else Refused("no dose at all")
