from __future__ import annotations

from datetime import date

import pytest

from cito.plugins.patients.dates import DateError, find_date, read_date


@pytest.mark.parametrize(
    ("written", "locale", "day"),
    [
        ("1980-03-14", None, date(1980, 3, 14)),
        ("1980/3/4", None, date(1980, 3, 4)),
        ("03/14/1980", None, date(1980, 3, 14)),
        ("14/03/1980", None, date(1980, 3, 14)),
        ("14.3.1980", "en-US", date(1980, 3, 14)),
        ("05/05/1971", None, date(1971, 5, 5)),
        ("03/04/2004", "en-US", date(2004, 3, 4)),
        ("03/04/2004", "en-GB", date(2004, 4, 3)),
        ("03/04/2004", "en-NG", date(2004, 4, 3)),
        ("14 Mar 1980", None, date(1980, 3, 14)),
        ("March 14th, 1980", None, date(1980, 3, 14)),
    ],
)
def test_dates_are_read(written: str, locale: str | None, day: date) -> None:
    assert read_date(written, locale) == day


@pytest.mark.parametrize(
    ("written", "locale", "rule"),
    [
        ("03/04/2004", None, "ambiguous_date"),
        ("03/04/2004", "en-CA", "ambiguous_date"),  # whose short dates begin with the year
        ("03/04/2004", "fr", "ambiguous_date"),
        ("3/14/80", "en-US", "ambiguous_date"),
        ("1980-02-30", None, "date"),
        ("31/31/1980", None, "date"),
        ("yesterday", None, "date"),
    ],
)
def test_two_readings_or_none_are_refused(written: str, locale: str | None, rule: str) -> None:
    with pytest.raises(DateError) as refused:
        read_date(written, locale)
    assert refused.value.rule == rule


@pytest.mark.parametrize(
    "text", ["415-555-0132", "415.555.0132", "MRN-10001", "1-415-555-0136", "+44 20 7946 0018"]
)
def test_phones_and_record_numbers_are_no_dates(text: str) -> None:
    assert find_date(text) is None
