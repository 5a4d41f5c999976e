"""Texts that must not become an order: no status but `unparsed`, no times, a reason that repeats none of the text."""

import pytest

from cito.plugins.clinical import dosing
from cito.plugins.clinical.dosing import MAX_CHARACTERS, parse_timing
from cito.plugins.clinical.dosing_times import SiteTimes

REFUSED = """
half-yearly
half yearly
half weekly
half-monthly
0,125 mg daily
0,5 mg bid
1.000 mg bid
2.125 g daily
qam & 2 qpm
in the morning and 2 tablets at night
at night 2 tablets and in the morning 1 tablet
tapering dose
daily for 3 days then twice daily
take 1/2 tablet daily x 1 week then increase to one tablet daily
initially twice daily
sliding scale
per sliding scale three times daily
titrate to effect
not daily
do not take daily
never twice daily
avoid three times daily
stop daily
no more daily
hold daily
unless twice daily
without food daily
if pain twice daily
every 4 hours while awake
every 0 hours
every hours
once per hours
4 times in hours
twice/days
4-6 prn hourly
at 8:00 and 2:00 pm
at 8:30 8:30 pm
every days
every  weeks
q hrs
every h
q-4h
7 days
weekly 4 weeks
once 7 days
at 8am 3 days
every -4 hours
every 1.5 hours
every 6 to 4 hours
every 1000 hours
every 99999 days
q1000h
99 times a day
zero times a day
0 times daily
3x1
2 x 1 daily
2 doses at night
2 applications bid
1 hour before meals and at bedtime
8 qh
24 q h
24 h
bid tid
daily bid
twice daily and at night
once daily and as needed
twice daily twice weekly
three times a day every 4 hours
twice daily in the morning
twice daily at 8am
every 8 hours at 8am
every evening at 8am
weekly on Monday and Friday
twice weekly on Monday
daily on Mondays
daily every Monday Wednesday and Friday
Monday at 8am and Friday at 8pm
Monday 8am, Friday 8pm
every morning on Monday and every evening on Friday
every morning for 7 days, every evening for 3 days
morning or evening
4 and 8am
4 for weekly
2 po daily
on weekdays, every Monday
2, night
hourly 6 prn
and bid
bid and
2 tid or
prn max 3 tablets
tid for food every
twice daily for use in the sun
tid for pain hours
prn every 2 bedtime
at 8am or 8pm
Monday or Tuesday
from Monday - 8am to Friday
twice daily or as directed
8am - 8pm
between 8am and 10am
9am-5pm
at 8 o'clock
at 8
25:00
8:75
13pm
10-12-2024
12/05/2024
1,5 tablets bid
bid 10²
\u0663 times daily
\u0967 tablet daily
every \u0be9 hours
q²h
q2°
\u202eh8q
zweimal täglich
dos veces al día
une fois par jour
1x täglich
две таблетки
bid ではない
the bid
forbidden with NSAIDs
acid
bidaily food
tidal
prevent
unprn
qidx
hourglass
weeklyish
once upon a time
500
20
0800
take
take 1 tablet
for 7 days
with food
as directed
see notes
max 8 tablets per day
every
times
and
or
,
-
?
twice
three times
daily?
i/d
1 am and 1 pm
take 1 tablet daily 1 tab daily
2 daily 3 daily
per day
each shift
q shift
first Monday of the month
on days 1 and 8
every day for 7 days every month
twice daily on Monday and once on Tuesday
"""


@pytest.mark.parametrize("text", REFUSED.strip().splitlines())
def test_refused(text):
    timing = parse_timing(text)
    assert timing.status in {"unparsed", "ambiguous"}
    assert not timing.times
    assert timing.doses_per_day is None
    assert timing.reason


def test_unparsed_is_the_rule():
    refused = [parse_timing(text).status for text in REFUSED.strip().splitlines()]
    assert refused.count("ambiguous") <= 5


def test_length_is_bounded():
    timing = parse_timing("daily " * MAX_CHARACTERS)
    assert (timing.status, timing.times) == ("unparsed", ())
    assert parse_timing("1 " * 240).reason == f"more than {dosing.MAX_WORDS} words and numbers"


def test_a_site_without_a_row_leaves_times_to_a_person():
    for text in ("daily", "bid", "every morning", "before lunch", "with meals", "1-0-1"):
        timing = parse_timing(text, SiteTimes({}))
        assert (timing.status, timing.times, timing.needs_review) == ("ok", None, True), text
    late = SiteTimes(
        {"QD": ("10:15",), "5ID": ("06:00", "10:00", "14:00", "18:00", "22:00")}, hours_from="02:00"
    )
    assert parse_timing("daily", late).times == ("10:15",)
    assert len(parse_timing("5 times daily", late).times) == 5
    assert parse_timing("q8h", late).times == ("02:00", "10:00", "18:00")


def test_memory_is_bounded():
    for number in range(5000):
        parse_timing(f"every {number} days")
    info = dosing._read.cache_info()
    assert info.maxsize is not None
    assert info.currsize <= info.maxsize < 5000
