"""Strengths as texts: how many milligrams they are, and whether two say the same. What is unsure is not guessed."""

from __future__ import annotations

import re
from fractions import Fraction

IN_MG = {"mg": Fraction(1), "g": Fraction(1000), "mcg": Fraction(1, 1000), "ug": Fraction(1, 1000)}
_IN_ML = {"ml": Fraction(1), "l": Fraction(1000)}
_UNITS = {"units", "iu", "unit"}
_PART = re.compile(r"(?P<amount>\d+(?:\.\d+)?)?\s*(?P<unit>[a-z%]+)?", re.IGNORECASE)
_THOUSAND_OR_ONE = re.compile(r"[1-9]\d{0,2}\.\d{3}")  # "1.000" is one here, a thousand there


def milligrams_in(text: str | None) -> tuple[Fraction, Fraction | None] | None:
    """Return (mg, ml that hold them) of a strength; None: none, several, or in another unit.

    A number without a unit is taken for milligrams: see `lacks_unit`.
    """
    parts = _parts(text)
    if parts is None or len(parts) > 2:  # noqa: PLR2004 - an amount, and what holds it
        return None
    (amount, unit), rest = parts[0], parts[1:]
    if unit not in {"mg", ""} or (rest and rest[0][1] != "ml") or (rest and not unit):
        return None
    return amount, rest[0][0] if rest else None


def units_in(text: str | None) -> Fraction | None:
    """Return how many international units a strength is; None: it does not say. A bare number may be units."""
    parts = _parts(text)
    return parts[0][0] if parts is not None and len(parts) == 1 and parts[0][1] in {"units", ""} else None


def lacks_unit(text: str | None) -> bool:
    """Tell whether a strength is a number without a unit."""
    parts = _parts(text)
    return parts is not None and all(not unit for _, unit in parts)


def same_strength(one: str, other: str) -> bool:
    """Tell whether two texts can be one strength: `1 g` and `1000 mg`, `24 mg/mL` and `120 mg/5 mL`, `500` and `500 mg`."""
    if one == other:
        return True
    mine, theirs = _parts(one), _parts(other)
    if mine is None or theirs is None:
        return False
    if len(mine) == len(theirs) == 2 and mine[1][1] == theirs[1][1] == "ml":  # noqa: PLR2004 - two concentrations
        return mine[0][1] == theirs[0][1] and mine[0][0] * theirs[1][0] == theirs[0][0] * mine[1][0]
    # One may say less than the other: "500 mg" where that is in 5 mL.
    return all(
        amount == wanted and (unit == also or not unit or not also)
        for (amount, unit), (wanted, also) in zip(mine, theirs, strict=False)
    )


def _parts(text: str | None) -> list[tuple[Fraction, str]] | None:
    """Return amounts and units of a strength, in mg, mL and units where it is in such; None: it is no strength."""
    found = []
    for at, part in enumerate(re.split(r"\s*[/+-]\s*", (text or "").strip())):
        match = _PART.fullmatch(part)
        written = match["amount"] if match else None
        if (
            match is None
            or not part
            or (written is None and not at)
            or _THOUSAND_OR_ONE.fullmatch(written or "")
        ):
            return None
        amount, unit = Fraction(written or 1), (match["unit"] or "").lower()
        for known, factors in (("mg", IN_MG), ("ml", _IN_ML)):
            if unit in factors:
                amount, unit = amount * factors[unit], known
                break
        found.append((amount, "units" if unit in _UNITS else unit))
    return found
