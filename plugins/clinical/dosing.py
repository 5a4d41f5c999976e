"""Free dosing text to a structured timing: the one parser for every plugin, route and job.

Text -> canonical whole words (`dosing_tokens`) -> facts, longest phrase first (`dosing_scan` with the rules of
`dosing_cycles`, `dosing_occasions`, `dosing_giving`) -> one consistent reading (`dosing_combine`) -> the site's
times (`dosing_times`). A timing is stored when it is written, and never read again from the text.
"""

from __future__ import annotations

from functools import lru_cache

import msgspec

from cito.plugins.clinical.dosing_combine import combine
from cito.plugins.clinical.dosing_scan import scan
from cito.plugins.clinical.dosing_times import DEFAULT_SITE, SiteTimes, with_times
from cito.plugins.clinical.dosing_tokens import tokens
from cito.plugins.clinical.timing import Status, Timing

MAX_CHARACTERS = 500
MAX_WORDS = 80
_REMEMBERED = 4096


def parse_timing(text: str, site: SiteTimes = DEFAULT_SITE) -> Timing:
    """Return when a text says that a medicine is to be given, at the site's times.

    Never raises and never guesses: see `Timing.status`, `needs_review` and `reason`.
    """
    if len(text) > MAX_CHARACTERS:
        return Timing(status=Status.UNPARSED, times=(), reason=f"longer than {MAX_CHARACTERS} characters")
    return with_times(_read(text), site)


@lru_cache(maxsize=_REMEMBERED)
def _read(text: str) -> Timing:
    words = tokens(text)
    if not words:
        return Timing(status=Status.UNPARSED, reason="empty")
    if len(words) > MAX_WORDS:
        return Timing(status=Status.UNPARSED, reason=f"more than {MAX_WORDS} words and numbers")
    return combine(scan(words))


class FrequencyParse(msgspec.Struct, rename="camel"):
    """The answer of `POST /api/medications/frequency/parse`; attributes as in `Timing`.

    Attributes:
        doses_per_day: an exact fraction in text: "3", "1/2".
    """

    status: Status
    frequency: int | None
    frequency_max: int | None
    period: int | None
    period_max: int | None
    period_unit: str | None
    times: tuple[str, ...] | None
    when: tuple[str, ...]
    offset_min: int | None
    time_of_day: tuple[str, ...]
    day_of_week: tuple[str, ...]
    calendar: str | None
    as_needed: bool
    bounds: dict[str, int | str] | None
    count: int | None
    max_per_day: int | None
    dose_pattern: tuple[int | float, ...]
    anchor: bool
    rolling: bool
    needs_review: bool
    code: str | None
    doses_per_day: str | None
    candidates: tuple[str, ...]
    reason: str | None


def parse_frequency(text: str, site: SiteTimes = DEFAULT_SITE) -> FrequencyParse:
    """Return `parse_timing` in the shape of the API."""
    timing = parse_timing(text, site)
    given = {name: getattr(timing, name) for name in FrequencyParse.__struct_fields__}
    per_day, bounds = timing.doses_per_day, timing.bounds
    given["doses_per_day"] = None if per_day is None else str(per_day)
    given["bounds"] = None if bounds is None else msgspec.to_builtins(bounds)
    return FrequencyParse(**given)
