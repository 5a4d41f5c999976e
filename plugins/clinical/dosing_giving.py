"""Rules for what says nothing about time: amounts, routes, verbs, purposes; and what nobody should read by rules."""

from __future__ import annotations

import re
from fractions import Fraction

from cito.plugins.clinical.dosing_facts import Amount, Directed, Fact, Reason, Refused, Route, Skip, Substance
from cito.plugins.clinical.dosing_rule import Rule, rule
from cito.plugins.clinical.dosing_words import EYES, REFUSALS, ROUTES, UNITS

_NUMBER = r"\d+(?:\.\d+)?(?: (?:and )?(?:a |an )?[1-9]/[1-9])?|[1-9]/[1-9]"
_RANGE = rf"(?P<low>{_NUMBER})(?: (?:-|to|or) (?P<high>{_NUMBER}))?"
_UNIT = rf"(?P<unit>{'|'.join(UNITS)})"
_WEIGHT = r"(?P<unit>mg|mcg|g|ml|unit)"


def _value(text: str) -> Fraction:
    return sum((Fraction(part) for part in re.findall(r"[\d./]+", text)), Fraction(0))


def _amount(match: re.Match[str]) -> Fact:
    parts = match.groupdict()
    unit = parts.get("unit") or ""
    low = _value(parts["low"]) if parts.get("low") else Fraction(1)
    high = _value(parts["high"]) if parts.get("high") else low
    if high == Fraction(1, 2) and low >= 1:
        low = high = low + high  # 1-1/2 tablets: one and a half
    if not 0 < low <= high:
        return Refused("this amount makes no sense")
    return Amount(low, high, unit)


def _several(match: re.Match[str]) -> Fact:
    """Multiply: "2 x 5 ml" are ten millilitres."""
    each = Fraction(match["each"])
    low = _value(match["low"])
    return Amount(low * each, _value(match["high"] or match["low"]) * each, match["unit"])


RULES: tuple[Rule, ...] = (
    rule(rf"{_RANGE} {_UNIT}", _amount),
    rule(rf"{_RANGE}", _amount),
    rule(rf"(?:a|an|the|every) {_UNIT}", _amount),
    rule(rf"(?P<low>1/2|1/4)(?: of)? (?:a|an) {_UNIT}", _amount),
    rule(
        rf"{_RANGE} x (?P<each>\d+(?:\.\d+)?) ?{_WEIGHT}(?: (?:spoon|tablet|capsule|spoon full))?", _several
    ),
    rule(rf"{_RANGE} (?P<each>\d+(?:\.\d+)?) {_WEIGHT} spoon", _several),
    rule(rf"{_RANGE} {_WEIGHT} total", Skip()),
    rule(rf"{_RANGE} {_WEIGHT} / (?:\d+(?:\.\d+)? )?(?:ml|dose|puff|actuation)", Skip()),
    *(rule(route, Route(eye=False)) for route in ROUTES),
    *(rule(eye, Route(eye=True)) for eye in EYES),
    rule(r"(?:please )?(?:to be |is to be |should be )?take(?: in)?", Skip(verb=True)),
    rule(
        r"as (?:directed|advised|instructed|prescribed)(?: by (?:the |your |a )?(?:doctor|physician|prescriber|nurse|md|gp))?",
        Directed(),
    ),
    rule(r"(?:mdu|ud|ut dict|ut dictum)", Directed()),
    rule(
        r"with (?:or without|water|milk|juice|(?:plenty|a glass|a full glass|a little|some) ?(?:of )?(?:water|milk|juice))(?: food| meals| a meal)?",
        Skip(),
    ),
    rule(r"on an? empty stomach", Skip()),
    rule(r"chew|do not (?:crush|chew)(?: or (?:crush|chew))?", Skip()),
    rule(r"at (?:about |around )?the same times(?: every day)?", Skip()),
    rule(
        r"(?:a |the )?(?:thin layer of )?(?:cream|ointment|lotion|gel|solution|suspension|syrup|inhaler|liquid|foam)",
        Skip(),
    ),
    rule(r"(?:sparingly|atc|around the clock|liberally|thinly|a thin layer|whole|regularly|only)", Skip()),
    rule(r"for", Reason()),
    rule(r"to (?:relieve|reduce|help|prevent|lower|treat|control|ease)", Reason()),
    rule(r"of", Substance()),
    *(rule(word, Refused(why)) for word, why in REFUSALS.items()),
)
