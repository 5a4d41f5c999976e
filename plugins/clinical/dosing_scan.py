"""Walks over the words of a text, longest phrase first, and returns its facts in order, each with its joint."""

from __future__ import annotations

import re

from cito.plugins.clinical import dosing_cycles, dosing_giving, dosing_occasions
from cito.plugins.clinical.dosing_facts import (
    WEEK,
    Amount,
    AsNeeded,
    Days,
    Directed,
    Fact,
    Item,
    Join,
    Reason,
    Refused,
    Route,
    Skip,
    Substance,
)
from cito.plugins.clinical.dosing_rule import Rule

_RULES: tuple[Rule, ...] = (*dosing_cycles.RULES, *dosing_occasions.RULES, *dosing_giving.RULES)
_JOINTS = {",": Join.COMMA, "and": Join.AND, "or": Join.OR}
_STRENGTH = (Join.NOTHING, Join.COMMA, Join.AND, Join.OR)
# Facts that say nothing about time: "and take one tablet" still joins what follows.
TIMELESS = (Amount, Directed, Reason, Route, Skip, Substance)
_FREE_WORDS: dict[type, int] = {Reason: 8, AsNeeded: 8, Substance: 3}
_WORD = re.compile(r"[a-z']+(?!\S)|/(?!\S)")
# Words of a purpose; any other word of a rule about time may be a part of one that nobody understood.
_COMMON = {
    "a",
    "an",
    "at",
    "bed",
    "eating",
    "food",
    "for",
    "going",
    "in",
    "meals",
    "of",
    "on",
    "sleep",
    "snack",
}
_COMMON |= {"the", "to", "up", "with", "your"}
_RESERVED = {
    word
    for rule in (*dosing_cycles.RULES, *dosing_occasions.RULES)
    for word in re.findall(r"[a-z]+", rule.phrase.pattern)
} - _COMMON


def scan(words: list[str]) -> list[Item]:
    """Return the facts of canonical words; a word that no phrase holds ends the list with a `Refused`."""
    text = " ".join(words)
    items: list[Item] = []
    join = Join.NOTHING
    free = 0  # how many words of a purpose or a name may still follow
    at = 0
    while at < len(text):
        word = text[at:].split(" ", 1)[0]
        end, facts = _phrase(text, at, items, in_purpose=free > 0 and word in WEEK)
        if facts:
            if isinstance(facts[0], Amount) and join is Join.NOTHING and _timed(items):
                join = Join.COMMA  # "1 tablet in the morning 2 tablets at night"
            items.extend(Item(fact, join) for fact in facts)
            free = _FREE_WORDS.get(type(facts[-1]), 0)
            if not isinstance(facts[-1], TIMELESS):
                join = Join.NOTHING
        elif word in _JOINTS:
            end = at + len(word)
            if _dangling(word, items, end == len(text)):
                return [*items, Item(Refused("words that join nothing"), join)]
            if not free or _longest(text, end + 1)[1]:  # else it joins two words of a purpose
                join = max(join, _JOINTS[word], key=_STRENGTH.index)
        elif free and _WORD.match(text, at) and word not in _RESERVED:
            end, free = at + len(word), free - 1
        else:
            return [*items, Item(Refused(f"word {text[:at].count(' ') + 1} is not understood"), join)]
        at = end + 1
    return items


def _phrase(text: str, at: int, items: list[Item], *, in_purpose: bool) -> tuple[int, tuple[Fact, ...]]:
    """Return the end and the facts of the longest phrase here, as far as its place allows it."""
    end, facts = _longest(text, at)
    if facts and isinstance(facts[0], Substance) and not (items and isinstance(items[-1].fact, Amount)):
        return at, ()  # "of" names what an amount is of, nothing else
    if in_purpose and facts and isinstance(facts[0], Days):
        return end, (Refused("a day of the week within a purpose"),)  # "for use in the sun"
    return end, facts


def _dangling(joint: str, items: list[Item], last: bool) -> bool:
    """Tell whether "and" at the start or the end shows a torn text, or may list hours: "4 and 8 am"."""
    torn = joint != "," and (last or not items)
    return torn or (
        bool(items) and isinstance(items[-1].fact, Amount) and not items[-1].fact.unit and not last
    )


def _timed(items: list[Item]) -> bool:
    return any(not isinstance(item.fact, TIMELESS) for item in items)


def _longest(text: str, at: int) -> tuple[int, tuple[Fact, ...]]:
    best, end = None, at
    for rule in _RULES:
        match = rule.phrase.match(text, at)
        if match is not None and match.end() > end:
            best, end, made = match, match.end(), rule
    return (at, ()) if best is None else (end, made.facts(best))
