"""One rule of the grammar: a phrase of whole canonical words, and the fact that it makes."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from cito.plugins.clinical.dosing_facts import Fact


@dataclass(frozen=True, slots=True)
class Rule:
    """A compiled phrase and its meaning."""

    phrase: re.Pattern[str]
    make: Callable[[re.Match[str]], Fact] | tuple[Fact, ...]

    def facts(self, match: re.Match[str]) -> tuple[Fact, ...]:
        """Return what the matched phrase says."""
        return self.make if isinstance(self.make, tuple) else (self.make(match),)


def rule(phrase: str, make: Callable[[re.Match[str]], Fact] | Fact, *more: Fact) -> Rule:
    """Return a rule; words in `phrase` are one space apart, and its end is the end of a word."""
    return Rule(re.compile(rf"(?:{phrase})(?!\S)"), make if callable(make) else (make, *more))
