"""Held against other parsers' public test data. Where we differ, the class of difference is named here."""

import csv
import json
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import pytest

from cito.plugins.clinical.dosing import parse_timing

SIGS = Path(__file__).parents[3] / "../shared/data/sigs"
UNITS = {"Hour": "h", "Day": "d", "Week": "wk", "Month": "mo", "Year": "a"}


def load(name):
    path = SIGS / name
    if not path.exists():
        pytest.skip(f"../shared/data/sigs/{name} is not here")
    text = path.read_text(encoding="utf-8")
    return json.loads(text) if name.endswith(".json") else list(csv.DictReader(text.splitlines()))


# Sig -> why our answer differs from CodeRx's most dose units a day.
CODERX_DIFFERENCES = {
    "the instruction is given twice, with two amounts: we do not guess that it is one": (
        (
            "take 0.5-1 tablets 12.5-25 mg total by mouth every other day take 1/2-1 tablet by mouth every other day "
            "in the morning"
        ),
    ),
    "two amounts a day: we give the range of amounts, an upper bound of the sum": (
        "take 2 pills in the am and 1 pill in the pm",
        "take 2 tablets by mouth in the am and 1 tablet by mouth in the evening",
        "take 2 tablets in the morning and 1 at night",
        "take 2 tablet by mouth every morning and 1 tablet by mouth every night at bed",
    ),
    "a word is cut off or unknown: not read past it": (
        "take one tablet by mouth every morning and take one tablet by mouth every evening - take with mea",
        "take one tablet by mouth every morning and take one tablet by mouth every evening take with meal duplicate",
        "take one tablet by mouth twice daily at 9am-5p",
    ),
    "every day, twice a day: two statements that do not agree": ("take one tab every day bid",),
    "CodeRx gives up, we read it": ("take 1 and 1/2 to 2 tablets by mouth daily",),
}
PARSIGS_DIFFERENCES = {
    "spelling is not corrected: a guess at a word is a guess at a dose": (
        "Tkae 1 tabet 3 tiems a day for 2 wekes",
        "Tkae 1 talbet of ibuprofen 200mg 3 tiems every day for 10 wekes",
        "Atke 1 tab of Benadryl 3 tmies a day",
        "takr 1 tablet of Benadryl 3 times a dya",
        (
            "tkae two talbets of benadryl every two days and then 1 talbet every week for 1 month and than 1 talbet "
            "every month"
        ),
    ),
    "several instructions in a row are no one timing": (
        "take 1 tablet of atorvastatin every day and then 2 tablets every week",
        "take two tablets of benadryl every two days and then 1 tablet as needed",
        (
            "take two tablets of benadryl every two days and then 1 tablet every week for 1 month and than 1 tablet "
            "every month"
        ),
    ),
    "a word that does not belong there": (
        "Take 1 codeine 3 times a day",
        "1 TAB of BENADRYL qd times",
        "1 TAB of BENADRYL q7h times for 2 weeks",
    ),
}
DOSEMINER_REFUSED = {
    "TAKE 1 OR 2 AS DIRECTED": "unparsed",
    "TAKE AS DIRECTED": "unparsed",
    "1 tab nocte twenty eight tablets": "unparsed",
    "take 1 2 daily": "ambiguous",
    "five every week": "ambiguous",
    "take one or two tablets 6-8 hrly every 2-3 days": "unparsed",
}


def listed(differences):
    return {sig for sigs in differences.values() for sig in sigs}


def most_per_day(sig):
    timing = parse_timing(sig)
    if timing.doses_per_day is None or timing.status not in {"ok", "prn"}:
        return None
    return timing.doses_per_day * (timing.dose.high if timing.dose else 1)


def test_coderx_most_units_a_day(figure: Callable[[str], None]):
    rows = load("coderx_sigs_max_per_day.json")
    differ = []
    for row in rows:
        ours, theirs = most_per_day(row["sig"]), row["upstream_max_per_day"]
        if (ours is None) != (theirs is None) or (
            ours is not None and abs(ours - Fraction(str(theirs))) > 0.01
        ):
            differ.append(row["sig"])
    figure(f"CodeRx: {len(rows) - len(differ)} of {len(rows)} agree")
    assert set(differ) == listed(CODERX_DIFFERENCES)


def test_parsigs_structured(figure: Callable[[str], None]):
    rows = load("parsigs_structured_sigs.json")
    differ = []
    for row in rows:
        timing, want = parse_timing(row["sig"]), row["expected"][0]
        per_day = timing.doses_per_day
        if want["frequencyType"] is None:
            agrees = timing.status == "unparsed"
        else:
            days = {"h": Fraction(1, 24), "d": 1, "wk": 7}[UNITS[want["frequencyType"]]] * want["interval"]
            agrees = (
                per_day == Fraction(want["times"] or 1) / days and timing.as_needed == want["takeAsNeeded"]
            )
            bounds = timing.bounds and (timing.bounds.value, timing.bounds.unit)
            agrees = agrees and bounds == (
                want["periodType"] and (want["periodAmount"], UNITS[want["periodType"]])
            )
        if not agrees:
            differ.append(row["sig"])
    figure(f"parsigs: {len(rows) - len(differ)} of {len(rows)} agree")
    assert set(differ) == listed(PARSIGS_DIFFERENCES)


def test_parsigs_latin(figure: Callable[[str], None]):
    codes = load("parsigs_latin_frequency.json")
    for code in codes:
        timing = parse_timing(code)
        assert timing.status == "ok", code
        if code[1:-1].isdigit():
            per_day = Fraction(24 if code.endswith("h") else 1, int(code[1:-1]))
            assert timing.doses_per_day == per_day, code
    figure(f"parsigs Latin: {len(codes)} of {len(codes)} agree")


def test_doseminer_texts(figure: Callable[[str], None]):
    texts = [row["text"] for row in load("doseminer_cprd_dose_texts.csv")] + load(
        "doseminer_example_prescriptions.json"
    )
    refused = {text: parse_timing(text).status for text in texts}
    refused = {text: status for text, status in refused.items() if status not in {"ok", "prn"}}
    figure(f"doseminer: {len(texts) - len(refused)} of {len(texts)} read")
    assert refused == DOSEMINER_REFUSED


def test_doseminer_expectations():
    for row in load("doseminer_expectations.json"):
        timing = parse_timing(row["text"])
        if row["field"] == "freq":
            assert timing.doses_per_day == int(row["expected"])
        else:
            low, _, high = row["expected"].partition("-")
            assert timing.dose is not None
            assert (timing.dose.low, timing.dose.high, timing.dose.unit) == (int(low), int(high or low), "ml")
