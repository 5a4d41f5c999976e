"""National Drug Codes: labeler, product and package, written in several ways, kept in one.

Source: 21 CFR 207.33 (10 digits as 4-4-2, 5-3-2 or 5-4-1) and the HIPAA form of 11 digits, 5-4-2, in which the
short segment is filled with a zero in front. Ten digits without hyphens may be any of three codes.
"""

from __future__ import annotations

import re

from cito.core.errors import Invalid, invalid

_SEGMENTS = re.compile(r"(\d{4,5})-(\d{3,4})-(\d{1,2})", re.ASCII)
_PRODUCT = re.compile(r"(\d{4,5})-(\d{3,4})-?", re.ASCII)
_ELEVEN = re.compile(r"\d{11}", re.ASCII)
_TEN = re.compile(r"\d{10}", re.ASCII)
_FORMS = {(4, 4, 2), (5, 3, 2), (5, 4, 1), (5, 4, 2)}


def normalise_ndc(written: str) -> str:
    """Return the code as 5-4-2, such as `00777-3105-02` for `0777-3105-02` or `00777310502`.

    Raises:
        Invalid: it has none of the forms, or ten digits without hyphens, which are ambiguous.
    """
    text = written.strip()
    if found := _SEGMENTS.fullmatch(text):
        segments = found.groups()
        if tuple(map(len, segments)) in _FORMS:
            return _joined(*segments)
    if _ELEVEN.fullmatch(text):
        return _joined(text[:5], text[5:9], text[9:])
    if _TEN.fullmatch(text):
        raise invalid("ndc", "ambiguous", "10 digits without hyphens may be three codes; write the hyphens")
    raise _no_ndc()


def ndc_beginnings(typed: str) -> list[str]:
    """Return with what the stored codes begin that a search text may mean; none: it is no NDC.

    A whole code in any form, or labeler and product (`0777-3105`) for all packages.
    """
    text = typed.strip()
    if _TEN.fullmatch(text):
        forms = ((4, 8), (5, 8), (5, 9))
        return sorted({_joined(text[:a], text[a:b], text[b:]) for a, b in forms})
    if found := _PRODUCT.fullmatch(text):
        labeler, product = found.groups()
        return [f"{labeler:0>5}-{product:0>4}-"] if len(labeler) + len(product) > _SHORTEST_PRODUCT else []
    try:
        return [normalise_ndc(text)]
    except Invalid:
        return []


_SHORTEST_PRODUCT = 7  # 4-3 is no form: one of both segments may be short, not both


def _joined(labeler: str, product: str, package: str) -> str:
    return f"{labeler:0>5}-{product:0>4}-{package:0>2}"


def _no_ndc() -> Invalid:
    return invalid("ndc", "ndc", "write an NDC as 4-4-2, 5-3-2, 5-4-1 or 5-4-2 digits, or 11 digits")
