"""The binding cases, field by field, and the siblings that a reader would expect beside them."""

import json
from pathlib import Path

import msgspec
import pytest

from cito.plugins.clinical.dosing import parse_frequency, parse_timing
from cito.plugins.clinical.dosing_times import DEFAULT_SITE

CASES = Path(__file__).parents[3] / "../shared/cases/frequency.json"


def spec():
    if not CASES.exists():
        pytest.skip("../shared/cases/frequency.json is not here")
    return json.loads(CASES.read_text(encoding="utf-8"))


def plain(text):
    return json.loads(msgspec.json.encode(parse_timing(text), enc_hook=str))


def test_every_field_of_every_case():
    wrong = []
    for case in spec()["cases"]:
        got = plain(case["input"])
        wrong += [
            f"{case['id']} {case['input']!r}: {field} is {got[field]!r}, not {value!r}"
            for field, value in case["expect"].items()
            if field != "note" and got[field] != value
        ]
    assert not wrong, "\n".join(wrong)


def test_the_default_site_is_the_policy():
    policy = dict(spec()["policy"]["site_default_times"])
    assert policy.pop("QnH_anchor").startswith(DEFAULT_SITE.hours_from)
    assert {code: list(times) for code, times in DEFAULT_SITE.rows.items()} == policy


# text: status, frequency/period unit, times, doses a day
SIBLINGS = """
q.d. | ok | 1/1 d | 09:00 | 1
each day | ok | 1/1 d | 09:00 | 1
1/day | ok | 1/1 d | 09:00 | 1
one tablet daily | ok | 1/1 d | 09:00 | 1
every 24 hours | ok | 1/24 h | 09:00 | 1
mane | ok | 1/1 d | 08:00 | 1
om | ok | 1/1 d | 08:00 | 1
in the evening | ok | 1/1 d | 18:00 | 1
at night | ok | 1/1 d | 21:00 | 1
hs | ok | 1/1 d | 21:00 | 1
before bed | ok | 1/1 d | 21:00 | 1
1 tab po od | ok | 1/1 d | 09:00 | 1
2x/day | ok | 2/1 d | 09:00 21:00 | 2
twice-daily | ok | 2/1 d | 09:00 21:00 | 2
b i d | ok | 2/1 d | 09:00 21:00 | 2
every twelve hours | ok | 1/12 h | 09:00 21:00 | 2
morning and night | ok | 2/1 d | 08:00 21:00 | 2
am & pm | ok | 2/1 d | 08:00 18:00 | 2
1 tab mane 2 tabs nocte | ok | 2/1 d | 08:00 21:00 | 2
morning noon and night | ok | 3/1 d | 08:00 12:00 21:00 | 3
30 minutes before breakfast and dinner | ok | 2/1 d | 07:30 17:30 | 2
at 0600, 1400 and 2200 | ok | 3/1 d | 06:00 14:00 22:00 | 3
bid 7 days | ok | 2/1 d | 09:00 21:00 | 2
take 1 tablet (500 mg total) 2 (two) times a day | ok | 2/1 d | 09:00 21:00 | 2
twice daily (BID) for 5 days | ok | 2/1 d | 09:00 21:00 | 2
½-0-½ | ok | 2/1 d | 08:00 21:00 | 2
8-hourly | ok | 1/8 h | 00:00 08:00 16:00 | 3
after meals | ok | 3/1 d | 08:30 12:30 18:30 | 3
ac and hs | ok | 4/1 d | 07:30 11:30 17:30 21:00 | 4
with breakfast, lunch and dinner | ok | 3/1 d | 08:00 12:00 18:00 | 3
four times a day after food | ok | 4/1 d | - | 4
twice daily with or without food | ok | 2/1 d | 09:00 21:00 | 2
1-0-1 after food | ok | 2/1 d | 08:00 21:00 | 2
Take 1 Tablet(s) by oral route q6h around the clock | ok | 1/6 h | 00:00 06:00 12:00 18:00 | 4
daily for pain on Monday to Friday | ok | 5/1 wk | 09:00 | 5/7
bid with food | ok | 2/1 d | 09:00 21:00 | 2
twice daily with meals | ok | 2/1 d | - | 2
1 hour before breakfast | ok | 1/1 d | 07:00 | 1
2 hours after dinner | ok | 1/1 d | 20:00 | 1
an hour before bedtime | ok | 1/1 d | 20:00 | 1
4 hourly | ok | 1/4 h | 00:00 04:00 08:00 12:00 16:00 20:00 | 6
every 5 hours | ok | 1/5 h | - | 24/5
every 48 hours | ok | 1/48 h | - | 1/2
every 30 minutes | ok | 1/30 min | - | 48
alternate days | ok | 1/2 d | 09:00 | 1/2
every third day | ok | 1/3 d | 09:00 | 1/3
at bedtime every other night | ok | 1/2 d | 21:00 | 1/2
twice every 3 days | ok | 2/3 d | - | 2/3
every four weeks | ok | 1/4 wk | 09:00 | 1/28
4-weekly | ok | 1/4 wk | 09:00 | 1/28
once a fortnight | ok | 1/2 wk | 09:00 | 1/14
tiw | ok | 3/1 wk | - | 3/7
twice weekly in the morning | ok | 2/1 wk | - | 2/7
6 days a week | ok | 6/1 wk | - | 6/7
every month | ok | 1/1 mo | 09:00 | -
Mon, Wed & Fri | ok | 3/1 wk | 09:00 | 3/7
Monday - Friday | ok | 5/1 wk | 09:00 | 5/7
Monday to Friday | ok | 5/1 wk | 09:00 | 5/7
twice daily on weekdays | ok | 10/1 wk | 09:00 21:00 | 10/7
weekly on Monday | ok | 1/1 wk | 09:00 | 1/7
every other Monday | ok | 1/2 wk | 09:00 | 1/14
every 2 weeks on Monday | ok | 1/2 wk | 09:00 | 1/14
daily except weekends at 8am | ok | 5/1 wk | 08:00 | 5/7
once a day on Monday, Wednesday and Friday | ok | 3/1 wk | 09:00 | 3/7
at 8am and 8pm | ok | 2/1 d | 08:00 20:00 | 2
daily at 8am and 8pm | ok | 2/1 d | 08:00 20:00 | 2
daily at 5 in the evening | ok | 1/1 d | 17:00 | 1
every 8 hours take at 6am 2pm and 10pm | ok | 1/8 h | 06:00 14:00 22:00 | 3
twice daily (every 12 hours) | ok | 1/12 h | 09:00 21:00 | 2
in the morning with breakfast | ok | 1/1 d | 08:00 | 1
every night at bedtime | ok | 1/1 d | 21:00 | 1
2-3 times a day | ok | 2/1 d | - | 3
up to 4 times a day | ok | 4/1 d | - | 4
take 2 tablets every 6 hours, max 8 in 24 hours | ok | 1/6 h | 00:00 06:00 12:00 18:00 | 4
take 2 tablets every 4 hours, max 8 in 24 hours | ok | 1/4 h | - | 4
bid x3d | ok | 2/1 d | 09:00 21:00 | 2
tds for 5/7 | ok | 3/1 d | 08:00 14:00 20:00 | 3
stat | ok | -/- - | | -
when needed | prn | -/- - | | -
q4-6h prn | prn | 1/4 h | | 6
prn max 4/day | prn | 4/1 d | | 4
at bedtime as needed | prn | 1/1 d | | 1
every 4 hours prn, not to exceed 4 doses per day | prn | 1/4 h | | 4
bi-weekly | ambiguous | -/- - | - | -
bimonthly | ambiguous | -/- - | - | -
1 drop od | ambiguous | -/- - | - | -
q3m | ambiguous | -/- - | - | -
take 2 daily | ambiguous | -/- - | - | -
take 1 1/2 daily | ok | 1/1 d | 09:00 | 1
two doses daily | ambiguous | -/- - | - | -
1-2 applications daily | ambiguous | -/- - | - | -
500 mg x 2 daily | ambiguous | -/- - | - | -
3 tablets a day | ambiguous | -/- - | - | -
once in the morning | ambiguous | -/- - | - | -
daily with meals | ambiguous | -/- - | - | -
"""


@pytest.mark.parametrize("line", SIBLINGS.strip().splitlines())
def test_siblings(line):
    text, *expected = (part.strip() for part in line.split("|"))
    timing = parse_timing(text)
    cycle = f"{timing.frequency or '-'}/{timing.period or '-'} {timing.period_unit or '-'}"
    times = "-" if timing.times is None else " ".join(timing.times)
    assert [timing.status, cycle, times, str(timing.doses_per_day or "-")] == expected


def test_candidates_of_an_ambiguous_frequency_parse_themselves():
    for text in (
        "biweekly",
        "q3m",
        "4 weekly",
        "take 2 daily",
        "2 doses daily",
        "3 tablets a day",
        "500 mg x 2 a week",
        "once in the morning",
        "daily with meals",
        "qm",
    ):
        candidates = parse_timing(text).candidates
        assert len(candidates) == 2
        readings = [parse_timing(candidate) for candidate in candidates]
        assert [reading.status for reading in readings] == ["ok", "ok"]
        assert readings[0].doses_per_day != readings[1].doses_per_day or readings[0] != readings[1]


def test_answer_of_the_route():
    answer = json.loads(msgspec.json.encode(parse_frequency("1 tablet every other day at 8am for 14 days")))
    assert answer["dosesPerDay"] == "1/2"
    assert answer["periodUnit"] == "d"
    assert answer["times"] == answer["timeOfDay"] == ["08:00"]
    assert answer["bounds"] == {"value": 14, "unit": "d"}
    assert answer["asNeeded"] is False
    assert answer["candidates"] == []
    assert answer["reason"] is None
    assert json.loads(msgspec.json.encode(parse_frequency("od")))["candidates"] == [
        "once daily",
        "in the right eye",
    ]
