"""HL7 v3 GTSAbbreviation: the code of a timing, where one says exactly the same."""

from __future__ import annotations

from cito.plugins.clinical.dosing_repeat import Repeat

_CODES = {
    (1, 1, "d"): "QD",
    (2, 1, "d"): "BID",
    (3, 1, "d"): "TID",
    (4, 1, "d"): "QID",
    (1, 2, "d"): "QOD",
    (1, 1, "wk"): "WK",
    (1, 1, "mo"): "MO",
    **{(1, hours, "h"): f"Q{hours}H" for hours in (1, 2, 3, 4, 6, 8)},
}
_WHEN: dict[tuple[str, ...], str] = {("MORN",): "AM", ("HS",): "BED"}
_DAYS: dict[tuple[str, ...], tuple[int, str]] = {
    ("mon", "tue", "wed", "thu", "fri"): (5, "JB"),
    ("sat", "sun"): (2, "JE"),
}


def code_of(repeat: Repeat, when: tuple[str, ...]) -> str | None:
    """Return the code that says all of it: cycle, days and event; None: none does."""
    if repeat.frequency_max or repeat.period_max or repeat.calendar:
        return None
    key = (repeat.frequency, repeat.period, repeat.unit)
    if when:
        return _WHEN.get(when) if key == (1, 1, "d") else None
    if repeat.days:
        doses, code = _DAYS.get(repeat.days, (0, ""))
        return code if (repeat.frequency, repeat.period) == (doses, 1) else None
    return _CODES.get(key)
