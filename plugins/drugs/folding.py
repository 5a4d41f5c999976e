"""One spelling for all the ways a name is typed: the same here, in the tables and in the index."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

MAX_NAME_LENGTH = 200
_REMEMBERED = 4096

_MARKS = dict.fromkeys(map(ord, "\u2122\u2120\u00ae"), " ")  # of trade; NFKC would make letters of them
# Letters that no decomposition takes apart. Casefold has made ß into ss already.
_PLAIN = str.maketrans(
    {"æ": "ae", "œ": "oe", "ø": "o", "đ": "d", "ð": "d", "þ": "th", "ł": "l", "\u0131": "i"}
)
_APOSTROPHES = re.compile(r"['`\u2019\u2018\u02bc]")
_DASHES = re.compile(r"[\u2010-\u2015\u2212]")
_SEPARATOR = re.compile(r"\s*([/+])\s*")
_NOISE = re.compile(r"[^\w/+%.,:-]|_")
_BARE_POINT = re.compile(r"(?<![\w.,])\.(?=\d)")
_LOOSE_POINT = re.compile(r"(?<!\d)[.,:]|[.,:](?!\d)")
_LOOSE_DASH = re.compile(r"(?<!\w)-|-(?!\w)")
_SLIPS_FROM, _SLIPS_TO = 6, 40  # letters; they stand in drugs_0004_slips.sql too
_BETWEEN = re.compile(r"[\s.,'-]+")
# Words that say how a substance is bound, not which one it is. They stand in drugs_0003_bare_names.sql too.
_SALTS = (
    "acetate|besilate|besylate|bitartrate|bromide|calcium|carbonate|chloride|citrate|dihydrate|fumarate|gluconate|"
    "hcl|hydrobromide|hydrochloride|lactate|magnesium|maleate|mesilate|mesylate|monohydrate|nitrate|phosphate|"
    "potassium|sodium|succinate|sulfate|sulphate|tartrate|trihydrate"
)
_SALT = re.compile(rf"(?:^| )(?:{_SALTS})(?= |$)")


@lru_cache(maxsize=_REMEMBERED)
def fold(text: str) -> str:
    """Return `text` as names are compared: NFKC, casefold, unaccent, punctuation out, spaces collapsed.

    `.5` is 0.5. Hyphens inside words, `/`, `+`, `%`, decimal points and the colon of a ratio stay: they carry meaning.
    An import folds each name several times within a moment, so that the last ones are remembered.
    """
    text = text.casefold() if text.isascii() else _unaccented(text)
    text = _DASHES.sub("-", _APOSTROPHES.sub("", text)).replace("&", " and ")
    text = _LOOSE_POINT.sub(" ", _BARE_POINT.sub("0.", _SEPARATOR.sub(r"\1", _NOISE.sub(" ", text))))
    return " ".join(_LOOSE_DASH.sub(" ", text).split())


def _unaccented(text: str) -> str:
    text = unicodedata.normalize("NFKC", text.translate(_MARKS)).casefold()
    text = "".join(c for c in unicodedata.normalize("NFD", text) if not unicodedata.combining(c))
    return unicodedata.normalize("NFC", text).translate(_PLAIN)


def squash(folded: str) -> str:
    """Return a folded name without hyphens and spaces: `co-codamol`, `co codamol` and `cocodamol` are one."""
    return _BETWEEN.sub("", folded)


def bare(folded: str) -> str:
    """Return a folded name without the names of salts, unless it is nothing else: what similar names are found by."""
    return _SALT.sub("", folded).strip() or folded


def slips(key: str) -> frozenset[str]:
    """Return a squashed name and what is left of it without each of its letters; nothing for the short and the long.

    Two names that are one slip apart (a letter more, less, other, or two swapped) have one of these in common.
    """
    if not _SLIPS_FROM <= len(key) <= _SLIPS_TO:
        return frozenset()
    return frozenset({key, *(key[:at] + key[at + 1 :] for at in range(len(key)))})


def trigrams(folded: str) -> frozenset[str]:
    """Return the trigrams of a folded name as pg_trgm counts them: per word, two blanks before, one after."""
    found: set[str] = set()
    for word in re.findall(r"[^\W_]+", folded):
        padded = f"  {word} "
        found.update(padded[i : i + 3] for i in range(len(padded) - 2))
    return frozenset(found)
