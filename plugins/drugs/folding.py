"""One spelling for all the ways a name is typed: the same here, in the tables and in the index."""

from __future__ import annotations

import re
import unicodedata

MAX_NAME_LENGTH = 200

# Letters that no decomposition takes apart. Casefold has made ß into ss already.
_PLAIN = str.maketrans(
    {"æ": "ae", "œ": "oe", "ø": "o", "đ": "d", "ð": "d", "þ": "th", "ł": "l", "\u0131": "i"}
)
_APOSTROPHES = re.compile(r"['`\u2019\u2018\u02bc]")
_DASHES = re.compile(r"[\u2010-\u2015\u2212]")
_SEPARATOR = re.compile(r"\s*([/+])\s*")
_NOISE = re.compile(r"[^\w/+%.,-]|_")
_LOOSE_POINT = re.compile(r"(?<!\d)[.,]|[.,](?!\d)")
_LOOSE_DASH = re.compile(r"(?<!\w)-|-(?!\w)")
_BETWEEN = re.compile(r"[\s.,'-]+")


def fold(text: str) -> str:
    """Return `text` as names are compared: NFKC, casefold, unaccent, punctuation out, spaces collapsed.

    Hyphens inside words, `/`, `+`, `%` and decimal points stay: they carry meaning.
    """
    text = unicodedata.normalize("NFKC", text).casefold()
    text = "".join(c for c in unicodedata.normalize("NFD", text) if not unicodedata.combining(c))
    text = unicodedata.normalize("NFC", text).translate(_PLAIN)
    text = _DASHES.sub("-", _APOSTROPHES.sub("", text)).replace("&", " and ")
    text = _LOOSE_POINT.sub(" ", _SEPARATOR.sub(r"\1", _NOISE.sub(" ", text)))
    return " ".join(_LOOSE_DASH.sub(" ", text).split())


def squash(folded: str) -> str:
    """Return a folded name without hyphens and spaces: `co-codamol`, `co codamol` and `cocodamol` are one."""
    return _BETWEEN.sub("", folded)


def trigrams(folded: str) -> frozenset[str]:
    """Return the trigrams of a folded name as pg_trgm counts them: per word, two blanks before, one after."""
    found: set[str] = set()
    for word in re.findall(r"[^\W_]+", folded):
        padded = f"  {word} "
        found.update(padded[i : i + 3] for i in range(len(padded) - 2))
    return frozenset(found)
