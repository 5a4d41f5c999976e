"""Takes strength, form, route and release suffix off a typed name, and keeps every reading of what is left.

Whether `3` in "Tylenol 3" is a strength or part of the name only the vocabulary knows, so a name is read
several ways, the least taken off first; the first reading that is an exact name wins.
"""

from __future__ import annotations

import re
from functools import lru_cache
from itertools import chain, combinations, pairwise
from typing import NamedTuple

from cito.plugins.drugs.folding import MAX_NAME_LENGTH, fold, slips, squash
from cito.plugins.drugs.models import Parsed
from cito.plugins.drugs.words import FORMS, PER_ONLY, RELEASE, ROUTES, UNITS

MAX_WORDS = 12
MAX_PHRASE_WORDS = 5
_REMEMBERED = 4096
_SLIPS_FROM = 7  # letters; names that share a slip may be two edits apart

_NUMBER = r"\d+(?:,\d{3})*(?:[.,]\d+)?"
_UNIT = "|".join(re.escape(unit) for unit in sorted(UNITS, key=len, reverse=True))
_AMOUNT = rf"{_NUMBER}(?:\s?(?:{_UNIT})(?![a-z0-9]))?"
_STRENGTH = re.compile(
    rf"(?<![\w.,/+-]){_AMOUNT}(?:[/+:-](?:{_AMOUNT}|(?:{_UNIT})(?![a-z0-9])))*(?![\w.,])(?!-[a-z])"
)
_PIECE = re.compile(rf"(?P<number>{_NUMBER})?\s?(?P<unit>{_UNIT})?(?P<joint>[/+:-]|$)")
_THOUSANDS = re.compile(r"[1-9]\d{0,2}(?:,\d{3})+(?:\.\d+)?")
_LONGEST = max(phrase.count(" ") + 1 for phrase in (*FORMS, *ROUTES, *RELEASE))
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff]")
_WORDS = re.compile(r"[\s/+,-]+")
_HANGING = frozenset({"and", "with"})
_JOINING = _HANGING | {"plus"}
# Other writings of the names of salts, by the one that vocabularies use.
_WRITINGS = {"hcl": "hydrochloride", "hbr": "hydrobromide", "sulphate": "sulfate"}
_WRITING = re.compile(rf"(?<![\w-])(?:{'|'.join(_WRITINGS)})(?![\w-])")


class Reading(NamedTuple):
    """One way to read a text: the name that is left, and what was taken off for it."""

    name: str
    parsed: Parsed
    dropped_number: bool

    @property
    def apart(self) -> str:
        """The name with its strokes and pluses as spaces: what joins two names may also stand inside one."""
        return self.name.replace("/", " ").replace("+", " ")


class Request(NamedTuple):
    """A typed name, taken apart.

    Attributes:
        folded: the whole text; what a cached answer is keyed by.
        readings: the least taken off first; the last one is the bare name.
        core: the bare name; empty where strength and form were all there was.
        words: those of the bare name, without "and", "with", "plus".
        parsed: everything that could be taken off.
        valid: False for an empty, overlong or unprintable text.
    """

    folded: str
    readings: tuple[Reading, ...]
    core: str
    words: tuple[str, ...]
    parsed: Parsed
    valid: bool

    def slips(self) -> frozenset[str]:
        """Return what a name one slip away has in common with this; nothing where trigrams have to be asked.

        They have to for short names, of which two slips are too many, and where a bare number may be part of a name.
        """
        core = squash(self.core)
        numbered = any(reading.dropped_number for reading in self.readings)
        return frozenset() if numbered or len(core) < _SLIPS_FROM else slips(core)

    def keys(self) -> frozenset[str]:
        """Return every squashed text that an exact step may ask for: readings, and runs of words."""
        runs = (
            {squash("".join(run)) for run in runs_of(self.words)} if len(self.words) <= MAX_WORDS else set()
        )
        names = {squash(name) for reading in self.readings for name in (reading.name, reading.apart)}
        return frozenset(names | runs) - {""}


def words_of(folded: str) -> tuple[str, ...]:
    """Return the words that name something: split at hyphens and strokes too, without "and", "with", "plus" between."""
    words = [word for word in _WORDS.split(folded) if word]
    return tuple(
        word
        for at, word in enumerate(words)
        if word not in _JOINING or (word == "plus" and at == len(words) - 1)
    )


def runs_of(words: tuple[str, ...]) -> list[tuple[str, ...]]:
    """Return all runs of up to `MAX_PHRASE_WORDS` neighbouring words."""
    count = len(words)
    return [words[i:j] for i in range(count) for j in range(i + 1, min(i + MAX_PHRASE_WORDS, count) + 1)]


def read(text: str) -> Request:
    """Take a typed name apart. Never fails: what cannot be a name is marked not valid."""
    stripped = text.strip()
    if not stripped or len(stripped) > MAX_NAME_LENGTH or _CONTROL.search(stripped):
        return Request("", (), "", (), Parsed(), valid=False)
    return _taken_apart(stripped)


@lru_cache(maxsize=_REMEMBERED)
def _taken_apart(stripped: str) -> Request:
    """Remembered, for it takes ten times as long as finding a cached answer."""
    folded = fold(stripped)
    marked = _mark(folded)
    readings = [Reading(folded, Parsed(), dropped_number=False)] if folded else []
    present = {"s", *(kind for kind, _, _ in marked)}
    for dropped in _DROPPED:
        if not present.issuperset(dropped):
            continue
        reading = _without(marked, dropped)
        if reading.name and all(reading.name != other.name for other in readings):
            readings.append(reading)
    named = any(kind == "w" for kind, _, _ in marked)
    core = _without(marked, _ALL).name if named else ""
    words = words_of(core)
    written = tuple(chain.from_iterable(map(_writings, readings)))
    return Request(folded, written, core, words, _without(marked, _ALL).parsed, valid=True)


def _writings(reading: Reading) -> tuple[Reading, ...]:
    """Return a reading, and the same with its salts written out: "metformin hcl", "metformin hydrochloride"."""
    name = _WRITING.sub(lambda match: _WRITINGS[match[0]], reading.name)
    return (reading,) if name == reading.name else (reading, reading._replace(name=name))


# A marked word: kind (w name, s strength, n bare number, f form, o route, r release), text, canonical writing.
Marked = tuple[str, str, str]
# What readings take off, the least first, bare numbers last: "Emend IV 150 mg vial" is a name that a route belongs to.
_DROPPED = tuple(
    f"s{''.join(others)}{number}"
    for number in ("", "n")
    for size in range(4)
    for others in combinations("for", size)
)
_ALL = _DROPPED[-1]


def _mark(folded: str) -> list[Marked]:
    """Split a folded text into words and phrases, each with its kind."""
    marked: list[Marked] = []
    end = 0
    for match in _STRENGTH.finditer(folded):
        kind, canonical = _strength(match[0])
        if kind == "w":
            continue
        marked += _mark_words(folded[end : match.start()].split(), first=not marked)
        marked.append((kind, match[0], canonical))
        end = match.end()
    return marked + _mark_words(folded[end:].split(), first=not marked)


def _mark_words(words: list[str], *, first: bool) -> list[Marked]:
    marked: list[Marked] = []
    at = 0
    while at < len(words):
        for length in range(min(_LONGEST, len(words) - at), 0, -1):
            phrase = " ".join(words[at : at + length])
            if phrase in FORMS:
                marked.append(("f", phrase, FORMS[phrase]))
            elif phrase in ROUTES:
                marked.append(("o", phrase, ROUTES[phrase]))
            elif phrase in RELEASE and (marked or not first):
                marked.append(("r", phrase, phrase))
            else:
                continue
            at += length
            break
        else:
            marked.append(("w", words[at], words[at]))
            at += 1
    return marked


def _strength(text: str) -> tuple[str, str]:
    """Return the kind (`s`, `n`, or `w` where it is none) and the canonical writing of an amount."""
    written: list[str] = []
    units: list[str] = []
    for piece in _PIECE.finditer(text):
        number, unit, joint = piece["number"], piece["unit"], piece["joint"]
        if not (number or unit):
            continue
        per = bool(written) and written[-1].endswith("/")
        if unit and UNITS[unit] in PER_ONLY and not per:
            return "w", ""
        amount = _number(number) if number else ""
        canonical = UNITS[unit] if unit else ""
        units.append(canonical)
        gap = " " if amount and canonical and canonical != "%" else ""
        written.append(f"{amount}{gap}{canonical}{joint}")
    return ("s" if any(units) else "n"), "".join(written)


def _number(text: str) -> str:
    """Return a number with a decimal point: `1,000` is a thousand, `0,125` an eighth."""
    return text.replace(",", "" if _THOUSANDS.fullmatch(text) else ".")


def _without(marked: list[Marked], dropped: str) -> Reading:
    """Return the reading that drops the kinds that are named."""
    kept = " ".join(text for kind, text, _ in marked if kind not in dropped)

    def said(kinds: str) -> list[str]:
        taken = (word for word in marked if word[0] in kinds and word[0] in dropped)
        return list(dict.fromkeys(canonical for _, _, canonical in taken))

    form, route = said("f"), said("o")
    parsed = Parsed(
        strength=" ".join(said("sn")) or None,
        form=form[0] if form else None,
        route=route[0] if route else None,
    )
    return Reading(
        _outer_joining_off(kept),
        parsed,
        dropped_number="n" in dropped and any(kind == "n" for kind, _, _ in marked),
    )


def _outer_joining_off(name: str) -> str:
    """Return a name without the "and" or "/" that a taken-off neighbour left hanging; "Nurofen Plus" is one."""
    words = [word.strip("/+-") for word in name.split()]
    words = [word for word in words if word]
    while words and words[-1] in _HANGING:
        words.pop()
    while words and words[0] in _HANGING:
        words.pop(0)
    return " ".join(
        word for word, following in pairwise([*words, ""]) if not (word in _JOINING and word == following)
    )
