"""From free text to canonical whole words: "1½ tabs q.8.h." becomes `1 1/2 tablet q 8 hour`.

What cannot be a word of a dosing text becomes `?`, which no rule of the grammar matches.
"""

from __future__ import annotations

import re
import unicodedata

from cito.plugins.clinical.dosing_facts import WEEK
from cito.plugins.clinical.dosing_words import AS_NUMBERS, CANONICAL, NUMBERS, TENS

UNKNOWN = "?"
# Written out before NFKC, which would make 1½ into 11/2.
_FRACTIONS = {"½": " 1/2", "¼": " 1/4", "¾": " 3/4", "⅓": " 1/3", "⅔": " 2/3"}
_INVISIBLE = dict.fromkeys("\u200b\u200c\u200d\ufeff\u00ad", "")
_DASHES = "\u2010\u2011\u2012\u2013\u2014\u2212"
_SAME = str.maketrans(
    {
        **_FRACTIONS,
        **_INVISIBLE,
        **dict.fromkeys(_DASHES, "-"),
        "\N{MULTIPLICATION SIGN}": "x",
        "\N{RIGHT SINGLE QUOTATION MARK}": "'",
    }
)

_ONES = "|".join(word for word, value in NUMBERS.items() if 0 < value < 10)  # noqa: PLR2004 - one digit
_TENS_AND_ONES = re.compile(rf"\b({'|'.join(TENS)})[ -]({_ONES})\b")
_NUMBER_WORD = re.compile(rf"\b({'|'.join(NUMBERS)})\b(?:\s*\(?\s*(\d+)(?![\d./:,])\s*\)?)?")
_AS_NUMBERS = re.compile(rf"\b({'|'.join(AS_NUMBERS)})\b")

# "Every hours" has lost its number, and hourly would be the worst guess.
_TORN_INTERVAL = re.compile(
    r"(?:\b(?:every|each|q|per|an?|in|any)\s+|/\s*)(?:hours|hrs|days|weeks|wks|months|mths|mos|minutes|mins|years|yrs)\b"
    r"|\b(?:every|each|q)\s+h\b"
)
_AMOUNT = r"(?:\d+/\d+|0?\.5|\d)"
_TOKEN = re.compile(
    rf"""
      (?P<half_day>  (?P<hour>\d{{1,2}})(?:[:.](?P<minute>\d\d))?(?P<gap>\s*)(?P<half>[ap])\.?m\b\.? )
    | (?P<full_day>  \d{{1,2}}:\d\d(?![\d:])(?:\s*h(?:rs?|ours?)?\b)? )
    | (?P<military>  (?:[01]\d|2[0-4])[0-5]\d\s*h(?:rs?|ours?)?\b | (?<=\bat\s)[0-2]\d[0-5]\d\b(?!\s*[mui]) )
    | (?P<dotted>    (?<![a-z])[a-z]\.(?:(?:\d{{1,2}}|[a-z])\.)*(?:[a-z]|\d{{1,2}})(?![a-z\d])\.? )
    | (?P<pattern>   (?<![\w.,/-]){_AMOUNT}(?:\s?-\s?{_AMOUNT}){{2,3}}(?![\w/:-]|\.\d) )
    | (?P<negative>  (?<!\S)-\.?\d[\d.]* )
    | (?P<fraction>  \d+/\d+(?![\d/]) )
    | (?P<ordinal>   \d+(?:st|nd|rd|th)\b )
    | (?P<number>    \d+(?:[.,]\d+)*|(?<!\S)\.\d+ )
    | (?P<word>      [a-z]+(?:'[a-z]+)? )
    | (?P<range>     (?<=\d)\s?-\s?(?=[\d.]) )
    | (?P<minus>     (?<=[a-z])-(?=\d) )
    | (?P<tight>     (?<=\w)-(?=\w) )
    | (?P<mark>      [/&+@] )
    | (?P<pause>     [,.;:!()\[\]] )
    | (?P<dash>      - )
    | (?P<space>     \s+ )
    | (?P<other>     . )
    """,
    re.VERBOSE | re.DOTALL,
)
# Dotted abbreviations that read as something else without their dots.
_DOTTED = {"on": "bedtime", "om": "morning", "at": UNKNOWN, "as": UNKNOWN, "ad": UNKNOWN, "in": UNKNOWN}
_AS_ONE = {
    "range": "-",
    "tight": "^",
    "pause": ",",
    "dash": "~",
    "negative": UNKNOWN,
    "minus": UNKNOWN,
    "other": UNKNOWN,
}
_NOON = 12
_SMALL_AMOUNT = 4


def tokens(text: str) -> list[str]:
    """Return the canonical words, numbers, clock times (`08:00`) and marks of a dosing text."""
    out: list[str] = []
    matches = list(_TOKEN.finditer(_normalise(text)))
    half_days = any(match["half"] for match in matches)
    for match in matches:
        kind = match.lastgroup or ""
        if half_days and kind == "full_day" and int(match[0].partition(":")[0]) <= _NOON:
            out.append(UNKNOWN)  # "8:00 and 2:00 pm": the first may be either
        elif kind != "space":
            out.extend(_canonical(kind if match["half"] is None else "half_day", match, out))
    out = ["week" if word == "w" and out[at - 1].isdigit() else word for at, word in enumerate(out)]
    return [
        joint for at, word in enumerate(out) if (joint := _hyphen(out, at) if word in {"^", "~"} else word)
    ]


def _normalise(text: str) -> str:
    """Return the text in lower case, numbers in digits; what only looks like a digit becomes `?`."""
    text = text.translate(_SAME)
    # Superscripts, circled digits, Roman numeral signs, direction marks: NFKC would make plain digits of them.
    text = "".join(UNKNOWN if unicodedata.category(char) in {"No", "Nl", "Cf"} else char for char in text)
    text = unicodedata.normalize("NFKC", text).casefold()
    text = "".join(
        UNKNOWN if char.isdigit() and not char.isascii() else char for char in text
    )  # other scripts
    text = re.sub(r"(?<=[a-z])\(s\)", "", text)  # tablet(s)
    text = _TORN_INTERVAL.sub(UNKNOWN, text)
    text = re.sub(r"\bw/\s?(?=[a-z])", "with ", text)
    text = re.sub(r"\b(?:[btq] i d|p r n|q o d|q h s)\b", lambda m: m[0].replace(" ", ""), text)
    text = re.sub(r"\b(?:one[ -])?half(?: ?\(?1/2\)?)?(?![\w/])", "half", text)
    text = _TENS_AND_ONES.sub(lambda m: str(NUMBERS[m[1]] + NUMBERS[m[2]]), text)
    text = re.sub(r"\b(\d+) ?\( ?\1 ?\)", r"\1", _NUMBER_WORD.sub(_digits, text))  # 2 (two)
    return _AS_NUMBERS.sub(lambda m: AS_NUMBERS[m[1]], text)


def _digits(match: re.Match[str]) -> str:
    """Write a number word in digits; "one (1)" and "one 1" are one number."""
    value = str(NUMBERS[match[1]])
    return value if match[2] in {None, value} else value + match[0][len(match[1]) :]


def _canonical(kind: str, match: re.Match[str], before: list[str]) -> list[str]:
    piece = match[0]
    if kind in _AS_ONE:
        return [_AS_ONE[kind]]
    match kind:
        case "half_day":
            return [_half_day(match, before)]
        case "full_day" | "military":
            return [_full_day(kind, piece, before)]
        case "dotted":
            return _dotted(piece.replace(".", ""))
        case "word" | "mark":
            return [CANONICAL.get(piece, piece)]
        case "number":
            return [_listed_hour(piece, before) or _number(piece)]
        case _:
            return [re.sub(r"\s", "", piece)]  # a fraction, an ordinal, a 1-0-1 pattern


def _dotted(letters: str) -> list[str]:
    if letters in _DOTTED:
        return [_DOTTED[letters]]
    return [CANONICAL.get(part, part) for part in re.findall(r"\d+|[a-z]+", letters)]


def _full_day(kind: str, piece: str, before: list[str]) -> str:
    if kind == "military" and before and before[-1] in {"every", "q", "for", "in", "x", "per", "/", "-"}:
        return UNKNOWN  # "every 1000 hours" is no time of day
    digits = re.sub(r"\D", "", piece).zfill(4)
    return _time(int(digits[:2]), int(digits[2:]))


def _time(hour: int, minute: int) -> str:
    return f"{hour:02d}:{minute:02d}" if hour < 24 and minute < 60 else UNKNOWN  # noqa: PLR2004 - a day, an hour


def _half_day(match: re.Match[str], before: list[str]) -> str:
    """Return `HH:MM`. A small number apart from its "am" may be an amount: "take 1 am and 1 pm"."""
    hour = int(match["hour"])
    if not 1 <= hour <= _NOON:
        return UNKNOWN
    if match["gap"] and match["minute"] is None and hour <= _SMALL_AMOUNT:
        last = before[-2:] if before and before[-1] in {",", "and"} else before[-1:]
        if not last or not (":" in last[0] or last[-1] in {"at", "q", "every", "daily", "day"}):
            return UNKNOWN
    return _time(hour % _NOON + (_NOON if match["half"] == "p" else 0), int(match["minute"] or 0))


def _listed_hour(piece: str, before: list[str]) -> str | None:
    """Read 1400 as a time in a list of times: "at 0600, 1400 and 2200"."""
    listed = len(before) > 1 and before[-1] in {",", "and"} and ":" in before[-2]
    return (
        _time(int(piece[:2]), int(piece[2:])) if listed and re.fullmatch(r"[0-2]\d[0-5]\d", piece) else None
    )


def _number(piece: str) -> str:
    if re.fullmatch(r"[1-9]\d{0,2}(?:,\d{3})+", piece):
        return piece.replace(",", "")
    if "," in piece or piece.count(".") > 1:
        return UNKNOWN  # a decimal comma ("0,125"), a date
    if re.fullmatch(r"[1-9]\d{0,2}\.\d{3}", piece):
        return UNKNOWN  # "1.000 mg" is one, or a thousand
    return f"0{piece}" if piece.startswith(".") else piece


def _hyphen(found: list[str], at: int) -> str:
    """Tell what a hyphen says: Monday-Friday, 9 am - 5 pm, 4-weekly; nothing in twice-daily; else a pause."""
    left, right = found[at - 1] if at else "", found[at + 1] if at + 1 < len(found) else ""
    if left in WEEK or (":" in left and right[:1].isdigit()):
        return "-"
    if found[at] == "~":
        return ","
    return "^" if left.isdigit() and right in {"hourly", "daily", "weekly", "monthly", "yearly"} else ""
