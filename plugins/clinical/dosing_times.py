"""Times of day for a timing, from the site's own table. "At institution specified time", says HL7: never ours."""

from __future__ import annotations

import msgspec

from cito.plugins.clinical.timing import Status, Timing

_MINUTES_A_DAY = 1440
_DAILY_ROWS = {1: "QD", 2: "BID", 3: "TID", 4: "QID"}
_MEALS = {"C": ("CM", "CD", "CV"), "AC": ("ACM", "ACD", "ACV"), "PC": ("PCM", "PCD", "PCV")}
_MEAL_OF = {f"{side}{meal}": f"C{meal}" for side in ("AC", "PC") for meal in "MDV"}


class SiteTimes(msgspec.Struct, frozen=True):
    """A site's times: `HH:MM` local, by GTS abbreviation (QD, BID, 5ID, Q12H) or FHIR event code (MORN, ACD).

    Attributes:
        rows: a code without a row has no times, and goes to review.
        hours_from: where intervals that divide the day start, unless they have a row.
    """

    rows: dict[str, tuple[str, ...]]
    hours_from: str = "00:00"


DEFAULT_SITE = SiteTimes(
    {
        "QD": ("09:00",),
        "BID": ("09:00", "21:00"),
        "TID": ("08:00", "14:00", "20:00"),
        "QID": ("08:00", "12:00", "16:00", "20:00"),
        "MORN": ("08:00",),
        "NOON": ("12:00",),
        "AFT": ("14:00",),
        "EVE": ("18:00",),
        "NIGHT": ("21:00",),
        "HS": ("21:00",),
        "ACM": ("07:30",),
        "ACD": ("11:30",),
        "ACV": ("17:30",),
        "CM": ("08:00",),
        "CD": ("12:00",),
        "CV": ("18:00",),
        "PCM": ("08:30",),
        "PCD": ("12:30",),
        "PCV": ("18:30",),
        "Q12H": ("09:00", "21:00"),
        "Q24H": ("09:00",),
    }
)


def with_times(timing: Timing, site: SiteTimes) -> Timing:
    """Return the timing with the site's times; empty where there is nothing to schedule, None where one may not."""
    unscheduled = timing.status in {Status.PRN, Status.UNPARSED}
    if unscheduled or (timing.count == 1 and timing.frequency is None):
        return msgspec.structs.replace(timing, times=())
    if timing.status is not Status.OK:
        return timing
    times = _times(timing, site)
    missing = times is None and not timing.rolling
    return msgspec.structs.replace(timing, times=times, needs_review=timing.needs_review or missing)


def _times(timing: Timing, site: SiteTimes) -> tuple[str, ...] | None:
    capped = timing.max_per_day is not None and timing.needs_review
    if timing.frequency_max or timing.period_max or capped:
        return None
    days = len(timing.day_of_week)
    named = [when for when in timing.when if when not in _MEALS]
    meals = [row for when in timing.when for row in _MEALS.get(when, ())]
    doses = (timing.frequency or 0) // (days or 1)
    by_day = timing.period_unit == "d" and (
        timing.period == 1 or len(named) + len(timing.time_of_day) == doses
    )
    if doses != 1 and not days and not by_day and timing.period_unit not in {"h", "min"}:
        return None  # on which days of the cycle?
    if named or timing.time_of_day or len(meals) == doses:
        return _named(timing, [*meals, *named], site)
    which_meals = bool(meals) and (timing.when != ("C",) or timing.needs_review)
    if which_meals or timing.dose_pattern:
        return None
    if timing.period_unit in {"h", "min"}:
        return _by_interval(timing, site)
    return site.rows.get(_DAILY_ROWS.get(doses, f"{doses}ID"))


def _named(timing: Timing, rows: list[str], site: SiteTimes) -> tuple[str, ...] | None:
    """Return the times of events, moved by the offset, together with those that the text gives."""
    times = list(timing.time_of_day)
    for row in rows:
        # An offset is counted from the meal itself, not from the site's "before" or "after".
        base = row if timing.offset_min is None else _MEAL_OF.get(row, row)
        found = site.rows.get(base)
        if found is None:
            return None
        shift = (timing.offset_min or 0) * (1 if row.startswith("PC") else -1)
        times.extend(_shifted(time, shift) for time in found)
    return tuple(sorted(times))


def _by_interval(timing: Timing, site: SiteTimes) -> tuple[str, ...] | None:
    row = site.rows.get(f"Q{timing.period}H") if timing.period_unit == "h" else None
    if row is not None or timing.rolling or timing.period is None:
        return row
    return tuple(_shifted(site.hours_from, hour * 60) for hour in range(0, 24, timing.period))


def _shifted(time: str, minutes: int) -> str:
    total = (int(time[:2]) * 60 + int(time[3:]) + minutes) % _MINUTES_A_DAY
    return f"{total // 60:02d}:{total % 60:02d}"
