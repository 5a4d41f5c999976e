"""Rules for when: parts of the day, meals, clock times, days of the week, and 1-0-1 patterns."""

from __future__ import annotations

import re

from cito.plugins.clinical.dosing_facts import (
    WEEK,
    Cycle,
    Days,
    Except,
    Fact,
    Meals,
    Occasions,
    Pattern,
    Refused,
)
from cito.plugins.clinical.dosing_rule import Rule, rule

_PARTS = {
    "MORN": r"(?:first thing )?{lead}(?:morning|am)|qam",
    "NOON": r"{lead}noon|12 noon",
    "AFT": r"{lead}afternoon",
    "EVE": r"{lead}(?:evening|pm)|qpm",
    "NIGHT": r"{lead}night(?: times)?|(?:1 times )?nightly|qn|qnight|qnoc|omni bedtime",
    "HS": (
        r"{lead}bedtime|{lead}bed times|qhs|hora somni|at bed|before (?:going to )?bed(?:time)?|before sleep|at (?:hour of )?sleep"
        r"|(?:when|on) going to bed|quaque hora somni"
    ),
    "WAKE": r"(?:on|upon|at) (?:waking|awakening)(?: up)?",
}
_WORDS = {
    "morning": "MORN",
    "noon": "NOON",
    "afternoon": "AFT",
    "evening": "EVE",
    "night": "NIGHT",
    "bedtime": "HS",
}
_LEAD = r"(?:(?:1 times )?(?:every|q) |(?:in|at|on) (?:the )?|the )?"
_EVERY_OTHER = r"(?:1 times )?(?:on |every )*(?:other|alternate|2nd)"

_MEAL = r"(?:breakfast|lunch|dinner|evening meal|morning meal|midday meal)"
_BY = r"(?:before|after|with|at|following)"
_MEAL_LETTER = {
    "breakfast": "M",
    "morning meal": "M",
    "lunch": "D",
    "midday meal": "D",
    "dinner": "V",
    "evening meal": "V",
}
_SIDE = {"before": "AC", "after": "PC", "with": "C", "at": "C", "following": "PC"}
_CLOCK = r"\d\d:\d\d"
_DAY = rf"(?:{'|'.join(WEEK)})"
_DAY_LIST = rf"{_DAY}(?:(?: (?:,|and|, and|/))? {_DAY})*"
_OFFSET = r"(?P<n>\d+|1/2|an?)(?: an?)? (?P<unit>minute|hour) (?P<side>before|after)"


def _part(code: str) -> str:
    return _PARTS[code].format(lead=_LEAD)


def _meals(match: re.Match[str]) -> Fact:
    side, codes = "", []
    for word in re.findall(rf"before|after|with|at|following|{_MEAL}", match[0]):
        side = _SIDE.get(word, side)
        if word in _MEAL_LETTER:
            codes.append(side + _MEAL_LETTER[word])
    return Occasions(tuple(codes))


def _minutes(match: re.Match[str]) -> int:
    per_unit = 60 if match["unit"] == "hour" else 1
    if match["n"] == "1/2":
        return per_unit // 2
    return per_unit * (int(match["n"]) if match["n"].isdigit() else 1)


def _offset_meals(match: re.Match[str]) -> Fact:
    side = _SIDE[match["side"]]
    codes = tuple(side + _MEAL_LETTER[meal] for meal in re.findall(_MEAL, match[0]))
    return Occasions(codes, offset_min=_minutes(match))


def _offset_bed(match: re.Match[str]) -> Fact:
    if match["side"] == "after":
        return Refused("after bedtime has no time")
    return Occasions(("HS",), offset_min=_minutes(match))


def _clocks(match: re.Match[str]) -> Fact:
    return Occasions(clocks=tuple(dict.fromkeys(re.findall(_CLOCK, match[0]))))


def _hour_of_part(match: re.Match[str]) -> Fact:
    """Read "at 5 in the evening": the part of the day says which of two hours."""
    hour, part = int(match["hour"]), match["part"]
    afternoon = {"morning": False, "afternoon": True, "evening": True, "night": hour >= 6}[part]  # noqa: PLR2004 - 6 pm
    possible = {
        "morning": range(1, 12),
        "afternoon": range(1, 7),
        "evening": range(4, 12),
        "night": range(6, 13),
    }
    if hour not in possible[part]:
        return Refused("this hour is not in this part of the day")
    return Occasions(clocks=(f"{hour % 12 + (12 if afternoon and hour < 12 else 0):02d}:00",))  # noqa: PLR2004


def _days(match: re.Match[str]) -> Fact:
    named = re.findall(rf"\b{_DAY}\b", match[0])
    if len(named) != len(set(named)):
        return Refused("a day is named twice")
    return Days(tuple(named))


def _day_range(match: re.Match[str]) -> Fact:
    first, last = WEEK.index(match["first"]), WEEK.index(match["last"])
    if first >= last:
        return Refused("these days are not in the order of a week")
    return Days(WEEK[first : last + 1], span=True)


def _except(match: re.Match[str]) -> Fact:
    return Except(("sat", "sun") if "weekend" in match[0] else tuple(re.findall(rf"\b{_DAY}\b", match[0])))


def _pattern(match: re.Match[str]) -> Fact:
    amounts = tuple(_amount(part) for part in match[0].split("-"))
    if not any(amounts) or any(amount > 4 for amount in amounts):  # noqa: PLR2004 - more is a date or a number
        return Refused("these numbers are no dose pattern")
    return Pattern(amounts)


def _amount(part: str) -> int | float:
    if "/" in part:
        over, under = (int(number) for number in part.split("/"))
        return over / under if under else 99
    return float(part) if "." in part else int(part)


RULES: tuple[Rule, ...] = (
    *(rule(_part(code), Occasions((code,))) for code in _PARTS),
    rule(rf"{_BY}(?: (?:your|the))? {_MEAL}(?: times)?(?: (?:,|and|, and) (?:{_BY} )?{_MEAL})*", _meals),
    *(
        rule(rf"{_EVERY_OTHER} {part}", Cycle(1, 2, "d", interval=True), Occasions((code,)))
        for part, code in (("morning", "MORN"), ("afternoon", "AFT"), ("evening", "EVE"), ("night", "NIGHT"))
    ),
    *(rule(rf"{_EVERY_OTHER} {day}", Cycle(1, 2, "wk", interval=True), Days((day,))) for day in WEEK),
    *(rule(code.lower(), Occasions((code,))) for code in ("ACM", "ACD", "ACV", "PCM", "PCD", "PCV")),
    rule(rf"{_OFFSET} {_MEAL}(?: (?:,|and|, and) {_MEAL})*", _offset_meals),
    rule(
        r"(?:in the |every )?(?P<a>morning|noon|afternoon) (?P<b>noon|afternoon|evening) and (?:at )?(?P<c>evening|night|bedtime)",
        lambda m: Occasions(tuple(_WORDS[m[part]] for part in "abc")),
    ),
    rule(rf"{_OFFSET} (?:bed|bedtime|sleep)", _offset_bed),
    rule(
        rf"{_OFFSET} (?:every meal|meals)",
        lambda m: Meals(_SIDE[m["side"]], each=True, offset_min=_minutes(m)),
    ),
    rule(
        rf"{_OFFSET} (?:food|a meal|eating)",
        lambda m: Meals(_SIDE[m["side"]], each=False, offset_min=_minutes(m)),
    ),
    rule(r"(?:ac|ante cibum|ante cibos)", Meals("AC", each=True)),
    rule(r"(?:pc|after cibum|after cibos)", Meals("PC", each=True)),
    rule(
        r"(?P<side>before|after|with|at|following) (?:every meal|meals|(?:your )?main meals|meal times)",
        lambda m: Meals(_SIDE[m["side"]], each=True),
    ),
    rule(
        r"(?P<side>before|after|with|following) (?:or after )?(?:food|a meal|meal|eating|a snack)",
        lambda m: Meals(_SIDE[m["side"]], each=False),
    ),
    rule(r"between meals", Meals("IC", each=False)),
    rule(
        rf"(?:(?:every|q|at|every day at)(?: about| around)? )?{_CLOCK}(?: ?(?:,|and|, and)?(?: at)? {_CLOCK})*",
        _clocks,
    ),
    rule(r"at (?P<hour>\d{1,2}) (?:in the |at )(?P<part>morning|afternoon|evening|night)", _hour_of_part),
    rule(r"(?:at )?(?:12 )?midnight", Occasions(clocks=("00:00",))),
    rule(rf"(?:(?:only )?on |every |every week on )?{_DAY_LIST}(?: only)?", _days),
    rule(r"(?:mwf|m w f)", Days(("mon", "wed", "fri"))),
    rule(rf"(?:from |on )?(?P<first>{_DAY}) (?:-|to|through|thru) (?P<last>{_DAY})(?: only)?", _day_range),
    rule(r"(?:on |every )?(?:weekday|(?:business|working|week) day)(?: only)?", Days(WEEK[:5], span=True)),
    rule(r"(?:(?:on|at) (?:the )?|every )?weekend(?: only)?", Days(WEEK[5:], span=True)),
    rule(r"(?:on |every )?school day(?: only)?", Days(WEEK[:5], span=True, calendar="school")),
    rule(
        rf"(?:except(?: on| for)?|excluding|but not(?: on)?|(?:and )?not on) (?:{_DAY_LIST}|(?:at )?(?:the )?weekend)",
        _except,
    ),
    rule(r"[\d/.]+(?:-[\d/.]+){2,3}", _pattern),
)
